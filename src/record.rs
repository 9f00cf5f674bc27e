//! What is measured: the catalogue of metrics, and the shard's Recorder.
//!
//! The catalogue is the one place that names a metric; the CSV headers, the histogram tags, the
//! summary and the table of the README come from it or are tested against it.

pub mod area;
pub mod attempts;
pub mod blocks;
pub mod bursts;
pub mod calls;
pub mod counted;
pub mod disturbance;
mod grid;
pub mod interval;
pub mod lags;
pub mod ledger;
pub mod merge;
pub mod row;
pub mod snapshot;
pub mod stamps;
pub mod stints;
pub mod windows;

use hdrhistogram::Histogram;

use crate::time::{Span, Tick};
use crate::work::ServiceTime;
use interval::{Calls, Interval, Seen};
use ledger::{Count, Counts, Gauges};
use stamps::Stamps;
use stints::{Stint, StintCounter};
use windows::{Window, WindowCounter};

/// A metric: a length of time between two events, in seconds in every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// 202 received - intended.
    AcceptLatency,
    /// 202 received - sent.
    AcceptServiceTime,
    /// The same, of the submits that a caller who waits for each answer would have sent.
    ClosedLoopLatency,
    /// Sent - intended.
    ScheduleLag,
    /// Sent - the instant from which nothing but the generator held the submit back.
    GeneratorLag,
    /// Stamped - the instant at which it could have been read: what the harness adds to an answer.
    StampDelay,
    /// Detected - intended.
    TimeToTerminal,
    /// The same, of completed works alone.
    TimeToCompleted,
    /// The same, of failed works alone.
    TimeToFailed,
    /// Answer received - poll sent.
    PollRoundTrip,
    /// Poll sent - poll due.
    PollWait,
    /// The part of it spent waiting for a rate budget.
    PollWaitBudget,
    /// The part of it spent at a gate that the service closed.
    PollWaitGate,
    /// Poll sent - the instant from which nothing but the generator held it back.
    PollLag,
    /// Terminal answer of a poll - terminal callback, of a work whose callback was not later.
    CallbackAhead,
    /// Terminal callback - terminal answer of a poll, of a work whose poll was earlier.
    PollAhead,
    /// Callback - the callback before it about the same work.
    CallbackGap,
}

/// What a metric is, in words.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The metric.
    pub metric: Metric,
    /// Its name in every file.
    pub name: &'static str,
    /// From which event it counts.
    pub from: &'static str,
    /// To which event it counts.
    pub to: &'static str,
    /// Whose count its histogram's count must equal.
    pub ends: Count,
}

const fn define(
    metric: Metric,
    name: &'static str,
    from: &'static str,
    to: &'static str,
    ends: Count,
) -> Definition {
    Definition {
        metric,
        name,
        from,
        to,
        ends,
    }
}

/// Every metric, in the order of the files.
pub const CATALOGUE: [Definition; 17] = [
    define(
        Metric::AcceptLatency,
        "accept_latency",
        "intended start",
        "whole 202 read",
        Count::Accepted,
    ),
    define(
        Metric::AcceptServiceTime,
        "accept_service_time",
        "submit sent",
        "whole 202 read",
        Count::Accepted,
    ),
    define(
        Metric::ClosedLoopLatency,
        "closed_loop_latency",
        "submit sent by a caller who waits for each answer",
        "whole 202 read",
        Count::ClosedLoopAccepts,
    ),
    define(
        Metric::ScheduleLag,
        "schedule_lag",
        "intended start",
        "submit sent",
        Count::Sent,
    ),
    define(
        Metric::GeneratorLag,
        "generator_lag",
        "intended start, or the end of a local limit's hold",
        "submit sent",
        Count::Sent,
    ),
    define(
        Metric::StampDelay,
        "stamp_delay",
        "probe sent by the watchdog",
        "read and stamped by the shard",
        Count::Probes,
    ),
    define(
        Metric::TimeToTerminal,
        "time_to_terminal",
        "intended start",
        "terminal answer read",
        Count::Terminal,
    ),
    define(
        Metric::TimeToCompleted,
        "time_to_completed",
        "intended start",
        "terminal answer read",
        Count::Completed,
    ),
    define(
        Metric::TimeToFailed,
        "time_to_failed",
        "intended start",
        "terminal answer read",
        Count::Failed,
    ),
    define(
        Metric::PollRoundTrip,
        "poll_round_trip",
        "poll sent",
        "whole answer read",
        Count::PollAnswers,
    ),
    define(
        Metric::PollWait,
        "poll_wait",
        "poll due",
        "poll sent",
        Count::Polls,
    ),
    define(
        Metric::PollWaitBudget,
        "poll_wait_budget",
        "rate budget or full wire refuses",
        "it grants, or a gate closes",
        Count::Polls,
    ),
    define(
        Metric::PollWaitGate,
        "poll_wait_gate",
        "gate closes, or poll due behind it",
        "gate opens",
        Count::Polls,
    ),
    define(
        Metric::PollLag,
        "poll_lag",
        "poll due, or the end of what held it back",
        "poll sent",
        Count::Polls,
    ),
    define(
        Metric::CallbackAhead,
        "callback_ahead",
        "terminal callback read",
        "terminal answer of a poll read, not earlier",
        Count::CallbackAhead,
    ),
    define(
        Metric::PollAhead,
        "poll_ahead",
        "terminal answer of a poll read",
        "terminal callback read, later",
        Count::PollAhead,
    ),
    define(
        Metric::CallbackGap,
        "callback_gap",
        "callback of a work read",
        "next callback of it read",
        Count::CallbacksAgain,
    ),
];

impl Metric {
    /// How many there are.
    pub const COUNT: usize = CATALOGUE.len();

    /// Its row in the catalogue.
    pub const fn definition(self) -> &'static Definition {
        &CATALOGUE[self as usize]
    }

    /// Its name in every file.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// The metric of a name.
    pub fn named(name: &str) -> Option<Self> {
        CATALOGUE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.metric)
    }
}

/// The smallest value that a histogram tells from 0, in microseconds.
pub const LOW_MICROS: u64 = 1;
/// The largest value that a histogram holds: 24 hours in microseconds. Larger ones are counted as
/// larger than every value, never clamped.
pub const HIGH_MICROS: u64 = 86_400_000_000;
/// Significant decimal digits of a histogram: every value is known to 0.1 %.
pub const DIGITS: u8 = 3;

/// An empty histogram with the bounds that every file and every sum share.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOW_MICROS, HIGH_MICROS, DIGITS).expect("constant bounds are valid")
}

/// An empty histogram that grows with its largest value: a new one costs next to nothing, and an
/// interval has one of each metric. Its buckets are those of [`histogram`].
fn growing() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("constant digits are valid")
}

/// A histogram for each metric that has samples.
#[derive(Clone, Debug, Default)]
pub struct Histograms {
    of: [Option<Box<Histogram<u64>>>; Metric::COUNT],
    /// Values above [`HIGH_MICROS`], by metric.
    overflow: [u64; Metric::COUNT],
}

impl Histograms {
    /// Records one value, rounded down to the microsecond.
    pub fn record(&mut self, metric: Metric, value: Span) {
        let micros = value.micros();
        if micros > HIGH_MICROS {
            self.overflow[metric as usize] += 1;
            return;
        }
        self.of[metric as usize]
            .get_or_insert_with(|| Box::new(growing()))
            .record(micros)
            .expect("the value is within the bounds");
    }

    /// The histogram of a metric, if it has samples.
    pub fn get(&self, metric: Metric) -> Option<&Histogram<u64>> {
        self.of[metric as usize].as_deref()
    }

    /// How many samples were above [`HIGH_MICROS`].
    pub fn overflow(&self, metric: Metric) -> u64 {
        self.overflow[metric as usize]
    }

    /// How many samples there are, overflow included.
    pub fn count(&self, metric: Metric) -> u64 {
        self.get(metric).map_or(0, Histogram::len) + self.overflow(metric)
    }

    /// Adds a histogram that was read from a file or another shard.
    pub fn add(&mut self, metric: Metric, other: &Histogram<u64>) {
        self.of[metric as usize]
            .get_or_insert_with(|| Box::new(histogram()))
            .add(other)
            .expect("all histograms have the same bounds");
    }

    /// Adds samples above [`HIGH_MICROS`].
    pub fn add_overflow(&mut self, metric: Metric, samples: u64) {
        self.overflow[metric as usize] += samples;
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        for row in &CATALOGUE {
            if let Some(histogram) = other.get(row.metric) {
                self.add(row.metric, histogram);
            }
            self.add_overflow(row.metric, other.overflow(row.metric));
        }
    }
}

/// Collects what happens until an interval ends, then hands the whole interval over.
#[derive(Debug)]
pub struct Recorder {
    start: Tick,
    counts: Counts,
    reported: Counts,
    histograms: Histograms,
    windows: WindowCounter,
    stints: StintCounter,
    stamps: Stamps,
    calls: Calls,
}

impl Recorder {
    /// A recorder whose first interval begins at `start`.
    pub fn new(start: Tick) -> Self {
        Self {
            start,
            counts: Counts::default(),
            reported: Counts::default(),
            histograms: Histograms::default(),
            windows: WindowCounter::default(),
            stints: StintCounter::default(),
            stamps: Stamps::default(),
            calls: Calls::default(),
        }
    }

    /// Counts one event.
    pub fn count(&mut self, what: Count) {
        self.counts.add(what, 1);
    }

    /// Counts several events at once.
    pub fn count_many(&mut self, what: Count, events: u64) {
        self.counts.add(what, events);
    }

    /// Records one value.
    pub fn record(&mut self, metric: Metric, value: Span) {
        self.histograms.record(metric, value);
    }

    /// Counts between which ages something happened to a work.
    pub fn window(&mut self, window: Window) {
        self.windows.count(window);
    }

    /// Counts between which ages a work began and between which it ended.
    pub fn stint(&mut self, stint: Stint) {
        self.stints.count(stint);
    }

    /// Ends by the service's clock, to be counted in.
    pub fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// A callback was read.
    pub fn call(&mut self, at: Tick) {
        self.calls.cells.add(at);
    }

    /// The first callback of a work was read, which says when the work ended.
    pub fn lag(&mut self, at: Tick, stamp: ServiceTime) {
        self.calls.lags.count(at, stamp);
    }

    /// The attempt of this number about a work came so long after the one before.
    pub fn gap(&mut self, attempt: u32, gap: Span) {
        self.calls.attempts.add(attempt, gap);
    }

    /// All counts since the run began.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// When the interval began.
    pub fn start(&self) -> Tick {
        self.start
    }

    /// Ends the interval at `end` and begins the next one there.
    pub fn close(
        &mut self,
        end: Tick,
        stage: Option<u16>,
        gauges: Gauges,
        backlog_area: Span,
    ) -> Interval {
        let interval = Interval {
            start: self.start,
            length: end.since(self.start),
            stage,
            counts: self.counts.since(&self.reported),
            gauges,
            backlog_area,
            histograms: std::mem::take(&mut self.histograms),
            seen: Seen {
                windows: self.windows.take(),
                stints: self.stints.take(),
                stamps: std::mem::take(&mut self.stamps),
            },
            calls: std::mem::take(&mut self.calls),
        };
        self.start = end;
        self.reported = self.counts.clone();
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use rand::RngExt;

    #[test]
    fn the_catalogue_stands_in_the_order_of_the_enum() {
        for (index, row) in CATALOGUE.iter().enumerate() {
            assert_eq!(row.metric as usize, index, "{}", row.name);
            assert_eq!(Metric::named(row.name), Some(row.metric));
        }
    }

    #[test]
    fn a_value_above_the_bounds_is_counted_and_not_clamped() {
        let mut histograms = Histograms::default();
        histograms.record(Metric::TimeToTerminal, Span::from_secs(86_400));
        histograms.record(Metric::TimeToTerminal, Span::from_secs(86_401));
        assert_eq!(
            histograms.get(Metric::TimeToTerminal).map(Histogram::len),
            Some(1)
        );
        assert_eq!(histograms.overflow(Metric::TimeToTerminal), 1);
        assert_eq!(histograms.count(Metric::TimeToTerminal), 2);
    }

    #[test]
    fn a_sum_of_intervals_is_the_histogram_that_has_seen_it_all() {
        let mut all = histogram();
        let mut sum = Histograms::default();
        let mut random = stream(7, Purpose::JITTER, 0);
        for most in [0, 1, 2_047, 2_048, 5_000_000, HIGH_MICROS] {
            let mut interval = Histograms::default();
            for _ in 0..200 {
                let micros = random.random_range(0..=most);
                interval.record(Metric::TimeToTerminal, Span(micros * 1_000));
                all.record(micros).unwrap();
            }
            sum.merge(&interval);
        }
        let sum = sum.get(Metric::TimeToTerminal).unwrap();
        assert_eq!(sum.high(), HIGH_MICROS);
        assert_eq!(sum, &all);
        let every = |of: &Histogram<u64>| -> Vec<(u64, u64)> {
            let recorded = of.iter_recorded();
            recorded
                .map(|value| (value.value_iterated_to(), value.count_at_value()))
                .collect()
        };
        assert_eq!(every(sum), every(&all));
        assert_eq!((sum.min(), sum.max()), (all.min(), all.max()));
    }

    #[test]
    fn intervals_sum_to_the_run() {
        let mut recorder = Recorder::new(Tick::ZERO);
        let mut sum = Counts::default();
        let mut histograms = Histograms::default();
        for second in 1..=5_u64 {
            recorder.count_many(Count::Sent, second);
            recorder.record(Metric::ScheduleLag, Span::from_millis(second));
            let end = Tick(second * 1_000_000_000);
            let interval = recorder.close(end, Some(0), Gauges::default(), Span::ZERO);
            assert_eq!(interval.length, Span::from_secs(1));
            sum.merge(&interval.counts);
            histograms.merge(&interval.histograms);
        }
        assert_eq!(&sum, recorder.counts());
        assert_eq!(sum.get(Count::Sent), 15);
        assert_eq!(histograms.count(Metric::ScheduleLag), 5);
    }
}
