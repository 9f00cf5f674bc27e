//! Submits: which arrival leaves, what holds one back, and what its answer means.

use std::num::NonZeroU16;

use super::lifecycle::{Event, Next, Stage, next};
use super::works::Work;
use super::{Effect, Engine, Refusal, Trip};
use crate::arrival::Arrival;
use crate::record::Metric;
use crate::record::ledger::Count;
use crate::scenario::Overload;
use crate::time::{MaybeTick, Span, Tick};
use crate::work::{
    Anomaly, Fault, IntakeReply, Outcome, PollUrl, RateHint, Slot, Source, Terminal, WorkId,
};

/// How long a submit that got 429 without a `Retry-After` waits.
const RETRY_UNSAID: Span = Span::from_secs(1);

impl Engine {
    /// The next submit that may leave now: retries first, they are older.
    pub(super) fn next_submit(&mut self, now: Tick) -> Option<Effect> {
        self.count_due(now);
        loop {
            let retry = self.retries.front().copied();
            let fresh = self
                .arrivals
                .peek()
                .filter(|arrival| self.is_due(*arrival, now));
            if retry.is_none() && fresh.is_none() {
                return None;
            }
            let held = self.is_full() || !self.has_token(now);
            match (retry, fresh) {
                (_, Some(arrival)) if held && self.plan.submit.overload == Overload::Drop => {
                    self.drop_arrival(arrival);
                }
                _ if held => return None,
                (Some(slot), _) => {
                    self.retries.pop_front();
                    if let Some(effect) = self.send_again(slot, now) {
                        return Some(effect);
                    }
                }
                (None, Some(arrival)) => return Some(self.send(arrival, now)),
                (None, None) => return None,
            }
        }
    }

    fn is_due(&self, arrival: Arrival, now: Tick) -> bool {
        arrival.intended <= now && !self.is_stopped(now)
    }

    /// No submit may leave, because of those that are on the wire.
    fn is_full(&self) -> bool {
        let cap = u64::from(self.share.submits_in_flight);
        (cap > 0 && self.submits_in_flight >= cap) || self.is_wire_full()
    }

    /// No request may leave, because of those that are on the wire.
    pub(super) fn is_wire_full(&self) -> bool {
        let cap = u64::from(self.share.requests_in_flight);
        cap > 0 && self.submits_in_flight + self.polls_in_flight >= cap
    }

    /// Notes that an answer has come: `was_full` says whether submits were held back until then,
    /// and `wire_was_full` whether polls were too.
    pub(super) fn let_go(&mut self, was_full: bool, wire_was_full: bool, at: Tick) {
        if was_full {
            self.released = self.released.max(at);
        }
        if wire_was_full {
            self.polls_released = self.polls_released.max(at);
        }
    }

    /// Takes a token for a submit; where there is none, notes when to ask again.
    fn has_token(&mut self, now: Tick) -> bool {
        if now < self.submit_refused_until {
            return false;
        }
        let answer = if self.asks_gate() {
            self.gate.ask(now).map_err(|hold| match hold {
                super::gate::Hold::Gate(until) | super::gate::Hold::Pace(until) => until,
            })
        } else {
            Ok(())
        };
        match answer.and_then(|()| self.budget.take_submit(now)) {
            Ok(()) => true,
            Err(until) => {
                self.submit_refused_until = until;
                self.released = self.released.max(until);
                false
            }
        }
    }

    /// A gate holds submits back only where the scenario gave them a limit: without one the loop is
    /// open, and a 429 is a result.
    fn asks_gate(&self) -> bool {
        self.plan.limits.is_some()
    }

    fn pass_gate(&mut self, now: Tick) {
        if self.asks_gate() {
            self.gate.sent(now);
        }
    }

    /// When a submit can leave (or an arrival be dropped) next, if nothing happens before.
    pub(super) fn submit_wakeup(&self) -> Option<Tick> {
        let drops = self.plan.submit.overload == Overload::Drop;
        let is_full = self.is_full();
        // A full wire holds back until an answer comes; what is dropped waits for nothing.
        let retry = (!is_full && !self.retries.is_empty()).then_some(self.submit_refused_until);
        let fresh = self
            .arrivals
            .peek()
            .filter(|_| !self.is_stopped(self.now) && (drops || !is_full))
            .map(|arrival| {
                let held_until = if drops {
                    Tick::ZERO
                } else {
                    self.submit_refused_until
                };
                arrival.intended.max(held_until)
            });
        retry.into_iter().chain(fresh).min()
    }

    /// Counts arrivals whose instant has come, sent or not.
    fn count_due(&mut self, now: Tick) {
        while self
            .due_arrivals
            .peek()
            .is_some_and(|next| next.intended <= now && next.intended < self.load_end)
        {
            self.due_arrivals.next();
            self.recorder.count(Count::Scheduled);
        }
    }

    /// Arrivals that are due and neither sent nor dropped.
    pub(super) fn count_queued(&mut self, now: Tick) -> u64 {
        self.count_due(now);
        self.queued()
    }

    /// The same, as of the last time that was told.
    pub(super) fn queued(&self) -> u64 {
        let counts = self.recorder.counts();
        counts.get(Count::Scheduled) - counts.get(Count::Sent) - counts.get(Count::Dropped)
    }

    fn drop_arrival(&mut self, arrival: Arrival) {
        self.arrivals.next();
        self.recorder.count(Count::Dropped);
        self.leave_unsent(arrival, Outcome::Dropped);
    }

    fn send(&mut self, arrival: Arrival, now: Tick) -> Effect {
        self.arrivals.next();
        let Arrival { seq, intended, .. } = arrival;
        self.recorder.count(Count::Sent);
        self.recorder.count(Count::Submits);
        self.recorder
            .record(Metric::ScheduleLag, now.since(intended));
        let ready = intended.max(self.released.min(now));
        self.recorder.record(Metric::GeneratorLag, now.since(ready));
        let slot = self.works.insert(Work::new(seq, intended, now));
        self.closed_loop.sees_leave(slot);
        self.submitting += 1;
        self.submits_in_flight += 1;
        self.pass_gate(now);
        Effect::Submit {
            slot,
            seq,
            intended,
        }
    }

    fn send_again(&mut self, slot: Slot, now: Tick) -> Option<Effect> {
        let work = self.works.get_mut(slot)?;
        let Next::Enter(stage) = next(work.stage(), Event::Resent) else {
            return None;
        };
        work.enter(stage);
        let (seq, intended) = (work.seq, work.intended);
        self.recorder.count(Count::Submits);
        self.recorder.count(Count::SubmitRetries);
        self.submits_in_flight += 1;
        self.pass_gate(now);
        Some(Effect::Submit {
            slot,
            seq,
            intended,
        })
    }

    pub(super) fn on_intake(&mut self, slot: Slot, (sent, at): Trip, reply: IntakeReply) {
        let (was_full, wire_was_full) = (self.is_full(), self.is_wire_full());
        let is_awaited = |work: &Work| work.stage() == Stage::Submitting;
        if !self.works.get(slot).is_some_and(is_awaited) {
            return;
        }
        self.submits_in_flight -= 1;
        self.let_go(was_full, wire_was_full, at);
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        match reply {
            IntakeReply::Accepted {
                status,
                id,
                poll_url,
                at_once,
                hint,
            } => {
                work.http_status = NonZeroU16::new(status);
                self.answered = true;
                self.hear(at, &hint);
                self.accept(slot, (sent, at), id, poll_url, at_once);
            }
            IntakeReply::Rejected { status, body, hint } => {
                work.http_status = NonZeroU16::new(status);
                self.judge_first_answer(status, &body);
                self.hear(at, &hint);
                self.refuse(slot, (sent, at), status, body, &hint);
            }
            IntakeReply::Failed {
                fault,
                status,
                maybe_accepted,
                detail,
            } => {
                work.http_status = status.and_then(NonZeroU16::new);
                self.fail(slot, fault, maybe_accepted, detail);
            }
        }
    }

    /// The first shard has the first arrival, so its first answer judges.
    fn judge_first_answer(&mut self, status: u16, body: &str) {
        let judges = self.segment.index == 0 && !self.answered;
        if judges && matches!(status, 401 | 403 | 404) {
            self.refusal = Some(Refusal {
                status,
                body: body.into(),
            });
        }
        self.answered = true;
    }

    /// What the headers of any answer say about rates.
    pub(super) fn hear(&mut self, at: Tick, hint: &RateHint) {
        self.recorder
            .count_many(Count::HintClamps, u64::from(hint.clamps));
        self.gate
            .announced(at, hint, self.submits_in_flight + self.polls_in_flight);
    }

    fn accept(
        &mut self,
        slot: Slot,
        (sent, at): Trip,
        id: WorkId,
        poll_url: PollUrl,
        at_once: Option<Terminal>,
    ) {
        let has_id = !id.0.is_empty();
        self.works.name(slot, id);
        if has_id {
            self.note_id(slot.index, at);
        }
        let is_foreign = matches!(poll_url, PollUrl::Foreign(_));
        match poll_url {
            PollUrl::FromProfile => {}
            PollUrl::Given(url) => self.works.direct(slot, url),
            PollUrl::Foreign(_) => self.recorder.count(Anomaly::ForeignPollUrl.into()),
        }
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        work.accepted = MaybeTick::at(at);
        self.recorder.count(Count::Accepted);
        self.recorder
            .record(Metric::AcceptLatency, at.since(work.intended));
        let service_time = at.since(sent);
        self.recorder
            .record(Metric::AcceptServiceTime, service_time);
        if self.closed_loop.hears(slot) {
            self.recorder.count(Count::ClosedLoopAccepts);
            self.recorder
                .record(Metric::ClosedLoopLatency, service_time);
        }
        self.submitting -= 1;
        self.backlog.enter(at);
        let is_sync = at_once.is_some();
        match at_once {
            Some(terminal) => self.end(slot, (sent, at), terminal, Source::Sync, is_foreign),
            None => self.follow(slot, at, is_foreign),
        }
        if !is_sync {
            self.await_callback(slot, at);
        }
    }

    fn refuse(
        &mut self,
        slot: Slot,
        (sent, at): Trip,
        status: u16,
        body: Box<str>,
        hint: &RateHint,
    ) {
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        let mut event = Event::Refused;
        if status == 429 || (status == 503 && hint.retry_after.is_some()) {
            // So far each of them has led to a retry.
            let retries = work.rate_limited;
            work.rate_limited += 1;
            if retries < self.plan.submit.retries && at < self.drain_end {
                event = Event::RefusedForNow;
            }
            self.recorder.count(Count::RateLimited);
            self.recorder.count(Count::RateLimitedSubmits);
            self.throttled(sent, at, hint);
        }
        let Some(work) = self.works.get_mut(slot) else {
            return;
        };
        match next(work.stage(), event) {
            Next::Retry => {
                work.enter(Stage::Retrying);
                let due = at + hint.retry_after.unwrap_or(RETRY_UNSAID);
                self.timers.set(due, slot.index);
            }
            Next::Settle(outcome) => {
                self.recorder.count(Count::Rejected);
                self.closed_loop.hears(slot);
                self.submitting -= 1;
                let seq = work.seq;
                self.leave(slot, outcome, None, Some(body));
                self.works.remove(slot);
                self.await_no_callback(seq);
            }
            _ => {}
        }
    }

    fn fail(&mut self, slot: Slot, fault: Fault, maybe_accepted: bool, detail: Box<str>) {
        let Some(work) = self.works.get(slot) else {
            return;
        };
        let seq = work.seq;
        let Next::Settle(outcome) = next(work.stage(), Event::Unanswered) else {
            return;
        };
        self.recorder.count(Count::IntakeFailed);
        if maybe_accepted {
            self.recorder.count(Count::MaybeAccepted);
        }
        self.closed_loop.hears(slot);
        self.submitting -= 1;
        if let Some(row) = self.leave(slot, outcome, None, Some(detail)) {
            row.fault = Some(fault);
            row.maybe_accepted = maybe_accepted;
        }
        self.works.remove(slot);
        self.await_no_callback(seq);
    }
}
