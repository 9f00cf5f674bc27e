//! While the load is on: what the shard tells is written, summed up and shown.

use tokio::sync::mpsc::{Receiver, UnboundedSender};

use crate::engine::Refusal;
use crate::record::Metric;
use crate::record::interval::Interval;
use crate::record::ledger::Count;
use crate::record::row::Settled;
use crate::record::snapshot::Snapshot;
use crate::report::live::Progress;
use crate::report::quantiles::Sample;
use crate::scenario::Plan;
use crate::shell::driver::{Control, Finished, Health, Message};
use crate::shell::run_directory::{RunDirectory, Unwritable};
use crate::shell::screen::Screen;
use crate::time::{Span, Tick};

/// An interval that is not cut short.
const WHOLE: Span = Span::from_secs(1);

/// Takes in what a shard tells.
#[derive(Debug)]
pub(super) struct Collector {
    load: Span,
    /// When the drain began, as far as it has.
    drain: Option<Tick>,
    drain_limit: Span,
    stages: usize,
    directory: RunDirectory,
    screen: Screen,
    controls: UnboundedSender<Control>,
    snapshot: Snapshot,
    health: Health,
    unwritable: Option<Unwritable>,
}

/// All that was taken in.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) snapshot: Snapshot,
    pub(super) health: Health,
    pub(super) unwritable: Option<Unwritable>,
    pub(super) refusal: Option<Refusal>,
    pub(super) directory: RunDirectory,
}

impl Collector {
    pub(super) fn new(
        plan: &Plan,
        directory: RunDirectory,
        screen: Screen,
        controls: UnboundedSender<Control>,
    ) -> Self {
        Self {
            load: crate::arrival::length(&plan.load),
            drain: None,
            drain_limit: plan.drain_limit,
            stages: plan.load.len(),
            directory,
            screen,
            controls,
            snapshot: Snapshot::default(),
            health: Health::default(),
            unwritable: None,
        }
    }

    /// Listens until the shard has nothing more to tell.
    pub(super) fn listen(&mut self, messages: &mut Receiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Settled(settled) => self.settled(&settled),
                Message::Interval(interval, health) => {
                    self.health = health;
                    self.interval(&interval);
                    if interval.stage.is_none() {
                        self.drain.get_or_insert(interval.start);
                    }
                    // The rates of a piece of a second, where the load was stopped, would mislead.
                    if interval.length >= WHOLE {
                        self.screen.show(&self.progress(&interval));
                    }
                }
            }
        }
    }

    fn settled(&mut self, settled: &[Settled]) {
        let written = self.directory.settled(settled);
        self.note(written);
    }

    fn interval(&mut self, interval: &Interval) {
        self.snapshot.absorb(interval);
        let written = self.directory.interval(interval);
        self.note(written);
    }

    /// A file that cannot be written ends the run: its numbers would be lost.
    fn note(&mut self, written: Result<(), Unwritable>) {
        if let Err(error) = written
            && self.unwritable.is_none()
        {
            self.unwritable = Some(error);
            // Where the shard has ended already there is nothing to stop.
            let _ = self.controls.send(Control::StopRun);
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

    /// Takes in the rest that a shard left behind.
    pub(super) fn finish(mut self, finished: Option<&Finished>) -> Collected {
        if let Some(finished) = finished {
            self.health = finished.health;
            self.settled(&finished.settled);
            for interval in &finished.intervals {
                self.interval(interval);
            }
        }
        self.screen.clear();
        Collected {
            snapshot: self.snapshot,
            health: self.health,
            unwritable: self.unwritable,
            refusal: finished.and_then(|finished| finished.refusal.clone()),
            directory: self.directory,
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
