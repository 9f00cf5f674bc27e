//! Snapshot: the sum of intervals, of one shard or of many; what a report is made from.

use std::collections::BTreeMap;

use super::attempts::Attempts;
use super::bursts::Bursts;
use super::lags::Lags;
use super::ledger::{Count, Counts, Gauges, balance, balance_callbacks};
use super::{CATALOGUE, Histograms, blocks::Blocks, interval::Interval};
use crate::time::{Span, Tick};

/// All that was measured until an instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every count since the run began.
    pub counts: Counts,
    /// Submits sent in the stages of the load, the drain apart.
    pub sent_in_load: u64,
    /// What was there at the end.
    pub gauges: Gauges,
    /// Every sample.
    pub histograms: Histograms,
    /// What was seen of the ends of works.
    pub seen: Blocks,
    /// How unevenly callbacks came.
    pub bursts: Bursts,
    /// How long after the one before each attempt came.
    pub attempts: Attempts,
    /// How late callbacks came, where the service stamps the ends of works.
    pub lags: Lags,
    /// Open, expired and lost works by their last status word.
    pub stuck: BTreeMap<Box<str>, u64>,
    /// The most works that were in the backlog at the end of an interval.
    pub most_backlog: u64,
    /// The end of the last interval.
    pub end: Tick,
}

impl Snapshot {
    /// The key in [`Snapshot::stuck`] of works that no poll has ever had a word for.
    pub const NO_WORD: &str = "(none)";

    /// Nothing yet, of a load of this planned length.
    pub fn of_load(load: Span) -> Self {
        Self {
            seen: Blocks::for_load(load),
            ..Self::default()
        }
    }

    /// Adds an interval. The gauges become those of the newest one.
    pub fn absorb(&mut self, interval: &Interval) {
        self.counts.merge(&interval.counts);
        if interval.stage.is_some() {
            self.sent_in_load += interval.counts.get(Count::Sent);
        }
        self.histograms.merge(&interval.histograms);
        self.seen.add(interval.end(), &interval.seen);
        self.bursts.add(&interval.calls.cells);
        self.attempts.merge(&interval.calls.attempts);
        self.lags.merge(&interval.calls.lags);
        self.most_backlog = self.most_backlog.max(interval.gauges.backlog);
        if interval.end() >= self.end {
            self.gauges = interval.gauges;
            self.end = interval.end();
        }
    }

    /// Checks that the books balance, and that every histogram has as many samples as its end event
    /// has counts. Of a run that is not whole, callbacks may wait for their works, and nobody books
    /// them. The error is one line.
    pub fn check_books(&self, is_whole: bool) -> Result<(), String> {
        balance(&self.counts, &self.gauges)?;
        if is_whole {
            balance_callbacks(&self.counts)?;
        }
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
