//! How many shards a run has: one for so many requests a second, not one for each core.

use super::{Lines, expect, peak, rate};
use crate::engine::share::{Bound, bounds, most};
use crate::scenario::{Base, Plan, Rate};

/// The requests a second, expected at the peak, that one shard is given where there may be more.
pub const REQUESTS_A_SHARD: f64 = 10_000.0;

/// More shards than any machine has cores for are a slip of the finger.
pub const MOST: u64 = 256;

/// What `--shards auto` takes: enough for the peak, one core left to the rest, and no more than the
/// limits of the scenario can be shared by.
pub fn auto(plan: &Plan, cores: u64) -> u64 {
    wanted(plan)
        .min(cores.saturating_sub(1))
        .min(most(plan).unwrap_or(u64::MAX))
        .clamp(1, MOST)
}

/// The figure that so many shards cannot share, if there is one.
pub fn obstacle(plan: &Plan, shards: u64) -> Option<Bound> {
    let too_few = |bound: &Bound| shards > 1 && bound.most < shards;
    bounds(plan).into_iter().find(too_few)
}

/// Shards for the requests that are expected at the peak.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates; the value is not negative"
)]
fn wanted(plan: &Plan) -> u64 {
    let shards = (requests(plan) / REQUESTS_A_SHARD).ceil() as u64;
    shards.max(1)
}

/// Requests a second at the peak, as far as the limits let them. Of a real service the life of a
/// work is not known: one poll of each is the least.
pub fn requests(plan: &Plan) -> f64 {
    let polls_a_work = match plan.target.base {
        Base::Simulator => expect::simulated(plan).polls,
        Base::Url(_) => 1.0,
    };
    let per_second = |rate: Option<Rate>| rate.map_or(f64::INFINITY, Rate::per_second);
    let submits = peak(plan);
    let polls = submits * polls_a_work;
    let limits = plan.limits.and_then(|limits| limits.bucket);
    (submits + polls.min(per_second(plan.poll.budget.map(|bucket| bucket.rate))))
        .min(per_second(limits.map(|bucket| bucket.rate)))
        .min(per_second(plan.target.max_rate))
}

/// Says what `auto` takes, and what kept it from more.
pub(super) fn explain(plan: &Plan, cores: u64, lines: &mut Lines) {
    let (shards, wanted) = (auto(plan, cores), wanted(plan));
    let mut text = format!(
        "{shards} by --shards auto: {} are expected at the peak, and a shard is for {}",
        rate(requests(plan)),
        rate(REQUESTS_A_SHARD)
    );
    if shards < wanted {
        let why = match obstacle(plan, shards + 1) {
            Some(Bound { key, found, .. }) => format!("{key} is {found}"),
            None => format!("one core of {cores} is left to the rest"),
        };
        text = format!("{text}; no more, as {why}");
    }
    lines.fact("shards", text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    fn plan(rate: &str, more: &str) -> Plan {
        let text = format!(
            "name = 'x'\n[[load]]\nrate = '{rate}'\nduration = '30s'\n\
             [target]\nbase_url = 'http://127.0.0.1:1'\n{more}\n"
        );
        resolve::read(&text, &[], &|_| Err(String::new())).unwrap()
    }

    #[test]
    fn auto_goes_by_rate_cores_and_limits() {
        let check = |rate: &str, more: &str, cores: u64, shards: u64| {
            assert_eq!(
                auto(&plan(rate, more), cores),
                shards,
                "{rate} {more} {cores}"
            );
        };
        // A submit and a poll for each.
        check("20/s", "", 64, 1);
        check("5000/s", "", 64, 1);
        check("5001/s", "", 64, 2);
        check("50000/s", "", 64, 10);
        check("50000/s", "", 4, 3);
        check("50000/s", "", 1, 1);
        check("50000/s", "max_rate = '90000/s'", 64, 1);
        check("50000/s", "[limits]\nrate = '25000/s'", 64, 3);
        check("50000/s", "[limits]\nrate = '25000/s'\nburst = 2", 64, 2);
        check("50000/s", "[poll]\nbudget = '10/s'\nburst = 9", 64, 2);
        check("50000/s", "[submit]\nmax_in_flight = 7", 64, 7);
    }

    #[test]
    fn what_cannot_be_shared_is_named() {
        let plan = plan("20/s", "[poll]\nbudget = '80/s'\nburst = 3");
        assert_eq!(obstacle(&plan, 3), None);
        let found = obstacle(&plan, 4).unwrap();
        assert_eq!((found.key, found.most), ("poll.burst", 3));
        assert_eq!(obstacle(&plan, 1), None);
    }

    #[test]
    fn check_says_what_auto_takes_and_why_not_more() {
        let check = |more: &str, cores, expected: &str| {
            let mut lines = Lines::default();
            explain(&plan("20000/s", more), cores, &mut lines);
            let found: Vec<&str> = lines.0.iter().map(|line| &*line.text).collect();
            assert_eq!(found, [expected]);
        };
        let begin = |shards| {
            format!(
                "{shards} by --shards auto: 40000/s are expected at the peak, and a shard is for \
                 10000/s"
            )
        };
        check("", 8, &begin(4));
        let cores = format!(
            "{}; no more, as one core of 4 is left to the rest",
            begin(3)
        );
        check("", 4, &cores);
        let burst = format!("{}; no more, as limits.burst is 2 at once", begin(2));
        check("[limits]\nrate = '90000/s'\nburst = 2", 8, &burst);
    }
}
