//! Arrivals as the service saw them: their number, their spacing against the law, their lateness.

use std::collections::BTreeMap;

use super::harness::Told;
use super::kolmogorov::{critical, distance, p_value};
use super::{Check, Harness, LEVELS, Served, WAY, quantile, sorted};
use crate::report::selftest::Unit;
use crate::report::text::number;
use crate::time::Tick;

/// How often the right law itself would be found wrong.
const ALPHA: f64 = 0.001;

/// The offered load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offered {
    /// Arrivals that the plan has.
    pub arrivals: u64,
    /// Arrivals per second of its Poisson process.
    pub rate: f64,
}

/// All that can be said of the arrivals.
pub fn checks(offered: Offered, harness: &Harness, served: &Served) -> Vec<Check> {
    let count = served.submits.len() as u64;
    let mut checks = vec![
        Check::count("submits that the service saw", offered.arrivals, count),
        spacing(offered, served),
    ];
    checks.extend(lateness(harness, served));
    checks.push(order(harness, served));
    checks
}

/// Gaps of a Poisson process are exponential and independent, whatever was before.
fn spacing(offered: Offered, served: &Served) -> Check {
    let arrived: Vec<Tick> = served.submits.iter().map(|one| one.arrived).collect();
    let pairs = arrived.windows(2);
    let gaps = sorted(pairs.map(|pair| pair[1].since(pair[0]).seconds()));
    let n = gaps.len() as u64;
    let far = distance(&gaps, |gap| 1.0 - libm::exp(-offered.rate * gap));
    Check {
        what: "spacing of arrivals (KS distance)".to_owned(),
        unit: Unit::Number,
        truth: Some(0.0),
        measured: Some(far),
        error: far,
        allowed: Some(critical(ALPHA, n)),
        note: format!(
            "p = {:.3} over {}, exponential at {}",
            p_value(far, n),
            number::counted(n, "gap"),
            number::rate(offered.rate)
        ),
    }
}

/// Works that both sides know, by their ticket.
pub(super) fn both<'a>(
    harness: &'a Harness,
    served: &'a Served,
) -> impl Iterator<Item = (&'a Told, &'a super::served::Work)> {
    let known: BTreeMap<&str, &Told> = harness
        .works
        .iter()
        .filter_map(|told| Some((told.work_id.as_deref()?, told)))
        .collect();
    let works = served.works.iter();
    works.filter_map(move |work| Some((*known.get(work.id.as_str())?, work)))
}

/// How late submits came, by the clock of the service, against their intended starts.
fn lateness(harness: &Harness, served: &Served) -> Vec<Check> {
    let late = sorted(both(harness, served).map(|(told, work)| {
        let (due, came) = (told.intended.seconds(), work.arrived.seconds());
        (came - due).abs()
    }));
    let check = |name: &str, q, allowed| {
        let what = format!("lateness of arrivals, {name}");
        Check::seconds(what, Some(0.0), quantile(&late, 0, q), allowed)
    };
    // What the run says of itself, and that the service, a thread of the same machine, may read as
    // late as the run itself.
    let lags = |level| harness.lag("generator_lag", level) + harness.lag("stamp_delay", level);
    let mut checks: Vec<Check> = LEVELS
        .iter()
        .map(|(name, q, level)| check(name, *q, Some(lags(level) + WAY)))
        .collect();
    checks.push(check("max", 1.0, None));
    checks
}

/// What happens later is stamped later: due, sent, seen, answered, accepted; and told, detected.
/// The run's stamps are cut to the microsecond.
fn order(harness: &Harness, served: &Served) -> Check {
    let micros = |at: Tick| at.0 / 1_000;
    let wrong = both(harness, served).filter(|(told, work)| {
        let submit = [
            Some(told.intended),
            told.sent,
            Some(work.arrived),
            Some(work.left),
            told.accepted,
        ];
        let end = [work.terminal, work.told, told.detected];
        [&submit[..], &end[..]].iter().any(|stamps| {
            let stamps: Vec<u64> = stamps.iter().flatten().map(|at| micros(*at)).collect();
            !stamps.is_sorted()
        })
    });
    Check::count("works with stamps out of order", 0, wrong.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::crafted::{Crafted, MINUTE};
    use super::*;

    fn found(crafted: &Crafted, what: &str) -> Check {
        let checks = checks(MINUTE, &crafted.harness(), &crafted.served());
        let check = checks.iter().find(|check| check.what.starts_with(what));
        check.unwrap_or_else(|| panic!("{checks:?}")).clone()
    }

    #[test]
    fn a_harness_that_keeps_to_its_plan_is_within() {
        let crafted = Crafted::default();
        for check in checks(MINUTE, &crafted.harness(), &crafted.served()) {
            assert!(check.is_within(), "{check:?}");
        }
    }

    #[test]
    fn five_milliseconds_that_nobody_owns_up_to_are_found() {
        let mut crafted = Crafted::default();
        for work in &mut crafted.works {
            work.sent += 0.005;
        }
        // The run says that its own lag is small, and its send stamps agree with it.
        crafted.sent_stamp_error = -0.005;
        assert!(!found(&crafted, "lateness of arrivals, p99").is_within());
        assert!(!found(&crafted, "lateness of arrivals, p50").is_within());
        // All late by the same have the right gaps.
        assert!(found(&crafted, "spacing").is_within());
    }

    #[test]
    fn five_milliseconds_that_the_run_tells_are_its_own_affair() {
        let mut crafted = Crafted::default();
        for work in &mut crafted.works {
            work.sent += 0.005;
        }
        crafted.generator_lag = 0.005_1;
        assert!(found(&crafted, "lateness of arrivals, p99").is_within());
    }

    #[test]
    fn a_constant_lateness_does_not_hide_behind_a_rare_one() {
        let mut crafted = Crafted {
            sent_stamp_error: -0.005,
            rare_stamp_delay: 0.05,
            ..Crafted::default()
        };
        for work in &mut crafted.works {
            work.sent += 0.005;
        }
        assert!(found(&crafted, "lateness of arrivals, p99").is_within());
        assert!(!found(&crafted, "lateness of arrivals, p50").is_within());
    }

    #[test]
    fn arrivals_in_step_are_no_poisson_process() {
        let mut crafted = Crafted::default();
        for work in &mut crafted.works {
            // As a timer of 10 ms would send them.
            work.sent = (work.intended / 0.01).ceil() * 0.01;
        }
        assert!(!found(&crafted, "spacing").is_within());
    }

    #[test]
    fn an_arrival_that_never_came_is_found() {
        let mut crafted = Crafted::default();
        crafted.works.pop();
        assert!(!found(&crafted, "submits").is_within());
    }

    #[test]
    fn a_stamp_before_its_cause_is_found() {
        let crafted = Crafted {
            accepted_stamp_error: -0.001,
            ..Crafted::default()
        };
        let check = found(&crafted, "works with stamps");
        assert!(!check.is_within(), "{check:?}");
    }
}
