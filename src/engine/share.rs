//! `Share`: what one shard has of the scenario's limits. Over all shards they sum to the limit.
//!
//! A bucket of `burst` tokens that fills at `count` each `per` becomes N buckets that fill at
//! `count` each `N x per`, with whole tokens that sum to `burst`: in every window of w seconds all
//! of them together let at most `burst + rate x w` leave. Caps are split in whole numbers too.

use crate::arrival::Segment;
use crate::scenario::{Bucket, Plan, Rate};
use crate::time::{NANOS_PER_SECOND, Span};

/// A shard has at least so many tokens a second of each budget: with fewer its polls would wait for
/// tokens that the others do not need.
pub const LEAST_PER_SECOND: u64 = 5;

/// What one shard has of the scenario's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// `target.max_rate`: of all requests.
    pub max_rate: Option<Bucket>,
    /// `[limits]`: of all requests.
    pub limits: Option<Bucket>,
    /// `poll.budget`: of polls.
    pub polls: Option<Bucket>,
    /// `submit.max_in_flight`: submits on the wire at once; 0 = no cap.
    pub submits_in_flight: u32,
    /// `http.max_in_flight`: the same of all requests.
    pub requests_in_flight: u32,
    /// `http.warm_up`: connections that are opened before the load.
    pub warm_up: u32,
    /// Bytes of all last bodies of open works.
    pub open_body_bytes: u64,
}

impl Share {
    /// The share of a segment.
    ///
    /// # Panics
    /// If there is not a token for each shard, which [`bounds`] says before.
    pub fn of(plan: &Plan, segment: Segment) -> Self {
        let (max_rate, limits) = shared(plan);
        let split = |bucket: Bucket| bucket_part(bucket, segment);
        let cap = |cap: u32| {
            let part = small(part(u64::from(cap), segment));
            assert!(cap == 0 || part > 0, "a cap of nothing");
            part
        };
        Self {
            max_rate: max_rate.map(split),
            limits: limits.map(split),
            polls: plan.poll.budget.map(split),
            submits_in_flight: cap(plan.submit.max_in_flight),
            requests_in_flight: cap(plan.http.max_in_flight),
            warm_up: small(part(u64::from(plan.http.warm_up), segment)),
            open_body_bytes: part(plan.report.open_body_bytes, segment),
        }
    }
}

/// The buckets that submits and polls have in common: the ceiling, and `[limits]`.
fn shared(plan: &Plan) -> (Option<Bucket>, Option<Bucket>) {
    let ceiling = plan.target.max_rate.map(|rate| Bucket { rate, burst: 1 });
    (ceiling, plan.limits.and_then(|limits| limits.bucket))
}

/// The part of a whole number; the parts of all segments sum to it.
fn part(whole: u64, Segment { index, of }: Segment) -> u64 {
    whole / of + u64::from(index < whole % of)
}

fn small(part: u64) -> u32 {
    u32::try_from(part).expect("a part is not larger than the whole")
}

fn bucket_part(Bucket { rate, burst }: Bucket, segment: Segment) -> Bucket {
    let burst = part(u64::from(burst), segment);
    assert!(burst > 0, "a bucket without a token");
    let per = rate.per.0.checked_mul(segment.of);
    Bucket {
        rate: Rate {
            count: rate.count,
            per: Span(per.expect("the period of a share fits")),
        },
        burst: small(burst),
    }
}

/// A figure of the scenario that only so many shards can share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Where it stands.
    pub key: &'static str,
    /// What it says.
    pub found: String,
    /// What each shard needs of it.
    pub each: String,
    /// The most shards that can share it; at least 1.
    pub most: u64,
}

/// Every figure of a plan that bounds the number of shards.
pub fn bounds(plan: &Plan) -> Vec<Bound> {
    let (ceiling, limits) = shared(plan);
    let buckets = [
        ("target.max_rate", "target.max_rate", ceiling),
        ("limits.rate", "limits.burst", limits),
        ("poll.budget", "poll.burst", plan.poll.budget),
    ];
    let mut bounds = Vec::new();
    for (rate_key, burst_key, bucket) in buckets {
        let Some(bucket) = bucket else { continue };
        bounds.push(Bound {
            key: burst_key,
            found: format!("{} at once", bucket.burst),
            each: "1".to_owned(),
            most: u64::from(bucket.burst),
        });
        bounds.push(Bound {
            key: rate_key,
            found: format!("{:.1}/s", bucket.rate.per_second()),
            each: format!("{LEAST_PER_SECOND}/s"),
            most: shards_of_rate(bucket.rate),
        });
    }
    let caps = [
        ("submit.max_in_flight", plan.submit.max_in_flight),
        ("http.max_in_flight", plan.http.max_in_flight),
    ];
    for (key, cap) in caps.into_iter().filter(|(_, cap)| *cap > 0) {
        bounds.push(Bound {
            key,
            found: cap.to_string(),
            each: "1".to_owned(),
            most: u64::from(cap),
        });
    }
    bounds
}

/// How many shards have [`LEAST_PER_SECOND`] of a rate; one always has what there is.
fn shards_of_rate(Rate { count, per }: Rate) -> u64 {
    let per = u128::from(per.0);
    let by_rate = u128::from(count) * u128::from(NANOS_PER_SECOND)
        / (per * u128::from(LEAST_PER_SECOND)).max(1);
    let by_period = u128::from(u64::MAX) / per.max(1);
    u64::try_from(by_rate.min(by_period))
        .unwrap_or(u64::MAX)
        .max(1)
}

/// The most shards that a plan can be split among; none where nothing bounds them.
pub fn most(plan: &Plan) -> Option<u64> {
    bounds(plan).into_iter().map(|bound| bound.most).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;
    use proptest::prelude::*;

    fn plan(more: &str) -> Plan {
        let text = format!(
            "name = 'x'\n[[load]]\nrate = '1/s'\nduration = '1s'\n\
             [target]\nbase_url = 'simulator'\n{more}\n"
        );
        resolve::read(&text, &[], &|_| Err(String::new())).unwrap()
    }

    fn shares(plan: &Plan, of: u64) -> Vec<Share> {
        (0..of)
            .map(|index| Share::of(plan, Segment { index, of }))
            .collect()
    }

    #[test]
    fn one_shard_has_everything() {
        let plan = plan(
            "max_rate = '7/s'\n[submit]\nmax_in_flight = 3\n[http]\nmax_in_flight = 5\n\
             [limits]\nrate = '9/min'\nburst = 2\n\
             [poll]\nbudget = '2.5/s'\nburst = 4",
        );
        let share = Share::of(&plan, Segment::WHOLE);
        assert_eq!(share.polls, plan.poll.budget);
        assert_eq!(share.limits, plan.limits.and_then(|limits| limits.bucket));
        let ceiling = share.max_rate.unwrap();
        assert_eq!(
            (Some(ceiling.rate), ceiling.burst),
            (plan.target.max_rate, 1)
        );
        assert_eq!((share.submits_in_flight, share.requests_in_flight), (3, 5));
        assert_eq!(share.open_body_bytes, plan.report.open_body_bytes);
        // However small its figures are.
        assert_eq!(most(&plan), Some(1));
    }

    #[test]
    fn each_figure_bounds_the_shards() {
        let check = |more: &str, shards: Option<u64>| {
            assert_eq!(most(&plan(more)), shards, "{more}");
        };
        check("", None);
        check("max_rate = '1000/s'", Some(1));
        check("[submit]\nmax_in_flight = 3", Some(3));
        check("[http]\nmax_in_flight = 4", Some(4));
        check("[limits]\nrate = '1000/s'\nburst = 7", Some(7));
        check("[limits]\nrate = '24/s'\nburst = 7", Some(4));
        check("[poll]\nbudget = '600/min'\nburst = 7", Some(2));
        check("[poll]\nbudget = '1/h'\nburst = 7", Some(1));
        // Written to the millionth an hour, the period times six is beyond a tick.
        check("[poll]\nbudget = '9999999.999999/h'\nburst = 99", Some(5));
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_scenario(
            of in 1_u64..40, cap in 40_u32..1_000, wire in 40_u32..1_000, burst in 40_u32..1_000,
            rate in 1_u64..100_000, bytes in 0_u64..10_000,
        ) {
            let mut plan = plan("");
            let bucket = Bucket { rate: Rate { count: rate, per: Span::from_secs(60) }, burst };
            plan.submit.max_in_flight = cap;
            plan.http.max_in_flight = wire;
            plan.poll.budget = Some(bucket);
            plan.report.open_body_bytes = bytes;
            let shares = shares(&plan, of);
            let sum = |of: &dyn Fn(&Share) -> u64| shares.iter().map(of).sum::<u64>();
            prop_assert_eq!(sum(&|share| u64::from(share.submits_in_flight)), u64::from(cap));
            prop_assert_eq!(sum(&|share| u64::from(share.requests_in_flight)), u64::from(wire));
            prop_assert_eq!(sum(&|share| u64::from(share.polls.unwrap().burst)), u64::from(burst));
            prop_assert_eq!(sum(&|share| share.open_body_bytes), bytes);
            for share in &shares {
                let polls = share.polls.unwrap();
                // of x count / per of a share = count / per of the whole, in whole numbers.
                prop_assert_eq!(polls.rate.count, rate);
                prop_assert_eq!(polls.rate.per.0, bucket.rate.per.0 * of);
                prop_assert!(polls.burst >= 1 && share.submits_in_flight >= 1);
                prop_assert!(share.requests_in_flight >= 1);
            }
        }
    }
}
