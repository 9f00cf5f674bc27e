//! The law that makes the windows most likely: the non-parametric maximum of the likelihood.

use super::likelihood::{Maximum, Slopes, maximise};
use super::regions::{Region, Regions, Weighted};
use crate::record::windows::Edge;

/// The distribution under which the windows seen are most likely, among all there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Npmle {
    regions: Regions,
    /// Cumulated over the regions, from 0 to 1.
    sums: Vec<f64>,
    gap: f64,
    weight: f64,
}

/// Sums of a few thousand masses are this exact, at least.
const ROUNDING: f64 = 1e-12;

impl Npmle {
    /// Of windows in any order, each as often as you like. None where nothing has a weight.
    pub fn of(windows: impl Iterator<Item = Weighted>) -> Option<Self> {
        let windows: Vec<Weighted> = windows.collect();
        Self::of_all(&windows)
    }

    pub(super) fn of_all(windows: &[Weighted]) -> Option<Self> {
        let regions = Regions::of(windows);
        let mut runs = regions.runs(windows);
        let weight: f64 = runs.iter().map(|run| run.weight).sum();
        if runs.is_empty() {
            return None;
        }
        for run in &mut runs {
            run.weight /= weight;
        }
        let Maximum { sums, gap } = maximise(&runs, regions.count());
        Some(Self {
            regions,
            sums,
            gap,
            weight,
        })
    }

    /// Each region that can carry mass, in ascending order, with the mass that it carries. The last
    /// may have no end.
    pub fn regions(&self) -> impl Iterator<Item = (Region, f64)> + '_ {
        let masses = self.sums.windows(2).map(|pair| pair[1] - pair[0]);
        self.regions.all.iter().copied().zip(masses)
    }

    /// At most this far is the mean logarithm of the likelihood from the largest there is: the
    /// certificate of Kuhn and Tucker.
    pub fn gap(&self) -> f64 {
        self.gap
    }

    /// The sum of the weights.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The probability that it has happened by this age. The mass of a region is spread evenly over
    /// its time, as good a guess as any.
    pub fn cdf(&self, age: Edge) -> f64 {
        let all = &self.regions.all;
        let ended = all.partition_point(|region| region.to.is_some_and(|to| to <= age));
        let part = all.get(ended).map_or(0.0, |region| region.share_by(age));
        let here = |place: usize| self.sums.get(place).copied().unwrap_or(1.0);
        here(ended) + (here(ended + 1) - here(ended)) * part
    }

    /// The age by which a share of all has happened, in seconds, and the region in which it lies.
    /// None where it lies beyond.
    pub fn quantile(&self, share: f64) -> Option<(f64, Region)> {
        // What rounding takes away must not send a quantile to the next region, or beyond.
        let place = self.sums[1..].partition_point(|sum| *sum < share - ROUNDING);
        let region = *self.regions.all.get(place)?;
        let (from, to) = (region.from.age().seconds(), region.to?.age().seconds());
        let (before, by) = (self.sums[place], self.sums[place + 1]);
        let part = ((share - before) / (by - before)).clamp(0.0, 1.0);
        Some((from + (to - from) * part, region))
    }

    /// What windows of one kind put into each region, of the slopes that sum to 1 over all kinds
    /// where there is mass.
    pub(super) fn slopes_of(&self, windows: &[Weighted]) -> Vec<f64> {
        let mut runs = self.regions.runs(windows);
        for run in &mut runs {
            run.weight /= self.weight;
        }
        Slopes::at(&runs, &self.sums).by_region().collect()
    }
}

impl Region {
    /// How much of its time has passed by an age: 0 before it, 1 after it, and never where it has
    /// no end.
    fn share_by(self, age: Edge) -> f64 {
        let Some(to) = self.to else { return 0.0 };
        let (from, to) = (self.from.age().seconds(), to.age().seconds());
        ((age.age().seconds() - from) / (to - from)).clamp(0.0, 1.0)
    }
}
