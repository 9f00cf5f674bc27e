//! Polls: when a work is asked, in which order, and what the answer means.

use super::due_polls::DuePoll;
use super::lifecycle::{Event, Next, Stage, next};
use super::said::Said;
use super::works::Work;
use super::{Effect, Engine, Trip, gate::Hold, poll_policy};
use crate::random::{Purpose, unit_at};
use crate::record::Metric;
use crate::record::ledger::Count;
use crate::scenario::Mode;
use crate::time::{MaybeTick, Span, Tick};
use crate::work::{Anomaly, Ending, Outcome, PollReply, RateHint, Slot, Source, Terminal};

impl Engine {
    /// Schedules the first poll of a work that was accepted at `at`. One at a foreign origin is
    /// never polled.
    pub(super) fn follow(&mut self, slot: Slot, at: Tick, is_foreign: bool) {
        let plan = &self.plan;
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        work.enter(Stage::Waiting);
        let ages = self.ages.as_mut().filter(|_| !is_foreign);
        let by_age = ages.and_then(|ages| ages.first(slot.index, work, at));
        let observe = &plan.observe;
        let due = match by_age {
            _ if is_foreign => Tick::NEVER,
            _ if !observe.mode.polls_to_the_end() => at + observe.deadline,
            Some(due) => due,
            None => at + poll_policy::first(&plan.poll, plan.seed, work.seq),
        };
        let overdue_at = overdue_at(work, plan.poll.give_up_after);
        self.timers.set(due.min(overdue_at), slot.index);
    }

    /// Looks at every work whose instant has come.
    pub(super) fn fire_timers(&mut self, now: Tick) {
        let (works, bodies) = (&self.works, &self.bodies);
        // Works that are looked at within the next millisecond lie anywhere in memory. Read all at
        // once they come side by side, where one by one each would be waited for.
        self.timers.turn(now, |place| {
            works.touch(place);
            bodies.touch(place);
        });
        while let Some((due, place)) = self.timers.take(now) {
            let Some(slot) = self.works.slot_at(place) else {
                continue;
            };
            let give_up_after = self.plan.poll.give_up_after;
            let Some(work) = self.works.get_mut(slot) else {
                continue;
            };
            let stage = work.stage();
            if stage == Stage::Retrying {
                self.retries.push_back(slot);
                continue;
            }
            let overdue_at = match stage {
                Stage::Waiting | Stage::Told(_) => overdue_at(work, give_up_after),
                _ => Tick::NEVER,
            };
            let event = if overdue_at <= now {
                Event::Overdue
            } else {
                Event::PollDue
            };
            let mode = self.plan.observe.mode;
            if stage == Stage::Waiting
                && event == Event::PollDue
                && work.polls == 0
                && !mode.polls_to_the_end()
            {
                self.recorder.count(Count::CallbacksOverdue);
                if mode == Mode::Callback {
                    self.timers.set(overdue_at, place);
                    continue;
                }
            }
            match next(stage, event) {
                Next::Enter(stage) => {
                    work.enter(stage);
                    self.due.push(DuePoll {
                        slot,
                        overdue_at,
                        gate_before: self.gate.closed_until(due),
                        budget_before: self.budget_wait.read(due),
                    });
                }
                Next::Settle(outcome) => self.give_up(slot, outcome, now, None),
                Next::Unpaired => self.unpair(slot, now),
                _ => {}
            }
        }
    }

    /// Gives up works that became overdue while their poll was held back. Called once an interval:
    /// a held poll has no timer of its own.
    pub(super) fn expire_held(&mut self, now: Tick) {
        for slot in self.due.take_overdue(now) {
            match self
                .works
                .get(slot)
                .map(|work| next(work.stage(), Event::Overdue))
            {
                Some(Next::Settle(outcome)) => self.give_up(slot, outcome, now, None),
                Some(Next::Unpaired) => self.unpair(slot, now),
                _ => {}
            }
        }
    }

    /// The poll that is due the longest, if it may leave now.
    pub(super) fn next_poll(&mut self, now: Tick) -> Option<Effect> {
        loop {
            let head = self.due.first()?;
            let waits = self.works.get(head.slot).is_some_and(|work| {
                matches!(
                    work.stage(),
                    Stage::Due | Stage::ToldDue(_) | Stage::RecheckDue(_)
                )
            });
            if !waits {
                self.due.pop();
                continue;
            }
            if !self.may_poll(now) {
                return None;
            }
            self.due.pop();
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
        self.polls_released = self.polls_released.max(until);
        self.budget_wait.set(by_budget, now);
        false
    }

    fn send_poll(&mut self, head: DuePoll, now: Tick) -> Option<Effect> {
        let work = self.works.get_mut(head.slot)?;
        let Next::Enter(stage) = next(work.stage(), Event::PollSent) else {
            return None;
        };
        work.enter(stage);
        self.polls_in_flight += 1;
        self.gate.sent(now);
        if matches!(stage, Stage::Rechecking(_)) {
            self.recorder.count(Count::Rechecks);
        } else {
            work.polls += 1;
            let due = self.timers.at(head.slot.index);
            let wait = now.since(due);
            let ready = due.max(self.polls_released.min(now));
            let at_gate = Span(self.gate.closed_until(now).0 - head.gate_before.0).min(wait);
            let for_budget = Span(self.budget_wait.read(now).0 - head.budget_before.0);
            self.recorder.count(Count::Polls);
            self.recorder.record(Metric::PollWait, wait);
            self.recorder.record(Metric::PollWaitGate, at_gate);
            let for_budget = for_budget.min(Span(wait.0 - at_gate.0));
            self.recorder.record(Metric::PollWaitBudget, for_budget);
            self.recorder.record(Metric::PollLag, now.since(ready));
        }
        Some(Effect::Poll { slot: head.slot })
    }

    pub(super) fn on_poll(&mut self, slot: Slot, (sent, at): Trip, reply: PollReply) {
        let was_full = self.is_wire_full();
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let is_recheck = match work.stage() {
            Stage::Polling | Stage::ToldPolling(_) | Stage::Outrun(_) => false,
            Stage::Rechecking(_) => true,
            _ => return,
        };
        self.polls_in_flight -= 1;
        if !is_recheck && !matches!(reply, PollReply::Fault(_)) {
            self.recorder.count(Count::PollAnswers);
            self.recorder.record(Metric::PollRoundTrip, at.since(sent));
        }
        self.let_go(was_full, was_full, at);
        match reply {
            PollReply::Open {
                status,
                known,
                body,
                hint,
            } => {
                self.hear(at, &hint);
                self.open(slot, sent, &status, known, body);
                self.ask_again(slot, (sent, at), Event::Open, hint.retry_after);
            }
            PollReply::Terminal(terminal, hint) => {
                self.hear(at, &hint);
                self.end(slot, (sent, at), terminal, Source::Poll, false);
            }
            PollReply::Denied { gone, body } => self.denied(slot, (sent, at), gone, body),
            PollReply::Throttled { hint, .. } => {
                self.hear(at, &hint);
                self.poll_throttled(slot, (sent, at), &hint);
                self.ask_again(slot, (sent, at), Event::Silent, None);
            }
            PollReply::Error { .. } | PollReply::Fault(_) => {
                self.recorder.count(Count::PollErrors);
                self.ask_again(slot, (sent, at), Event::Silent, None);
            }
        }
    }

    /// A poll was answered 429: counted, and the gate closes.
    fn poll_throttled(&mut self, slot: Slot, (sent, at): Trip, hint: &RateHint) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        if !matches!(work.stage(), Stage::Rechecking(_)) {
            work.rate_limited += 1;
        }
        self.recorder.count(Count::RateLimited);
        self.recorder.count(Count::RateLimitedPolls);
        self.throttled(sent, at, hint);
    }

    /// Notes what an open answer says.
    fn open(&mut self, slot: Slot, sent: Tick, status: &str, known: bool, body: Box<str>) {
        let word = self.words.number(status);
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        if matches!(work.stage(), Stage::Rechecking(_)) {
            return;
        }
        if matches!(work.stage(), Stage::ToldPolling(_)) {
            self.recorder.count(Count::PollsBehind);
        }
        if !known && work.said.number() != Some(word) {
            self.recorder.count(Anomaly::UnknownStatus.into());
        }
        if self.plan.api.begun.iter().any(|begun| **begun == *status) {
            self.saw_begun(slot, sent);
        }
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        work.said = Said::word(word);
        work.last_open = MaybeTick::at(sent);
        if !self.bodies.keep(slot.index, body) {
            self.recorder.count(Count::BodiesNotKept);
        }
    }

    fn denied(&mut self, slot: Slot, (sent, at): Trip, gone: bool, body: Box<str>) {
        let lost_after = self.plan.poll.lost_after;
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let was_known = work.last_open.get().is_some();
        let mut is_lost = gone;
        if !matches!(work.stage(), Stage::Rechecking(_)) {
            let is_second = work.said.is_denied();
            work.said = work.said.denied();
            if was_known {
                is_lost |= is_second;
            } else if !gone {
                self.recorder.count(Count::NotVisible);
                is_lost |= work
                    .accepted
                    .get()
                    .is_some_and(|accepted| at >= accepted + lost_after);
            }
        }
        let event = if is_lost {
            Event::DeniedForGood
        } else {
            Event::Silent
        };
        match next(work.stage(), event) {
            Next::Settle(outcome) => self.give_up(slot, outcome, at, Some(body)),
            Next::Unpaired => self.unpair(slot, at),
            _ => self.ask_again(slot, (sent, at), event, None),
        }
    }

    /// Schedules the next poll of a work whose poll was answered at `at` without an end.
    fn ask_again(&mut self, slot: Slot, (sent, at): Trip, event: Event, hint: Option<Span>) {
        let plan = &self.plan;
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        match next(work.stage(), event) {
            Next::AskAgain => {
                let last = (work.slot_number, self.timers.at(slot.index));
                let ages = self.ages.as_ref();
                let by_age = ages.and_then(|ages| ages.next(slot.index, work, (sent, at)));
                let slot_found = by_age.unwrap_or_else(|| {
                    poll_policy::next(&plan.poll, plan.seed, work.seq, last, at, hint)
                });
                work.enter(match work.stage() {
                    Stage::ToldPolling(ending) => Stage::Told(ending),
                    _ => Stage::Waiting,
                });
                work.slot_number = slot_found.number;
                self.recorder
                    .count_many(Count::SkippedSlots, slot_found.skipped);
                let overdue_at = overdue_at(work, plan.poll.give_up_after);
                self.timers.set(slot_found.due.min(overdue_at), slot.index);
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
        if self
            .works
            .get(slot)
            .is_some_and(|work| work.stage().is_told())
        {
            return self.stop_watching(slot, self.now);
        }
        self.timers.cancel(slot.index);
        self.works.remove(slot);
    }

    /// Books the end that the service told. A work at a foreign origin is not asked again.
    pub(super) fn end(
        &mut self,
        slot: Slot,
        (sent, at): Trip,
        terminal: Terminal,
        source: Source,
        is_foreign: bool,
    ) {
        let ending = terminal.ending;
        let called = self.called(ending);
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let event = match source {
            Source::Sync => Event::TakenAndEnded(ending),
            Source::Callback => called,
            Source::Poll => Event::Ended(ending),
        };
        let (outcome, watched_as) = match next(work.stage(), event) {
            Next::Settle(outcome) => (outcome, None),
            Next::SettleAndWatch(outcome, stage) => (outcome, Some(stage)),
            Next::Paired(anomaly) => {
                self.saw_end(slot, (sent, at), &terminal, source);
                self.paired(slot, at, ending, anomaly);
                return self.stop_watching(slot, at);
            }
            Next::Confirmed(anomaly) => return self.confirmed(slot, anomaly),
            _ => return,
        };
        work.said = Said::word(self.words.number(&terminal.status));
        let intended = work.intended;
        self.record_end(intended, at, outcome);
        self.saw_end(slot, (sent, at), &terminal, source);
        if let (Some(stage), Some(work)) = (watched_as, self.works.get_mut(slot)) {
            work.enter(stage);
        }
        let Terminal { finished, body, .. } = terminal;
        let body = (ending == Ending::Failed).then_some(body);
        // A callback may be told after an interval has ended that it came in: the backlog has the
        // work until it is told.
        let settled = at.max(self.recorder.start());
        if let Some(row) = self.leave(slot, outcome, Some((at, source)), body) {
            row.finished = finished;
            row.settled = Some(settled);
        }
        self.backlog.leave(settled);
        self.last_settled = self.last_settled.max(settled);
        self.forget_later(slot.index, settled);
        if source == Source::Poll && self.plan.observe.mode == Mode::Hybrid {
            self.recorder.count(Count::CallbacksSwept);
        }
        let polled = (source != Source::Callback).then_some((at, ending));
        self.note_settled(slot, polled);
        if watched_as.is_some() {
            return;
        }
        self.stop_awaiting(slot, settled);
        if is_foreign || !self.recheck_later(slot, at, ending) {
            self.works.remove(slot);
        }
    }

    /// Books a work that is followed no longer, though the service did not tell its end.
    fn give_up(&mut self, slot: Slot, outcome: Outcome, at: Tick, body: Option<Box<str>>) {
        let count = if outcome == Outcome::Expired {
            Count::Expired
        } else {
            Count::Lost
        };
        self.recorder.count(count);
        self.saw_no_end(slot);
        self.note_settled(slot, None);
        self.stop_awaiting(slot, at);
        self.backlog.leave(at);
        self.last_settled = self.last_settled.max(at);
        if let Some(row) = self.leave(slot, outcome, None, body) {
            row.settled = Some(at);
        }
        self.forget_later(slot.index, at);
        self.works.remove(slot);
    }

    /// A seeded share of the settled works is asked once more: is a terminal state taken back? True
    /// if this one is.
    fn recheck_later(&mut self, slot: Slot, at: Tick, ending: Ending) -> bool {
        let poll = &self.plan.poll;
        let has_id = !self.works.id(slot.index).is_empty();
        let Some(work) = self.works.get_mut(slot) else {
            return false;
        };
        let is_chosen = poll.recheck > 0.0
            && has_id
            && unit_at(self.plan.seed, Purpose::RECHECK, work.seq) < poll.recheck;
        if is_chosen {
            work.enter(Stage::Settled(ending));
            self.timers.set(at + poll.recheck_after, slot.index);
        }
        is_chosen
    }
}

/// When a work is given up: counted from its accept.
fn overdue_at(work: &Work, give_up_after: Span) -> Tick {
    work.accepted
        .get()
        .map_or(Tick::NEVER, |accepted| accepted + give_up_after)
}
