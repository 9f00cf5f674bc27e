//! How late callbacks came behind the ends of their works, by the clock of the service.
//!
//! A stamp less the instant of its callback is known; what the clock of the service showed at the
//! origin of the run is bounded by every stamped work ([`crate::record::stamps`]). The middle of
//! those bounds stands for it, and half of what they leave open is the uncertainty of every lag.

use crate::record::snapshot::Snapshot;
use crate::record::stamps::ClockBounds;

/// The lags of the first callbacks of works, in seconds. Each may be wrong by the same amount, up
/// or down: so some may be less than nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallLags {
    /// How many were stamped.
    pub count: u64,
    /// The mean.
    pub mean: f64,
    /// The shortest.
    pub min: f64,
    /// The quantiles of [`LEVELS`]: the least lag that so many are not above.
    pub quantiles: [f64; LEVELS.len()],
    /// The longest.
    pub max: f64,
    /// By how much all of them may be wrong, up or down.
    pub uncertainty: f64,
    /// To how much the clock of the service tells.
    pub resolution: f64,
}

/// Which quantiles are told, and their names.
pub const LEVELS: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
];

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
        let ascending = || lags.iter().rev().map(|(from, calls)| (lag(from), calls));
        let sum: f64 = ascending().map(|(lag, calls)| lag * float(calls)).sum();
        let quantile = |(_, level): (&str, f64)| {
            let wanted = (level * float(count)).ceil();
            let mut below = 0;
            let found = ascending().find(|(_, calls)| {
                below += calls;
                float(below) >= wanted
            });
            found.map_or(f64::NAN, |(lag, _)| lag)
        };
        Ok(Self {
            count,
            mean: sum / float(count),
            min: ascending().next().map_or(f64::NAN, |(lag, _)| lag),
            quantiles: LEVELS.map(quantile),
            max: lags.iter().next().map_or(f64::NAN, |(from, _)| lag(from)),
            uncertainty: (micros(most - least) / 2.0 + cut) * 1e-6,
            resolution: micros(resolution) * 1e-6,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "differences of less than an age"
)]
fn micros(micros: i64) -> f64 {
    micros as f64
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn float(count: u64) -> f64 {
    count as f64
}
