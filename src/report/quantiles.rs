//! Quantiles without survivors' bias: works that never got an answer count as larger than every
//! value.
//!
//! A quantile `q` of `n` samples is the value of rank `ceil(q n)`, where `n` counts those *beyond*
//! as well. A rank that falls among the beyond has no value; it is larger than all that was seen.

use hdrhistogram::Histogram;

use super::binomial::{float, whole};
use crate::record::ledger::Count;
use crate::record::snapshot::Snapshot;
use crate::record::{Histograms, Metric};

/// The samples of a metric, and how many more are larger than all of them.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    histogram: Option<&'a Histogram<u64>>,
    beyond: u64,
}

/// The cell of a histogram that a rank falls into, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Its lowest value.
    pub low: f64,
    /// Its highest value: what a quantile is said to be, as the standard tools say it.
    pub high: f64,
}

/// The figures of a metric in `summary.json`, in seconds. `None` is "no samples", or "beyond".
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Samples with a value.
    pub count: u64,
    /// Works larger than every value, not in `count`.
    pub beyond: u64,
    /// The arithmetic mean; none with anything beyond.
    pub mean: Option<f64>,
    /// The smallest value.
    pub min: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// The quantile 0.9.
    pub p90: Option<f64>,
    /// The quantile 0.95.
    pub p95: Option<f64>,
    /// The quantile 0.99.
    pub p99: Option<f64>,
    /// The quantile 0.999.
    pub p999: Option<f64>,
    /// The largest value; none with anything beyond.
    pub max: Option<f64>,
}

/// One of the figures of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its key in `summary.json`.
    pub name: &'static str,
    /// Which quantile it is.
    pub q: f64,
    /// Its value, in seconds.
    pub value: Option<f64>,
}

impl Quantiles {
    /// All that are quantiles, from the smallest value to the largest.
    pub fn each(&self) -> [Figure; 7] {
        [
            ("min", 0.0, self.min),
            ("p50", 0.5, self.p50),
            ("p90", 0.9, self.p90),
            ("p95", 0.95, self.p95),
            ("p99", 0.99, self.p99),
            ("p999", 0.999, self.p999),
            ("max", 1.0, self.max),
        ]
        .map(|(name, q, value)| Figure { name, q, value })
    }
}

/// The rank (from 1) of the quantile `q` among `n > 0` samples: `ceil(q n)`.
pub fn rank(q: f64, n: u64) -> u64 {
    let exact = q * float(n);
    // 0.55 x 100 is 55.000000000000007 in binary: not the 56th sample.
    let near = exact.round();
    let rank = if (exact - near).abs() <= near * 1e-12 {
        near
    } else {
        exact.ceil()
    };
    whole(rank).clamp(1, n)
}

/// Microseconds of a histogram as seconds.
fn seconds(micros: u64) -> f64 {
    float(micros) / 1e6
}

impl<'a> Sample<'a> {
    /// The samples of a metric over a whole run.
    pub fn of(snapshot: &'a Snapshot, metric: Metric) -> Self {
        let counts = &snapshot.counts;
        let unanswered = counts.get(Count::IntakeFailed) + snapshot.gauges.submitting;
        let unanswered = match metric {
            Metric::AcceptLatency => unanswered + snapshot.gauges.queued,
            Metric::AcceptServiceTime => unanswered,
            Metric::TimeToTerminal => {
                counts.get(Count::Expired) + counts.get(Count::Lost) + snapshot.gauges.backlog
            }
            _ => 0,
        };
        let mut sample = Self::seen(&snapshot.histograms, metric);
        sample.beyond += unanswered;
        sample
    }

    /// The samples alone, with no regard to works that are still to answer.
    pub fn seen(histograms: &'a Histograms, metric: Metric) -> Self {
        Self {
            histogram: histograms.get(metric).filter(|samples| !samples.is_empty()),
            beyond: histograms.overflow(metric),
        }
    }

    /// Samples with a value.
    pub fn count(&self) -> u64 {
        self.histogram.map_or(0, Histogram::len)
    }

    /// Works larger than every value.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Both together: what ranks run over.
    pub fn total(&self) -> u64 {
        self.count() + self.beyond
    }

    /// The largest value seen, in seconds, whatever is beyond it.
    pub fn largest_seen(&self) -> Option<f64> {
        self.histogram.map(|samples| seconds(samples.max()))
    }

    /// The mean of the values seen, and the standard deviation of one sample (with `n - 1`), in
    /// seconds; infinite for a single one. None with anything beyond.
    pub fn mean(&self) -> Option<(f64, f64)> {
        let samples = self.histogram.filter(|_| self.beyond == 0)?;
        let n = float(samples.len());
        let spread = if samples.len() > 1 {
            samples.stdev() / 1e6 * (n / (n - 1.0)).sqrt()
        } else {
            f64::INFINITY
        };
        Some((samples.mean() / 1e6, spread))
    }

    /// The cells of ranks that ascend, in one walk; `None` for ranks among those beyond.
    pub fn cells<const N: usize>(&self, ranks: [u64; N]) -> [Option<Cell>; N] {
        let mut cells = [None; N];
        let Some(samples) = self.histogram else {
            return cells;
        };
        let (mut next, mut passed) = (0, 0);
        for step in samples.iter_recorded() {
            passed += step.count_at_value();
            while next < N && ranks[next] <= passed {
                let value = step.value_iterated_to();
                cells[next] = Some(Cell {
                    low: seconds(samples.lowest_equivalent(value)),
                    high: seconds(samples.highest_equivalent(value)),
                });
                next += 1;
            }
            if next == N {
                break;
            }
        }
        cells
    }

    /// Quantiles in ascending order, in one walk.
    pub fn quantiles<const N: usize>(&self, of: [f64; N]) -> [Option<f64>; N] {
        let n = self.total();
        if n == 0 {
            return [None; N];
        }
        self.cells(of.map(|q| rank(q, n)))
            .map(|cell| cell.map(|cell| cell.high))
    }

    /// All figures of the metric.
    pub fn figures(&self) -> Quantiles {
        let [p50, p90, p95, p99, p999, max] = self.quantiles([0.5, 0.9, 0.95, 0.99, 0.999, 1.0]);
        Quantiles {
            count: self.count(),
            beyond: self.beyond,
            mean: self.mean().map(|(mean, _)| mean),
            min: self.histogram.map(|samples| seconds(samples.min())),
            p50,
            p90,
            p95,
            p99,
            p999,
            max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for micros in values {
            snapshot
                .histograms
                .record(Metric::TimeToTerminal, Span(micros * 1_000));
        }
        snapshot
    }

    #[test]
    fn nothing_at_all_has_no_figures() {
        let snapshot = of(&[]);
        let figures = Sample::of(&snapshot, Metric::TimeToTerminal).figures();
        assert_eq!(figures, Quantiles::default());
    }

    #[test]
    fn the_lost_push_the_quantiles_up() {
        // 90 works take 1 ms; 5 expired, 3 were lost, 2 are open: p90 is the last that is known.
        let mut snapshot = of(&[1_000; 90]);
        snapshot.counts.add(Count::Expired, 5);
        snapshot.counts.add(Count::Lost, 3);
        snapshot.gauges.backlog = 2;
        let figures = Sample::of(&snapshot, Metric::TimeToTerminal).figures();
        assert_eq!((figures.count, figures.beyond), (90, 10));
        assert_eq!(figures.p90, Some(0.001));
        assert_eq!((figures.p95, figures.p999, figures.max), (None, None, None));
        assert_eq!((figures.mean, figures.min), (None, Some(0.001)));
        let alone = Sample::of(&snapshot, Metric::TimeToCompleted).figures();
        assert_eq!(alone, Quantiles::default());
    }

    #[test]
    fn who_is_beyond_depends_on_the_metric() {
        let mut snapshot = Snapshot::default();
        snapshot.counts.add(Count::IntakeFailed, 1);
        snapshot.counts.add(Count::Rejected, 1_000);
        snapshot.gauges.submitting = 20;
        snapshot.gauges.queued = 300;
        snapshot
            .histograms
            .add_overflow(Metric::AcceptServiceTime, 4_000);
        let beyond = |metric| Sample::of(&snapshot, metric).beyond();
        assert_eq!(beyond(Metric::AcceptLatency), 321);
        assert_eq!(beyond(Metric::AcceptServiceTime), 4_021);
        assert_eq!(beyond(Metric::TimeToTerminal), 0);
        assert_eq!(beyond(Metric::ScheduleLag), 0);
    }

    #[test]
    fn a_rank_is_not_moved_by_binary_fractions() {
        assert_eq!(rank(0.55, 100), 55);
        assert_eq!(rank(0.999, 1_000), 999);
        assert_eq!(rank(0.999, 1_001), 1_000);
        assert_eq!(rank(0.5, 1), 1);
    }

    proptest! {
        #[test]
        fn without_anything_beyond_it_is_what_the_standard_tools_say(
            values in prop::collection::vec(0_u64..86_400_000_000, 1..300)
        ) {
            let snapshot = of(&values);
            let oracle = snapshot.histograms.get(Metric::TimeToTerminal).unwrap();
            let figures = Sample::of(&snapshot, Metric::TimeToTerminal).figures();
            for (q, mine) in [
                (0.5, figures.p50), (0.9, figures.p90), (0.95, figures.p95),
                (0.99, figures.p99), (0.999, figures.p999), (1.0, figures.max),
            ] {
                prop_assert_eq!(mine, Some(seconds(oracle.value_at_quantile(q))), "{}", q);
            }
        }

        #[test]
        fn those_beyond_sort_after_all_others(
            values in prop::collection::vec(0_u64..1_000, 0..200), beyond in 0_u64..200
        ) {
            // Values below 1,000 us are exact in a histogram of three digits.
            let mut snapshot = of(&values);
            snapshot.gauges.backlog = beyond;
            let mut sorted: Vec<Option<u64>> = values.iter().copied().map(Some).collect();
            sorted.sort_unstable();
            sorted.resize(values.len() + usize::try_from(beyond).unwrap(), None);
            let sample = Sample::of(&snapshot, Metric::TimeToTerminal);
            for (q, mine) in [0.5, 0.9, 0.99].into_iter().zip(sample.quantiles([0.5, 0.9, 0.99])) {
                let expected = (!sorted.is_empty())
                    .then(|| sorted[usize::try_from(rank(q, sorted.len() as u64)).unwrap() - 1])
                    .flatten();
                prop_assert_eq!(mine, expected.map(seconds));
            }
        }
    }
}
