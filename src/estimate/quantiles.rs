//! Quantiles: their values, and whether the sample can carry them.

use super::bands::Bands;
use super::npmle::Npmle;
use super::regions::Weighted;

/// The quantiles that are told: p50, p90, p95, p99, p99.9.
pub const LEVELS: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// A quantile in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantile {
    /// None where it lies among works whose end was not seen: it is later than all that was.
    pub value: Option<f64>,
    /// The lower end of its 95 % interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Whether there is a value, and works enough for an upper bound: the largest of them is beyond
    /// the quantile with 95 %.
    pub supported: bool,
}

impl Quantile {
    /// Those of [`LEVELS`]. The interval holds the value, and all of the region in which it lies,
    /// as no window can tell where in there it is.
    pub(super) fn all(npmle: &Npmle, works: u64, bands: Option<&Bands>) -> [Self; LEVELS.len()] {
        std::array::from_fn(|place| {
            let level = LEVELS[place];
            let found = npmle.quantile(level);
            let is_enough = works >= least_works(level);
            let sure = bands.map(|bands| bands.quantiles[place]);
            let from = found.map_or(f64::INFINITY, |(_, region)| region.from.age().seconds());
            let to = found.and_then(|(_, region)| Some(region.to?.age().seconds()));
            Self {
                value: found.map(|(value, _)| value),
                low: sure.map(|(low, _)| low.min(from)),
                high: sure
                    .filter(|_| is_enough)
                    .and_then(|(_, high)| Some(high?.max(to?))),
                supported: found.is_some() && is_enough,
            }
        })
    }
}

/// The fewest works of which the largest is beyond a quantile with 95 %: `level ^ works <= 0.05`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small"
)]
pub(super) fn least_works(level: f64) -> u64 {
    libm::ceil(libm::log(0.05) / libm::log(level)) as u64
}

/// Quantiles of the middles of the windows, in seconds: the smallest that has as many works at or
/// below it.
pub(super) fn midpoints(windows: &[Weighted], works: u64) -> [Option<f64>; LEVELS.len()] {
    let seen = windows.iter().filter_map(|(from, to, works)| {
        let middle = u64::midpoint(from.micros(), (*to)?.micros());
        Some((middle, *works))
    });
    let mut middles: Vec<(u64, f64)> = seen.collect();
    middles.sort_by_key(|(middle, _)| *middle);
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 works")]
    LEVELS.map(|level| {
        let mut left = level * works as f64;
        let found = middles.iter().find(|(_, works)| {
            left -= works;
            left <= 0.0
        });
        #[expect(clippy::cast_precision_loss, reason = "12 days are fewer than 2^53 us")]
        found.map(|(middle, _)| *middle as f64 / 1e6)
    })
}
