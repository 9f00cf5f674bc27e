use super::super::fixture::{facts, promise, run};
use super::*;
use crate::time::Span;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn of(micros: impl IntoIterator<Item = u64>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for value in micros {
        snapshot
            .histograms
            .record(Metric::AcceptLatency, Span(value * 1_000));
    }
    snapshot
}

fn decision(slo: &Slo, snapshot: &Snapshot) -> Decision {
    judge(slo, snapshot, &facts()).decision
}

fn latency(statistic: Statistic, relation: Relation, bound: f64) -> Slo {
    promise("accept_latency", Some(statistic), relation, bound)
}

const P99: Statistic = Statistic::Quantile(0.99);

#[test]
fn p99_is_only_kept_from_299_samples_on() {
    let slo = latency(P99, Relation::Less, 1.0);
    assert_eq!(decision(&slo, &of([])), Decision::Undecided);
    assert_eq!(decision(&slo, &of([1_000; 298])), Decision::Undecided);
    assert_eq!(decision(&slo, &of([1_000; 299])), Decision::Pass);
    // But far fewer can break it, and the bare value needs only one.
    assert_eq!(decision(&slo, &of([2_000_000; 20])), Decision::Fail);
    let bare = Slo {
        judge: Judge::Point,
        ..slo
    };
    assert_eq!(decision(&bare, &of([1_000])), Decision::Pass);
    assert_eq!(decision(&bare, &of([])), Decision::Undecided);
}

/// A thousand latencies of this many milliseconds, of which up to `late` may be ours.
fn with_own_error(millis: u64, late: Span) -> Snapshot {
    let mut snapshot = of([millis * 1_000; 1_000]);
    for _ in 0..100 {
        snapshot.histograms.record(Metric::GeneratorLag, late);
        snapshot.histograms.record(Metric::StampDelay, Span::ZERO);
    }
    snapshot
}

#[test]
fn what_is_broken_by_less_than_our_own_error_is_undecided_and_what_is_kept_is_kept() {
    let late = Span::from_millis(10);
    let check = |millis: u64, relation, bound: f64, with: Decision, without: Decision| {
        for judge_by in [Judge::Bounds, Judge::Point] {
            for statistic in [P99, Statistic::Max, Statistic::Mean] {
                let slo = Slo {
                    judge: judge_by,
                    ..latency(statistic, relation, bound)
                };
                let snapshot = with_own_error(millis, late);
                let judged = judge(&slo, &snapshot, &facts());
                assert_eq!(judged.decision, with, "{} {statistic:?}", slo.that);
                assert_eq!(judged.hangs_on_own_error(), with != without);
                assert_eq!(decision(&slo, &of([millis * 1_000; 1_000])), without);
            }
        }
    };
    let (pass, fail, open) = (Decision::Pass, Decision::Fail, Decision::Undecided);
    // Without us it would have been smaller still.
    check(249, Relation::Less, 0.25, pass, pass);
    check(255, Relation::Less, 0.25, open, fail);
    check(255, Relation::LessEqual, 0.25, open, fail);
    check(261, Relation::Less, 0.25, fail, fail);
    // A promise to be slow is kept only if it is so without us.
    check(255, Relation::Greater, 0.25, open, pass);
    check(261, Relation::GreaterEqual, 0.25, pass, pass);
    check(249, Relation::Greater, 0.25, fail, fail);
    // What was never answered is not answered because we are late.
    let mut snapshot = with_own_error(1, late);
    snapshot.counts.add(Count::IntakeFailed, 100);
    let slo = latency(P99, Relation::Less, 0.25);
    assert_eq!(decision(&slo, &snapshot), Decision::Fail);
}

#[test]
fn those_beyond_break_a_promise_that_the_survivors_keep() {
    let slo = latency(P99, Relation::Less, 1.0);
    let mut snapshot = of([1_000; 1_000]);
    assert_eq!(decision(&slo, &snapshot), Decision::Pass);
    snapshot.counts.add(Count::IntakeFailed, 10);
    assert_eq!(decision(&slo, &snapshot), Decision::Undecided);
    snapshot.counts.add(Count::IntakeFailed, 90);
    let judged = judge(&slo, &snapshot, &facts());
    assert_eq!(judged.decision, Decision::Fail);
    let estimate = judged.estimate.unwrap();
    assert!(estimate.value.is_infinite() && estimate.low.is_infinite());
    assert_eq!(estimate.n, Some(1_100));
    for statistic in [Statistic::Max, Statistic::Mean] {
        let slo = latency(statistic, Relation::Less, 1.0);
        assert_eq!(decision(&slo, &snapshot), Decision::Fail);
    }
}

#[test]
fn each_relation_is_judged_at_its_edge() {
    let check = |relation, low, high, expected| {
        assert_eq!(
            decide(relation, low, high, 2.0),
            expected,
            "{relation:?} {low} {high}"
        );
    };
    for (relation, below, at, above) in [
        (
            Relation::Less,
            Decision::Pass,
            Decision::Fail,
            Decision::Fail,
        ),
        (
            Relation::LessEqual,
            Decision::Pass,
            Decision::Pass,
            Decision::Fail,
        ),
        (
            Relation::Greater,
            Decision::Fail,
            Decision::Fail,
            Decision::Pass,
        ),
        (
            Relation::GreaterEqual,
            Decision::Fail,
            Decision::Pass,
            Decision::Pass,
        ),
        (
            Relation::Equal,
            Decision::Fail,
            Decision::Pass,
            Decision::Fail,
        ),
    ] {
        check(relation, 1.0, 1.0, below);
        check(relation, 2.0, 2.0, at);
        check(relation, 3.0, 3.0, above);
        check(relation, 1.0, 3.0, Decision::Undecided);
    }
}

#[test]
fn ratios_counts_and_rates_are_found_by_name() {
    let snapshot = run().snapshot;
    let check = |subject: &str, relation, bound, expected| {
        let slo = promise(subject, None, relation, bound);
        assert_eq!(decision(&slo, &snapshot), expected, "{}", slo.that);
    };
    check("scheduled", Relation::Equal, 100.0, Decision::Pass);
    check("unresolved", Relation::Equal, 0.0, Decision::Fail);
    check("polls", Relation::LessEqual, 1_000.0, Decision::Pass);
    check("disagreement", Relation::Equal, 0.0, Decision::Pass);
    check("polls_per_work", Relation::Less, 2.5, Decision::Pass);
    check(
        "achieved_rate",
        Relation::GreaterEqual,
        33.3,
        Decision::Pass,
    );
    check(
        "achieved_rate",
        Relation::GreaterEqual,
        33.4,
        Decision::Fail,
    );
    // 11 of 98 failed: 11.2 %, at most 17.9 %.
    check("work_failure_ratio", Relation::Less, 0.05, Decision::Fail);
    check(
        "work_failure_ratio",
        Relation::Less,
        0.15,
        Decision::Undecided,
    );
    check("work_failure_ratio", Relation::Less, 0.20, Decision::Pass);
    let nothing = Snapshot::default();
    let slo = promise("work_failure_ratio", None, Relation::Less, 0.5);
    assert_eq!(decision(&slo, &nothing), Decision::Undecided);
}

#[test]
fn the_mean_has_the_bounds_of_its_standard_error() {
    // 100 values of 100 us and 100 of 300 us: mean 200, spread 100.25, error 7.09; bound 11.66.
    let snapshot = of([100, 300].into_iter().cycle().take(200));
    let slo = latency(Statistic::Mean, Relation::Less, 1.0);
    let estimate = judge(&slo, &snapshot, &facts()).estimate.unwrap();
    assert!((estimate.value - 200e-6).abs() < 1e-9, "{estimate:?}");
    assert!((estimate.high - 211.66e-6).abs() < 1e-8, "{estimate:?}");
    assert!((estimate.low - 188.34e-6).abs() < 1e-8, "{estimate:?}");
    // One sample has a mean, and no bound.
    let slo = latency(Statistic::Mean, Relation::Less, 1.0);
    assert_eq!(decision(&slo, &of([1])), Decision::Undecided);
}

/// Of many runs of a law with known quantiles, the share whose bound is on the wrong side of the
/// truth.
fn misses(q: f64, n: usize) -> (f64, f64) {
    const RUNS: u64 = 400;
    let slo = latency(Statistic::Quantile(q), Relation::Less, 1.0);
    let (mut above, mut below) = (0, 0);
    for seed in 0..RUNS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Uniform over 0 to 1,999 us: exact in the histogram, and the quantile is q x 2,000 us.
        let snapshot = of((0..n).map(|_| random.random_range(0..2_000)));
        let estimate = judge(&slo, &snapshot, &facts()).estimate.unwrap();
        above += u64::from(estimate.low > q * 2e-3);
        below += u64::from(estimate.high < q * 2e-3 - 1e-6);
    }
    (float(above) / float(RUNS), float(below) / float(RUNS))
}

#[test]
fn bounds_miss_the_truth_in_at_most_five_of_a_hundred_runs() {
    for (q, n) in [(0.5, 50), (0.9, 200), (0.99, 600)] {
        let (above, below) = misses(q, n);
        // 5 % and three standard errors of 400 runs.
        assert!(
            above < 0.083 && below < 0.083,
            "{q} of {n}: {above} {below}"
        );
        // And they are no wider than they must be: discrete ranks give some of it away.
        assert!(above + below > 0.01, "{q} of {n}: {above} {below}");
    }
}

#[test]
fn a_lag_of_callbacks_is_as_sure_as_the_clock_of_the_service_is_known() {
    use crate::record::interval::Seen;
    use crate::record::windows::Happening;
    use crate::time::Tick;
    use crate::work::ServiceTime;
    // Its clock showed this at the origin, and is known to 10 ms; each callback is 100 ms late.
    let shown = 1_750_000_000_000_123;
    let mut snapshot = Snapshot::default();
    let mut seen = Seen::default();
    for work in 1..=400_u32 {
        let end = i64::from(work) * 50_000;
        let at = |micros: i64| Tick(u64::try_from(end + micros).unwrap() * 1_000);
        let stamp = ServiceTime(shown + end);
        let known = [Tick::ZERO, at(-10_000), at(10_000)];
        seen.stamps.count(Happening::Completed, stamp, known);
        snapshot.lags.count(at(100_000), stamp);
    }
    snapshot.seen.add(Tick::ZERO, &seen);
    let check = |bound: f64, bounds: Decision, point: Decision| {
        for statistic in [
            Statistic::Quantile(0.5),
            P99,
            Statistic::Mean,
            Statistic::Max,
        ] {
            let slo = promise(CALLBACK_LAG, Some(statistic), Relation::Less, bound);
            assert_eq!(decision(&slo, &snapshot), bounds, "{slo:?}");
            let judge = Judge::Point;
            assert_eq!(decision(&Slo { judge, ..slo }, &snapshot), point, "{bound}");
        }
    };
    check(0.111, Decision::Pass, Decision::Pass);
    check(0.105, Decision::Undecided, Decision::Pass);
    check(0.095, Decision::Undecided, Decision::Fail);
    check(0.089, Decision::Fail, Decision::Fail);
    // Without a row of each callback nobody could make the figure again.
    let slo = promise(CALLBACK_LAG, Some(P99), Relation::Less, 1.0);
    let no_rows = Facts {
        has_rows: false,
        ..facts()
    };
    assert_eq!(
        judge(&slo, &snapshot, &no_rows).decision,
        Decision::Undecided
    );
}

#[test]
fn a_promise_can_be_made_of_everything_that_is_measured_and_of_nothing_else() {
    use crate::record::CATALOGUE;
    use crate::record::ledger::Group;
    use crate::scenario::slo::{ANOMALIES, CALLBACKS, LEDGER, METRICS, REQUESTS};
    let sorted = |names: Vec<&'static str>| {
        let mut names = names;
        names.sort_unstable();
        names
    };
    let metrics = CATALOGUE.iter().map(|row| row.name);
    let metrics = metrics.chain([CALLBACK_LAG]).collect();
    assert_eq!(sorted(METRICS.to_vec()), sorted(metrics));
    let snapshot = Snapshot::default();
    let named = [&LEDGER[..], &REQUESTS, &CALLBACKS, &ANOMALIES].concat();
    assert!(named.iter().all(|name| count(&snapshot, name).is_some()));
    for counted in Count::ALL {
        let promised = named.contains(&counted.name());
        assert_eq!(
            promised,
            counted.group() != Group::Files,
            "{}",
            counted.name()
        );
    }
}
