//! The masses of regions that make windows most likely.
//!
//! With `d` the mass of a run of regions and `w` the share of the windows that have it, the mean
//! logarithm of the likelihood is the sum of `w ln d`: concave in the masses. Its slope at region
//! `j` is `g_j`, the sum of `w / d` over the runs that hold it, and `max g_j - 1` bounds how far it
//! is from its largest value (Kuhn and Tucker; Gentleman and Geyer, Biometrika 81, 1994).
//!
//! Two steps in turn (Wellner and Zhan, J. American Stat. Assoc. 92, 1997). Self-consistency
//! multiplies each mass by its `g` (Turnbull 1976): always uphill, slow at the end, and a mass of 0
//! stays 0. The iterative convex minorant takes Newton's step with the diagonal of the Hessian in
//! the cumulated masses, and makes it ascend again by pooling neighbours (Groeneboom and Wellner
//! 1992). Each costs a pass over the runs and one over the regions; there is no matrix.

use super::regions::Run;

/// Masses, and how good they are.
pub(super) struct Maximum {
    /// Cumulated over the regions: from 0 to 1.
    pub(super) sums: Vec<f64>,
    /// `max g_j - 1`.
    pub(super) gap: f64,
}

/// The gap that is good enough.
pub(super) const GAP: f64 = 1e-5;
/// The gap that is aimed at where it costs little.
const SMALL_GAP: f64 = 1e-13;
/// What is little: so many looks at runs, some hundredths of a second.
const LITTLE: usize = 4_000_000;
/// The most looks at runs, some seconds. The gap is told as it is then.
const MOST: usize = 400_000_000;

/// Runs whose weights sum to 1, over this many regions.
pub(super) fn maximise(runs: &[Run], regions: usize) -> Maximum {
    let mut climb = Climb::of(runs, regions);
    loop {
        let enough = if climb.looks < LITTLE { SMALL_GAP } else { GAP };
        if climb.gap <= enough || climb.looks >= MOST {
            break;
        }
        climb.weigh_again();
        climb.pool();
    }
    Maximum {
        gap: climb.gap,
        sums: climb.sums,
    }
}

/// A place on the way up.
struct Climb<'a> {
    runs: &'a [Run],
    /// The cumulated masses: from 0 to 1, one more than there are regions.
    sums: Vec<f64>,
    at: Slopes,
    gap: f64,
    /// Runs that were looked at so far.
    looks: usize,
}

/// What the runs say at some cumulated masses.
#[derive(Clone, Debug, Default)]
pub(super) struct Slopes {
    /// By how much `g` changes from the region before an edge to the one after it: the slope in
    /// the cumulated mass there, with its sign turned.
    steps: Vec<f64>,
    /// The diagonal of the Hessian in the cumulated masses, with its sign turned.
    bends: Vec<f64>,
}

impl Slopes {
    pub(super) fn at(runs: &[Run], sums: &[f64]) -> Self {
        let mut slopes = Self {
            steps: vec![0.0; sums.len()],
            bends: vec![0.0; sums.len()],
        };
        for run in runs {
            let (first, end) = (run.first as usize, run.end as usize);
            let slope = run.weight / (sums[end] - sums[first]);
            let bend = slope * slope / run.weight;
            slopes.steps[first] += slope;
            slopes.steps[end] -= slope;
            slopes.bends[first] += bend;
            slopes.bends[end] += bend;
        }
        slopes
    }

    /// `g` of each region.
    pub(super) fn by_region(&self) -> impl Iterator<Item = f64> + '_ {
        let mut sum = 0.0;
        let steps = &self.steps[..self.steps.len() - 1];
        steps.iter().map(move |step| {
            sum += step;
            sum
        })
    }

    fn gap(&self) -> f64 {
        self.by_region().fold(f64::NEG_INFINITY, f64::max) - 1.0
    }

    /// The slope towards other cumulated masses.
    fn towards(&self, from: &[f64], to: &[f64]) -> f64 {
        let parts = self.steps.iter().zip(from.iter().zip(to));
        parts.map(|(step, (from, to))| -step * (to - from)).sum()
    }
}

impl<'a> Climb<'a> {
    /// From evenly spread masses.
    #[expect(clippy::cast_precision_loss, reason = "regions are few")]
    fn of(runs: &'a [Run], regions: usize) -> Self {
        let mut climb = Self {
            runs,
            sums: (0..=regions).map(|it| it as f64 / regions as f64).collect(),
            at: Slopes::default(),
            gap: 0.0,
            looks: 0,
        };
        climb.look();
        climb
    }

    fn slopes(&mut self, sums: &[f64]) -> Slopes {
        self.looks += self.runs.len() + sums.len();
        Slopes::at(self.runs, sums)
    }

    fn look(&mut self) {
        self.at = self.slopes(&self.sums.clone());
        self.gap = self.at.gap();
    }

    fn masses(&self) -> Vec<f64> {
        self.sums.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// The step of self-consistency.
    fn weigh_again(&mut self) {
        let masses = self.masses();
        let weighed = masses.iter().zip(self.at.by_region());
        let mut sum = 0.0;
        let sums: Vec<f64> = (weighed.map(|(mass, slope)| {
            sum += mass * slope;
            sum
        }))
        .collect();
        for (place, so_far) in self.sums[1..].iter_mut().zip(sums) {
            *place = so_far / sum;
        }
        self.look();
    }

    /// The step of the convex minorant, if one is found that leads up.
    fn pool(&mut self) {
        let inner = 1..self.sums.len() - 1;
        let wanted = |place: usize| self.sums[place] - self.at.steps[place] / self.at.bends[place];
        let values = inner.clone().map(|it| (wanted(it), self.at.bends[it]));
        let mut target = Vec::with_capacity(self.sums.len());
        target.push(0.0);
        target.extend(ascending(values).into_iter().map(|sum| sum.clamp(0.0, 1.0)));
        target.push(1.0);
        let rise = self.at.towards(&self.sums, &target);
        if rise.is_nan() || rise <= 0.0 {
            return;
        }
        let mut part = 1.0;
        for _ in 0..MOST_TRIES {
            let pairs = self.sums.iter().zip(&target);
            let sums: Vec<f64> = pairs.map(|(from, to)| from + (to - from) * part).collect();
            let slopes = self.slopes(&sums);
            let left = slopes.towards(&self.sums, &target);
            // Concave: what still rises here has risen all the way.
            if left >= 0.0 {
                self.gap = slopes.gap();
                (self.sums, self.at) = (sums, slopes);
                return;
            }
            // Where a straight slope would be level, but not beyond the half.
            let level = if left.is_finite() {
                rise / (rise - left)
            } else {
                0.0
            };
            part *= level.clamp(0.1, 0.5);
        }
    }
}

/// How often a step is shortened before it is left out.
const MOST_TRIES: usize = 8;

/// The ascending values nearest to those given, by weighted squares: pool adjacent violators (Ayer
/// et al., Annals of Math. Stat. 26, 1955).
fn ascending(values: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    // Of each pool: its mean, its weight, how many.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in values {
        let mut pool = (value, weight, 1);
        while let Some(before) = pools.pop_if(|before| before.0 >= pool.0) {
            let weight = before.1 + pool.1;
            let mean = (before.0 * before.1 + pool.0 * pool.1) / weight;
            pool = (mean, weight, before.2 + pool.2);
        }
        pools.push(pool);
    }
    let each = pools.into_iter();
    each.flat_map(|(mean, _, many)| std::iter::repeat_n(mean, many))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_that_of_kuhn_and_tucker_and_bounds_what_is_missing() {
        // A quarter of the windows are the first region, the others the second: the largest
        // likelihood has the masses 1/4 and 3/4, where g is 1 in both.
        let run = |first, weight| Run {
            first,
            end: first + 1,
            weight,
        };
        let runs = [run(0, 0.25), run(1, 0.75)];
        let gap = |first: f64| Slopes::at(&runs, &[0.0, first, 1.0]).gap();
        assert!(gap(0.25).abs() < 1e-12);
        // Half and half: g is 1/2 and 3/2.
        assert!((gap(0.5) - 0.5).abs() < 1e-12);
        let missing = 0.25 * libm::log(0.25 / 0.5) + 0.75 * libm::log(0.75 / 0.5);
        assert!((0.0..gap(0.5)).contains(&missing));
    }
}
