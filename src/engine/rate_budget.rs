//! `RateBudget`: the ceilings that the scenario sets, as governor's token buckets on given time.
//!
//! A request needs a token of every ceiling that applies to it, or it takes none: a bucket that has
//! granted is rewound when a later one refuses, so no token is lost and none is spent twice. In
//! every window of `w` seconds at most `burst + rate x w` requests leave (GCRA, ITU-T I.371).

use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::direct::NotKeyed;
use governor::{Quota, RateLimiter};

use crate::scenario::Bucket;
use crate::time::Tick;

/// The clock of a bucket: it stands where it was put.
#[derive(Clone, Debug, Default)]
struct Given(Rc<Cell<u64>>);

impl Clock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }
}

/// The one number of a bucket, where it can be put back.
#[derive(Clone, Debug, Default)]
struct Rewindable(Rc<Cell<Option<Nanos>>>);

impl StateStore for Rewindable {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, state) = decide(self.0.get())?;
        self.0.set(Some(state));
        Ok(answer)
    }
}

/// One token bucket.
#[derive(Debug)]
pub struct Ceiling {
    limiter: RateLimiter<NotKeyed, Rewindable, Given, NoOpMiddleware<Nanos>>,
    state: Rewindable,
    clock: Given,
    period: u64,
    burst: u32,
}

impl Ceiling {
    /// A full bucket. The time between two tokens is rounded up to the nanosecond, so that the
    /// rate is never exceeded.
    pub fn new(bucket: Bucket) -> Self {
        let (state, clock) = (Rewindable::default(), Given::default());
        let period = bucket.rate.per.0.div_ceil(bucket.rate.count.max(1)).max(1);
        let burst = NonZeroU32::new(bucket.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(std::time::Duration::from_nanos(period))
            .expect("the period is not zero")
            .allow_burst(burst);
        let limiter = RateLimiter::new(quota, state.clone(), clock.clone());
        Self {
            limiter,
            state,
            clock,
            period,
            burst: burst.get(),
        }
    }

    /// Takes one token if `reserve` more remain, or says when that will be so.
    fn take(&self, now: Tick, reserve: u32) -> Result<(), Tick> {
        self.clock.0.set(now.0);
        let needed = NonZeroU32::new(1 + reserve.min(self.burst - 1)).unwrap_or(NonZeroU32::MIN);
        match self.limiter.check_n(needed) {
            Ok(Ok(())) => {
                let extra = u64::from(needed.get() - 1) * self.period;
                let taken = self.state.0.get().map_or(0, Nanos::as_u64);
                self.state.0.set(Some(Nanos::new(taken - extra)));
                Ok(())
            }
            Ok(Err(not_until)) => Err(Tick(not_until.earliest_possible().as_u64())),
            Err(_) => unreachable!("never more than the burst is asked for"),
        }
    }

    fn state(&self) -> Option<Nanos> {
        self.state.0.get()
    }

    fn rewind(&self, state: Option<Nanos>) {
        self.state.0.set(state);
    }
}

/// The ceilings of a run.
#[derive(Debug)]
pub struct RateBudget {
    /// `target.max_rate`: of all requests.
    max_rate: Option<Ceiling>,
    /// `[limits]`: of all requests.
    limits: Option<Ceiling>,
    /// `poll.budget`: of polls.
    polls: Option<Ceiling>,
}

impl RateBudget {
    /// The ceilings of a plan.
    pub fn new(max_rate: Option<Bucket>, limits: Option<Bucket>, polls: Option<Bucket>) -> Self {
        Self {
            max_rate: max_rate.map(Ceiling::new),
            limits: limits.map(Ceiling::new),
            polls: polls.map(Ceiling::new),
        }
    }

    /// A token of every ceiling of submits, or the instant at which to ask again.
    pub fn take_submit(&self, now: Tick) -> Result<(), Tick> {
        take_all(now, &[(&self.max_rate, 0), (&self.limits, 0)])
    }

    /// A token of every ceiling of polls, or the instant at which to ask again.
    ///
    /// Where a ceiling is shared, polls leave one token for the next submit (if the burst allows
    /// for more than one): submits come first.
    pub fn take_poll(&self, now: Tick) -> Result<(), Tick> {
        take_all(
            now,
            &[(&self.polls, 0), (&self.max_rate, 1), (&self.limits, 1)],
        )
    }
}

fn take_all(now: Tick, ceilings: &[(&Option<Ceiling>, u32)]) -> Result<(), Tick> {
    let asked = || {
        ceilings
            .iter()
            .filter_map(|(ceiling, reserve)| Some((ceiling.as_ref()?, *reserve)))
    };
    let mut before = [None; 3];
    for (at, (ceiling, reserve)) in asked().enumerate() {
        before[at] = ceiling.state();
        if let Err(until) = ceiling.take(now, reserve) {
            for ((taken, _), state) in asked().zip(before).take(at) {
                taken.rewind(state);
            }
            return Err(until);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Rate;
    use crate::time::Span;
    use proptest::prelude::*;

    fn budget(limits: Option<(u64, u32)>, polls: Option<(u64, u32)>) -> RateBudget {
        let bucket = |(count, burst)| Bucket {
            rate: Rate {
                count,
                per: Span::from_secs(1),
            },
            burst,
        };
        RateBudget::new(None, limits.map(bucket), polls.map(bucket))
    }

    /// The most requests in any window, against `burst + rate x w`, by walking all pairs.
    fn never_exceeds(sent: &[Tick], rate: f64, burst: u32) -> bool {
        (0..sent.len()).all(|first| {
            (first..sent.len()).all(|last| {
                let window = sent[last].since(sent[first]).seconds();
                let most = f64::from(burst) + rate * window;
                f64::from(u32::try_from(last - first + 1).unwrap()) <= most + 1e-9
            })
        })
    }

    #[test]
    fn a_refused_bucket_gives_the_others_their_tokens_back() {
        let budget = budget(Some((1, 3)), Some((1, 1)));
        assert_eq!(budget.take_poll(Tick::ZERO), Ok(()));
        for _ in 0..10 {
            assert_eq!(budget.take_poll(Tick::ZERO), Err(Tick(1_000_000_000)));
        }
        // Two of the three shared tokens are still there.
        assert_eq!(budget.take_submit(Tick::ZERO), Ok(()));
        assert_eq!(budget.take_submit(Tick::ZERO), Ok(()));
        assert!(budget.take_submit(Tick::ZERO).is_err());
    }

    #[test]
    fn polls_leave_the_last_shared_token_for_a_submit() {
        let budget = budget(Some((1, 2)), None);
        assert_eq!(budget.take_poll(Tick::ZERO), Ok(()));
        assert!(budget.take_poll(Tick::ZERO).is_err());
        assert_eq!(budget.take_submit(Tick::ZERO), Ok(()));
        assert!(budget.take_submit(Tick::ZERO).is_err());
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_burst_and_rate(
            rate in 1_u64..200, shared in 1_u64..200, burst in 1_u32..20,
            steps in prop::collection::vec((0_u64..30_000_000, any::<bool>()), 1..200),
        ) {
            let budget = budget(Some((shared, burst)), Some((rate, burst)));
            let (mut now, mut polls, mut all) = (Tick::ZERO, Vec::new(), Vec::new());
            for (step, poll) in steps {
                now = now + Span(step);
                let answer = if poll { budget.take_poll(now) } else { budget.take_submit(now) };
                match answer {
                    Ok(()) => {
                        all.push(now);
                        if poll { polls.push(now); }
                    }
                    Err(until) => prop_assert!(until > now, "{until:?} {now:?}"),
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let (rate, shared) = (rate as f64, shared as f64);
            prop_assert!(never_exceeds(&polls, rate, burst));
            prop_assert!(never_exceeds(&all, shared, burst));
        }

        #[test]
        fn the_promised_instant_is_the_first_that_grants(
            rate in 1_u64..1_000, burst in 1_u32..5, taken in 1_usize..20,
        ) {
            let budget = budget(None, Some((rate, burst)));
            let mut now = Tick::ZERO;
            for _ in 0..taken {
                if let Err(until) = budget.take_poll(now) {
                    prop_assert!(budget.take_poll(until - Span(1)).is_err());
                    prop_assert_eq!(budget.take_poll(until), Ok(()));
                    now = until;
                }
            }
        }
    }
}
