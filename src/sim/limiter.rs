//! The rate limit of the service: a token bucket as the generic cell rate algorithm has it.
//!
//! ITU-T I.371, annex A, virtual scheduling: one number, the theoretical arrival time, stands for
//! the bucket. Time is counted in nanoseconds times the rate's count, so that a token costs exactly
//! `per` and nothing is ever rounded.

use super::http_answer::LimitState;
use crate::scenario::Bucket;
use crate::time::{NANOS_PER_SECOND, Span, Tick};

/// The bucket of one service.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    /// Scaled time in a nanosecond: the rate's count.
    count: u128,
    /// Scaled time of a token: the rate's period in nanoseconds.
    token: u128,
    /// Tokens that the bucket holds.
    burst: u128,
    /// When the bucket is full again, in scaled time.
    full_at: u128,
    /// The quota that is announced, per `window_s`.
    quota: u64,
    /// Seconds of the window that is announced.
    window_s: u64,
}

impl Limiter {
    /// A full bucket. Its rate must not be zero.
    pub(super) fn new(bucket: Bucket) -> Self {
        let (count, per) = (bucket.rate.count.max(1), bucket.rate.per.0.max(1));
        let window_s = per.div_ceil(NANOS_PER_SECOND);
        let quota = u128::from(count) * u128::from(Span::from_secs(window_s).0) / u128::from(per);
        Self {
            count: count.into(),
            token: per.into(),
            burst: bucket.burst.max(1).into(),
            full_at: 0,
            quota: u64::try_from(quota).unwrap_or(u64::MAX),
            window_s,
        }
    }

    /// Takes a token, or says how long it is until there is one. A refusal takes nothing.
    pub(super) fn take(&mut self, now: Tick) -> Result<(), Span> {
        let now = self.scaled(now);
        let allowed_at = self.full_at.saturating_sub((self.burst - 1) * self.token);
        if allowed_at > now {
            return Err(self.unscaled(allowed_at - now));
        }
        self.full_at = self.full_at.max(now) + self.token;
        Ok(())
    }

    /// What the headers say of the bucket at `now`.
    pub(super) fn state(&self, now: Tick) -> LimitState {
        let missing = self.full_at.saturating_sub(self.scaled(now));
        let remaining = (self.burst * self.token).saturating_sub(missing) / self.token;
        LimitState {
            quota: self.quota,
            window_s: self.window_s,
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX),
            reset_s: whole_seconds(self.unscaled(missing)),
        }
    }

    fn scaled(&self, now: Tick) -> u128 {
        u128::from(now.0) * self.count
    }

    /// Rounds up: a token that is not quite there is not there.
    fn unscaled(&self, scaled: u128) -> Span {
        Span(u64::try_from(scaled.div_ceil(self.count)).unwrap_or(u64::MAX))
    }
}

/// A length in whole seconds, rounded up, and at least one: what a delay in a header can say.
pub(super) fn whole_seconds(length: Span) -> u64 {
    length.0.div_ceil(NANOS_PER_SECOND).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Rate;
    use proptest::prelude::*;

    fn bucket(count: u64, per: Span, burst: u32) -> Bucket {
        Bucket {
            rate: Rate { count, per },
            burst,
        }
    }

    /// An oracle that knows nothing of arrival times: a request is allowed if, with it, every
    /// window that ends now holds at most `burst + rate * length` requests.
    fn oracle(taken: &[u64], now: u64, bucket: Bucket) -> bool {
        (0..taken.len()).all(|first| {
            let requests = (taken.len() - first + 1) as u128;
            let length = u128::from(now - taken[first]);
            let earned = length * u128::from(bucket.rate.count) / u128::from(bucket.rate.per.0);
            requests <= u128::from(bucket.burst) + earned
        })
    }

    proptest! {
        #[test]
        fn it_allows_exactly_what_every_sliding_window_allows(
            count in 1_u64..50,
            per in 1_u64..5_000,
            burst in 1_u32..6,
            gaps in proptest::collection::vec(0_u64..400, 1..120),
        ) {
            let bucket = bucket(count, Span(per), burst);
            let mut limiter = Limiter::new(bucket);
            let (mut now, mut taken) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                let allowed = limiter.take(Tick(now)).is_ok();
                prop_assert_eq!(allowed, oracle(&taken, now, bucket), "at {}", now);
                if allowed {
                    taken.push(now);
                }
            }
        }

        #[test]
        fn a_refused_request_takes_nothing_and_names_the_first_good_instant(
            count in 1_u64..500,
            per in 1_u64..1_000_000,
            burst in 1_u32..6,
            refused in 1_usize..20,
        ) {
            let mut limiter = Limiter::new(bucket(count, Span(per), burst));
            for _ in 0..burst {
                prop_assert_eq!(limiter.take(Tick::ZERO), Ok(()));
            }
            let mut asked = limiter.clone();
            let wait = limiter.take(Tick::ZERO).unwrap_err();
            for _ in 0..refused {
                prop_assert_eq!(asked.take(Tick::ZERO), Err(wait));
            }
            if wait.0 > 1 {
                prop_assert!(asked.take(Tick(wait.0 - 1)).is_err());
            }
            prop_assert_eq!(asked.take(Tick(wait.0)), Ok(()));
        }

        #[test]
        fn what_remains_can_be_taken_and_no_more(
            count in 1_u64..500,
            burst in 1_u32..30,
            gaps in proptest::collection::vec(0_u64..20_000_000, 1..60),
        ) {
            let mut limiter = Limiter::new(bucket(count, Span::from_secs(1), burst));
            let mut now = Tick::ZERO;
            for gap in gaps {
                now = now + Span(gap);
                let _ = limiter.take(now);
                let mut probe = limiter.clone();
                for _ in 0..limiter.state(now).remaining {
                    prop_assert_eq!(probe.take(now), Ok(()));
                }
                prop_assert!(probe.take(now).is_err());
            }
        }
    }

    #[test]
    fn headers_announce_rate_remaining_and_reset() {
        let check = |count, per: u64, burst, taken, state: (u64, u64, u64, u64)| {
            let mut limiter = Limiter::new(bucket(count, Span::from_secs(per), burst));
            for _ in 0..taken {
                limiter.take(Tick::ZERO).unwrap();
            }
            let found = limiter.state(Tick::ZERO);
            let found = (found.quota, found.window_s, found.remaining, found.reset_s);
            assert_eq!(found, state);
        };
        check(110, 1, 50, 0, (110, 1, 50, 1));
        check(110, 1, 50, 50, (110, 1, 0, 1));
        check(60, 60, 5, 3, (60, 60, 2, 3));
        check(1, 3_600, 2, 2, (1, 3_600, 0, 7_200));
    }
}
