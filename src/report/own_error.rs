//! Our own error: by how much a figure may be too large because of us.
//!
//! Three things of ours add to what is measured, and each is measured itself:
//!
//! | part | adds to | as |
//! |---|---|---|
//! | `generator_lag` | what counts from the intended start | the submit left late |
//! | `poll_lag` | what ends with a terminal answer | the poll that brought it left late |
//! | `stamp_delay` | whatever ends with an answer | it was read late |
//!
//! Waits that the scenario chose (a cap, a budget) or the service caused (a gate) are in none of
//! them: they are what a caller would have had as well. The error of a metric is the sum of the p99
//! of its parts: of a hundred submits, polls and answers each, 99 were no later. Above p99 a figure
//! is compared with the same quantile of the parts, and a maximum with their maxima: what is rare
//! in a result may come of what is rare in us.
//!
//! Every part is a delay. So the truth lies between a figure less its error and the figure, never
//! above it: [`truth`] widens downwards alone.
//!
//! A run without probes, as in virtual time, has no such error.

use super::quantiles::Sample;
use crate::record::Metric;
use crate::record::snapshot::Snapshot;
use crate::scenario::Statistic;

/// The quantile of the parts that stands for all but the rarest.
pub const LEVEL: f64 = 0.99;

/// What of ours is in a metric. Our own lags have no error: both their ends are ours.
const fn parts(metric: Metric) -> &'static [Metric] {
    match metric {
        Metric::AcceptLatency => &[Metric::GeneratorLag, Metric::StampDelay],
        Metric::AcceptServiceTime | Metric::ClosedLoopLatency | Metric::PollRoundTrip => {
            &[Metric::StampDelay]
        }
        Metric::TimeToTerminal | Metric::TimeToCompleted | Metric::TimeToFailed => {
            &[Metric::GeneratorLag, Metric::PollLag, Metric::StampDelay]
        }
        Metric::CallbackAhead | Metric::PollAhead => &[Metric::PollLag, Metric::StampDelay],
        Metric::CallbackGap => &[Metric::StampDelay],
        Metric::ScheduleLag
        | Metric::GeneratorLag
        | Metric::StampDelay
        | Metric::PollWait
        | Metric::PollWaitBudget
        | Metric::PollWaitGate
        | Metric::PollLag => &[],
    }
}

/// The error of a metric's quantile `q`, in seconds; infinite if one of ours was beyond all values.
/// None where there is none, or none was measured.
pub fn of_quantile(snapshot: &Snapshot, metric: Metric, q: f64) -> Option<f64> {
    let parts = parts(metric);
    let was_probed = Sample::of(snapshot, Metric::StampDelay).total() > 0;
    (was_probed && !parts.is_empty()).then(|| {
        let part = |part: &Metric| {
            let sample = Sample::of(snapshot, *part);
            let [late] = sample.quantiles([q.max(LEVEL)]);
            match sample.total() {
                0 => 0.0,
                _ => late.unwrap_or(f64::INFINITY),
            }
        };
        parts.iter().map(part).sum()
    })
}

/// The error of what a promise is about.
pub fn of_statistic(snapshot: &Snapshot, metric: Metric, statistic: Statistic) -> Option<f64> {
    let q = match statistic {
        Statistic::Quantile(q) => q,
        Statistic::Mean => LEVEL,
        Statistic::Max => 1.0,
    };
    of_quantile(snapshot, metric, q)
}

/// The least that the truth behind a figure can be. What is beyond every value is so without our
/// help.
pub fn truth(figure: f64, error: f64) -> f64 {
    if figure.is_finite() {
        (figure - error).max(0.0)
    } else {
        figure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CATALOGUE;
    use crate::time::Span;

    /// A hundred samples of each of these: 1 to 100 times so many microseconds.
    fn run(lags: &[(Metric, u64)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (metric, micros) in lags {
            for times in 1..=100 {
                let lag = Span(times * micros * 1_000);
                snapshot.histograms.record(*metric, lag);
            }
        }
        snapshot
    }

    fn close(found: Option<f64>, micros: f64) {
        let found = found.unwrap();
        assert!((found * 1e6 / micros - 1.0).abs() < 2e-3, "{found}");
    }

    #[test]
    fn the_error_of_a_metric_is_that_of_its_parts() {
        let snapshot = run(&[
            (Metric::GeneratorLag, 1),
            (Metric::StampDelay, 10),
            (Metric::PollLag, 100),
            // What the scenario or the service holds back is no error.
            (Metric::ScheduleLag, 1_000),
            (Metric::PollWait, 1_000),
        ]);
        let error = |metric, q| of_quantile(&snapshot, metric, q);
        close(error(Metric::AcceptLatency, 0.5), 99.0 * 11.0);
        close(error(Metric::AcceptLatency, 0.999), 100.0 * 11.0);
        close(error(Metric::AcceptServiceTime, 0.9), 99.0 * 10.0);
        close(error(Metric::ClosedLoopLatency, 0.9), 99.0 * 10.0);
        close(error(Metric::PollRoundTrip, 0.99), 99.0 * 10.0);
        close(error(Metric::TimeToFailed, 1.0), 100.0 * 111.0);
        let max = of_statistic(&snapshot, Metric::TimeToTerminal, Statistic::Max);
        close(max, 100.0 * 111.0);
        let mean = of_statistic(&snapshot, Metric::TimeToTerminal, Statistic::Mean);
        close(mean, 99.0 * 111.0);
        assert_eq!(error(Metric::PollWait, 0.5), None);
    }

    #[test]
    fn without_probes_there_is_none() {
        let snapshot = run(&[(Metric::GeneratorLag, 1), (Metric::PollLag, 100)]);
        for row in &CATALOGUE {
            assert_eq!(
                of_quantile(&snapshot, row.metric, 0.5),
                None,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn what_is_beyond_is_so_without_our_help() {
        let check = |figure: f64, error: f64, least: f64| {
            let found = truth(figure, error);
            assert!(found.total_cmp(&least).is_eq(), "{found}, not {least}");
        };
        check(3.0, 1.0, 2.0);
        check(1.0, 3.0, 0.0);
        check(1.0, f64::INFINITY, 0.0);
        check(f64::INFINITY, 1.0, f64::INFINITY);
        check(f64::INFINITY, f64::INFINITY, f64::INFINITY);
    }
}
