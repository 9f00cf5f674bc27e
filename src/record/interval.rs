//! Interval: what happened in one second of a shard, finished and ready to be written or merged.

use super::Histograms;
use super::ledger::{Counts, Gauges};
use crate::time::{Span, Tick};

/// One interval.
#[derive(Clone, Debug)]
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
}

impl Interval {
    /// When it ended.
    pub fn end(&self) -> Tick {
        self.start + self.length
    }
}
