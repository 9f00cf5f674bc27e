//! What the service said about rates: the gate that a 429 closes, and the pace above the ceilings.
//!
//! A 429 closes one gate for all. Many of them that belong to one round trip are one event. When
//! the gate opens, requests leave at 0.7 of the rate that was measured when it closed, growing
//! along the cubic of RFC 9438, section 4.2 (with the constants of AWS's adaptive retry). The pace
//! is dropped when it is above twice the measured rate and nobody waits for it: dropped any sooner,
//! it would let all go at once that have waited. Headers that announce what remains set a pace of
//! their own, where the scenario says `learn = true`.

use crate::time::{NANOS_PER_SECOND, Span, Tick};
use crate::work::RateHint;

/// How long the gate stays closed when the service does not say.
const UNSAID: Span = Span::from_secs(1);
/// The share of the measured rate with which requests leave after a closure.
const REDUCED: f64 = 0.7;
/// How steep the cubic of the recovery is for all shards together, in requests per second to the
/// fourth.
const STEEPNESS: f64 = 0.4;
/// A turn that nobody took for so long was not waited for.
const UNUSED: Span = Span::from_millis(100);
/// The slowest pace of all shards together, in requests per second.
const SLOWEST: f64 = 0.5;

/// Counts sends in the last ten tenths of a second that are over.
#[derive(Debug, Default)]
struct SendRate {
    slots: [u32; Self::SLOTS],
    newest: u64,
}

impl SendRate {
    const SLOTS: usize = 11;
    const LENGTH: u64 = NANOS_PER_SECOND / 10;
    /// All that is counted lies within this.
    const WINDOW: Span = Span(Self::LENGTH * Self::SLOTS as u64);

    fn advance(&mut self, now: Tick) {
        let slot = now.0 / Self::LENGTH;
        for passed in (self.newest + 1..=slot).rev().take(Self::SLOTS) {
            self.slots[Self::place(passed)] = 0;
        }
        self.newest = self.newest.max(slot);
    }

    fn place(slot: u64) -> usize {
        usize::try_from(slot % Self::SLOTS as u64).expect("below eleven")
    }

    fn sent(&mut self, now: Tick) {
        self.advance(now);
        self.slots[Self::place(self.newest)] += 1;
    }

    fn per_second(&mut self, now: Tick) -> f64 {
        self.advance(now);
        let unfinished = self.slots[Self::place(self.newest)];
        f64::from(self.slots.iter().sum::<u32>() - unfinished)
    }
}

/// The pace after a closure: `steepness x (t - plateau)^3 + measured`, where the plateau is the
/// instant at which what was measured is reached again.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    from: Tick,
    measured: f64,
    steepness: f64,
}

impl Recovery {
    /// From the start to the plateau, in seconds.
    fn plateau(self) -> f64 {
        libm::cbrt(self.measured * (1.0 - REDUCED) / self.steepness)
    }

    fn rate(self, now: Tick) -> f64 {
        let after = now.since(self.from).seconds() - self.plateau();
        self.steepness * after * after * after + self.measured
    }

    /// When the rate is twice the one that was measured when the gate closed.
    fn end(self) -> Tick {
        let after = libm::cbrt(self.measured / self.steepness);
        self.from + Span::from_secs_f64(self.plateau() + after)
    }
}

/// What remains of an announced quota.
#[derive(Clone, Copy, Debug)]
struct Announced {
    until: Tick,
    left: u64,
    gap: Span,
}

/// Why a request may not leave yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The gate is closed until then.
    Gate(Tick),
    /// The pace grants the next one then.
    Pace(Tick),
}

/// The gate and the pace of one key, as one of several shards has them: the paces of all shards sum
/// to what the pace of one would be.
#[derive(Debug, Default)]
pub struct Gate {
    learn: bool,
    shards: u32,
    closed_from: Tick,
    open_at: Tick,
    closed_before: Span,
    last_event: Option<Tick>,
    sends: SendRate,
    recovery: Option<Recovery>,
    announced: Option<Announced>,
    policy_gap: Option<Span>,
    next: Tick,
}

impl Gate {
    /// An open gate, of one of so many shards; `learn` obeys what headers announce.
    pub fn new(learn: bool, shards: u32) -> Self {
        Self {
            learn,
            shards,
            ..Self::default()
        }
    }

    /// Whether a request may leave now.
    pub fn ask(&mut self, now: Tick) -> Result<(), Hold> {
        if now < self.open_at {
            return Err(Hold::Gate(self.open_at));
        }
        let is_unused = now >= self.next + UNUSED;
        if is_unused && self.recovery.is_some_and(|recovery| now >= recovery.end()) {
            self.recovery = None;
        }
        if self
            .announced
            .is_some_and(|announced| now >= announced.until)
        {
            self.announced = None;
        }
        if let Some(Announced { left: 0, until, .. }) = self.announced {
            return Err(Hold::Pace(until));
        }
        if self.gap(now).is_some() && now < self.next {
            return Err(Hold::Pace(self.next));
        }
        Ok(())
    }

    /// The time that the pace wants between two requests.
    fn gap(&self, now: Tick) -> Option<Span> {
        let recovery = self
            .recovery
            .map(|recovery| Span::from_secs_f64(1.0 / recovery.rate(now)));
        let announced = self
            .announced
            .map(|announced| announced.gap)
            .or(self.policy_gap);
        recovery.max(announced)
    }

    /// A request leaves that had to ask; others would use up the pace of those that have to.
    pub fn sent(&mut self, now: Tick) {
        self.sends.sent(now);
        if let Some(announced) = &mut self.announced {
            announced.left = announced.left.saturating_sub(1);
        }
        if let Some(gap) = self.gap(now) {
            self.next = self.next.max(now) + gap;
        }
    }

    /// A 429 (or 503 with `Retry-After`) was read at `at`, for a request sent at `sent`. True if it
    /// is an event of its own: not one more answer of the round trip that closed the gate before,
    /// and not the answer to a request that did not ask the gate while it was closed.
    pub fn throttled(&mut self, sent: Tick, at: Tick, retry_after: Option<Span>) -> bool {
        let until = at + retry_after.unwrap_or(UNSAID);
        let is_event = sent >= self.open_at && self.last_event.is_none_or(|last| sent > last);
        let measured = self.measured(at);
        if at >= self.open_at {
            self.closed_before =
                Span(self.closed_before.0 + self.open_at.since(self.closed_from).0);
            (self.closed_from, self.open_at) = (at, until);
        } else {
            self.open_at = self.open_at.max(until);
        }
        if is_event {
            self.last_event = Some(at);
            self.recovery = Some(Recovery {
                from: self.open_at,
                measured,
                steepness: STEEPNESS / f64::from(self.shards),
            });
        } else if let Some(recovery) = &mut self.recovery {
            recovery.from = self.open_at;
        }
        self.next = self.next.max(self.open_at);
        is_event
    }

    /// The rate of those that ask, as of now. A second in which the gate was closed measures
    /// nothing: soon after it opened, the pace stands for it, but for no more than was measured
    /// before.
    fn measured(&mut self, now: Tick) -> f64 {
        let sends = self.sends.per_second(now);
        let paced = self
            .recovery
            .filter(|recovery| now < recovery.from + SendRate::WINDOW)
            .map(|recovery| recovery.rate(now).min(recovery.measured));
        let slowest = SLOWEST / REDUCED / f64::from(self.shards);
        sends.max(paced.unwrap_or(0.0)).max(slowest)
    }

    /// When it opens, or opened last.
    pub const fn open_at(&self) -> Tick {
        self.open_at
    }

    /// Headers announced what remains to all shards; `on_the_wire` requests of this one may still
    /// be counted against its part.
    pub fn announced(&mut self, at: Tick, hint: &RateHint, on_the_wire: u64) {
        if !self.learn {
            return;
        }
        if let Some(remaining) = hint.remaining {
            let left = remaining.requests / u64::from(self.shards);
            let left = left.saturating_sub(on_the_wire);
            let gap = Span(remaining.reset.0 / left.max(1));
            self.announced = Some(Announced {
                until: at + remaining.reset,
                left,
                gap,
            });
        }
        if let Some(policy) = hint.policy {
            let window = policy.window.0.saturating_mul(u64::from(self.shards));
            self.policy_gap = Some(Span(window.div_ceil(policy.quota.max(1))));
        }
    }

    /// How long the gate has been closed in all until `now`.
    pub fn closed_until(&self, now: Tick) -> Span {
        let current = now.min(self.open_at).since(self.closed_from);
        Span(self.closed_before.0 + current.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Policy, Remaining};

    fn at(millis: u64) -> Tick {
        Tick(millis * 1_000_000)
    }

    fn seconds(seconds: u64) -> Span {
        Span::from_secs(seconds)
    }

    #[test]
    fn many_answers_of_one_round_trip_are_one_event() {
        let mut gate = Gate::new(false, 1);
        for millis in 0..100 {
            gate.sent(at(millis));
        }
        assert!(gate.throttled(at(50), at(110), Some(seconds(2))));
        for late in 51..100 {
            assert!(!gate.throttled(at(late), at(111 + late), Some(seconds(2))));
        }
        assert_eq!(gate.ask(at(1_000)), Err(Hold::Gate(at(2_210))));
        assert_eq!(gate.ask(at(2_210)), Ok(()));
        assert_eq!(gate.closed_until(at(5_000)), Span::from_millis(2_100));
    }

    #[test]
    fn requests_that_do_not_ask_close_nothing_a_second_time() {
        let mut gate = Gate::new(false, 1);
        for step in 0..100 {
            gate.sent(at(step * 10));
        }
        assert!(gate.throttled(at(1_000), at(1_010), Some(seconds(10))));
        let measured = gate.recovery.map(|recovery| recovery.measured);
        for step in 2..9 {
            assert!(!gate.throttled(at(step * 1_000), at(step * 1_000 + 10), Some(seconds(5))));
        }
        assert_eq!(gate.ask(at(13_000)), Err(Hold::Gate(at(13_010))));
        // What was measured before the closure still counts.
        assert_eq!(gate.recovery.map(|recovery| recovery.measured), measured);
    }

    #[test]
    fn requests_come_back_at_a_reduced_rate_that_recovers() {
        let mut gate = Gate::new(false, 1);
        for step in 0..1_000 {
            gate.sent(at(step * 10));
        }
        // 100/s were measured.
        assert!(gate.throttled(at(9_990), at(10_000), Some(seconds(1))));
        let mut sent = Vec::new();
        let mut now = at(11_000);
        while now < at(60_000) {
            match gate.ask(now) {
                Ok(()) => {
                    gate.sent(now);
                    sent.push(now);
                }
                Err(Hold::Pace(until) | Hold::Gate(until)) => now = until,
            }
            if sent.len() > 10_000 {
                break;
            }
        }
        let within = |from: u64, to: u64| {
            sent.iter()
                .filter(|t| **t >= at(from) && **t < at(to))
                .count()
        };
        // The plateau is 4.217 s away. The integral of 100 + 0.4 (t - 4.217)^3: 79 in the first
        // second, 101 in the sixth.
        assert!(
            (77..=81).contains(&within(11_000, 12_000)),
            "{}",
            within(11_000, 12_000)
        );
        assert!(
            (99..=103).contains(&within(16_000, 17_000)),
            "{}",
            within(16_000, 17_000)
        );
        // There is always one that waits, so it grows on: 8,173 in twenty seconds, no sudden flood.
        let by_then = within(11_000, 31_000);
        assert!((8_150..=8_200).contains(&by_then), "{by_then}");
    }

    #[test]
    fn a_429_in_a_quiet_second_does_not_slow_the_next_minute() {
        let mut gate = Gate::new(false, 1);
        gate.sent(at(100));
        assert!(gate.throttled(at(100), at(110), Some(seconds(1))));
        // From 0.5/s at 1.11 s to twice 0.7/s: 0.8 + 1.2 s.
        assert!(matches!(gate.ask(at(1_110)), Ok(())));
        gate.sent(at(1_110));
        assert!(matches!(gate.ask(at(1_200)), Err(Hold::Pace(_))));
        assert_eq!(gate.ask(at(3_300)), Ok(()));
        assert!(gate.recovery.is_none());
    }

    #[test]
    fn a_second_behind_a_closed_gate_measures_nothing() {
        let mut gate = Gate::new(false, 1);
        for step in 0..100 {
            gate.sent(at(step * 10));
        }
        assert!(gate.throttled(at(1_000), at(1_000), Some(seconds(5))));
        // The first request after the closure is refused again: 0.7 of 0.7 of 100/s, not of 0/s.
        assert!(gate.throttled(at(6_000), at(6_001), Some(seconds(5))));
        let rate = gate.recovery.map(|recovery| recovery.rate(at(11_001)));
        assert!(
            rate.is_some_and(|rate| (49.0..49.1).contains(&rate)),
            "{rate:?}"
        );
    }

    /// Ten requests remain for 5 s; after that the policy is 2/s.
    fn ten_in_five_seconds() -> RateHint {
        RateHint {
            remaining: Some(Remaining {
                requests: 10,
                reset: Span::from_secs(5),
            }),
            policy: Some(Policy {
                quota: 100,
                window: Span::from_secs(50),
            }),
            ..RateHint::default()
        }
    }

    #[test]
    fn announced_quotas_are_spread_over_their_window_where_the_scenario_learns() {
        let hint = ten_in_five_seconds();
        let mut deaf = Gate::new(false, 1);
        deaf.announced(at(0), &hint, 0);
        let mut gate = Gate::new(true, 1);
        gate.announced(at(0), &hint, 2);
        let mut sent = 0;
        for millis in 0..5_000 {
            assert_eq!(deaf.ask(at(millis)), Ok(()));
            if gate.ask(at(millis)).is_ok() {
                gate.sent(at(millis));
                sent += 1;
            }
        }
        assert_eq!(sent, 8);
        // The window is over: from here on the policy's 2/s.
        let later = (5_000..10_000).filter(|millis| {
            let granted = gate.ask(at(*millis)).is_ok();
            if granted {
                gate.sent(at(*millis));
            }
            granted
        });
        assert_eq!(later.count(), 10);
    }

    #[test]
    fn the_gates_of_all_shards_share_what_is_announced() {
        let hint = ten_in_five_seconds();
        let (mut remaining, mut later) = (0, 0);
        for _ in 0..3 {
            let mut gate = Gate::new(true, 3);
            gate.announced(at(0), &hint, 0);
            let mut sent = |from, until| {
                let sends = (from..until).filter(|millis| {
                    let granted = gate.ask(at(*millis)).is_ok();
                    if granted {
                        gate.sent(at(*millis));
                    }
                    granted
                });
                sends.count()
            };
            remaining += sent(0, 5_000);
            later += sent(5_000, 20_000);
        }
        // Three of ten each, then 2/s of all.
        assert_eq!((remaining, later), (9, 30));
    }

    #[test]
    fn closures_add_up() {
        let mut gate = Gate::new(false, 1);
        gate.throttled(at(1_000), at(1_100), Some(seconds(1)));
        assert_eq!(gate.closed_until(at(1_600)), Span::from_millis(500));
        gate.throttled(at(5_000), at(5_100), Some(seconds(3)));
        assert_eq!(gate.closed_until(at(5_100)), Span::from_millis(1_000));
        assert_eq!(gate.closed_until(at(9_000)), Span::from_millis(4_000));
    }
}
