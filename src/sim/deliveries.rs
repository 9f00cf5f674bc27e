//! `Deliveries`: the calls of the service when works end, attempt by attempt.
//!
//! What becomes of the delivery of the n-th work (whether it is dropped, made twice, or held back)
//! is a function of the seed and n. An attempt that is not answered 2xx is made again by the
//! schedule of retries; 410 ends them. A delivery that waits takes 64 bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::draw;
use crate::random::{Purpose, stream, unit};
use crate::scenario::SimCallback;
use crate::time::{Span, Tick};
use crate::work::Ending;

const DELIVERIES: Purpose = Purpose::named("deliveries");

/// One attempt to tell somebody of the end of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// Whom the end is told to, as they said when they submitted.
    pub caller: u64,
    /// The number of the work.
    pub work: u64,
    /// The number of the work whose id it has.
    pub(super) named: u64,
    /// When it ended.
    pub ended: Tick,
    /// How.
    pub ending: Ending,
    /// Which attempt of its delivery, from 1.
    pub number: u32,
    /// 0, or 1 of a delivery that is made a second time.
    pub copy: u32,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// An HTTP status, and after how many seconds it asks to be called again.
    Answered(u16, Option<u64>),
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke.
    Broken,
}

impl Received {
    /// As the truth file has it: the status, `timeout` or `broken`.
    pub fn word(self) -> String {
        match self {
            Self::Answered(status, _) => status.to_string(),
            Self::TimedOut => "timeout".to_owned(),
            Self::Broken => "broken".to_owned(),
        }
    }
}

/// An attempt that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Which.
    pub attempt: Attempt,
    /// When it left.
    pub at: Tick,
    /// What came of it; none if nothing had when the books were closed.
    pub received: Option<Received>,
}

/// An attempt on the wire: its place in the log, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// What is told.
    pub attempt: Attempt,
    line: usize,
}

const _: () = assert!(size_of::<(Tick, u64, Attempt)>() == 64);
const _: () = assert!(size_of::<Made>() == 80);

/// The calls of one service.
#[derive(Debug)]
pub(super) struct Deliveries {
    plan: SimCallback,
    seed: u64,
    /// By the instant at which each is to leave; the order breaks ties.
    due: BinaryHeap<Reverse<(Tick, u64, Attempt)>>,
    order: u64,
    on_wire: u32,
    /// None where nobody asks for the truth.
    log: Option<Vec<Made>>,
}

impl Deliveries {
    pub(super) fn new(plan: &SimCallback, seed: u64) -> Self {
        Self {
            plan: plan.clone(),
            seed,
            due: BinaryHeap::new(),
            order: 0,
            on_wire: 0,
            log: Some(Vec::new()),
        }
    }

    /// Keeps no log from now on.
    pub(super) fn forget(&mut self) {
        self.log = None;
    }

    /// A work will end: its delivery is planned, if there is to be one.
    pub(super) fn plan(&mut self, attempt: Attempt) {
        let mut chance = stream(self.seed, DELIVERIES, attempt.work);
        let [drops, repeats, reorders] = [(); 3].map(|()| unit(&mut chance));
        if drops < self.plan.drop_ratio {
            return;
        }
        let held = draw(&self.plan.reorder_delay, &mut chance);
        let copies = 1 + u32::from(repeats < self.plan.duplicate_ratio);
        for copy in 0..copies {
            let mut at = attempt.ended + draw(&self.plan.delay, &mut chance);
            if reorders < self.plan.reorder_ratio {
                at = at + held;
            }
            self.put(at, Attempt { copy, ..attempt });
        }
    }

    fn put(&mut self, at: Tick, attempt: Attempt) {
        self.order += 1;
        self.due.push(Reverse((at, self.order, attempt)));
    }

    fn has_room(&self) -> bool {
        self.plan.concurrency == 0 || self.on_wire < self.plan.concurrency
    }

    /// When the next attempt leaves, if nothing happens before.
    pub(super) fn next(&self) -> Tick {
        match self.due.peek() {
            Some(Reverse((at, ..))) if self.has_room() => *at,
            _ => Tick::NEVER,
        }
    }

    /// An attempt that leaves now.
    pub(super) fn take(&mut self, now: Tick) -> Option<Sending> {
        if self.next() > now {
            return None;
        }
        let Reverse((_, _, attempt)) = self.due.pop()?;
        self.on_wire += 1;
        let line = self.log.as_ref().map_or(0, Vec::len);
        if let Some(log) = &mut self.log {
            log.push(Made {
                attempt,
                at: now,
                received: None,
            });
        }
        Some(Sending { attempt, line })
    }

    /// What came of an attempt, known at `now`.
    pub(super) fn heard(&mut self, now: Tick, sending: Sending, received: Received) {
        self.on_wire -= 1;
        if let Some(made) = self.log.as_mut().and_then(|log| log.get_mut(sending.line)) {
            made.received = Some(received);
        }
        let asked = match received {
            Received::Answered(200..300 | 410, _) => return,
            Received::Answered(_, asked) => asked.map_or(Span::ZERO, Span::from_secs),
            Received::TimedOut | Received::Broken => Span::ZERO,
        };
        let attempt = sending.attempt;
        let Some(gap) = self.plan.retries.get(attempt.number as usize - 1) else {
            return;
        };
        let number = attempt.number + 1;
        self.put(now + (*gap).max(asked), Attempt { number, ..attempt });
    }

    pub(super) fn into_log(self) -> Vec<Made> {
        self.log.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Law;

    fn secs(seconds: u64) -> Tick {
        Tick::ZERO + Span::from_secs(seconds)
    }

    fn attempt(work: u64) -> Attempt {
        Attempt {
            caller: work,
            work,
            named: work,
            ended: secs(10),
            ending: Ending::Completed,
            number: 1,
            copy: 0,
        }
    }

    fn deliveries(plan: &SimCallback, works: u64) -> Deliveries {
        let mut deliveries = Deliveries::new(plan, 5);
        (0..works).for_each(|work| deliveries.plan(attempt(work)));
        deliveries
    }

    #[test]
    fn retries_follow_the_schedule_until_it_ends() {
        let plan = SimCallback {
            retries: vec![Span::from_secs(5), Span::from_secs(60)],
            ..SimCallback::faultless()
        };
        let check = |received: &[Received], left: &[u64]| {
            let mut deliveries = deliveries(&plan, 1);
            let mut seen = Vec::new();
            for received in received {
                let at = deliveries.next();
                let Some(sending) = deliveries.take(at) else {
                    break;
                };
                seen.push(at);
                deliveries.heard(at + Span::from_secs(1), sending, *received);
            }
            assert_eq!(deliveries.next(), Tick::NEVER, "{received:?}");
            let left: Vec<Tick> = left.iter().map(|at| secs(*at)).collect();
            assert_eq!(seen, left, "{received:?}");
        };
        let busy = Received::Answered(503, None);
        let done = Received::Answered(204, None);
        check(&[done], &[10]);
        check(&[busy, done], &[10, 16]);
        check(
            &[Received::TimedOut, Received::Broken, busy, busy],
            &[10, 16, 77],
        );
        check(&[Received::Answered(410, None), busy], &[10]);
        check(&[Received::Answered(302, None), done], &[10, 16]);
        // Whoever asks for more time gets it.
        check(&[Received::Answered(429, Some(20)), done], &[10, 31]);
    }

    #[test]
    fn no_more_are_on_the_wire_than_the_sender_has_places() {
        let plan = SimCallback {
            concurrency: 3,
            ..SimCallback::faultless()
        };
        let mut deliveries = deliveries(&plan, 5);
        let now = secs(10);
        let sent: Vec<Sending> = std::iter::from_fn(|| deliveries.take(now)).collect();
        assert_eq!(sent.len(), 3);
        assert_eq!(deliveries.next(), Tick::NEVER);
        let done = Received::Answered(200, None);
        deliveries.heard(secs(11), sent[0], done);
        assert_eq!(
            deliveries.take(secs(11)).map(|sent| sent.attempt.work),
            Some(3)
        );
        let log = deliveries.into_log();
        assert_eq!(log.len(), 4);
        assert_eq!((log[0].received, log[3].at), (Some(done), secs(11)));
    }

    /// Four standard deviations of a binomial count.
    fn near(count: usize, ratio: f64) {
        let (n, count) = (20_000.0, f64::from(u32::try_from(count).unwrap()));
        let width = 4.0 * (n * ratio * (1.0 - ratio)).sqrt();
        assert!(
            (count - n * ratio).abs() < width,
            "{count} of {n} for {ratio}"
        );
    }

    #[test]
    fn ratios_are_kept_and_repeat_themselves() {
        let plan = SimCallback {
            drop_ratio: 0.1,
            duplicate_ratio: 0.2,
            reorder_ratio: 0.3,
            reorder_delay: Law::Fixed(Span::from_secs(7)),
            ..SimCallback::faultless()
        };
        let all = || {
            let mut deliveries = deliveries(&plan, 20_000);
            let taken: Vec<(Tick, Attempt)> = std::iter::from_fn(|| {
                let at = deliveries.next();
                deliveries.take(at).map(|sent| (at, sent.attempt))
            })
            .collect();
            taken
        };
        let taken = all();
        let first = || taken.iter().filter(|(_, attempt)| attempt.copy == 0);
        near(20_000 - first().count(), 0.1);
        near(taken.len() - first().count(), 0.9 * 0.2);
        near(first().filter(|(at, _)| *at == secs(17)).count(), 0.9 * 0.3);
        assert_eq!(taken, all());
    }
}
