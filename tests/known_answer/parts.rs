//! The two parts of the sojourn, queue wait and run time, against the service's own books.

use plimsoll::estimate::{Estimate, Family};
use plimsoll::sim::TruthRow;
use plimsoll::sim::world::{Network, VirtualRun};
use plimsoll::work::Outcome;

use super::{Tape, close, float, run, with_truth};

/// The quantile of the values at hand: the smallest that has as large a share at or below it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
fn quantile(mut values: Vec<f64>, level: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(level * float(values.len())).ceil() as usize - 1]
}

/// What the service knows of each work whose end was seen: how long it waited and ran.
fn parts(tape: &Tape, run: &VirtualRun) -> [Vec<f64>; 2] {
    let rows = with_truth(tape, run);
    let part = |part: fn(&TruthRow) -> f64| rows.iter().map(|(_, truth)| part(truth)).collect();
    [
        part(|truth| truth.started.unwrap().since(truth.accepted).seconds()),
        part(|truth| {
            truth
                .terminal
                .unwrap()
                .since(truth.started.unwrap())
                .seconds()
        }),
    ]
}

/// p50 and p90 are within a share of those of the books, or within so many seconds.
fn check(what: &str, estimate: &Estimate, truth: &[f64], (share, least): (f64, f64)) {
    for (place, level) in [(0, 0.5), (1, 0.9)] {
        let truth = quantile(truth.to_vec(), level);
        let quantile = estimate.quantiles[place];
        assert!(quantile.supported, "{what}");
        let found = quantile.value.unwrap();
        close(what, found, truth, least.max(share * truth));
    }
    assert!(estimate.gap <= 1e-3, "{what}: {:e}", estimate.gap);
}

#[test]
fn behind_a_queue_wait_and_run_time_are_those_of_the_books() {
    // M/M/c at 90 % of what it can do: waits are long, and most works wait.
    for policy in ["fixed", "exponential"] {
        let (_, tape, run) = run(
            &format!(
                "[simulator]\nworkers = 20\nservice_time = \"exp(3s)\"\n\
                 [[load]]\nrate = \"6/s\"\nduration = \"1h\"\n\
                 [poll]\npolicy = \"{policy}\"\ninterval = \"1s\"\ngive_up_after = \"1h\"\n\
                 [drain]\nlimit = \"1h\"\n"
            ),
            &Network::IDEAL,
        );
        assert!(
            tape.rows
                .iter()
                .all(|row| row.outcome == Outcome::Completed)
        );
        let [waits, runs] = parts(&tape, &run);
        let wait = Estimate::of(&run.snapshot.seen, Family::QueueWait, 1).unwrap();
        check(&format!("wait, {policy}"), &wait, &waits, (0.05, 0.1));
        let ran = Estimate::run_time(&run.snapshot.seen).unwrap();
        check(&format!("run, {policy}"), &ran, &runs, (0.06, 0.1));
    }
}

#[test]
fn without_a_queue_the_run_time_is_the_service_time() {
    let (_, tape, run) = run(
        "[simulator]\nworkers = 64\nservice_time = \"lognormal(2s, 0.6)\"\n\
         [[load]]\nrate = \"20/s\"\nduration = \"20m\"\n[poll]\ninterval = \"1s\"\n",
        &Network::IDEAL,
    );
    let [waits, runs] = parts(&tape, &run);
    let wait = Estimate::of(&run.snapshot.seen, Family::QueueWait, 1).unwrap();
    check("wait", &wait, &waits, (0.0, 0.05));
    let ran = Estimate::run_time(&run.snapshot.seen).unwrap();
    check("run", &ran, &runs, (0.04, 0.0));
}
