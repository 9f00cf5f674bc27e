//! Lags: how late callbacks told of ends that the service has stamped, before anybody knows what
//! its clock shows.
//!
//! Counted is the stamp less the instant at which the callback was read. What the clock of the
//! service showed at the origin of the run, which polls and callbacks bound ([`super::stamps`]),
//! less that is the lag.

use super::grid::Grid;
use super::stamps::Resolution;
use crate::time::Tick;
use crate::work::ServiceTime;

/// Callbacks with a stamp, counted on a grid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lags {
    grid: Grid<()>,
    resolution: Resolution,
}

impl Lags {
    /// The first callback of a work was read at `at`, and says that the work ended then.
    pub fn count(&mut self, at: Tick, stamp: ServiceTime) {
        self.resolution.see(stamp);
        let at = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
        self.grid.add((), stamp.0.saturating_sub(at), 1);
    }

    /// Adds those of another shard or time.
    pub fn merge(&mut self, other: &Self) {
        self.resolution.merge(other.resolution);
        self.grid.merge(&other.grid);
    }

    /// To how many microseconds the clock tells.
    pub fn resolution(&self) -> i64 {
        self.resolution.micros()
    }

    /// The width of the grid in microseconds.
    pub fn width(&self) -> i64 {
        self.grid.width()
    }

    /// The stamp less the instant, at least this in microseconds, and how many callbacks: in
    /// ascending order, which is that of lags from the longest on.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i64, u64)> + '_ {
        self.grid.iter().map(|(((), from), calls)| (from, calls))
    }
}
