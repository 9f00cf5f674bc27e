//! The service itself: what it does with a request at an instant.

use super::answer::{Answer, Kind, Refusal, Said, Taken, Word};
use super::calendar::Calendar;
use super::chance::{Chance, Trouble};
use super::deliveries::{Attempt, Deliveries, Received, Sending};
use super::http_answer::LimitState;
use super::life::{Ids, Life};
use super::limiter::{Limiter, whole_seconds};
use super::truth::{Books, LastAnswer, Truth, Work};
use super::works::Works;
use crate::scenario::{RateScope, SimPlan};
use crate::time::{Span, Tick};
use crate::work::{Ending, ServiceTime};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

/// What the clock of the service shows when it starts, in microseconds since the Unix epoch: any
/// clock will do, as nobody but the service can read it.
const CLOCK_AT_START: u64 = 1_750_000_000_123_457;

/// The simulated service. It never looks at a clock: each call is told the time, which must not run
/// backwards (an earlier instant is taken as the latest one told).
#[derive(Debug)]
pub struct Service {
    plan: SimPlan,
    seed: u64,
    key: Option<Key>,
    ids: Ids,
    stalls: Calendar,
    refusals: Calendar,
    limiter: Option<Limiter>,
    /// When each worker that has been used is free again.
    free_at: BinaryHeap<Reverse<Tick>>,
    works: Works,
    forgets: bool,
    /// Its calls are noted down.
    logs: bool,
    books: Books,
    /// Where it calls when works end.
    deliveries: Option<Deliveries>,
    latest: Tick,
}

/// A key that cannot be printed.
struct Key(Box<str>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Service {
    /// A service that has not yet seen a request. Without `key` it accepts any that begins with
    /// `user.` or `team.`.
    pub fn new(plan: &SimPlan, seed: u64, key: Option<String>) -> Self {
        Self {
            seed,
            key: key.map(|key| Key(key.into())),
            ids: Ids::new(seed),
            stalls: Calendar::new(&plan.stalls),
            refusals: Calendar::new(&plan.refusals),
            limiter: plan.rate_limit.map(Limiter::new),
            free_at: BinaryHeap::new(),
            works: Works::default(),
            forgets: false,
            logs: true,
            books: Books::default(),
            deliveries: None,
            latest: Tick::ZERO,
            plan: plan.clone(),
        }
    }

    /// The same service, for nobody who asks for its truth afterwards: it answers alike, and of
    /// works it holds 40 bytes for each that was taken since the oldest one whose time is not over.
    /// Where works take their end back, or their ends have stamps, it must hold them all.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.forget();
        }
        Self {
            logs: false,
            forgets: self.plan.revert_ratio <= 0.0 && self.plan.finished_at.is_none(),
            ..self
        }
    }

    /// The same service, which calls back when a work ends whose submit names a caller.
    #[must_use]
    pub fn calling(self) -> Self {
        let mut deliveries = Deliveries::new(&self.plan.callback, self.seed);
        if !self.logs {
            deliveries.forget();
        }
        Self {
            deliveries: Some(deliveries),
            ..self
        }
    }

    /// When it calls next, if nothing happens before.
    pub fn next_call(&self) -> Tick {
        self.deliveries
            .as_ref()
            .map_or(Tick::NEVER, Deliveries::next)
    }

    /// A call that leaves now; what came of it is to be told with [`Service::heard`].
    pub fn take_call(&mut self, now: Tick) -> Option<Sending> {
        self.deliveries.as_mut()?.take(now)
    }

    /// What came of a call, known at `now`.
    pub fn heard(&mut self, now: Tick, sending: Sending, received: Received) {
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.heard(now, sending, received);
        }
    }

    /// What a call says of its work: the id, and when it ended by the clock of the service, where
    /// it says so.
    pub fn told_by(&self, attempt: &Attempt) -> (String, Option<ServiceTime>) {
        let finished = self.plan.finished_at.map(|to| shown(attempt.ended, to));
        (self.ids.name(attempt.named), finished)
    }

    /// The same as the body of a call: JSON, the id and what a poll would say.
    pub fn call_body(&self, attempt: &Attempt) -> String {
        let (work_id, finished) = self.told_by(attempt);
        let word = match attempt.ending {
            Ending::Completed => Word::Completed,
            Ending::Failed => Word::Failed,
        };
        word.call_body(&work_id, finished)
    }

    /// Whether this bearer token opens the service.
    pub fn authorize(&self, bearer: Option<&str>) -> bool {
        let Some(bearer) = bearer else { return false };
        match &self.key {
            Some(key) => *key.0 == *bearer,
            None => bearer.starts_with("user.") || bearer.starts_with("team."),
        }
    }

    /// The intake that it serves.
    pub fn intake_id(&self) -> &str {
        &self.plan.intake_id
    }

    /// The number of the work that has this ticket; none of a text that is no ticket of its own.
    pub(super) fn number(&self, work_id: &str) -> Option<u64> {
        self.ids.number(work_id)
    }

    /// What it has counted so far.
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// A work is submitted.
    ///
    /// In this order: a reset before, the rate limit, an internal error, the taking, a reset after,
    /// garbage. What comes before the taking takes nothing, and what comes before the rate limit
    /// uses no token.
    pub fn submit(&mut self, now: Tick) -> Answer<Taken> {
        self.submit_for(now, None)
    }

    /// The same for a caller who is to be called when the work ends: any number that leads to them.
    pub fn submit_for(&mut self, now: Tick, caller: Option<u64>) -> Answer<Taken> {
        let at = self.served_at(now);
        let n = self.books.requests(Kind::Submit);
        let chance = Chance::of(&self.plan, self.seed, Kind::Submit, n);
        let said = if chance.trouble == Some(Trouble::ResetBefore) {
            Said::Reset { taken: false }
        } else if let Err(retry_after_s) = self.admit(Kind::Submit, at) {
            Said::Refused(Refusal::Throttled { retry_after_s })
        } else if chance.trouble == Some(Trouble::Internal) {
            Said::Refused(Refusal::Internal)
        } else {
            let work_id = self.take(at, caller);
            match chance.trouble {
                Some(Trouble::ResetAfter) => Said::Reset { taken: true },
                Some(Trouble::Garbage) => Said::Garbage,
                _ => Said::Granted(Taken { work_id }),
            }
        };
        self.answer(Kind::Submit, at, chance.delay, said)
    }

    /// Somebody asks how a work is getting on: as it is when the request is served, even if the
    /// answer is delayed.
    pub fn poll(&mut self, now: Tick, work_id: &str) -> Answer<Word> {
        let at = self.served_at(now);
        let n = self.books.requests(Kind::Poll);
        let chance = Chance::of(&self.plan, self.seed, Kind::Poll, n);
        let said = if let Err(retry_after_s) = self.admit(Kind::Poll, at) {
            Said::Refused(Refusal::Throttled { retry_after_s })
        } else if chance.trouble == Some(Trouble::Internal) {
            Said::Refused(Refusal::Internal)
        } else {
            self.look_up(at, work_id, chance.trouble == Some(Trouble::Garbage))
        };
        let finished = match said {
            Said::Granted(Word::Completed | Word::Failed) => self.finished_at(work_id),
            _ => None,
        };
        let is_open = matches!(said, Said::Granted(Word::Pending | Word::Running));
        let ask_again_s = u64::from(self.plan.retry_after_s);
        Answer {
            finished,
            ask_again_s: (is_open && ask_again_s > 0).then_some(ask_again_s),
            ..self.answer(Kind::Poll, at, chance.delay, said)
        }
    }

    /// When a work that has ended did so, as the clock of the service tells it.
    fn finished_at(&mut self, work_id: &str) -> Option<ServiceTime> {
        let resolution = self.plan.finished_at?;
        let number = self.ids.number(work_id)?;
        let terminal = self.works.get_mut(number)?.terminal;
        Some(shown(terminal, resolution))
    }

    /// A request that is refused for what it is, whatever the state of the service. It takes no
    /// token, and waits for the end of a stall like any other.
    pub fn refuse<T>(&mut self, now: Tick, kind: Kind, refusal: Refusal) -> Answer<T> {
        let at = self.served_at(now);
        self.answer(kind, at, Span::ZERO, Said::Refused(refusal))
    }

    /// Closes the books at `now`.
    ///
    /// # Panics
    /// If it is [`Service::forgetful`], and has forgotten a work.
    pub fn close(self, now: Tick) -> Truth {
        let calls = self.deliveries.map_or_else(Vec::new, Deliveries::into_log);
        Truth::new(self.works.into_all(), self.ids, self.books, calls, now)
    }

    /// When a request that comes in now is served: at once, or at the end of the stall.
    fn served_at(&mut self, now: Tick) -> Tick {
        self.latest = self.latest.max(now);
        self.stalls.end_at(self.latest).unwrap_or(self.latest)
    }

    /// Lets a request pass the window of refusals and the rate limit, or says for how many seconds
    /// it should wait.
    fn admit(&mut self, kind: Kind, at: Tick) -> Result<(), u64> {
        if let Some(end) = self.refusals.end_at(at) {
            return Err(whole_seconds(end.since(at)));
        }
        match &mut self.limiter {
            Some(limiter) if counts(self.plan.rate_scope, kind) => {
                limiter.take(at).map_err(whole_seconds)
            }
            _ => Ok(()),
        }
    }

    /// Takes a work: its whole life is known from here on.
    fn take(&mut self, at: Tick, caller: Option<u64>) -> String {
        let n = self.works.taken();
        let life = Life::of(&self.plan, self.seed, n);
        let workers = usize::try_from(self.plan.workers).unwrap_or(usize::MAX);
        let started = if workers == 0 || self.free_at.len() < workers {
            at
        } else {
            let Reverse(first_free) = self.free_at.pop().expect("there is at least one worker");
            at.max(first_free)
        };
        let terminal = started + life.service_time;
        if workers > 0 {
            self.free_at.push(Reverse(terminal));
        }
        let repeats = match self.works.last() {
            Some(before) if life.repeats_id => before.repeats + 1,
            _ => 0,
        };
        if let (Some(deliveries), Some(caller)) = (&mut self.deliveries, caller)
            && !life.endless
            && !life.lost
        {
            deliveries.plan(Attempt {
                caller,
                work: n,
                named: n - u64::from(repeats),
                ended: terminal,
                ending: if life.fails {
                    Ending::Failed
                } else {
                    Ending::Completed
                },
                number: 1,
                copy: 0,
            });
        }
        if self.forgets {
            let visible_after = self.plan.visible_after;
            self.works
                .forget(|work| work.is_over(self.latest, visible_after));
        }
        self.works
            .push(Work::new(at, started, terminal, repeats, life));
        self.ids.name(n - u64::from(repeats))
    }

    /// The state of a work, and the note of having told it. Garbage tells nothing.
    fn look_up(&mut self, at: Tick, work_id: &str, garbage: bool) -> Said<Word> {
        let unknown = Said::Refused(Refusal::UnknownWork);
        let Some(number) = self.ids.number(work_id) else {
            return unknown;
        };
        let Some(work) = self.works.get_mut(number) else {
            let is_forgotten = self.works.has_forgotten(number);
            let life = is_forgotten.then(|| Life::of(&self.plan, self.seed, number));
            return match life.and_then(|life| life.last_word()) {
                Some(_) if garbage => Said::Garbage,
                Some(word) => Said::Granted(word),
                None => unknown,
            };
        };
        // The name of a work that was given another's id was never told to anybody. A work that
        // waits for the end of a stall is not there yet.
        if work.repeats > 0 || at < work.accepted {
            return unknown;
        }
        work.polls += 1;
        if at < work.accepted + self.plan.visible_after || work.lost_at().is_some_and(|t| t <= at) {
            work.last_answer = LastAnswer::NotFound;
            return unknown;
        }
        if garbage {
            return Said::Garbage;
        }
        let word = work.tell(at);
        work.last_answer = LastAnswer::Word(word);
        Said::Granted(word)
    }

    fn answer<T>(&mut self, kind: Kind, at: Tick, delay: Span, said: Said<T>) -> Answer<T> {
        self.books.count(kind, &said);
        let limited = counts(self.plan.rate_scope, kind);
        let mut limit = self
            .limiter
            .as_ref()
            .filter(|_| limited)
            .map(|limiter| limiter.state(at));
        if let (Some(limit), Said::Refused(Refusal::Throttled { retry_after_s })) =
            (&mut limit, &said)
        {
            // In a window of refusals the bucket may be full: a 429 must not invite anybody.
            let reset_s = limit.reset_s.max(*retry_after_s);
            *limit = LimitState {
                remaining: 0,
                reset_s,
                ..*limit
            };
        }
        let at = match said {
            Said::Reset { .. } => at,
            _ => at + delay,
        };
        Answer {
            at,
            said,
            limit,
            ask_again_s: None,
            finished: None,
        }
    }
}

/// What the clock of the service shows at an instant, to a resolution.
fn shown(at: Tick, resolution: Span) -> ServiceTime {
    let shown = CLOCK_AT_START + at.0 / 1_000;
    let resolution = resolution.micros().max(1);
    ServiceTime(i64::try_from(shown - shown % resolution).unwrap_or(i64::MAX))
}

/// Whether the bucket counts requests of this kind.
const fn counts(scope: RateScope, kind: Kind) -> bool {
    match kind {
        Kind::Submit => matches!(scope, RateScope::Submit | RateScope::Both),
        Kind::Poll => matches!(scope, RateScope::Poll | RateScope::Both),
    }
}

#[cfg(test)]
mod tests;
