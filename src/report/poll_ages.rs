//! Poll at these ages: when a client should ask for works of the service that was measured, for as
//! many polls as this run has taken.
//!
//! The ages are found on a curve that is as coarse as the number of works demands
//! ([`Curve::told_by`]). What they are worth is found by halves of the run, each with the ages that
//! the other half told.

use super::Facts;
use super::binomial::float;
use super::slo::polls_per_work;
use super::times::{Method, Times};
use crate::engine::poll_ages::{self, ENOUGH, SHORTEST};
use crate::estimate::ages::{Ages, Cost, Gaps};
use crate::estimate::curve::Curve;
use crate::estimate::npmle::Npmle;
use crate::record::blocks::Blocks;
use crate::record::snapshot::Snapshot;
use crate::record::windows::Happening;
use crate::scenario::{FirstPoll, Plan, PollPolicy};
use crate::time::Span;

/// Ages in a schedule at most.
const MOST_AGES: usize = 200;
/// Of works fewer than this share are open at the last age of a schedule.
const REST: f64 = 1e-3;

/// How polls look at works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looks {
    /// The longest time for which they leave a work alone.
    pub longest: Span,
    /// The share of the works that they look at at any age; the others at the same ages all.
    pub anywhere: f64,
}

impl Looks {
    /// Those of a plan, if they look at works of all ages.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let poll = &plan.poll;
        let (longest, anywhere) = match poll.policy {
            _ if poll.first != FirstPoll::Random => return None,
            PollPolicy::Hinted => return None,
            PollPolicy::Optimal { longest } => (longest, poll_ages::EXPLORE),
            PollPolicy::Fixed | PollPolicy::Exponential { .. } => (poll.give_up_after, 1.0),
        };
        Some(Self { longest, anywhere })
    }
}

/// A schedule, and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct PollAtAges {
    /// Ages from the submit on, in seconds.
    pub ages: Vec<f64>,
    /// From the last of them on, in seconds: the interval of fixed polling at as many polls.
    pub then_every: f64,
    /// What it costs and gives.
    pub cost: Cost,
    /// The same of fixed polling, the first poll at random within an interval.
    pub fixed: Cost,
}

impl PollAtAges {
    /// For the service that a run has measured. None where its times are not known, where too few
    /// works have ended, or where polls did not see between which ages they do.
    pub fn of(facts: &Facts, snapshot: &Snapshot, times: &Times) -> Option<Self> {
        let sojourn = times.sojourn.as_ref().ok()?;
        let estimate = &sojourn.estimate;
        let looks = facts.looks?;
        if estimate.works - estimate.censored < u64::from(ENOUGH) {
            return None;
        }
        let points = estimate.curve.iter();
        let curve = Curve::through(points.map(|point| (point.seconds, point.cdf)))?;
        let told = float(estimate.works) * looks.anywhere;
        let mut found = Self::at(&curve, told, polls_per_work(snapshot)?, looks)?;
        if sojourn.method == Method::Npmle
            && let Some(cost) = found.judged_by_halves(&snapshot.seen, told, looks)
        {
            found.cost = cost;
        }
        Some(found)
    }

    /// For works with this curve, which so many have told, at so many polls.
    fn at(curve: &Curve, told: f64, polls: f64, looks: Looks) -> Option<Self> {
        if polls <= 1.0 {
            return None;
        }
        let interval = curve.mean() / (polls - 1.0);
        let shortest = interval * SHORTEST;
        let gaps = Gaps {
            shortest,
            longest: looks.longest.seconds().max(shortest),
            unknown: interval,
        };
        let ages = Ages::new(curve.told_by(told)?, gaps);
        let price = ages.price_of(polls);
        let last = curve.reaches(curve.known() * (1.0 - REST));
        let mut listed = Vec::new();
        for age in ages.schedule(price).take(MOST_AGES) {
            listed.push(age);
            if age >= last {
                break;
            }
        }
        // As many polls are m / T + 1, and the lag is T / 2, whatever the law.
        let fixed = Cost {
            polls,
            lag: interval / 2.0,
        };
        let mut found = Self {
            ages: listed,
            then_every: interval,
            cost: fixed,
            fixed,
        };
        found.cost = ages.curve().cost_of(found.forever());
        Some(found)
    }

    /// All ages.
    fn forever(&self) -> impl Iterator<Item = f64> + '_ {
        let last = self.ages.last().copied().unwrap_or_default();
        let later = std::iter::successors(Some(last + self.then_every), |age| {
            Some(age + self.then_every)
        });
        self.ages.iter().copied().chain(later)
    }

    /// What ages are worth that every other block of the run has told, to the works of the blocks
    /// between them; the mean of both ways. Ages look better than they are to the works that they
    /// were found with.
    fn judged_by_halves(&self, seen: &Blocks, told: f64, looks: Looks) -> Option<Cost> {
        let curves = [half(seen, 0)?, half(seen, 1)?];
        let cost = |by: &Curve, of: &Curve| {
            let found = Self::at(by, told / 2.0, self.fixed.polls, looks)?;
            // Between ages at which all were looked at the estimate lies where it likes best.
            let truth = if looks.anywhere < 1.0 {
                of.told_by(told / 2.0)?
            } else {
                of.clone()
            };
            Some(truth.cost_of(found.forever()))
        };
        let (one, two) = (cost(&curves[0], &curves[1])?, cost(&curves[1], &curves[0])?);
        Some(Cost {
            polls: f64::midpoint(one.polls, two.polls),
            lag: f64::midpoint(one.lag, two.lag),
        })
    }
}

/// The curve that every other block of a run tells.
fn half(seen: &Blocks, from: usize) -> Option<Curve> {
    let blocks = seen.iter().skip(from).step_by(2);
    let windows = blocks.flat_map(|block| block.seen.windows.iter());
    let ends = windows
        .filter(|(window, _)| matches!(window.what, Happening::Completed | Happening::Failed));
    let weighted = ends.map(|(window, works)| (window.from, window.to, float(works)));
    Curve::most_likely(&Npmle::of(weighted)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKS: Looks = Looks {
        longest: Span::from_secs(120),
        anywhere: 1.0,
    };

    #[test]
    fn two_kinds_of_works_are_asked_for_when_each_ends() {
        // Half between 8 s and 12 s, half between 55 s and 65 s; fixed polling at 3 polls has an
        // interval of m / 2, and half of it is its lag.
        let points = [(8.0, 0.0), (12.0, 0.5), (55.0, 0.5), (65.0, 1.0)];
        let curve = Curve::through(points).unwrap();
        let mean = f64::midpoint(10.0, 60.0);
        let found = PollAtAges::at(&curve, 5e3, 3.0, LOOKS).unwrap();
        assert!((found.then_every - mean / 2.0).abs() < 1e-9);
        assert!((found.fixed.polls - 3.0).abs() < 1e-9);
        assert!((found.fixed.lag - mean / 4.0).abs() < 1e-9);
        assert!(found.cost.polls < 3.1 && found.cost.lag < found.fixed.lag / 4.0);
        assert!(found.ages.iter().all(|age| !(15.0..55.0).contains(age)));
        assert_eq!(PollAtAges::at(&curve, 5e3, 1.0, LOOKS), None);
    }

    #[test]
    fn a_schedule_has_a_last_age() {
        // Evenly over an hour, at 1,000 polls a work.
        let hour = Curve::through([(3_600.0, 1.0)]).unwrap();
        let found = PollAtAges::at(&hour, 5e3, 1_000.0, LOOKS).unwrap();
        assert_eq!(found.ages.len(), MOST_AGES);
        assert!((found.cost.polls / 1_000.0 - 1.0).abs() < 0.2);
    }
}
