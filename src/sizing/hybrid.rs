//! Callbacks first, and polls for works that are past a deadline: what the net below costs, and
//! what it gives.

use super::delivery::Delivery;
use super::polling::{Lag, Polling};
use super::sojourn::{Sojourn, Way};

/// Works that stand for all.
const WORKS: u32 = 1_000;

/// When a work is polled of which no callback has come, in seconds after its accept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sweep {
    /// The first time.
    pub deadline: f64,
    /// From then on.
    pub interval: f64,
    /// Until then.
    pub give_up_after: f64,
}

impl Sweep {
    /// What it costs a work in polls, and how late its end is known by whichever comes first.
    ///
    /// A work that ends at the age s, and whose callback comes L later, is polled at each age of
    /// the sweep until one of them tells: the callback at s + L, or the first poll at s or later.
    /// The means are sums over the middles of equal shares of s, and over the attempts of L.
    pub fn with(self, delivery: &Delivery, sojourn: &Sojourn, way: Way) -> Polling {
        let calls = delivery.middles(way);
        let come: f64 = calls.iter().map(|(share, _)| share).sum();
        let last = f64::INFINITY;
        let calls = || calls.iter().copied().chain([(1.0 - come, last)]);
        let end = way.age(self.give_up_after);
        let ends = 1.0 - sojourn.endless();
        let each = ends / f64::from(WORKS);
        let (mut polls, mut lags) = (0.0, Vec::new());
        for age in sojourn.middles(WORKS) {
            let (slot, detected) = self.first_poll_at(age, way);
            let by_poll = if detected <= end {
                detected + way.one_way()
            } else {
                last
            };
            for (share, later) in calls().filter(|(share, _)| *share > 0.0) {
                let by_call = age + later;
                polls +=
                    each * share * self.polls_before(by_call.min(end + way.one_way()), slot, way);
                let known = by_call.min(by_poll);
                if known.is_finite() && age <= end {
                    lags.push((known - age, each * share));
                }
            }
        }
        // What never ends is polled until it is given up.
        polls += sojourn.endless() * self.polls_before(end, f64::INFINITY, way);
        let seen: f64 = lags.iter().map(|(_, share)| share).sum();
        Polling {
            polls,
            seen,
            lag: lag_of(lags, seen),
        }
    }

    /// The first poll that finds a work ended which ends at this age: its number from 0, and the
    /// age.
    fn first_poll_at(self, age: f64, way: Way) -> (f64, f64) {
        let first = way.age(self.deadline);
        let slot = ((age - first) / self.interval).ceil().max(0.0);
        (slot, first + slot * self.interval)
    }

    /// Polls that leave before something is known at an age of the caller, up to the one of this
    /// number.
    fn polls_before(self, known: f64, slot: f64, way: Way) -> f64 {
        let first = way.accept + self.deadline;
        let before = ((known - first) / self.interval).ceil().max(0.0);
        before.min(slot + 1.0)
    }
}

/// The statistics of lags with their shares.
fn lag_of(mut lags: Vec<(f64, f64)>, all: f64) -> Lag {
    lags.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mean =
        lags.iter().map(|(lag, share)| lag * share).sum::<f64>() / all.max(f64::MIN_POSITIVE);
    let at = |share: f64| {
        let mut sum = 0.0;
        let found = lags.iter().find(|(_, part)| {
            sum += part;
            sum >= share * all
        });
        found.map_or(0.0, |(lag, _)| *lag)
    };
    Lag {
        mean,
        p50: at(0.5),
        p99: at(0.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream, unit};
    use crate::scenario::{Law, SimCallback};
    use crate::sim::draw;
    use crate::time::Span;

    const NO_WAY: Way = Way {
        accept: 0.0,
        round_trip: 0.0,
    };
    const SWEEP: Sweep = Sweep {
        deadline: 30.0,
        interval: 5.0,
        give_up_after: 600.0,
    };

    fn check(drop_ratio: f64, law: &str, polls: f64, lag: f64) {
        let callback = SimCallback {
            drop_ratio,
            retries: vec![Span::from_secs(5)],
            ..SimCallback::faultless()
        };
        let delivery = Delivery::of(&callback, 0.0);
        let found = SWEEP.with(&delivery, &Sojourn::of_law(law), NO_WAY);
        let near = |found: f64, expected: f64| {
            assert!(
                (found - expected).abs() < 0.01 * expected.max(0.01),
                "{law}: {found}, not {expected}"
            );
        };
        near(found.polls, polls);
        near(found.lag.mean, lag);
        near(found.seen, 1.0);
    }

    #[test]
    fn works_that_are_told_in_time_cost_nothing() {
        check(0.0, "fixed(9s)", 0.0, 0.0);
        // Lost callbacks are found at the deadline: one poll, 21 s after the end.
        check(0.1, "fixed(9s)", 0.1, 2.1);
    }

    #[test]
    fn works_that_outlast_the_deadline_are_polled_until_they_are_told() {
        // At 30, 35, 40 and 45 s; the callback comes at 47 s.
        check(0.0, "fixed(47s)", 4.0, 0.0);
        // Of a tenth a fifth poll at 50 s tells.
        check(0.1, "fixed(47s)", 4.1, 0.3);
        // Memoryless: each poll that finds a work open is followed by another.
        let open = (-30.0_f64 / 20.0).exp();
        check(0.0, "exp(20s)", open / (1.0 - (-5.0_f64 / 20.0).exp()), 0.0);
    }

    #[test]
    fn what_never_ends_is_polled_until_it_is_given_up() {
        let delivery = Delivery::of(&SimCallback::faultless(), 0.0);
        let found = SWEEP.with(&delivery, &Sojourn::of_law("fixed(1h)"), NO_WAY);
        assert!((found.polls - 114.0).abs() < 1.5, "{found:?}");
        assert!(found.seen < 1e-9);
    }

    /// One work after another, step by step: another implementation. The means of polls and lag,
    /// and the lag's quantile 0.99.
    fn drawn(callback: &SimCallback, failure: f64, law: &str, way: Way) -> [f64; 3] {
        const DRAWN: u32 = 100_000;
        let mut rng = stream(7, Purpose::named("sweep"), 0);
        let law = Law::parse(law).unwrap();
        let (mut polls, mut lags) = (0.0, Vec::new());
        for _ in 0..DRAWN {
            let ends = draw(&law, &mut rng).seconds();
            let mut attempt = ends + draw(&callback.delay, &mut rng).seconds();
            let mut called = f64::INFINITY;
            let gaps = callback.retries.iter().map(|gap| gap.seconds());
            for gap in gaps.chain([f64::INFINITY]) {
                if unit(&mut rng) >= failure {
                    called = attempt + way.one_way();
                    break;
                }
                attempt += gap + way.round_trip;
            }
            if unit(&mut rng) < callback.drop_ratio {
                called = f64::INFINITY;
            }
            let mut leaves = way.accept + SWEEP.deadline;
            let known = loop {
                if called <= leaves {
                    break called;
                }
                polls += 1.0;
                if leaves + way.one_way() >= ends {
                    break called.min(leaves + way.round_trip);
                }
                leaves += SWEEP.interval;
            };
            lags.push(known - ends);
        }
        lags.sort_by(f64::total_cmp);
        let works = f64::from(DRAWN);
        let p99 = lags[lags.len() * 99 / 100];
        [polls / works, lags.iter().sum::<f64>() / works, p99]
    }

    #[test]
    fn works_drawn_one_by_one_come_to_the_same() {
        let way = Way {
            accept: 0.3,
            round_trip: 0.2,
        };
        let callback = SimCallback {
            delay: Law::Exponential(Span::from_secs(2)),
            drop_ratio: 0.05,
            retries: vec![Span::from_secs(5), Span::from_secs(60)],
            ..SimCallback::faultless()
        };
        for law in ["exp(20s)", "lognormal(20s, 0.6)"] {
            let delivery = Delivery::of(&callback, 0.1);
            let found = SWEEP.with(&delivery, &Sojourn::of_law(law), way);
            let [polls, lag, p99] = drawn(&callback, 0.1, law, way);
            for (found, drawn) in [
                (found.polls, polls),
                (found.lag.mean, lag),
                (found.lag.p99, p99),
            ] {
                assert!((found / drawn - 1.0).abs() < 0.02, "{law}: {found} {drawn}");
            }
        }
    }
}
