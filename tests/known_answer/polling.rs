//! The arithmetic of polling: what a work costs, and how late its end is seen.
//!
//! A work of mean length m is polled every T seconds. With a random first phase the polls after its
//! end are uniform in one interval: it costs m/T + 1 polls, and its end is seen T/2 late, whatever
//! its law. With the first poll after one interval and an exponential law the number of polls is
//! geometric: 1/(1 - e^(-T/m)), and the lag T/(1 - e^(-T/m)) - m.

use plimsoll::sim::world::Network;

use super::{close, float, mean, run, with_truth};

const INTERVAL_S: f64 = 5.0;

/// Polls and lag of 8,000 works, within five standard errors.
fn check(law: &str, first: &str, polls: f64, lag: f64) {
    let (_, tape, run) = run(
        &format!(
            "[simulator]\nservice_time = \"{law}\"\n\
             [[load]]\nrate = \"400/s\"\nduration = \"20s\"\n\
             [poll]\ninterval = \"5s\"\nfirst = \"{first}\"\ngive_up_after = \"30m\"\n\
             [drain]\nlimit = \"30m\"\n"
        ),
        &Network::IDEAL,
    );
    let pairs = with_truth(&tape, &run);
    assert!(pairs.len() > 7_500);
    let (found, error) = mean(pairs.iter().map(|(row, _)| f64::from(row.polls)));
    close(&format!("polls, {law} {first}"), found, polls, 5.0 * error);
    let mut lags: Vec<f64> = pairs
        .iter()
        .map(|(row, truth)| {
            row.detected
                .unwrap()
                .since(truth.terminal.unwrap())
                .seconds()
        })
        .collect();
    let (found, error) = mean(lags.iter().copied());
    close(&format!("lag, {law} {first}"), found, lag, 5.0 * error);
    if first == "random" {
        // Uniform in one interval: the p95 is 0.95 T, its error that of an order statistic.
        lags.sort_unstable_by(f64::total_cmp);
        let n = lags.len();
        let error = INTERVAL_S * (0.95 * 0.05 / float(n)).sqrt();
        close(
            "p95 of the lag",
            lags[n * 95 / 100],
            0.95 * INTERVAL_S,
            5.0 * error,
        );
    }
}

#[test]
fn a_random_first_phase_costs_one_poll_more_than_the_length_and_half_an_interval_of_lag() {
    // Means: of a log-normal law median e^(sigma^2/2); of a mixture the mean of the means.
    for (law, length) in [
        ("exp(8s)", 8.0),
        ("fixed(8s)", 8.0),
        ("uniform(2s, 20s)", 11.0),
        ("lognormal(8s, 0.6)", 8.0 * (0.18_f64).exp()),
        ("mix(0.9 exp(2s), 0.1 exp(60s))", 7.8),
        ("uniform(0s, 1s)", 0.5),
    ] {
        check(law, "random", length / INTERVAL_S + 1.0, INTERVAL_S / 2.0);
    }
}

#[test]
fn a_first_poll_after_one_interval_sees_a_geometric_number() {
    let m = 8.0;
    let polls = 1.0 / (1.0 - (-INTERVAL_S / m).exp());
    check("exp(8s)", "interval", polls, INTERVAL_S * polls - m);
}

#[test]
fn an_interval_from_the_answer_adds_the_round_trip_to_each_gap() {
    // A round trip r lengthens every gap to T + r: (m - phase)/(T + r) more polls. With a work of
    // fixed length each work's polls are known exactly.
    let (plan, tape, _) = run(
        "[simulator]\nservice_time = \"fixed(9s)\"\npoll_delay = \"fixed(250ms)\"\n\
         [[load]]\nrate = \"100/s\"\nduration = \"10s\"\n\
         [poll]\ninterval = \"1s\"\nfrom = \"answer\"\n",
        &Network::IDEAL,
    );
    for row in &tape.rows {
        let phase = plimsoll::engine::poll_policy::first(&plan.poll, plan.seed, row.seq);
        let polls = ((9.0 - phase.seconds()) / 1.25).ceil() + 1.0;
        close("polls", f64::from(row.polls), polls, 0.0);
    }
}

#[test]
fn a_hint_is_waited_for_and_not_the_interval() {
    // Asked within a second, and then every 4 s: at 8 s and something a work of 9 s is still open.
    let (_, tape, _) = run(
        "[simulator]\nservice_time = \"fixed(9s)\"\nretry_after = 4\n\
         [[load]]\nrate = \"100/s\"\nduration = \"10s\"\n\
         [poll]\npolicy = \"hinted\"\n",
        &Network::IDEAL,
    );
    assert!(tape.rows.iter().all(|row| row.polls == 4));
}
