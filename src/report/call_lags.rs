//! `callback_lag`: how late the first callback of each work came behind its end, by the clock of
//! the service.
//!
//! A stamp less the instant of its callback is known; what the clock of the service showed at the
//! origin of the run is bounded by every stamped work ([`crate::record::stamps`]). The middle of
//! those bounds stands for it, and half of what they leave open moves all lags by the same amount.
//! What the clock cuts off, half of its resolution up or down, is each lag's own.

use super::binomial::float;
use super::quantiles::{Quantiles, rank};
use crate::record::snapshot::Snapshot;
use crate::record::stamps::ClockBounds;

/// The name of the metric. It is none of the catalogue: its values are known at the end of a run.
pub const CALLBACK_LAG: &str = "callback_lag";

/// The lags, in seconds. Each may be wrong by the uncertainty, up or down: so some may be less than
/// nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct CallLags {
    /// In ascending order, and how often.
    lags: Vec<(f64, u64)>,
    count: u64,
    /// By how much each of them may be wrong, up or down, in seconds.
    pub uncertainty: f64,
    /// To how much the clock of the service tells, in seconds.
    pub resolution: f64,
}

/// Why lags are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLags {
    /// The run keeps no rows.
    NoRows,
    /// No callback says when its work ended.
    NoStamps,
    /// The stamps contradict what was seen: the clock of the service was set.
    Contradiction,
}

impl NoLags {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoRows => "report.works is none",
            Self::NoStamps => "no callback says when its work ended",
            Self::Contradiction => {
                "the service's stamps contradict when works were seen to be open or to have ended"
            }
        }
    }
}

impl CallLags {
    /// Those of a run.
    pub fn of(snapshot: &Snapshot) -> Result<Self, NoLags> {
        let lags = &snapshot.lags;
        let count: u64 = lags.iter().map(|(_, calls)| calls).sum();
        let clock = snapshot.seen.sum().stamps.clock();
        let clock = clock.filter(|_| count > 0).ok_or(NoLags::NoStamps)?;
        if clock.least > clock.most {
            return Err(NoLags::Contradiction);
        }
        let ClockBounds { least, most } = clock;
        let (width, resolution) = (lags.width(), lags.resolution());
        // The middle of what the clock may have shown, of a place of the grid, and of what the
        // clock cuts off: the largest lag has the smallest place.
        let cut = micros(width - 1) / 2.0 + micros(resolution - 1) / 2.0;
        let lag = |from: i64| {
            let shown = micros(least.saturating_sub(from)) + micros(most.saturating_sub(from));
            (shown / 2.0 - cut) * 1e-6
        };
        Ok(Self {
            lags: (lags.iter().rev())
                .map(|(from, calls)| (lag(from), calls))
                .collect(),
            count,
            uncertainty: (micros(most - least) / 2.0 + cut) * 1e-6,
            resolution: micros(resolution) * 1e-6,
        })
    }

    /// How many there are, at least one.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The lag of this rank, from 1.
    pub fn at(&self, rank: u64) -> f64 {
        let mut below = 0;
        let mut lags = self.lags.iter();
        let found = lags.find(|(_, calls)| {
            below += calls;
            below >= rank
        });
        let longest = self.lags.last();
        found.or(longest).map_or(0.0, |(lag, _)| *lag)
    }

    /// The mean, and the standard deviation.
    pub fn mean(&self) -> (f64, f64) {
        let over = |value: &dyn Fn(f64) -> f64| {
            let sum: f64 = (self.lags.iter())
                .map(|(lag, calls)| value(*lag) * float(*calls))
                .sum();
            sum / float(self.count)
        };
        let mean = over(&|lag| lag);
        let variance = over(&|lag| (lag - mean) * (lag - mean));
        (mean, variance.sqrt())
    }

    /// The figures of `summary.json`.
    pub fn figures(&self) -> Quantiles {
        let at = |q: f64| Some(self.at(rank(q, self.count)));
        Quantiles {
            count: self.count,
            beyond: 0,
            mean: Some(self.mean().0),
            min: Some(self.at(1)),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: Some(self.at(self.count)),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "differences of less than an age"
)]
fn micros(micros: i64) -> f64 {
    micros as f64
}
