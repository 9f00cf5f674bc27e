//! The queue of the service against the closed formulas of queueing theory, in simulated time.
//!
//! Kleinrock, Queueing Systems I (1975): Erlang C for M/M/c, Pollaczek and Khinchine for M/G/1, and
//! the exponential sojourn time of M/M/1. Works that follow each other are correlated, so means are
//! judged by the standard error of 50 batches; seeds are fixed, so a figure never changes.

use super::law::draw;
use super::{Service, TruthRow, quiet_plan};
use crate::random::{Purpose, stream};
use crate::scenario::{Law, SimPlan};
use crate::time::{Span, Tick};

const WORKS: u32 = 120_000;

/// Poisson arrivals at `rate` a second into `workers` servers.
fn lives(workers: u32, service_time: Law, rate: f64) -> Vec<TruthRow> {
    let plan = SimPlan {
        workers,
        service_time,
        ..quiet_plan()
    };
    let mut service = Service::new(&plan, 11, None);
    // Arrivals come from a seed of their own, independent of the lives.
    let mut rng = stream(12, Purpose::named("test arrivals"), 1);
    let gap = Law::Exponential(Span::from_secs_f64(1.0 / rate));
    let mut now = Tick::ZERO;
    for _ in 0..WORKS {
        now = now + draw(&gap, &mut rng);
        service.submit(now);
    }
    service.close(Tick::NEVER).rows().collect()
}

fn wait(row: &TruthRow) -> f64 {
    row.started.unwrap().since(row.accepted).seconds()
}

fn sojourn(row: &TruthRow) -> f64 {
    row.terminal.unwrap().since(row.accepted).seconds()
}

/// The mean must lie within four standard errors of the theory, and the error must be small enough
/// to mean something.
fn agrees(rows: &[TruthRow], of: impl Fn(&TruthRow) -> f64, theory: f64) {
    const BATCHES: u32 = 50;
    let size = WORKS / BATCHES;
    let means: Vec<f64> = rows
        .chunks_exact(size as usize)
        .map(|batch| batch.iter().map(&of).sum::<f64>() / f64::from(size))
        .collect();
    let mean = means.iter().sum::<f64>() / f64::from(BATCHES);
    let squares: f64 = means.iter().map(|batch| (batch - mean).powi(2)).sum();
    let error = (squares / f64::from(BATCHES * (BATCHES - 1))).sqrt();
    assert!(error < 0.06 * theory, "standard error {error} of {theory}");
    let off = (mean - theory).abs() / error;
    assert!(off < 4.0, "found {mean} +- {error}, theory {theory}");
}

fn close(found: f64, theory: f64, tolerance: f64) {
    let error = (found / theory - 1.0).abs();
    assert!(error < tolerance, "found {found}, theory {theory}");
}

/// The probability of having to wait in M/M/c with `load` Erlang, by the recursion of Erlang B.
fn erlang_c(servers: u32, load: f64) -> f64 {
    let blocked = (1..=servers).fold(1.0, |b, n| load * b / (f64::from(n) + load * b));
    let servers = f64::from(servers);
    servers * blocked / (servers - load * (1.0 - blocked))
}

#[test]
fn erlang_c_is_the_tabled_one() {
    // Two servers at one Erlang: 1/3. One server: its load.
    close(erlang_c(2, 1.0), 1.0 / 3.0, 1e-12);
    close(erlang_c(1, 0.7), 0.7, 1e-12);
}

#[test]
fn several_workers_wait_as_erlang_says() {
    for (servers, rate) in [(1_u32, 0.7), (4, 3.0), (8, 6.0)] {
        let rows = lives(servers, Law::Exponential(Span::from_secs(1)), rate);
        let waits = erlang_c(servers, rate);
        agrees(&rows, wait, waits / (f64::from(servers) - rate));
        let had_to = |row: &TruthRow| f64::from(u8::from(row.started > Some(row.accepted)));
        agrees(&rows, had_to, waits);
    }
}

#[test]
fn one_exponential_worker_has_exponential_sojourn_times() {
    let rows = lives(1, Law::Exponential(Span::from_secs(1)), 0.5);
    let mut sojourns: Vec<f64> = rows.iter().map(sojourn).collect();
    sojourns.sort_by(f64::total_cmp);
    agrees(&rows, sojourn, 2.0);
    for (index, quantile) in [
        (WORKS / 2, 0.5),
        (WORKS / 10 * 9, 0.9),
        (WORKS / 100 * 99, 0.99),
    ] {
        close(
            sojourns[index as usize],
            -2.0 * f64::ln(1.0 - quantile),
            0.03,
        );
    }
}

#[test]
fn general_service_times_wait_as_pollaczek_and_khinchine_say() {
    let second = Span::from_secs(1);
    // Law, its mean and its second moment.
    let cases = [
        (Law::Fixed(second), 1.0, 1.0),
        (Law::Uniform(Span::ZERO, Span::from_secs(2)), 1.0, 4.0 / 3.0),
        (Law::Lognormal(second, 0.6), f64::exp(0.18), f64::exp(0.72)),
    ];
    for (law, mean_s, square) in cases {
        let rate = 0.6 / mean_s;
        let rows = lives(1, law, rate);
        let waits = rate * square / (2.0 * (1.0 - 0.6));
        agrees(&rows, wait, waits);
        agrees(&rows, sojourn, waits + mean_s);
    }
}

#[test]
fn without_a_queue_nobody_waits() {
    let rows = lives(0, Law::Exponential(Span::from_secs(1)), 100.0);
    assert!(rows.iter().all(|row| row.started == Some(row.accepted)));
}
