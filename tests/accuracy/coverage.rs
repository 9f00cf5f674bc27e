//! Whether 95 % means 95 %: runs with other seeds, and in how many the bounds hold the truth.
//!
//! The band of a run is asked at three of its edges: those nearest to the quartiles of the true law
//! (by the ratio of the ages). It holds the truth there if the true distribution at that edge is
//! between its bounds. Each edge counts for itself, as the bounds are pointwise.

use plimsoll::estimate::{BandPoint, Estimate, Family, LEVELS};

use super::laws::{LAWS, Law};
use super::polls::{Policy, Run};

/// When works are asked.
pub(crate) const POLICIES: [Policy; 3] = [Policy::Fixed(5.0), Policy::Backoff, Policy::ByAge];
/// Works in a run: 15 coarse cells.
pub(crate) const WORKS: u64 = 4_000;
/// Other seeds than those with which the estimate was made.
const FIRST_SEED: u64 = 1_000_000;
/// Stretches of a run.
const BLOCKS: u64 = 30;
/// Where the band is asked.
const QUARTILES: [f64; 3] = [0.25, 0.5, 0.75];

/// A law and a policy: in how many runs the truth was within the bounds.
pub(crate) struct Cell {
    /// How long works take.
    pub(crate) law: &'static Law,
    /// When they are asked.
    pub(crate) policy: Policy,
    /// Runs.
    pub(crate) runs: u64,
    /// Within the band, at each quartile.
    pub(crate) bands: [u64; QUARTILES.len()],
    /// Within the interval of each quantile, where there is one.
    pub(crate) quantiles: [u64; LEVELS.len()],
    /// Runs with an interval of the quantile.
    pub(crate) told: [u64; LEVELS.len()],
    /// The largest gap of the likelihood.
    pub(crate) gap: f64,
}

/// Every law with every policy.
pub(crate) fn cells(runs: u64) -> Vec<Cell> {
    let pairs = (0..).zip(&LAWS);
    let pairs = pairs.flat_map(|law| (0..).zip(&POLICIES).map(move |it| (law, it)));
    pairs
        .map(|((row, law), (column, policy))| cell(law, *policy, runs, row * 3 + column))
        .collect()
}

fn cell(law: &'static Law, policy: Policy, runs: u64, number: u64) -> Cell {
    let mut cell = Cell {
        law,
        policy,
        runs,
        bands: [0; QUARTILES.len()],
        quantiles: [0; LEVELS.len()],
        told: [0; LEVELS.len()],
        gap: 0.0,
    };
    for run in 0..runs {
        let seed = FIRST_SEED + number * 1_000 + run;
        let run = Run {
            law,
            policy,
            works: WORKS,
            blocks: BLOCKS,
            seed,
        };
        let estimate = Estimate::of(&run.windows(None), Family::Sojourn, seed).unwrap();
        cell.gap = cell.gap.max(estimate.gap);
        let bands = estimate.bands.as_ref().unwrap();
        for (count, share) in cell.bands.iter_mut().zip(QUARTILES) {
            *count += u64::from(holds(&bands.points, law, share));
        }
        for (place, level) in LEVELS.iter().enumerate() {
            let quantile = &estimate.quantiles[place];
            let (Some(low), Some(high)) = (quantile.low, quantile.high) else {
                continue;
            };
            cell.told[place] += 1;
            let truth = law.quantile(*level);
            cell.quantiles[place] += u64::from(low <= truth && truth <= high);
        }
    }
    cell
}

/// Whether the band holds the truth at its edge nearest to a quantile.
fn holds(points: &[BandPoint], law: &Law, share: f64) -> bool {
    let wanted = law.quantile(share);
    let far = |point: &BandPoint| libm::fabs(libm::log(point.seconds / wanted));
    let nearest = points
        .iter()
        .min_by(|one, other| far(one).total_cmp(&far(other)));
    let point = nearest.unwrap();
    let truth = law.cdf(point.seconds);
    point.low <= truth && truth <= point.high
}
