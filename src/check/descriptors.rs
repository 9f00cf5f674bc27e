//! How many file descriptors a plan needs: a request on the wire holds one, so `http.max_in_flight`
//! bounds them.

use super::{expect, peak};
use crate::scenario::{Base, Plan};

/// Descriptors beside those of requests: files, the runtime, the standard streams.
const OVERHEAD: f64 = 64.0;

/// Descriptors of the runtime of one shard more.
const A_SHARD: f64 = 8.0;

/// What a plan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// For its cap of submits, or for one second of its peak requests: with less it cannot run.
    pub at_least: u64,
    /// If the service is silent for a whole timeout at the peak.
    pub if_silent: u64,
}

/// What a plan needs that so many shards run.
pub fn needed(plan: &Plan, shards: u64) -> Needed {
    let shards = f64::from(u32::try_from(shards).unwrap_or(u32::MAX));
    let overhead = OVERHEAD + A_SHARD * (shards - 1.0).max(0.0);
    let is_simulator = plan.target.base == Base::Simulator;
    let cap_of = |cap: u32| match cap {
        0 => f64::INFINITY,
        cap => f64::from(cap),
    };
    let wire = cap_of(plan.http.max_in_flight);
    let cap = cap_of(plan.submit.max_in_flight);
    // The built-in service is in this process: each connection has its two ends here.
    let ends = if is_simulator { 2.0 } else { 1.0 };
    let ceilings = [
        plan.target.max_rate.map(|rate| (rate.per_second(), 1.0)),
        plan.limits
            .and_then(|limits| limits.bucket)
            .map(|b| (b.rate.per_second(), b.burst.into())),
    ];
    // Of a real service the life of a work is not known: one poll of each is the least.
    let polls_a_work = if is_simulator {
        expect::simulated(plan).polls
    } else {
        1.0
    };
    let within = |seconds: f64, timeout: f64| {
        let submits = peak(plan) * seconds.min(timeout);
        let polls = submits * polls_a_work;
        let budget = plan.poll.budget.map_or(f64::INFINITY, |bucket| {
            bucket.rate.per_second() * seconds + f64::from(bucket.burst)
        });
        let both = submits.min(cap) + polls.min(budget);
        ceilings
            .iter()
            .flatten()
            .fold(both.min(wire), |most, (rate, burst): &(f64, f64)| {
                most.min(rate * seconds + burst)
            })
    };
    let cap_of_submits = if cap.is_finite() { cap.min(wire) } else { 0.0 };
    let warm_up = f64::from(plan.http.warm_up);
    let one_second = within(1.0, f64::INFINITY).max(cap_of_submits).max(warm_up);
    // The other way round: connections of the service to our receiver.
    let places = if plan.observe.mode.hears_callbacks() {
        f64::from(plan.observe.callback.connections)
    } else {
        0.0
    };
    let called = ends * places.min(peak(plan));
    let silent = plan.submit.timeout.max(plan.poll.timeout).seconds();
    Needed {
        at_least: whole(overhead + ends * one_second + called),
        if_silent: whole(overhead + ends * (within(silent, silent).max(warm_up) + places)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates; the value is not negative"
)]
fn whole(value: f64) -> u64 {
    value.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    #[test]
    fn a_cap_bounds_what_a_plan_needs() {
        let check = |more: &str, expected: u64| {
            let text = format!(
                "name = 'x'\n[target]\nbase_url = 'https://example.com'\n[[load]]\n\
                 arrivals = 'constant'\nrate = '1000/s'\nduration = '10s'\n{more}"
            );
            let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
            assert_eq!(needed(&plan, 1).at_least, 64 + expected, "{more}");
            assert_eq!(needed(&plan, 3).at_least, 80 + expected, "{more}");
        };
        // A submit and a poll of each work that arrives in a second.
        check("", 2_000);
        check("[submit]\nmax_in_flight = 10\n", 1_010);
        check("[http]\nmax_in_flight = 100\n", 100);
        check("[http]\nmax_in_flight = 5000\n", 2_000);
        check(
            "[http]\nmax_in_flight = 20\n[submit]\nmax_in_flight = 10\n",
            20,
        );
    }
}
