//! The area identity: what the gauge says of the backlog, against what the rows say.
//!
//! The area under the backlog over any stretch of time is the time that works were in it: each from
//! its accept until it left, clipped to that stretch. The engine's running count has the one, the
//! rows of single works have the other, and they come by different ways. So where they differ an
//! interval or a row was lost, told twice or made up, or a clock was wrong.
//!
//! The windows are the intervals of the run. A work counts once where it enters and once where it
//! leaves: it is there until the end of the one, and until it leaves in the other.

use std::fmt;

use super::interval::Interval;
use super::row::WorkRow;
use crate::time::{Span, Tick};

/// Windows that are held. When there are more, each is joined with its neighbour: in a long run
/// the old ones are coarser.
const MOST_WINDOWS: usize = 4_096;

/// A stretch of time that follows the one before. Areas are in works times nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: Tick,
    end: Tick,
    /// By the gauge.
    area: i128,
    /// By the rows: works that entered in it, and works that left.
    entered: u64,
    left: u64,
    /// By the rows: the sum of `at - start` of those that entered, less that of those that left.
    moment: i128,
}

impl Window {
    fn joined(&self, next: &Self) -> Self {
        let net = i128::from(next.entered) - i128::from(next.left);
        Self {
            start: self.start,
            end: self.end.max(next.end),
            area: self.area + next.area,
            entered: self.entered + next.entered,
            left: self.left + next.left,
            moment: self.moment + next.moment + net * nanos(next.start.since(self.start)),
        }
    }
}

fn nanos(span: Span) -> i128 {
    i128::from(span.0)
}

/// When a work entered the backlog, and when it left: never, if the run ended before.
#[derive(Clone, Copy, Debug)]
struct Stay {
    entered: Tick,
    left: Option<Tick>,
}

/// The two accounts of the backlog.
#[derive(Clone, Debug, Default)]
pub struct AreaBooks {
    windows: Vec<Window>,
    /// Stays that end after the last window: as many as settle until the next interval is told.
    waiting: Vec<Stay>,
}

/// A window in which the accounts differ. Areas are in works times nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaDifference {
    /// Where it begins.
    pub start: Tick,
    /// Where it ends.
    pub end: Tick,
    /// By the gauge.
    pub gauge: i128,
    /// By the rows.
    pub rows: i128,
}

impl fmt::Display for AreaDifference {
    /// One line, in seconds with six decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = |area: i128| {
            let sign = if area < 0 { "-" } else { "" };
            let micros = area.unsigned_abs() / 1_000;
            format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
        };
        write!(
            f,
            "backlog from {} s to {} s: {} s of work by the gauge, {} s by the rows",
            self.start,
            self.end,
            work(self.gauge),
            work(self.rows)
        )
    }
}

impl AreaBooks {
    /// What the gauge says in these intervals of all shards together; no row yet.
    pub fn of(intervals: &[Interval]) -> Self {
        let mut books = Self::default();
        for interval in intervals {
            books.interval(interval);
        }
        books
    }

    /// Takes in an interval of all shards together. One that overlaps with those before it, as that
    /// of a late shard may, makes one window with them.
    pub fn interval(&mut self, interval: &Interval) {
        let mut window = Window {
            start: interval.start,
            end: interval.end(),
            area: nanos(interval.backlog_area),
            entered: 0,
            left: 0,
            moment: 0,
        };
        while let Some(last) = self.windows.pop_if(|last| last.end > interval.start) {
            window = last.joined(&window);
        }
        // Time that no interval tells of belongs to a window all the same.
        window.start = self.end();
        self.windows.push(window);
        if self.windows.len() > MOST_WINDOWS {
            let pairs = self.windows.chunks(2);
            let joined = pairs.map(|pair| match pair {
                [first, second] => first.joined(second),
                rest => rest[0],
            });
            self.windows = joined.collect();
        }
        for stay in std::mem::take(&mut self.waiting) {
            self.put(stay);
        }
    }

    /// Takes in a row, whenever it is told.
    pub fn row(&mut self, row: &WorkRow) {
        if let Some(accepted) = row.accepted {
            self.stay(accepted, row.settled);
        }
    }

    /// Takes in what a row says of the backlog: when its work entered, and when it left.
    pub fn stay(&mut self, entered: Tick, left: Option<Tick>) {
        self.put(Stay { entered, left });
    }

    /// Where the last window ends.
    fn end(&self) -> Tick {
        self.windows.last().map_or(Tick::ZERO, |last| last.end)
    }

    fn put(&mut self, stay: Stay) {
        let last = stay.left.unwrap_or(stay.entered);
        if last.max(stay.entered) >= self.end() {
            self.waiting.push(stay);
        } else {
            self.count(stay);
        }
    }

    /// Counts a stay in its windows; what lies after the last one is in none.
    fn count(&mut self, stay: Stay) {
        if let Some(window) = self.window(stay.entered) {
            window.entered += 1;
            window.moment += nanos(stay.entered.since(window.start));
        }
        let Some(left) = stay.left else { return };
        if let Some(window) = self.window(left) {
            window.left += 1;
            window.moment -= nanos(left.since(window.start));
        }
    }

    fn window(&mut self, at: Tick) -> Option<&mut Window> {
        let index = self.windows.partition_point(|window| window.end <= at);
        self.windows.get_mut(index)
    }

    /// Compares the accounts window by window; the error is the first that differs.
    ///
    /// With a `resolution` of zero they must be equal to the last nanosecond. From files, which
    /// cut each instant and each area to the microsecond, a window may differ by one for each work
    /// that enters or leaves in it, one for each that is there at either end, as ends are cut too,
    /// and one for the area itself.
    pub fn compare(mut self, resolution: Span) -> Result<(), AreaDifference> {
        for stay in std::mem::take(&mut self.waiting) {
            self.count(stay);
        }
        let mut works = 0;
        for window in &self.windows {
            let before = works;
            works += i128::from(window.entered) - i128::from(window.left);
            let rows = works * nanos(window.end.since(window.start)) - window.moment;
            let cuts = i128::from(window.entered) + i128::from(window.left) + before + works + 1;
            if (rows - window.area).abs() > cuts * nanos(resolution) {
                return Err(AreaDifference {
                    start: window.start,
                    end: window.end,
                    gauge: window.area,
                    rows,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
