//! Polls: when a work is asked, in which order, and what the answer means.

use super::lifecycle::{Event, Next, Stage, next};
use super::works::Work;
use super::{DuePoll, Effect, Engine, gate::Hold, poll_policy};
use crate::random::{Purpose, unit_at};
use crate::record::Metric;
use crate::record::ledger::Count;
use crate::time::{Span, Tick};
use crate::work::{Anomaly, Ending, Outcome, PollReply, Slot, Source, Terminal};

impl Engine {
    /// Schedules the first poll of a work that was accepted at `at`.
    pub(super) fn follow(&mut self, slot: Slot, at: Tick) {
        let plan = &self.plan;
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        work.stage = Stage::Waiting;
        work.due = if work.foreign {
            Tick::NEVER
        } else {
            at + poll_policy::first(&plan.poll, plan.seed, work.seq)
        };
        self.timers.set(
            work.due.min(overdue_at(work, plan.poll.give_up_after)),
            slot.index,
        );
    }

    /// Looks at every work whose instant has come.
    pub(super) fn fire_timers(&mut self, now: Tick) {
        while let Some((_, place)) = self.timers.take(now) {
            let Some(slot) = self.works.slot_at(place) else {
                continue;
            };
            let give_up_after = self.plan.poll.give_up_after;
            let Some(work) = self.works.get_mut(slot) else {
                continue;
            };
            if work.stage == Stage::Retrying {
                if work.due <= now {
                    self.retries.push_back(slot);
                }
                continue;
            }
            let overdue_at = overdue_at(work, give_up_after);
            let is_open = matches!(work.stage, Stage::Waiting | Stage::Due | Stage::Polling);
            let event = if is_open && overdue_at <= now {
                Event::Overdue
            } else if work.due <= now {
                Event::PollDue
            } else {
                continue;
            };
            match next(work.stage, event) {
                Next::Enter(stage) => {
                    work.stage = stage;
                    let due = work.due;
                    self.due.push_back(DuePoll {
                        due,
                        slot,
                        gate_before: self.gate.closed_until(due),
                        budget_before: self.budget_wait.read(due),
                    });
                }
                Next::Settle(outcome) => self.give_up(slot, outcome, now, None),
                _ => {}
            }
        }
    }

    /// Gives up works that became overdue while their poll was held back. Called once an interval:
    /// a held poll has no timer of its own.
    pub(super) fn expire_held(&mut self, now: Tick) {
        let give_up_after = self.plan.poll.give_up_after;
        let is_overdue =
            |work: &Work| work.stage == Stage::Due && overdue_at(work, give_up_after) <= now;
        let mut overdue = Vec::new();
        let works = &self.works;
        self.due.retain(|poll| {
            let leaves = works.get(poll.slot).is_some_and(is_overdue);
            if leaves {
                overdue.push(poll.slot);
            }
            !leaves
        });
        for slot in overdue {
            self.give_up(slot, Outcome::Expired, now, None);
        }
    }

    /// The poll that is due the longest, if it may leave now.
    pub(super) fn next_poll(&mut self, now: Tick) -> Option<Effect> {
        loop {
            let head = *self.due.front()?;
            let waits = self.works.get(head.slot).is_some_and(|work| {
                work.due == head.due && matches!(work.stage, Stage::Due | Stage::RecheckDue(_))
            });
            if !waits {
                self.due.pop_front();
                continue;
            }
            if !self.may_poll(now) {
                return None;
            }
            self.due.pop_front();
            return self.send_poll(head, now);
        }
    }

    fn may_poll(&mut self, now: Tick) -> bool {
        if now < self.poll_refused_until {
            return false;
        }
        if self.is_wire_full() {
            self.budget_wait.set(true, now);
            return false;
        }
        let (until, by_budget) = match self.gate.ask(now) {
            Err(Hold::Gate(until)) => (until, false),
            Err(Hold::Pace(until)) => (until, true),
            Ok(()) => match self.budget.take_poll(now) {
                Ok(()) => {
                    self.budget_wait.set(false, now);
                    return true;
                }
                Err(until) => (until, true),
            },
        };
        self.poll_refused_until = until;
        self.budget_wait.set(by_budget, now);
        false
    }

    fn send_poll(&mut self, head: DuePoll, now: Tick) -> Option<Effect> {
        let work = self.works.get_mut(head.slot)?;
        let Next::Enter(stage) = next(work.stage, Event::PollSent) else {
            return None;
        };
        work.stage = stage;
        work.asked = now;
        self.polls_in_flight += 1;
        self.gate.sent(now);
        if matches!(stage, Stage::Rechecking(_)) {
            self.recorder.count(Count::Rechecks);
        } else {
            work.polls += 1;
            let wait = now.since(head.due);
            let at_gate = Span(self.gate.closed_until(now).0 - head.gate_before.0).min(wait);
            let for_budget = Span(self.budget_wait.read(now).0 - head.budget_before.0);
            self.recorder.count(Count::Polls);
            self.recorder.record(Metric::PollWait, wait);
            self.recorder.record(Metric::PollWaitGate, at_gate);
            let for_budget = for_budget.min(Span(wait.0 - at_gate.0));
            self.recorder.record(Metric::PollWaitBudget, for_budget);
        }
        Some(Effect::Poll { slot: head.slot })
    }

    pub(super) fn on_poll(&mut self, slot: Slot, at: Tick, reply: PollReply) {
        let was_full = self.is_wire_full();
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let is_recheck = match work.stage {
            Stage::Polling => false,
            Stage::Rechecking(_) => true,
            _ => return,
        };
        self.polls_in_flight -= 1;
        if !is_recheck && !matches!(reply, PollReply::Fault(_)) {
            self.recorder.count(Count::PollAnswers);
            self.recorder
                .record(Metric::PollRoundTrip, at.since(work.asked));
        }
        self.let_go(was_full, at);
        match reply {
            PollReply::Open {
                status,
                known,
                body,
                hint,
            } => {
                self.hear(at, &hint);
                self.open(slot, &status, known, body);
                self.ask_again(slot, at, Event::Open, hint.retry_after);
            }
            PollReply::Terminal(terminal, hint) => {
                self.hear(at, &hint);
                let event = Event::Ended(terminal.ending);
                self.end(slot, at, event, terminal, Source::Poll);
            }
            PollReply::Denied { gone, body } => self.denied(slot, at, gone, body),
            PollReply::Throttled { hint, .. } => {
                self.hear(at, &hint);
                work_throttled(self, slot, at, &hint);
                self.ask_again(slot, at, Event::Silent, None);
            }
            PollReply::Error { .. } | PollReply::Fault(_) => {
                self.recorder.count(Count::PollErrors);
                self.ask_again(slot, at, Event::Silent, None);
            }
        }
    }

    /// Notes what an open answer says.
    fn open(&mut self, slot: Slot, status: &str, known: bool, body: Box<str>) {
        let word = self.words.number(status);
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        if matches!(work.stage, Stage::Rechecking(_)) {
            return;
        }
        if !known && work.last_word != Some(word) {
            self.recorder.count(Anomaly::UnknownStatus.into());
        }
        work.last_word = Some(word);
        work.last_open = Some(work.asked);
        work.denials = 0;
        if !self.bodies.keep(slot, body) {
            self.recorder.count(Count::BodiesNotKept);
        }
    }

    fn denied(&mut self, slot: Slot, at: Tick, gone: bool, body: Box<str>) {
        let lost_after = self.plan.poll.lost_after;
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let was_known = work.last_open.is_some();
        let mut is_lost = gone;
        if !matches!(work.stage, Stage::Rechecking(_)) {
            work.denials = work.denials.saturating_add(1);
            if was_known {
                is_lost |= work.denials >= 2;
            } else if !gone {
                self.recorder.count(Count::NotVisible);
                is_lost |= work
                    .accepted
                    .is_some_and(|accepted| at >= accepted + lost_after);
            }
        }
        let event = if is_lost {
            Event::DeniedForGood
        } else {
            Event::Silent
        };
        match next(work.stage, event) {
            Next::Settle(outcome) => self.give_up(slot, outcome, at, Some(body)),
            _ => self.ask_again(slot, at, event, None),
        }
    }

    /// Schedules the next poll of a work whose poll was answered at `at` without an end.
    fn ask_again(&mut self, slot: Slot, at: Tick, event: Event, hint: Option<Span>) {
        let plan = &self.plan;
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        match next(work.stage, event) {
            Next::AskAgain => {
                let last = (work.slot_number, work.due);
                let slot_found = poll_policy::next(&plan.poll, plan.seed, work.seq, last, at, hint);
                work.stage = Stage::Waiting;
                (work.slot_number, work.due) = (slot_found.number, slot_found.due);
                self.recorder
                    .count_many(Count::SkippedSlots, slot_found.skipped);
                let overdue_at = overdue_at(work, plan.poll.give_up_after);
                self.timers.set(work.due.min(overdue_at), slot.index);
            }
            Next::Confirmed(anomaly) => self.confirmed(slot, anomaly),
            _ => {}
        }
    }

    /// The second answer about a settled work has come.
    fn confirmed(&mut self, slot: Slot, anomaly: Option<Anomaly>) {
        if let Some(anomaly) = anomaly {
            self.recorder.count(anomaly.into());
        }
        self.timers.cancel(slot.index);
        self.works.remove(slot);
    }

    /// Books the end that the service told.
    pub(super) fn end(
        &mut self,
        slot: Slot,
        at: Tick,
        event: Event,
        terminal: Terminal,
        source: Source,
    ) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let outcome = match next(work.stage, event) {
            Next::Settle(outcome) => outcome,
            Next::Confirmed(anomaly) => return self.confirmed(slot, anomaly),
            _ => return,
        };
        work.last_word = Some(self.words.number(&terminal.status));
        let intended = work.intended;
        self.record_end(intended, at, outcome);
        let Terminal {
            ending,
            finished,
            body,
            ..
        } = terminal;
        let body = (ending == Ending::Failed).then_some(body);
        let Some(work) = self.leave(slot, outcome, Some((at, source)), body) else {
            return;
        };
        if let Some(last) = self.settled.last_mut() {
            last.row.finished = finished;
        }
        self.backlog -= 1;
        if !work.id.0.is_empty() {
            self.forget_later(&work.id, at);
        }
        self.recheck_later(work, at, ending);
    }

    /// Books a work that is followed no longer, though the service did not tell its end.
    fn give_up(&mut self, slot: Slot, outcome: Outcome, at: Tick, body: Option<Box<str>>) {
        let count = if outcome == Outcome::Expired {
            Count::Expired
        } else {
            Count::Lost
        };
        self.recorder.count(count);
        self.backlog -= 1;
        let left = self.leave(slot, outcome, None, body);
        if let Some(work) = left.filter(|work| !work.id.0.is_empty()) {
            self.forget_later(&work.id, at);
        }
    }

    /// A seeded share of the settled works is asked once more: is a terminal state taken back?
    fn recheck_later(&mut self, work: Work, at: Tick, ending: Ending) {
        let poll = &self.plan.poll;
        let is_chosen = unit_at(self.plan.seed, Purpose::RECHECK, work.seq) < poll.recheck;
        if poll.recheck > 0.0 && is_chosen && !work.id.0.is_empty() && !work.foreign {
            let due = at + poll.recheck_after;
            let slot = self.works.insert(Work {
                stage: Stage::Settled(ending),
                due,
                ..work
            });
            self.timers.set(due, slot.index);
        }
    }
}

/// When a work is given up: counted from its accept.
fn overdue_at(work: &Work, give_up_after: Span) -> Tick {
    work.accepted
        .map_or(Tick::NEVER, |accepted| accepted + give_up_after)
}

/// A poll was answered 429: counted, and the gate closes.
fn work_throttled(engine: &mut Engine, slot: Slot, at: Tick, hint: &crate::work::RateHint) {
    let Some(work) = engine.works.get_mut(slot) else {
        return;
    };
    if !matches!(work.stage, Stage::Rechecking(_)) {
        work.rate_limited += 1;
    }
    let asked = work.asked;
    engine.recorder.count(Count::RateLimited);
    engine.recorder.count(Count::RateLimitedPolls);
    engine.throttled(asked, at, hint);
}
