//! The ladder: short runs at rising rates, up to the one at which the machine is not accurate any
//! more; then the gap between the last good and the first bad rate is halved, evenly in their
//! logarithms.

use super::harness::Harness;
use super::{Served, arrivals, float, quantile, sorted};

/// The first rate, in works per second, and the factor from rung to rung.
const FIRST: u64 = 1_000;
const FACTOR: u64 = 2;
/// No lower rate is tried: a machine that is not accurate here is of no use.
const LOWEST: u64 = 3;
/// No higher rate is tried.
const HIGHEST: u64 = 1_000_000;
/// How often the rate above the best one is tried before it is believed that it is too high.
const TRIES: usize = 3;
/// The search is over when the first bad rate is so little above the last good one.
const CLOSE: f64 = 1.15;

/// The code of a rung that stopped because the service could not read in time: a limit of the
/// simulator, not of the generator.
pub const SERVICE: &str = "simulator";

/// A short run.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// Works per second that it offered.
    pub works_per_s: u64,
    /// Requests in its busiest second.
    pub requests_per_s: f64,
    /// The p99 of the generator's lateness, in seconds.
    pub generator_lag: f64,
    /// The same of its polls.
    pub poll_lag: f64,
    /// The same of its stamps.
    pub stamp_delay: f64,
    /// The same from a send stamp to the service's own.
    pub way: f64,
    /// What a shard used of a core.
    pub core_share: Option<f64>,
    /// Why it is not accurate: a code; none if it is.
    pub stopped_by: Option<String>,
}

/// What a rung is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The largest p99 of each lag, in seconds.
    pub lag: f64,
    /// The largest share of a core that a shard may use.
    pub core_share: f64,
}

impl Rung {
    /// Judges a run. What makes it invalid comes first, then what would make its figures wrong,
    /// then what is the service's own trouble.
    pub fn judge(
        works_per_s: u64,
        busiest_second: u64,
        limits: Limits,
        harness: &Harness,
        served: &Served,
    ) -> Self {
        let both = arrivals::both(harness, served);
        let ways = both.filter_map(|(told, work)| Some(work.arrived.since(told.sent?).seconds()));
        let rung = Self {
            works_per_s,
            requests_per_s: float(busiest_second),
            generator_lag: harness.lag("generator_lag", "p99"),
            poll_lag: harness.lag("poll_lag", "p99"),
            stamp_delay: harness.lag("stamp_delay", "p99"),
            way: quantile(&sorted(ways), 0, 0.99).unwrap_or(0.0),
            core_share: harness.core_share(),
            stopped_by: None,
        };
        let stopped_by = rung.fault(limits, harness.reasons());
        Self { stopped_by, ..rung }
    }

    /// A rung that was not tried, and why.
    pub fn not_tried(works_per_s: u64, code: &str) -> Self {
        Self {
            works_per_s,
            requests_per_s: 0.0,
            generator_lag: 0.0,
            poll_lag: 0.0,
            stamp_delay: 0.0,
            way: 0.0,
            core_share: None,
            stopped_by: Some(code.to_owned()),
        }
    }

    /// Whether it was run at all.
    pub fn was_tried(&self) -> bool {
        self.requests_per_s > 0.0
    }

    fn fault(&self, limits: Limits, reasons: Vec<String>) -> Option<String> {
        if let Some(first) = reasons.into_iter().next() {
            return Some(first);
        }
        let full = self
            .core_share
            .is_some_and(|share| share > limits.core_share);
        let faults = [
            ("cpu", full),
            ("poll_lag", self.poll_lag > limits.lag),
            ("stamp_delay", self.stamp_delay > limits.lag),
            (SERVICE, self.way > limits.lag),
        ];
        let fault = faults.into_iter().find(|(_, is_so)| *is_so);
        fault.map(|(code, _)| code.to_owned())
    }
}

/// Which rate comes next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ladder {
    rungs: Vec<Rung>,
}

/// How far the ladder came.
#[derive(Clone, Debug, PartialEq)]
pub struct Highest {
    /// The best rung that was accurate.
    pub rung: Option<Rung>,
    /// Why the lowest one above it was not; none if there was no such rung.
    pub stopped_by: Option<String>,
}

impl Ladder {
    /// Notes a rung.
    pub fn put(&mut self, rung: Rung) {
        self.rungs.push(rung);
    }

    /// All rungs, in the order in which they were tried.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The best rung that held, and the lowest rate above it that did not, twice: a machine may be
    /// disturbed once. Where it could not be tried it never can.
    fn ends(&self) -> (Option<&Rung>, Option<&Rung>) {
        let held = |rung: &&Rung| rung.stopped_by.is_none();
        let good = self
            .rungs
            .iter()
            .filter(held)
            .max_by_key(|rung| rung.works_per_s);
        let above = good.map_or(0, |rung| rung.works_per_s);
        let bad = self.rungs.iter().filter(|rung| {
            let again = self.rungs.iter().filter(|other| {
                other.works_per_s == rung.works_per_s && other.stopped_by.is_some()
            });
            rung.works_per_s > above && (again.count() > 1 || !rung.was_tried())
        });
        (good, bad.min_by_key(|rung| rung.works_per_s))
    }

    /// The rate to try next, in works per second; none if the search is over.
    pub fn next(&self) -> Option<u64> {
        let (good, bad) = self.ends();
        let good = good.map(|rung| rung.works_per_s);
        let last = self.rungs.last();
        if let Some(last) = last
            && last.stopped_by.is_some()
            && last.was_tried()
            && bad.is_none_or(|bad| last.works_per_s < bad.works_per_s)
            && good.is_none_or(|good| last.works_per_s > good)
        {
            // Once more: it may have been a disturbance.
            return Some(last.works_per_s);
        }
        match (good, bad.map(|rung| rung.works_per_s)) {
            (None, None) => Some(FIRST),
            (Some(good), None) => Some(good * FACTOR).filter(|next| *next <= HIGHEST),
            (None, Some(bad)) => Some(bad / (FACTOR * FACTOR)).filter(|next| *next >= LOWEST),
            (Some(good), Some(bad)) => {
                let (low, high) = (float(good), float(bad));
                if high / low > CLOSE {
                    return Some(middle(low, high));
                }
                // A machine that was disturbed all the while is asked a last time.
                let mut tries = self.rungs.iter().filter(|rung| rung.works_per_s == bad);
                let once_more = tries.clone().count() < TRIES && tries.all(Rung::was_tried);
                once_more.then_some(bad)
            }
        }
    }

    /// What the ladder found.
    pub fn highest(&self) -> Highest {
        let (good, bad) = self.ends();
        Highest {
            rung: good.cloned(),
            stopped_by: bad.and_then(|rung| rung.stopped_by.clone()),
        }
    }
}

/// The geometric mean, in whole works.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two rates, which are small and not negative"
)]
fn middle(low: f64, high: f64) -> u64 {
    (low * high).sqrt().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(works_per_s: u64, stopped_by: Option<&str>) -> Rung {
        Rung {
            works_per_s,
            requests_per_s: 3.0 * float(works_per_s),
            generator_lag: 0.001,
            poll_lag: 0.001,
            stamp_delay: 0.001,
            way: 0.001,
            core_share: Some(0.5),
            stopped_by: stopped_by.map(str::to_owned),
        }
    }

    /// Climbs with a machine that holds up to `limit`, and is disturbed at these rungs.
    fn climb(limit: u64, disturbed: &[usize]) -> (Ladder, Vec<u64>) {
        let mut ladder = Ladder::default();
        let mut rates = Vec::new();
        while let Some(rate) = ladder.next() {
            let is_bad = rate > limit || disturbed.contains(&rates.len());
            ladder.put(rung(rate, is_bad.then_some("late_generator")));
            rates.push(rate);
            assert!(rates.len() < 60, "{rates:?}");
        }
        (ladder, rates)
    }

    #[test]
    fn the_limit_is_found_from_below() {
        let (ladder, rates) = climb(5_000, &[]);
        let expected = [
            1_000, 2_000, 4_000, 8_000, 8_000, 5_657, 5_657, 4_757, 5_188, 5_188, 5_188,
        ];
        assert_eq!(rates, expected);
        let highest = ladder.highest();
        assert_eq!(highest.rung.unwrap().works_per_s, 4_757);
        assert_eq!(highest.stopped_by.as_deref(), Some("late_generator"));
    }

    #[test]
    fn a_single_disturbance_is_not_the_limit() {
        let (ladder, _) = climb(5_000, &[1, 4]);
        assert_eq!(ladder.highest().rung.unwrap().works_per_s, 4_757);
    }

    #[test]
    fn a_rate_that_failed_twice_by_bad_luck_is_asked_again_at_the_end() {
        // 2,000 fails twice; the search ends below it, and 2,000 holds when it is tried again.
        let (ladder, rates) = climb(5_000, &[1, 2]);
        assert_eq!(
            rates[..8],
            [1_000, 2_000, 2_000, 1_414, 1_682, 1_834, 2_000, 4_000]
        );
        assert_eq!(ladder.highest().rung.unwrap().works_per_s, 4_757);
    }

    #[test]
    fn a_rate_that_cannot_be_tried_is_asked_for_once() {
        let mut ladder = Ladder::default();
        let mut rates = Vec::new();
        while let Some(rate) = ladder.next() {
            rates.push(rate);
            ladder.put(if rate > 3_000 {
                Rung::not_tried(rate, "descriptors")
            } else {
                rung(rate, None)
            });
        }
        let mut once = rates.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), rates.len(), "{rates:?}");
        let found = ladder.highest();
        assert_eq!(found.stopped_by.as_deref(), Some("descriptors"));
        let best = found.rung.unwrap().works_per_s;
        assert!((2_600..=3_000).contains(&best), "{best}");
    }

    #[test]
    fn every_limit_is_found_closely() {
        for limit in [9, 31, 77, 499, 500, 3_333, 77_777, 600_000] {
            let (ladder, _) = climb(limit, &[]);
            let found = ladder.highest().rung.map_or(0, |rung| rung.works_per_s);
            let (found, limit) = (float(found), float(limit));
            assert!(
                found <= limit && found * CLOSE * 1.2 > limit,
                "{found} of {limit}"
            );
        }
    }

    #[test]
    fn a_machine_that_holds_nothing_has_no_rate() {
        let (ladder, _) = climb(0, &[]);
        assert_eq!(ladder.highest().rung, None);
    }

    #[test]
    fn a_ladder_without_an_end_has_no_reason() {
        let (ladder, _) = climb(u64::MAX, &[]);
        let highest = ladder.highest();
        assert_eq!(highest.rung.unwrap().works_per_s, 512_000);
        assert_eq!(highest.stopped_by, None);
        assert_eq!(Ladder::default().highest().rung, None);
    }

    #[test]
    fn a_rung_is_judged_by_what_is_worst_for_its_figures() {
        let limits = Limits {
            lag: 0.01,
            core_share: 0.95,
        };
        let check = |rung: &Rung, reasons: &[&str], code: Option<&str>| {
            let reasons = reasons.iter().map(|code| (*code).to_owned()).collect();
            assert_eq!(rung.fault(limits, reasons).as_deref(), code);
        };
        let fine = rung(500, None);
        check(&fine, &[], None);
        check(&fine, &["late_generator", "cpu"], Some("late_generator"));
        let way = Rung { way: 0.02, ..fine };
        check(&way, &[], Some("simulator"));
        let stamps = Rung {
            stamp_delay: 0.02,
            ..way
        };
        check(&stamps, &[], Some("stamp_delay"));
        let polls = Rung {
            poll_lag: 0.02,
            ..stamps
        };
        check(&polls, &[], Some("poll_lag"));
        let busy = Rung {
            core_share: Some(0.99),
            ..polls
        };
        check(&busy, &[], Some("cpu"));
    }
}
