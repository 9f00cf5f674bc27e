//! Snapshot: the sum of intervals, of one shard or of many; what a report is made from.

use std::collections::BTreeMap;

use super::ledger::{Counts, Gauges, balance};
use super::{CATALOGUE, Histograms, interval::Interval};
use crate::time::Tick;

/// All that was measured until an instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every count since the run began.
    pub counts: Counts,
    /// What was there at the end.
    pub gauges: Gauges,
    /// Every sample.
    pub histograms: Histograms,
    /// Open, expired and lost works by their last status word.
    pub stuck: BTreeMap<Box<str>, u64>,
    /// The end of the last interval.
    pub end: Tick,
}

impl Snapshot {
    /// Adds an interval. The gauges become those of the newest one.
    pub fn absorb(&mut self, interval: &Interval) {
        self.counts.merge(&interval.counts);
        self.histograms.merge(&interval.histograms);
        if interval.end() >= self.end {
            self.gauges = interval.gauges;
            self.end = interval.end();
        }
    }

    /// Checks that the books balance, and that every histogram has as many samples as its end event
    /// has counts. The error is one line.
    pub fn check_books(&self) -> Result<(), String> {
        balance(&self.counts, &self.gauges)?;
        for row in &CATALOGUE {
            let (samples, events) = (self.histograms.count(row.metric), self.counts.get(row.ends));
            if samples != events {
                return Err(format!(
                    "{} has {samples} samples, but {} counts {events}",
                    row.name,
                    row.ends.name()
                ));
            }
        }
        Ok(())
    }
}
