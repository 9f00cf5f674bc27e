//! What chance does to a request: its faults and its delay.

use super::answer::Kind;
use super::law::{draw, happens};
use crate::random::{Purpose, stream};
use crate::scenario::{Law, SimPlan};
use crate::time::Span;

/// Faults and delays of submits, and of polls: an index a request of its kind.
const SUBMITS: Purpose = Purpose::named("sim submits");
const POLLS: Purpose = Purpose::named("sim polls");

/// What goes wrong with a request, in the order in which it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is reset before the service looks at the request.
    ResetBefore,
    /// The service breaks.
    Internal,
    /// The connection is reset after the work was taken.
    ResetAfter,
    /// The answer is not JSON.
    Garbage,
}

/// What chance holds for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chance {
    /// The first thing that goes wrong.
    pub(super) trouble: Option<Trouble>,
    /// From the request to its answer.
    pub(super) delay: Span,
}

impl Chance {
    /// The `n`-th request of its kind (from 0): a function of plan, seed, kind and `n` alone.
    pub(super) fn of(plan: &SimPlan, seed: u64, kind: Kind, n: u64) -> Self {
        let (purpose, law) = match kind {
            Kind::Submit => (SUBMITS, &plan.accept_delay),
            Kind::Poll => (POLLS, &plan.poll_delay),
        };
        let submits_only = |ratio| if kind == Kind::Submit { ratio } else { 0.0 };
        let ratios = [
            (Trouble::ResetBefore, submits_only(plan.reset_before_ratio)),
            (Trouble::Internal, plan.error_ratio),
            (Trouble::ResetAfter, submits_only(plan.reset_after_ratio)),
            (Trouble::Garbage, plan.garbage_ratio),
        ];
        if let (Law::Fixed(delay), true) = (law, ratios.iter().all(|(_, ratio)| *ratio <= 0.0)) {
            // The same as below without making a generator: most requests come here.
            return Self {
                trouble: None,
                delay: *delay,
            };
        }
        let mut rng = stream(seed, purpose, n);
        // Each ratio takes its number, so that one ratio changed leaves the others as they were.
        let drawn = ratios.map(|(trouble, ratio)| happens(&mut rng, ratio).then_some(trouble));
        Self {
            trouble: drawn.into_iter().flatten().next(),
            delay: draw(law, &mut rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::life::Ids;
    use super::*;
    use crate::sim::{Answered, Service, quiet_plan};
    use crate::time::Tick;

    #[test]
    fn each_fault_comes_in_its_ratio_and_the_books_balance() {
        let plan = SimPlan {
            error_ratio: 0.1,
            reset_before_ratio: 0.2,
            reset_after_ratio: 0.3,
            garbage_ratio: 0.4,
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 5, None);
        let id = Ids::new(5).name(0);
        for n in 0..20_000 {
            service.submit(Tick(n));
            service.poll(Tick(n), &id);
        }
        let check = |kind, answered, ratio: f64| {
            let count = u32::try_from(service.books().answered(kind, answered)).unwrap();
            let bound = 5.0 * (ratio * (1.0 - ratio) / 20_000.0).sqrt();
            let error = (f64::from(count) / 20_000.0 - ratio).abs();
            assert!(error <= bound, "{kind:?} {answered:?}: {count} of 20000");
        };
        check(Kind::Submit, Answered::ResetBefore, 0.2);
        check(Kind::Submit, Answered::Internal, 0.8 * 0.1);
        check(Kind::Submit, Answered::ResetAfter, 0.8 * 0.9 * 0.3);
        check(Kind::Submit, Answered::Garbage, 0.8 * 0.9 * 0.7 * 0.4);
        check(Kind::Submit, Answered::Granted, 0.8 * 0.9 * 0.7 * 0.6);
        check(Kind::Poll, Answered::ResetBefore, 0.0);
        check(Kind::Poll, Answered::Internal, 0.1);
        check(Kind::Poll, Answered::Garbage, 0.9 * 0.4);
        assert_eq!(service.books().requests(Kind::Submit), 20_000);
        let taken: u64 = [Answered::Granted, Answered::Garbage, Answered::ResetAfter]
            .map(|answered| service.books().answered(Kind::Submit, answered))
            .iter()
            .sum();
        assert_eq!(service.close(Tick(20_000)).rows().count() as u64, taken);
    }

    #[test]
    fn the_short_way_is_the_long_way() {
        let quiet = quiet_plan();
        // A uniform law of no width takes the long way to the same length.
        let long = SimPlan {
            accept_delay: Law::Uniform(Span::from_secs(1), Span::from_secs(1)),
            ..quiet.clone()
        };
        let short = SimPlan {
            accept_delay: Law::Fixed(Span::from_secs(1)),
            ..quiet
        };
        for n in 0..100 {
            let [a, b] = [&long, &short].map(|plan| Chance::of(plan, 3, Kind::Submit, n));
            assert_eq!(a, b);
        }
    }
}
