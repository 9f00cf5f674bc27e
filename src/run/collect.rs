//! While the load is on: what the shards tell is put together, written, summed up and shown.

use tokio::sync::mpsc::Receiver;

use super::pace::Pace;
use crate::record::Metric;
use crate::record::area::AreaBooks;
use crate::record::calls::CallNote;
use crate::record::interval::Interval;
use crate::record::ledger::Count;
use crate::record::merge::Merge;
use crate::record::row::Settled;
use crate::record::snapshot::Snapshot;
use crate::report::live::Progress;
use crate::report::quantiles::Sample;
use crate::scenario::Plan;
use crate::shell::driver::{Finished, FromShard, Health, Message};
use crate::shell::orders::Orders;
use crate::shell::run_directory::{RunDirectory, Unwritable};
use crate::shell::screen::Screen;
use crate::time::{Span, Tick};

/// An interval that is not cut short.
const WHOLE: Span = Span::from_secs(1);

/// Takes in what the shards tell.
#[derive(Debug)]
pub(super) struct Collector {
    load: Span,
    /// When the drain began, as far as it has.
    drain: Option<Tick>,
    drain_limit: Span,
    stages: usize,
    directory: RunDirectory,
    screen: Screen,
    pace: Pace,
    orders: Orders,
    merge: Merge,
    shards: Vec<Told>,
    /// All shards have finished, and were told to hear out the receiver of callbacks.
    hears_out: bool,
    /// All have, and were told to close their books.
    closes: bool,
    snapshot: Snapshot,
    /// None where no rows are kept.
    area: Option<AreaBooks>,
    unwritable: Option<Unwritable>,
    busiest_second: u64,
}

/// What one shard has told.
#[derive(Debug, Default)]
struct Told {
    health: Health,
    has_finished: bool,
    heard_out: Option<Tick>,
    has_ended: bool,
}

/// All that was taken in.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) snapshot: Snapshot,
    pub(super) area: Option<AreaBooks>,
    pub(super) health: Health,
    pub(super) unwritable: Option<Unwritable>,
    pub(super) directory: RunDirectory,
    /// Requests (submits, polls and rechecks) in the whole second that had the most.
    pub(super) busiest_second: u64,
}

impl Collector {
    pub(super) fn new(
        plan: &Plan,
        directory: RunDirectory,
        screen: Screen,
        pace: Pace,
        orders: Orders,
        shards: usize,
    ) -> Self {
        Self {
            load: crate::arrival::length(&plan.load),
            drain: None,
            drain_limit: plan.drain_limit,
            stages: plan.load.len(),
            directory,
            screen,
            pace,
            orders,
            merge: Merge::new(shards),
            shards: (0..shards).map(|_| Told::default()).collect(),
            hears_out: false,
            closes: false,
            snapshot: Snapshot::of_load(crate::arrival::length(&plan.load)),
            area: plan.report.works.then(AreaBooks::default),
            unwritable: None,
            busiest_second: 0,
        }
    }

    /// Listens until no shard has anything more to tell.
    pub(super) fn listen(&mut self, messages: &mut Receiver<FromShard>) {
        while let Some((shard, message)) = messages.blocking_recv() {
            match message {
                Message::Settled(settled) => self.settled(&settled),
                Message::Calls(calls) => self.calls(&calls),
                Message::Interval(interval, health) => {
                    self.shards[shard].health = health;
                    self.merge.put(shard, *interval);
                }
                Message::Finished => {
                    self.shards[shard].has_finished = true;
                    self.close_together();
                }
                Message::HeardOut(at) => {
                    self.shards[shard].heard_out = Some(at);
                    self.close_together();
                }
                Message::Ended => self.ended(shard),
            }
            self.write_intervals();
        }
    }

    /// A shard is gone. If that was too early, it died: the others settle what they have.
    fn ended(&mut self, shard: usize) {
        self.shards[shard].has_ended = true;
        if !self.closes {
            self.merge.end(shard);
            self.orders.stop_load();
            self.close_together();
        }
    }

    /// Once the last shard has finished all hear out the receiver of callbacks; once the last has,
    /// and what is another's was passed on, all close their books as of the same instant.
    fn close_together(&mut self) {
        let left = || self.shards.iter().filter(|shard| !shard.has_ended);
        if !self.hears_out && left().all(|shard| shard.has_finished) {
            self.hears_out = true;
            self.orders.hear_out();
        }
        let last = left().filter_map(|shard| shard.heard_out).max();
        if let Some(at) = last.filter(|_| left().all(|shard| shard.heard_out.is_some())) {
            self.closes = true;
            self.orders.close(at);
        }
    }

    /// Writes and shows the intervals that all shards have told.
    fn write_intervals(&mut self) {
        while let Some(interval) = self.merge.take_whole() {
            self.interval(&interval);
            if interval.stage.is_none() {
                self.drain.get_or_insert(interval.start);
            }
            // The rates of a piece of a second, where the load was stopped, would mislead.
            if interval.length >= WHOLE && self.pace.is_due() {
                self.screen.show(&self.progress(&interval));
            }
        }
    }

    fn settled(&mut self, settled: &[Settled]) {
        if let Some(area) = &mut self.area {
            for one in settled {
                area.row(&one.row);
            }
        }
        let written = self.directory.settled(settled);
        self.note(written);
    }

    fn calls(&mut self, calls: &[CallNote]) {
        let written = self.directory.calls(calls);
        self.note(written);
    }

    fn interval(&mut self, interval: &Interval) {
        self.snapshot.absorb(interval);
        if interval.length >= WHOLE {
            let requests = [Count::Submits, Count::Polls, Count::Rechecks];
            let requests = requests
                .map(|count| interval.counts.get(count))
                .iter()
                .sum();
            self.busiest_second = self.busiest_second.max(requests);
        }
        if let Some(area) = &mut self.area {
            area.interval(interval);
        }
        let written = self.directory.interval(interval);
        self.note(written);
    }

    /// A file that cannot be written ends the run: its numbers would be lost.
    fn note(&mut self, written: Result<(), Unwritable>) {
        if let Err(error) = written
            && self.unwritable.is_none()
        {
            self.unwritable = Some(error);
            // Where the shards have ended already there is nothing to stop.
            self.orders.stop_run();
        }
    }

    fn progress(&self, interval: &Interval) -> Progress {
        let counts = &self.snapshot.counts;
        let seconds = interval.length.seconds().max(1e-6);
        let rate = |count| per_second(interval.counts.get(count), seconds);
        let p99 = |metric| {
            let [p99] = Sample::seen(&self.snapshot.histograms, metric).quantiles([0.99]);
            p99
        };
        let until = self.drain.map_or(self.load.0, |begun| {
            begun.0.saturating_add(self.drain_limit.0)
        });
        Progress {
            elapsed: Span(interval.end().0),
            really: self.pace.really(),
            remaining: Span(until.saturating_sub(interval.end().0)),
            stage: interval
                .stage
                .map(|stage| (usize::from(stage), self.stages)),
            offered_rate: rate(Count::Scheduled),
            achieved_rate: rate(Count::Sent),
            accepted: counts.get(Count::Accepted),
            backlog: interval.gauges.backlog,
            completed: counts.get(Count::Completed),
            work_failures: counts.get(Count::Failed)
                + counts.get(Count::Expired)
                + counts.get(Count::Lost),
            intake_failures: counts.get(Count::Rejected) + counts.get(Count::IntakeFailed),
            rate_limited: counts.get(Count::RateLimited),
            accept_latency_p99: p99(Metric::AcceptLatency),
            time_to_terminal_p99: p99(Metric::TimeToTerminal),
            generator_lag_p99: p99(Metric::GeneratorLag),
        }
    }

    /// Takes in the rest that each shard left behind; none of one that died.
    pub(super) fn finish(mut self, shards: Vec<Option<Finished>>) -> Collected {
        for (shard, finished) in shards.into_iter().enumerate() {
            if let Some(finished) = finished {
                self.shards[shard].health = finished.health;
                self.settled(&finished.settled);
                self.calls(&finished.calls);
                for interval in finished.intervals {
                    self.merge.put(shard, interval);
                }
            }
            self.merge.end(shard);
        }
        while let Some(interval) = self.merge.take_whole() {
            self.interval(&interval);
        }
        self.screen.clear();
        Collected {
            snapshot: self.snapshot,
            area: self.area,
            health: Health::of_all(self.shards.iter().map(|shard| shard.health)),
            unwritable: self.unwritable,
            directory: self.directory,
            busiest_second: self.busiest_second,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(events: u64, seconds: f64) -> f64 {
    events as f64 / seconds
}

impl Collected {
    /// What else a reader must know.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self
            .directory
            .left_out()
            .map(|(outcome, works)| {
                format!("{works} {} submissions have no line in failures.jsonl: report.failures is full", outcome.word())
            })
            .collect();
        let not_kept = self.snapshot.counts.get(Count::BodiesNotKept);
        if not_kept > 0 {
            notes.push(format!(
                "{not_kept} last bodies of open works were not kept: report.open_body_bytes is full"
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Histograms;
    use crate::record::ledger::{Counts, Gauges};
    use crate::scenario::resolve;
    use crate::shell::RunClock;
    use crate::shell::orders::Order;
    use crate::shell::screen::Show;
    use tokio::sync::mpsc::channel;

    /// What each shard is ordered, and what is summed up, when the shards tell this.
    fn orders_after(told: Vec<FromShard>, shards: u64) -> (Vec<Vec<Order>>, Snapshot) {
        let text = "name = 'x'\n[[load]]\nrate = '1/s'\nduration = '9s'\n\
                    [target]\nbase_url = 'simulator'";
        let plan = resolve::read(text, &[], &|_| Err(String::new())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let directory = RunDirectory::create(folder.path(), text, &plan).unwrap();
        let (orders, inbounds) = Orders::new(RunClock::starting_in(Span::ZERO), shards);
        let screen = Screen::new(Show::Nothing);
        let mut collector = Collector::new(
            &plan,
            directory,
            screen,
            Pace::default(),
            orders,
            inbounds.len(),
        );
        let (to, mut messages) = channel(told.len());
        for message in told {
            to.try_send(message).unwrap();
        }
        drop(to);
        collector.listen(&mut messages);
        let collected = collector.finish(inbounds.iter().map(|_| None).collect());
        let heard = inbounds
            .into_iter()
            .map(|mut inbound| std::iter::from_fn(|| inbound.try_recv().ok()).collect())
            .collect();
        (heard, collected.snapshot)
    }

    fn second(number: u64, sent: u64) -> Message {
        let mut counts = Counts::default();
        counts.add(Count::Sent, sent);
        let interval = Interval {
            start: Tick::ZERO + Span::from_secs(number),
            length: Span::from_secs(1),
            stage: Some(0),
            counts,
            gauges: Gauges {
                submitting: sent,
                ..Gauges::default()
            },
            backlog_area: Span::ZERO,
            histograms: Histograms::default(),
            ..Interval::default()
        };
        Message::Interval(Box::new(interval), Health::default())
    }

    #[test]
    fn all_close_when_the_last_has_finished() {
        let told = vec![
            (0, Message::Finished),
            (1, Message::Finished),
            (0, Message::HeardOut(Tick(9))),
            (1, Message::HeardOut(Tick(5))),
            (0, Message::Ended),
            (1, Message::Ended),
        ];
        let (orders, _) = orders_after(told, 2);
        let close = vec![Order::HearOut, Order::Close(Tick(9))];
        assert_eq!(orders, [close.clone(), close]);
    }

    #[test]
    fn nobody_closes_before_the_last_has_heard_out_the_receiver() {
        let told = vec![
            (0, Message::Finished),
            (1, Message::Finished),
            (0, Message::HeardOut(Tick(9))),
        ];
        let (orders, _) = orders_after(told, 2);
        assert_eq!(orders, [[Order::HearOut], [Order::HearOut]]);
    }

    #[test]
    fn a_shard_that_dies_stops_the_load_of_the_others() {
        let told = vec![
            (0, second(0, 3)),
            (1, second(0, 4)),
            (1, Message::Ended),
            (0, second(1, 5)),
            (0, Message::Finished),
            (0, Message::HeardOut(Tick(9))),
            (0, Message::Ended),
        ];
        let (orders, snapshot) = orders_after(told, 2);
        let [stop, Order::HearOut, close] = &orders[0][..] else {
            panic!("{orders:?}");
        };
        assert!(matches!(stop, Order::StopLoad(_)), "{orders:?}");
        assert_eq!(close, &Order::Close(Tick(9)));
        // What it had done is counted, and what it had on the wire stays there.
        assert_eq!(snapshot.counts.get(Count::Sent), 12);
        assert_eq!(snapshot.gauges.submitting, 4 + 5);
    }

    #[test]
    fn the_others_close_when_the_last_that_had_not_finished_dies() {
        let told = vec![(0, Message::Finished), (1, Message::Ended)];
        let (orders, _) = orders_after(told, 2);
        assert_eq!(orders[0].last(), Some(&Order::HearOut));
        let told = vec![
            (0, Message::Finished),
            (1, Message::Finished),
            (0, Message::HeardOut(Tick(9))),
            (1, Message::Ended),
        ];
        let (orders, _) = orders_after(told, 2);
        assert_eq!(orders[0].last(), Some(&Order::Close(Tick(9))));
    }
}
