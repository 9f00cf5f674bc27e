//! The service itself: what it does with a request at an instant.

use super::answer::{Answer, Kind, Refusal, Said, Taken, Word};
use super::calendar::Calendar;
use super::chance::{Chance, Trouble};
use super::http_answer::LimitState;
use super::life::{Ids, Life};
use super::limiter::{Limiter, whole_seconds};
use super::truth::{Books, LastAnswer, Truth, Work};
use super::works::Works;
use crate::scenario::{RateScope, SimPlan};
use crate::time::{Span, Tick};
use crate::work::ServiceTime;
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
    books: Books,
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
            books: Books::default(),
            latest: Tick::ZERO,
            plan: plan.clone(),
        }
    }

    /// The same service, for nobody who asks for its truth afterwards: it answers alike, and of
    /// works it holds 40 bytes for each that was taken since the oldest one whose time is not over.
    /// Where works take their end back, or their ends have stamps, it must hold them all.
    #[must_use]
    pub fn forgetful(self) -> Self {
        Self {
            forgets: self.plan.revert_ratio <= 0.0 && self.plan.finished_at.is_none(),
            ..self
        }
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
            let work_id = self.take(at);
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
        let resolution = (self.plan.finished_at?.micros()).max(1);
        let number = self.ids.number(work_id)?;
        let terminal = self.works.get_mut(number)?.terminal;
        let shown = CLOCK_AT_START + terminal.0 / 1_000;
        Some(ServiceTime(
            i64::try_from(shown - shown % resolution).unwrap_or(i64::MAX),
        ))
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
        Truth::new(self.works.into_all(), self.ids, self.books, now)
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
    fn take(&mut self, at: Tick) -> String {
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

/// Whether the bucket counts requests of this kind.
const fn counts(scope: RateScope, kind: Kind) -> bool {
    match kind {
        Kind::Submit => matches!(scope, RateScope::Submit | RateScope::Both),
        Kind::Poll => matches!(scope, RateScope::Poll | RateScope::Both),
    }
}

#[cfg(test)]
mod tests {
    use super::super::truth::Answered;
    use super::*;
    use crate::random::{Purpose, Rng, stream};
    use crate::scenario::{Bucket, Law, Rate, Window};
    use crate::sim::quiet_plan;

    fn secs(seconds: u64) -> Tick {
        Tick::ZERO + Span::from_secs(seconds)
    }

    fn window(at: u64, length: u64) -> Window {
        Window {
            at: Span::from_secs(at),
            length: Span::from_secs(length),
        }
    }

    fn take(service: &mut Service, now: Tick) -> String {
        match service.submit(now).said {
            Said::Granted(taken) => taken.work_id,
            other => panic!("not taken: {other:?}"),
        }
    }

    fn word(service: &mut Service, now: Tick, id: &str) -> Option<Word> {
        match service.poll(now, id).said {
            Said::Granted(word) => Some(word),
            Said::Refused(Refusal::UnknownWork) => None,
            other => panic!("no word: {other:?}"),
        }
    }

    /// Submits a work at 0 s into a service of one worker that needs 10 s, after one that keeps the
    /// worker busy until 10 s, and polls it at each instant.
    fn check(plan: &SimPlan, polls: &[(u64, Option<Word>)]) {
        let service_time = Law::Fixed(Span::from_secs(10));
        let plan = SimPlan {
            workers: 1,
            service_time,
            ..plan.clone()
        };
        let mut service = Service::new(&plan, 5, None);
        take(&mut service, Tick::ZERO);
        let id = take(&mut service, Tick::ZERO);
        for (at, expected) in polls {
            assert_eq!(word(&mut service, secs(*at), &id), *expected, "at {at} s");
        }
    }

    #[test]
    fn a_work_goes_through_its_states() {
        use Word::{Completed, Failed, Pending, Running};
        let quiet = quiet_plan();
        check(
            &quiet,
            &[
                (0, Some(Pending)),
                (9, Some(Pending)),
                (10, Some(Running)),
                (19, Some(Running)),
                (20, Some(Completed)),
                (99, Some(Completed)),
            ],
        );
        let fails = SimPlan {
            fail_ratio: 1.0,
            ..quiet.clone()
        };
        check(&fails, &[(19, Some(Running)), (20, Some(Failed))]);
        let endless = SimPlan {
            endless_ratio: 1.0,
            ..quiet.clone()
        };
        check(
            &endless,
            &[
                (5, Some(Pending)),
                (10, Some(Running)),
                (9_999, Some(Running)),
            ],
        );
        let lost = SimPlan {
            lose_ratio: 1.0,
            ..quiet.clone()
        };
        check(&lost, &[(9, Some(Pending)), (10, None), (20, None)]);
        let late = SimPlan {
            visible_after: Span::from_secs(3),
            ..quiet.clone()
        };
        check(&late, &[(0, None), (2, None), (3, Some(Pending))]);
        let reverts = SimPlan {
            revert_ratio: 1.0,
            ..quiet
        };
        check(
            &reverts,
            &[
                (20, Some(Completed)),
                (21, Some(Running)),
                (22, Some(Completed)),
                (23, Some(Completed)),
            ],
        );
    }

    #[test]
    fn a_repeated_id_tells_of_the_first_work_that_has_it() {
        let plan = SimPlan {
            repeat_id_ratio: 1.0,
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 5, None);
        let first = take(&mut service, Tick::ZERO);
        assert_eq!(take(&mut service, secs(5)), first);
        assert_eq!(take(&mut service, secs(6)), first);
        assert_eq!(word(&mut service, secs(6), &first), Some(Word::Completed));
        let hidden = service.ids.name(1);
        assert_eq!(word(&mut service, secs(6), &hidden), None);
        let rows: Vec<_> = service.close(secs(6)).rows().collect();
        assert!(rows.iter().all(|row| row.work_id == first));
        assert_eq!(
            rows.iter().map(|row| row.polls).collect::<Vec<_>>(),
            [1, 0, 0]
        );
    }

    #[test]
    fn a_stall_holds_requests_and_serves_them_at_its_end() {
        let plan = SimPlan {
            stalls: vec![window(10, 2)],
            accept_delay: Law::Fixed(Span::from_secs(1)),
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 5, None);
        assert_eq!(service.submit(secs(9)).at, secs(10));
        assert_eq!(service.submit(secs(10)).at, secs(13));
        assert_eq!(service.submit(secs(11)).at, secs(13));
        assert_eq!(service.poll(secs(11), "work_0").at, secs(12));
        let refused: Answer<Taken> = service.refuse(secs(11), Kind::Submit, Refusal::Unauthorized);
        assert_eq!(refused.at, secs(12));
        assert_eq!(service.submit(secs(12)).at, secs(13));
        // What waits for the end of a stall has not been taken yet.
        assert_eq!(service.close(secs(11)).rows().count(), 1);
    }

    #[test]
    fn refusals_refuse_everything_and_take_no_token() {
        let rate = Rate {
            count: 1,
            per: Span::from_secs(1),
        };
        let plan = SimPlan {
            refusals: vec![window(10, 3)],
            rate_limit: Some(Bucket { rate, burst: 5 }),
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 5, None);
        for _ in 0..20 {
            let answer = service.submit(secs(10) + Span(1));
            assert_eq!(
                answer.said,
                Said::Refused(Refusal::Throttled { retry_after_s: 3 })
            );
            let limit = answer.limit.unwrap();
            assert_eq!((limit.remaining, limit.reset_s), (0, 3));
        }
        assert_eq!(service.submit(secs(13)).limit.unwrap().remaining, 4);
    }

    #[test]
    fn the_scope_says_what_the_bucket_counts() {
        let rate = Rate {
            count: 1,
            per: Span::from_secs(60),
        };
        let check = |rate_scope, submits: u64, polls: u64| {
            let rate_limit = Some(Bucket { rate, burst: 3 });
            let plan = SimPlan {
                rate_limit,
                rate_scope,
                ..quiet_plan()
            };
            let mut service = Service::new(&plan, 5, None);
            for _ in 0..5 {
                service.submit(Tick::ZERO);
                service.poll(Tick::ZERO, "work_0");
            }
            let throttled = |kind| service.books().answered(kind, Answered::Throttled);
            assert_eq!(
                (throttled(Kind::Submit), throttled(Kind::Poll)),
                (submits, polls)
            );
        };
        check(RateScope::Submit, 2, 0);
        check(RateScope::Poll, 0, 2);
        check(RateScope::Both, 3, 4);
    }

    #[test]
    fn lives_do_not_depend_on_what_is_asked_or_when() {
        let plan = SimPlan {
            service_time: Law::Exponential(Span::from_secs(1)),
            fail_ratio: 0.3,
            ..quiet_plan()
        };
        let lives = |gap: u64, polls: bool| -> Vec<_> {
            let mut service = Service::new(&plan, 5, None);
            for n in 0..200 {
                let id = take(&mut service, Tick(n * gap));
                if polls {
                    service.poll(Tick(n * gap), &id);
                }
            }
            let rows = service.close(secs(10_000)).rows().collect::<Vec<_>>();
            let length = |row: &super::super::TruthRow| row.terminal.unwrap().since(row.accepted);
            rows.iter()
                .map(|row| (row.work_id.clone(), row.state, length(row)))
                .collect()
        };
        assert_eq!(lives(1, false), lives(1_000_000, true));
    }

    #[test]
    fn a_forgetful_service_answers_alike_and_holds_only_what_lasts() {
        let plan = SimPlan {
            workers: 50,
            service_time: Law::Exponential(Span::from_secs(1)),
            fail_ratio: 0.3,
            endless_ratio: 0.2,
            lose_ratio: 0.2,
            repeat_id_ratio: 0.2,
            garbage_ratio: 0.2,
            visible_after: Span::from_millis(500),
            stalls: vec![window(5, 1)],
            ..quiet_plan()
        };
        let mut whole = Service::new(&plan, 5, None);
        let mut forgetful = Service::new(&plan, 5, None).forgetful();
        let mut rng = stream(6, Purpose::named("test"), 0);
        let mut ids = vec![whole.ids.name(4_000)];
        let mut most = 0;
        for step in 0..8_000_u64 {
            let now = Tick(step * 25_000_000);
            let answer = whole.submit(now);
            assert_eq!(forgetful.submit(now), answer);
            if let Said::Granted(taken) = answer.said {
                ids.push(taken.work_id);
            }
            let old = usize::try_from(rng.next_u64()).unwrap() % ids.len();
            for id in [&ids[old], &ids[ids.len() - 1]] {
                assert_eq!(
                    forgetful.poll(now, id),
                    whole.poll(now, id),
                    "{id} at {now}"
                );
            }
            most = most.max(forgetful.works.held());
        }
        // The longest of 8,000 exponential times of a second in the mean is about ln(8000) = 9 s;
        // 40 works come in a second.
        assert!((40..1_000).contains(&most), "{most} works held");
        assert_eq!(forgetful.works.taken(), whole.works.taken());
        assert_eq!(forgetful.books(), whole.books());
    }

    #[test]
    fn keys_are_checked_and_never_shown() {
        let check = |key: Option<&str>, bearer, opens| {
            let service = Service::new(&quiet_plan(), 1, key.map(str::to_owned));
            assert_eq!(service.authorize(bearer), opens, "{key:?} {bearer:?}");
            assert!(!format!("{service:?}").contains("s3cret"));
        };
        check(None, Some("user.x"), true);
        check(None, Some("team.x"), true);
        check(None, Some("admin.x"), false);
        check(None, None, false);
        check(Some("user.s3cret"), Some("user.s3cret"), true);
        check(Some("user.s3cret"), Some("user.s3cre"), false);
        check(Some("user.s3cret"), None, false);
    }
}
