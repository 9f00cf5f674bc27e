//! Queueing laws: Little's, and the M/M/c queue behind the service.

use plimsoll::record::Metric;
use plimsoll::sim::world::Network;

use super::{close, float, mean, run};

#[test]
fn the_backlog_is_the_rate_times_the_time_in_it() {
    let (_, tape, run) = run(
        "[simulator]\nservice_time = \"lognormal(4s, 0.8)\"\n\
         [[load]]\nrate = \"100/s\"\nduration = \"60s\"\n\
         [poll]\ninterval = \"2s\"\ngive_up_after = \"10m\"\n[drain]\nlimit = \"10m\"\n",
        &Network::IDEAL,
    );
    // Little's law holds exactly over a time at whose ends nobody is there: the sum of the gauge
    // over all seconds is the time that all works together spent in the backlog. The gauge is read
    // once a second, so a stay counts up to one reading too much or too little: with a uniform
    // phase that is a variance of at most 1/4 a work.
    let read: f64 = tape
        .intervals
        .iter()
        .map(|interval| f64::from(u32::try_from(interval.gauges.backlog).unwrap()))
        .sum();
    let stays = tape
        .rows
        .iter()
        .map(|row| row.detected.unwrap().since(row.accepted.unwrap()).seconds());
    let (stay, _) = mean(stays);
    let n = float(tape.rows.len());
    assert_eq!(run.snapshot.gauges.backlog, 0);
    close("Little's law", read, n * stay, 5.0 * 0.5 * n.sqrt());
    // And in the steady middle it is the rate times (mean of the law + half an interval of lag).
    let middle = &tape.intervals[30..60];
    let (backlog, _) = mean(
        middle
            .iter()
            .map(|interval| f64::from(u32::try_from(interval.gauges.backlog).unwrap())),
    );
    let theory = 100.0 * (4.0 * (0.32_f64).exp() + 1.0);
    // M/G/infinity: Poisson, so a deviation of sqrt(660); some five stays long: five errors of 12.
    close("M/G/infinity", backlog, theory, 60.0);
}

/// The mean sojourn in an M/M/c queue: service, and Erlang's C divided by the spare capacity.
fn erlang_sojourn(servers: i32, rate: f64, service: f64) -> f64 {
    let load = rate * service;
    // Erlang's B by its recursion, and C from B.
    let blocked = (1..=servers).fold(1.0, |b, k| load * b / (f64::from(k) + load * b));
    let c = f64::from(servers);
    let waits = c * blocked / (c - load * (1.0 - blocked));
    service + waits / (c / service - rate)
}

#[test]
fn erlang_c_is_that_of_the_tables() {
    // c = 1 is M/M/1: 1/(mu - lambda). c = 2 with a load of 1.5: C = 9/14, wait C/(2 - 1.5).
    close("M/M/1", erlang_sojourn(1, 0.8, 1.0), 5.0, 1e-9);
    close("M/M/2", erlang_sojourn(2, 1.5, 1.0), 1.0 + 9.0 / 7.0, 1e-9);
}

#[test]
fn a_queue_of_workers_is_an_m_m_c_queue() {
    let (_, mut tape, run) = run(
        "[simulator]\nworkers = 8\nservice_time = \"exp(100ms)\"\n\
         [[load]]\nrate = \"64/s\"\nduration = \"10m\"\n[poll]\ninterval = \"50ms\"\n",
        &Network::IDEAL,
    );
    // The end of a work is seen half an interval late.
    let theory = erlang_sojourn(8, 64.0, 0.1) + 0.025;
    tape.rows.sort_unstable_by_key(|row| row.seq);
    let times: Vec<f64> = tape
        .rows
        .iter()
        .map(|row| row.detected.unwrap().since(row.intended).seconds())
        .collect();
    // Sojourns depend on each other: the error comes from batches that are long against the queue.
    let (found, error) = mean(
        times
            .chunks_exact(times.len() / 40)
            .map(|batch| mean(batch.iter().copied()).0),
    );
    assert!(error < 0.02 * theory, "too few works: {error}");
    close("sojourn", found, theory, 4.0 * error);
    let recorded = run.snapshot.histograms.get(Metric::TimeToTerminal).unwrap();
    close(
        "the histogram's mean",
        recorded.mean() / 1e6,
        found,
        2e-3 * found,
    );
}
