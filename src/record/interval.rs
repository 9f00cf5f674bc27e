//! Interval: what happened in one second of a shard, finished and ready to be written or merged.

use super::Histograms;
use super::attempts::Attempts;
use super::bursts::Cells;
use super::lags::Lags;
use super::ledger::{Counts, Gauges};
use super::stamps::Stamps;
use super::stints::Stints;
use super::windows::Windows;
use crate::time::{Span, Tick};

/// What was seen of the ends of works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Between which ages they ended.
    pub windows: Windows,
    /// Between which ages they began, and between which they ended.
    pub stints: Stints,
    /// When they ended by the service's own clock.
    pub stamps: Stamps,
}

impl Seen {
    /// Adds those of another shard or time.
    pub fn merge(&mut self, other: &Self) {
        self.windows.merge(&other.windows);
        self.stints.merge(&other.stints);
        self.stamps.merge(&other.stamps);
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.windows.different() == 0 && self.stints.different() == 0 && self.stamps.is_empty()
    }
}

/// How callbacks came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// When.
    pub cells: Cells,
    /// How long after the one before about the same work.
    pub attempts: Attempts,
    /// How late, where the service stamps the ends of works.
    pub lags: Lags,
}

impl Calls {
    /// Adds those of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.cells.merge(&other.cells);
        self.attempts.merge(&other.attempts);
        self.lags.merge(&other.lags);
    }
}

/// One interval.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// When it began.
    pub start: Tick,
    /// How long it was; the last one may be short.
    pub length: Span,
    /// The load stage at its start; `None` in the drain.
    pub stage: Option<u16>,
    /// What happened in it.
    pub counts: Counts,
    /// What was there at its end.
    pub gauges: Gauges,
    /// The time that all works together spent in the backlog in it: the area under that gauge.
    pub backlog_area: Span,
    /// The samples that were taken in it.
    pub histograms: Histograms,
    /// What was seen of the ends of works in it.
    pub seen: Seen,
    /// How callbacks came in it.
    pub calls: Calls,
}

impl Interval {
    /// When it ended.
    pub fn end(&self) -> Tick {
        self.start + self.length
    }
}
