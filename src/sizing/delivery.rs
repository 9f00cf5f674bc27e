//! The arithmetic of callbacks: attempts, how late they tell, what is lost, and what an outage of
//! the receiver leaves behind.

use super::polling::Lag;
use super::sojourn::Way;
use crate::scenario::{Law, SimCallback};
use crate::time::Span;

/// Times that stand for a law of delays where it is added to another one.
const MIDDLES: u32 = 64;
/// Halvings in the search for a quantile.
const HALVINGS: u32 = 60;

/// How a service delivers callbacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// From the end of a work to the first attempt.
    delay: Law,
    /// The share of the deliveries that are held back, and for how long.
    held: (f64, Law),
    /// The share of the deliveries that are never made.
    dropped: f64,
    /// The share that are made twice.
    twice: f64,
    /// The share of the attempts that fail.
    failure: f64,
    /// From the first attempt to each, in seconds; the first is 0.
    attempts: Vec<f64>,
    /// Attempts on the wire at once; none = no cap.
    concurrency: Option<f64>,
}

/// What an outage of the receiver leaves behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    /// How long it lasts, in seconds.
    pub seconds: f64,
    /// Works whose last attempt falls into it: their callbacks never come.
    pub lost: f64,
    /// Callbacks that come late, after it.
    pub late: f64,
    /// The most of them a second, beside those that come anyway.
    pub storm_per_s: f64,
    /// For how long after it they come, in seconds; none where the sender never catches up.
    pub storm_s: Option<f64>,
}

impl Delivery {
    /// As the simulated service does it, where a share of the attempts fails.
    pub fn of(callback: &SimCallback, failure: f64) -> Self {
        let mut attempts = vec![0.0];
        for gap in &callback.retries {
            attempts.push(attempts[attempts.len() - 1] + gap.seconds());
        }
        Self {
            delay: callback.delay.clone(),
            held: (callback.reorder_ratio, callback.reorder_delay.clone()),
            dropped: callback.drop_ratio,
            twice: callback.duplicate_ratio,
            failure,
            attempts,
            concurrency: (callback.concurrency > 0).then(|| f64::from(callback.concurrency)),
        }
    }

    /// The same with first attempts that leave so many seconds after the end, as was measured.
    #[must_use]
    pub fn delayed(mut self, seconds: f64) -> Self {
        self.delay = Law::Fixed(Span::from_secs_f64(seconds.max(0.0)));
        self
    }

    /// Attempts that a delivery is given.
    pub fn tries(&self) -> usize {
        self.attempts.len()
    }

    /// From the first attempt to the last, in seconds.
    pub fn retried_for(&self) -> f64 {
        self.attempts[self.attempts.len() - 1]
    }

    /// Attempts a work in the mean: `A = sum of p^k` over the attempts k, for each delivery.
    pub fn attempts(&self) -> f64 {
        let sum: f64 = self.chances().map(|(_, fails_before)| fails_before).sum();
        (1.0 - self.dropped) * (1.0 + self.twice) * sum
    }

    /// The share of the works whose callback never comes while the receiver is up, if attempts fail
    /// independently: `p^K` after K attempts, and what is never sent.
    pub fn lost(&self) -> f64 {
        let all = libm::pow(self.failure, exact(self.tries()));
        let one = self.dropped + (1.0 - self.dropped) * all;
        // Each copy of a delivery has its own attempts.
        let both = self.dropped + (1.0 - self.dropped) * all * all;
        (1.0 - self.twice) * one + self.twice * both
    }

    /// Each attempt: seconds after the first, and the chance that all before it have failed.
    fn chances(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let failed = std::iter::successors(Some(1.0), |before| Some(before * self.failure));
        self.attempts.iter().copied().zip(failed)
    }

    /// The share of the works whose callback has come so many seconds after their end. Copies of a
    /// delivery count as one.
    pub fn within(&self, seconds: f64, way: Way) -> f64 {
        let of = |(tried, (after, failed)): (usize, (f64, f64))| {
            // A failure is heard a round trip later.
            let left = seconds - after - exact(tried) * way.round_trip - way.one_way();
            failed * (1.0 - self.failure) * self.sent_within(left)
        };
        (1.0 - self.dropped) * self.chances().enumerate().map(of).sum::<f64>()
    }

    /// The share of the first attempts that have left by then.
    fn sent_within(&self, seconds: f64) -> f64 {
        let by = |law: &Law, seconds: f64| {
            if seconds < 0.0 {
                0.0
            } else {
                1.0 - law.survival(seconds)
            }
        };
        let (share, hold) = &self.held;
        let plain = by(&self.delay, seconds);
        if *share <= 0.0 {
            return plain;
        }
        let delays = middles(&self.delay);
        let held = delays.iter();
        let held: f64 = held
            .map(|(part, delay)| part * by(hold, seconds - delay))
            .sum();
        (1.0 - share) * plain + share * held
    }

    /// From the end of a work to its callback, over those that come.
    pub fn lag(&self, way: Way) -> Lag {
        let (mut come, mut later) = (0.0, 0.0);
        for (tried, (after, failed)) in self.chances().enumerate() {
            let chance = failed * (1.0 - self.failure);
            come += chance;
            later += chance * (after + exact(tried) * way.round_trip);
        }
        let (share, hold) = &self.held;
        let first = self.delay.mean().seconds() + share * hold.mean().seconds();
        let later = if come > 0.0 { later / come } else { 0.0 };
        let all = (1.0 - self.dropped) * come;
        let at = |share: f64| root(|seconds| self.within(seconds, way) >= share * all);
        Lag {
            mean: first + later + way.one_way(),
            p50: at(0.5),
            p99: at(0.99),
        }
    }

    /// Callbacks that stand for all that come: the share of the works, and from the end to the
    /// callback in seconds.
    pub fn middles(&self, way: Way) -> Vec<(f64, f64)> {
        let firsts = self.firsts();
        let mut all = Vec::new();
        for (tried, (after, failed)) in self.chances().enumerate() {
            let chance = (1.0 - self.dropped) * failed * (1.0 - self.failure);
            let later = after + exact(tried) * way.round_trip + way.one_way();
            all.extend((firsts.iter()).map(|(share, first)| (share * chance, first + later)));
        }
        all
    }

    /// First attempts that stand for all: the share, and when they leave. Delays and holds are as
    /// if each went with each.
    fn firsts(&self) -> Vec<(f64, f64)> {
        let (share, hold) = &self.held;
        let delays = middles(&self.delay);
        let plain = (delays.iter()).map(|(part, delay)| (part * (1.0 - share), *delay));
        let mut firsts: Vec<_> = plain.collect();
        if *share > 0.0 {
            let holds = middles(hold);
            let held = delays.iter().flat_map(|(part, delay)| {
                (holds.iter()).map(move |(of, hold)| (part * of * share, delay + hold))
            });
            firsts.extend(held);
        }
        firsts
    }

    /// What an outage leaves behind, at a rate of works that end a second and a receiver that is
    /// busy with each callback for `handler` seconds. Before and after it no attempt fails.
    ///
    /// Works that end in the last [`Self::retried_for`] of it have attempts left; all before them
    /// are lost. Their next attempts fall where the schedule has them: t seconds after the outage
    /// come those of each retry k whose gap is longer than t and which follows the first attempt by
    /// at most outage + t, each at the rate of the works. A sender that has a cap makes
    /// `concurrency / handler` attempts a second at most; what it cannot make waits.
    pub fn after_outage(&self, rate: f64, outage: f64, handler: f64) -> Outage {
        let rate = rate * (1.0 - self.dropped) * (1.0 + self.twice);
        let gaps: Vec<(f64, f64)> = (self.attempts.windows(2))
            .map(|two| (two[1], two[1] - two[0]))
            .filter(|(at, gap)| at - gap < outage)
            .collect();
        let density = |t: f64| {
            let due = gaps
                .iter()
                .filter(|(at, gap)| *gap > t && *at <= outage + t);
            rate * exact(due.count())
        };
        let mut edges: Vec<f64> = gaps
            .iter()
            .flat_map(|(at, gap)| [(at - outage).max(0.0), *gap])
            .chain([0.0])
            .collect();
        edges.sort_by(f64::total_cmp);
        let capacity = match self.concurrency {
            Some(cap) if handler > 0.0 => cap / handler,
            _ => f64::INFINITY,
        };
        let (mut waits, mut most) = (0.0_f64, 0.0_f64);
        for two in edges.windows(2) {
            let come = density(two[0]);
            most = most.max(come);
            waits = (waits + (come + rate - capacity) * (two[1] - two[0])).max(0.0);
        }
        let scheduled = edges.last().copied().unwrap_or(0.0);
        let spare = capacity - rate;
        let storm_s = if waits <= 0.0 {
            Some(scheduled)
        } else {
            (spare > 0.0).then(|| scheduled + waits / spare)
        };
        let kept = outage.min(self.retried_for());
        Outage {
            seconds: outage,
            lost: rate / (1.0 + self.twice) * (outage - kept),
            late: rate * kept,
            storm_per_s: most.min(spare.max(0.0)),
            storm_s,
        }
    }
}

/// The middles of equal shares of a law: the share of each, and its time in seconds.
fn middles(law: &Law) -> Vec<(f64, f64)> {
    if let Law::Fixed(length) = law {
        return vec![(1.0, length.seconds())];
    }
    let share = 1.0 / f64::from(MIDDLES);
    let middle = |of: u32| (share, quantile(law, (f64::from(of) + 0.5) * share));
    (0..MIDDLES).map(middle).collect()
}

/// A count as a number to reckon with.
fn exact(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The time by which a share of a law has passed, by halving.
fn quantile(law: &Law, share: f64) -> f64 {
    root(|seconds| law.survival(seconds) <= 1.0 - share)
}

/// The smallest time in seconds from which on something holds, to a billionth of it; 0 where it
/// always does.
fn root(holds: impl Fn(f64) -> bool) -> f64 {
    if holds(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1e-6);
    while !holds(high) && high < 1e12 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAY: Way = Way {
        accept: 0.0,
        round_trip: 0.0,
    };

    fn callback(retries: &[u64]) -> SimCallback {
        SimCallback {
            retries: retries.iter().map(|at| Span::from_secs(*at)).collect(),
            ..SimCallback::faultless()
        }
    }

    fn near(what: &str, found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{what}: {found}, not {expected}"
        );
    }

    #[test]
    fn attempts_and_losses_are_geometric() {
        let delivery = Delivery::of(&callback(&[5, 300]), 0.1);
        near("attempts", delivery.attempts(), 1.11);
        near("lost", delivery.lost(), 0.001);
        near("within", delivery.within(1e9, NO_WAY), 0.999);
        // 0.9 at once, 0.09 after 5 s, 0.009 after 305 s.
        let lag = delivery.lag(NO_WAY);
        near("mean", lag.mean, (0.09 * 5.0 + 0.009 * 305.0) / 0.999);
        near("p50", lag.p50, 0.0);
        near("p99", lag.p99, 5.0);
        let dropped = SimCallback {
            drop_ratio: 0.2,
            duplicate_ratio: 0.5,
            ..callback(&[])
        };
        let delivery = Delivery::of(&dropped, 0.0);
        near("attempts", delivery.attempts(), 0.8 * 1.5);
        near("lost", delivery.lost(), 0.2);
    }

    #[test]
    fn a_delay_has_its_law_and_a_way_its_part() {
        let exponential = SimCallback {
            delay: Law::Exponential(Span::from_secs(2)),
            ..callback(&[])
        };
        let way = Way {
            accept: 0.0,
            round_trip: 1.0,
        };
        let lag = Delivery::of(&exponential, 0.0).lag(way);
        near("mean", lag.mean, 2.5);
        near("p50", lag.p50, 0.5 + 2.0 * 2.0_f64.ln());
        near("p99", lag.p99, 0.5 + 2.0 * 100.0_f64.ln());
        let held = SimCallback {
            reorder_ratio: 0.5,
            reorder_delay: Law::Fixed(Span::from_secs(10)),
            ..callback(&[])
        };
        let lag = Delivery::of(&held, 0.0).lag(NO_WAY);
        near("mean", lag.mean, 5.0);
        near("p99", lag.p99, 10.0);
    }

    #[test]
    fn an_outage_longer_than_the_retries_loses_all_before_them() {
        // 10 a second for 10 min, retried after 5 s and 5 min: 305 s of works survive.
        let found = Delivery::of(&callback(&[5, 300]), 0.0).after_outage(10.0, 600.0, 0.05);
        near("lost", found.lost, 10.0 * 295.0);
        near("late", found.late, 10.0 * 305.0);
        // In the first 5 s those of both retries come, then those of the long one alone.
        near("storm", found.storm_per_s, 20.0);
        near("for", found.storm_s.unwrap(), 300.0);
        // What comes is what is late.
        near("sum", 20.0 * 5.0 + 10.0 * 295.0, found.late);
    }

    #[test]
    fn a_short_outage_loses_nothing() {
        // 2 min: nobody's third attempt falls into it. Works of its last 5 s come 5 s later; the
        // others wait for their third attempt, 305 s after the end of each.
        let found = Delivery::of(&callback(&[5, 300]), 0.0).after_outage(10.0, 120.0, 0.05);
        near("lost", found.lost, 0.0);
        near("late", found.late, 1_200.0);
        near("storm", found.storm_per_s, 10.0);
        near("for", found.storm_s.unwrap(), 300.0);
        let none = Delivery::of(&callback(&[]), 0.0).after_outage(10.0, 120.0, 0.05);
        near("lost", none.lost, 1_200.0);
        near("late", none.late, 0.0);
        near("storm", none.storm_per_s, 0.0);
    }

    #[test]
    fn a_cap_of_the_sender_makes_a_storm_flat_and_long() {
        // One at a time for 50 ms: 20 a second, of which 10 come anyway. What comes too fast in
        // the first 5 s, 10 a second, waits until the long retries are over: they fill all.
        let capped = SimCallback {
            concurrency: 1,
            ..callback(&[5, 300])
        };
        let found = Delivery::of(&capped, 0.0).after_outage(10.0, 600.0, 0.05);
        near("storm", found.storm_per_s, 10.0);
        near("for", found.storm_s.unwrap(), 300.0 + 5.0);
        let slow = Delivery::of(&capped, 0.0).after_outage(10.0, 600.0, 0.2);
        assert_eq!(slow.storm_s, None);
    }
}
