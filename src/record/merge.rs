//! `Merge`: intervals of several shards with the same boundaries become one.

use std::collections::VecDeque;

use super::interval::Interval;
use super::ledger::Gauges;
use crate::time::Span;

/// Intervals of one shard that wait for those of the others. Beyond it they wait no longer: a row
/// is then of some shards only, and the late ones have rows of their own.
const MOST_WAITING: usize = 16;

/// What one shard has told.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Interval>,
    /// As of the end of its last interval that was passed on.
    gauges: Gauges,
    has_ended: bool,
}

/// Puts intervals of shards together. Nothing is lost, whatever comes late: the rows sum to what
/// was put in.
#[derive(Debug)]
pub struct Merge {
    lanes: Vec<Lane>,
}

impl Merge {
    /// For so many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            lanes: (0..shards).map(|_| Lane::default()).collect(),
        }
    }

    /// A shard has told an interval; those of one shard come in their order.
    pub fn put(&mut self, shard: usize, interval: Interval) {
        self.lanes[shard].waiting.push_back(interval);
    }

    /// A shard tells no more. What it last had on the wire or in its backlog stays counted.
    pub fn end(&mut self, shard: usize) {
        self.lanes[shard].has_ended = true;
    }

    /// The next interval of all shards together, once it is whole.
    pub fn take_whole(&mut self) -> Option<Interval> {
        let heads = self.lanes.iter().filter_map(|lane| lane.waiting.front());
        let (start, end, stage) = heads
            .map(|head| (head.start, head.end(), head.stage))
            .min_by_key(|(start, end, _)| (*start, *end))?;
        let is_whole = self
            .lanes
            .iter()
            .all(|lane| lane.has_ended || !lane.waiting.is_empty());
        let is_long = |lane: &Lane| lane.waiting.len() > MOST_WAITING;
        if !is_whole && !self.lanes.iter().any(is_long) {
            return None;
        }
        let mut whole: Option<Interval> = None;
        for lane in &mut self.lanes {
            let part = lane
                .waiting
                .pop_front_if(|head| (head.start, head.end(), head.stage) == (start, end, stage));
            let Some(part) = part else { continue };
            lane.gauges = part.gauges;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => {
                    whole.counts.merge(&part.counts);
                    whole.histograms.merge(&part.histograms);
                    whole.seen.merge(&part.seen);
                    whole.calls.merge(&part.calls);
                    whole.backlog_area = Span(whole.backlog_area.0 + part.backlog_area.0);
                }
            }
        }
        let mut whole = whole?;
        whole.gauges = Gauges::default();
        for lane in &self.lanes {
            whole.gauges.add(&lane.gauges);
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::interval::{Calls, Seen};
    use crate::record::ledger::{Count, Counts};
    use crate::record::{Histograms, Metric};
    use crate::time::Tick;

    fn interval(start: u64, length: u64, sent: u64) -> Interval {
        let mut counts = Counts::default();
        counts.add(Count::Sent, sent);
        let mut histograms = Histograms::default();
        for _ in 0..sent {
            histograms.record(Metric::ScheduleLag, Span::from_millis(start + sent));
        }
        Interval {
            start: Tick(start),
            length: Span(length),
            stage: Some(0),
            counts,
            gauges: Gauges {
                backlog: sent,
                in_flight: 1,
                queued: 0,
                submitting: 2,
            },
            backlog_area: Span(sent),
            histograms,
            seen: Seen::default(),
            calls: Calls::default(),
        }
    }

    /// Start, length, sent, samples and backlog.
    fn seen(interval: &Interval) -> (u64, u64, u64, u64, u64) {
        let sent = interval.counts.get(Count::Sent);
        let samples = interval.histograms.count(Metric::ScheduleLag);
        let (start, length) = (interval.start.0, interval.length.0);
        assert_eq!(interval.backlog_area, Span(sent));
        (start, length, sent, samples, interval.gauges.backlog)
    }

    fn check(merge: &mut Merge, expected: &[(u64, u64, u64, u64, u64)]) {
        let rows: Vec<_> = std::iter::from_fn(|| merge.take_whole()).collect();
        assert_eq!(rows.iter().map(seen).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_row_waits_for_all_shards() {
        let mut merge = Merge::new(2);
        merge.put(0, interval(0, 10, 3));
        merge.put(0, interval(10, 10, 4));
        check(&mut merge, &[]);
        merge.put(1, interval(0, 10, 5));
        check(&mut merge, &[(0, 10, 8, 8, 8)]);
        merge.put(1, interval(10, 10, 6));
        check(&mut merge, &[(10, 10, 10, 10, 10)]);
    }

    #[test]
    fn a_shard_that_has_ended_leaves_its_gauges() {
        let mut merge = Merge::new(2);
        merge.put(0, interval(0, 10, 3));
        merge.put(1, interval(0, 10, 5));
        merge.put(1, interval(10, 10, 7));
        merge.end(0);
        check(&mut merge, &[(0, 10, 8, 8, 8), (10, 10, 7, 7, 3 + 7)]);
    }

    #[test]
    fn intervals_that_do_not_fit_stay_apart_and_nothing_is_lost() {
        let mut merge = Merge::new(2);
        merge.put(0, interval(0, 10, 1));
        merge.put(0, interval(10, 3, 2));
        merge.put(0, interval(13, 10, 4));
        merge.put(1, interval(0, 10, 8));
        merge.put(1, interval(10, 10, 16));
        merge.end(0);
        merge.end(1);
        let expected = [
            (0, 10, 9, 9, 9),
            (10, 3, 2, 2, 2 + 8),
            (10, 10, 16, 16, 2 + 16),
            (13, 10, 4, 4, 4 + 16),
        ];
        check(&mut merge, &expected);
    }

    #[test]
    fn nobody_waits_for_a_shard_that_is_long_silent() {
        let mut merge = Merge::new(2);
        let most = u64::try_from(MOST_WAITING).unwrap();
        for second in 0..most {
            merge.put(0, interval(second, 1, 1));
        }
        check(&mut merge, &[]);
        merge.put(0, interval(most, 1, 1));
        check(&mut merge, &[(0, 1, 1, 1, 1)]);
        merge.put(1, interval(0, 1, 5));
        check(&mut merge, &[(0, 1, 5, 5, 1 + 5)]);
    }
}
