//! Times that polls only bound: their distribution, how sure it is, and what it cannot know.
//!
//! A poll sees not when a work ended but between which two ages. `docs/sojourn-time.md` says what
//! follows from that, with formulas and sources.

pub mod ages;
pub mod bands;
pub mod by_clock;
mod chance;
pub mod curve;
mod double;
mod family;
mod likelihood;
pub mod npmle;
mod quantiles;
mod regions;
mod sieve;
mod solve;

use crate::record::blocks::Blocks;
pub use bands::{BandPoint, Bands, NoBands};
pub use family::Family;
pub use npmle::Npmle;
pub use quantiles::{LEVELS, Quantile};
pub use regions::{Region, Weighted};

use family::Risks;

#[cfg(test)]
mod tests;

/// What is known of a time that polls only bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Works, those included whose end was not seen.
    pub works: u64,
    /// Works whose end was not seen.
    pub censored: u64,
    /// At most this far is the mean logarithm of the likelihood from the largest there is.
    pub gap: f64,
    /// The distribution at the edges of the fine grid at which it begins or ends to rise, in
    /// ascending order. Between two of them it is straight.
    pub curve: Vec<Point>,
    /// 95 % bounds at the edges of the coarse grid, each for itself, or why there are none.
    pub bands: Result<Bands, NoBands>,
    /// The quantiles of [`LEVELS`].
    pub quantiles: [Quantile; LEVELS.len()],
    /// The same of the midpoints of the windows, in seconds; works whose end was not seen are
    /// larger than every value.
    pub midpoints: [Option<f64>; LEVELS.len()],
    /// The mean in seconds, where all of the mass has an end.
    pub mean: Option<f64>,
}

/// The distribution at one age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The age.
    pub seconds: f64,
    /// The probability that it has happened by then.
    pub cdf: f64,
    /// The probability that it has happened by then, and completed. Where there is one way to end,
    /// all of it.
    pub completed: f64,
    /// The probability that it has happened by then, and failed.
    pub failed: f64,
}

impl Estimate {
    /// Of a run's windows. The seed is for the bands. None where there is no work of the family.
    pub fn of(blocks: &Blocks, family: Family, seed: u64) -> Option<Self> {
        let risks = Risks::of(&blocks.sum().windows, family);
        let npmle = Npmle::of_all(&risks.all)?;
        let bands = Bands::of(blocks, family, (&npmle, &risks), seed);
        Some(Self {
            works: risks.works,
            censored: risks.censored,
            gap: npmle.gap(),
            curve: curve(&npmle, &risks),
            quantiles: Quantile::all(&npmle, risks.works, bands.as_ref().ok()),
            bands,
            midpoints: quantiles::midpoints(&risks.all, risks.works),
            mean: mean(&npmle),
        })
    }
}

/// The overall time first, then how much of each region's mass is whose (the posterior, given the
/// overall time): both sum to the whole.
fn curve(npmle: &Npmle, risks: &Risks) -> Vec<Point> {
    let completed = npmle.slopes_of(&risks.completed);
    let failed = npmle.slopes_of(&risks.failed);
    let mut point = Point {
        seconds: 0.0,
        cdf: 0.0,
        completed: 0.0,
        failed: 0.0,
    };
    let mut curve: Vec<Point> = Vec::new();
    for (place, (region, mass)) in npmle.regions().enumerate() {
        let Some(to) = region.to.filter(|_| mass > 0.0) else {
            continue;
        };
        let from = region.from.age().seconds();
        if curve.last().is_none_or(|last| last.seconds < from) {
            point.seconds = from;
            curve.push(point);
        }
        point.seconds = to.age().seconds();
        point.failed += mass * failed[place] / (completed[place] + failed[place]);
        point.cdf += mass;
        point.completed = point.cdf - point.failed;
        curve.push(point);
    }
    curve
}

fn mean(npmle: &Npmle) -> Option<f64> {
    let mut sum = 0.0;
    for (region, mass) in npmle.regions() {
        let middle = |to| f64::midpoint(region.from.age().seconds(), to);
        match region.to {
            Some(to) => sum += mass * middle(to.age().seconds()),
            None if mass > 0.0 => return None,
            None => {}
        }
    }
    Some(sum)
}
