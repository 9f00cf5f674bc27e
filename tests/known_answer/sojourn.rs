//! The time in the service, against the service's own books: whoever polls, however often.

use plimsoll::record::Metric;
use plimsoll::report::Facts;
use plimsoll::report::times::{Method, Times};
use plimsoll::sim::world::{Network, VirtualRun};
use plimsoll::time::Span;

use super::{Tape, close, float, run, with_truth};

/// Works that take a log-normal time of 8 s in the middle, polled so.
fn polled(poll: &str, more: &str) -> (Facts, Tape, VirtualRun) {
    let (plan, tape, run) = run(
        &format!(
            "[simulator]\nservice_time = \"lognormal(8s, 0.6)\"\nfail_ratio = 0.2\n{more}\
             [[load]]\nrate = \"100/s\"\nduration = \"2m\"\n\
             [drain]\nlimit = \"10m\"\n[poll]\ngive_up_after = \"10m\"\n{poll}\n"
        ),
        &Network {
            delay: plimsoll::scenario::Law::Fixed(Span::from_millis(5)),
            ..Network::IDEAL
        },
    );
    (Facts::of(&plan), tape, run)
}

/// The time that a share of the works had by the service's books, counted from the submit.
fn truth(tape: &Tape, run: &VirtualRun, share: f64) -> f64 {
    let ends = with_truth(tape, run).into_iter();
    let mut times: Vec<f64> = ends
        .map(|(row, truth)| truth.terminal.unwrap().since(row.sent.unwrap()).seconds())
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let rank = (share * float(times.len())).ceil();
    let place = (0..times.len()).find(|place| float(place + 1) >= rank);
    times[place.unwrap()]
}

#[test]
fn the_sojourn_time_does_not_hang_on_the_interval_of_the_polls() {
    let mut seen_by_callers = Vec::new();
    for interval in ["1s", "5s", "20s"] {
        let (facts, tape, run) = polled(&format!("interval = \"{interval}\""), "");
        let sojourn = Times::of(&facts, &run.snapshot).sojourn.unwrap();
        assert_eq!(sojourn.method, Method::Npmle);
        let estimate = &sojourn.estimate;
        assert_eq!(estimate.works, tape.rows.len() as u64);
        for (level, quantile) in [(0.5, estimate.quantiles[0]), (0.9, estimate.quantiles[1])] {
            let truth = truth(&tape, &run, level);
            let value = quantile.value.unwrap();
            close(
                &format!("p{level} at {interval}"),
                value,
                truth,
                // 4 % of 100,000 works; the error falls with the cube root of their number.
                0.08 * truth,
            );
        }
        let last = estimate.curve.last().unwrap();
        let failed = with_truth(&tape, &run)
            .into_iter()
            .filter(|(_, truth)| truth.state == plimsoll::sim::State::Failed);
        let failed = float(failed.count()) / float(tape.rows.len());
        close("share that failed", last.failed, failed, 1e-3);
        let upper = run.snapshot.histograms.get(Metric::TimeToTerminal).unwrap();
        seen_by_callers.push(Span(upper.value_at_quantile(0.5) * 1_000).seconds());
    }
    let moved = seen_by_callers[2] - seen_by_callers[0];
    assert!(moved > 5.0, "{seen_by_callers:?}");
}

#[test]
fn stamps_tell_what_rare_polls_do_not() {
    for (resolution, tolerance) in [("1ms", 0.005), ("1s", 0.02)] {
        let (facts, tape, run) = polled(
            "interval = \"20s\"\n[api.terminal]\nfinished_at = \"/finished_at\"",
            &format!("finished_at = \"{resolution}\"\n"),
        );
        let sojourn = Times::of(&facts, &run.snapshot).sojourn.unwrap();
        assert_eq!(sojourn.method, Method::Timestamps, "{:?}", sojourn.remarks);
        for (level, place) in [(0.5, 0), (0.9, 1), (0.99, 3)] {
            let truth = truth(&tape, &run, level);
            let value = sojourn.estimate.quantiles[place].value.unwrap();
            close(
                &format!("p{level} to {resolution}"),
                value,
                truth,
                tolerance * truth,
            );
        }
    }
}

#[test]
fn polls_at_the_same_ages_carry_a_warning() {
    let (facts, _, run) = polled("interval = \"5s\"\nfirst = \"interval\"", "");
    let sojourn = Times::of(&facts, &run.snapshot).sojourn.unwrap();
    let remark = sojourn
        .remarks
        .iter()
        .find(|remark| remark.contains("poll.first"));
    assert!(remark.is_some(), "{:?}", sojourn.remarks);
}

#[test]
fn where_no_end_was_seen_nothing_is_said() {
    let (plan, _, run) = run(
        "[simulator]\nendless_ratio = 1.0\n[[load]]\nrate = \"10/s\"\nduration = \"10s\"\n\
         [drain]\nlimit = \"5s\"\n",
        &Network::IDEAL,
    );
    let why = Times::of(&Facts::of(&plan), &run.snapshot)
        .sojourn
        .unwrap_err();
    assert_eq!(why, "no work was seen to end");
}
