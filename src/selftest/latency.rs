//! Latencies that the run told, against those that the service stamped.

use super::arrivals::both;
use super::harness::Estimate;
use super::{CELL, Check, Harness, LEVELS, Served, WAY, quantile, sorted};
use crate::scenario::Plan;
use crate::sim::{Answered, State};
use crate::time::Span;

/// The quantiles that are compared, by their names in `summary.json`.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// Accept latency, time to terminal, sojourn time, the spacing of polls, and the lags that all of
/// these are judged by.
pub fn checks(plan: &Plan, harness: &Harness, served: &Served) -> Vec<Check> {
    let mut checks = accept_latency(harness, served);
    checks.extend(time_to_terminal(harness, served));
    checks.extend(sojourn(harness, served));
    checks.extend(poll_spacing(plan.poll.interval, harness, served));
    checks.extend(own_lags(plan.validity.schedule_lag_p99, harness));
    checks
}

/// A run that owns up to any lateness is honest, and of no use. What it may be late by at all is
/// what a run may be that is valid.
fn own_lags(limit: Span, harness: &Harness) -> [Check; 3] {
    [
        ("own lag of submits", "generator_lag"),
        ("own lag of polls", "poll_lag"),
        ("own lag of stamps", "stamp_delay"),
    ]
    .map(|(what, metric)| {
        let measured = Some(harness.lag(metric, "p99"));
        let allowed = Some(limit.seconds());
        Check::seconds(format!("{what}, p99"), Some(0.0), measured, allowed)
    })
}

/// How late the run itself says that submits may leave and answers be read; and the service, a
/// thread of the same machine, may read as late as the run.
fn allowed(harness: &Harness, level: &str, truth: Option<f64>) -> f64 {
    let lags = harness.lag("generator_lag", level) + 2.0 * harness.lag("stamp_delay", level);
    lags + WAY + CELL * truth.unwrap_or(0.0)
}

/// The median of what was added to each work's own latency, which both sides know.
fn each(what: &str, harness: &Harness, added: impl Iterator<Item = f64>) -> Check {
    let (name, q, level) = LEVELS[0];
    let measured = quantile(&sorted(added), 0, q);
    let allowed = allowed(harness, level, None);
    let what = format!("{what}, work by work, {name}");
    Check::seconds(what, Some(0.0), measured, Some(allowed))
}

/// The truth is what a caller at the service's own door would have measured: from the submit's
/// coming to the answer's leaving. Whatever a run adds to that is its error.
fn accept_latency(harness: &Harness, served: &Served) -> Vec<Check> {
    let took = sorted((served.works.iter()).map(|work| work.left.since(work.arrived).seconds()));
    // A submit without an answer is larger than every value.
    let resets = [Answered::ResetBefore, Answered::ResetAfter];
    let beyond = resets.map(|how| served.answered(how)).iter().sum();
    let mut checks = compare("accept latency", "accept_latency", harness, &took, beyond);
    let added = both(harness, served).filter_map(|(told, work)| {
        let took = told.accepted?.since(told.intended).seconds();
        Some(took - work.left.since(work.arrived).seconds())
    });
    checks.push(each("accept latency", harness, added));
    checks
}

/// From the submit's coming to the leaving of the first answer that told the end: the poll policy
/// is in it, as it is in what the run told.
fn time_to_terminal(harness: &Harness, served: &Served) -> Vec<Check> {
    let took = sorted((served.works.iter()).filter_map(|work| {
        let told = work.told?;
        Some(told.since(work.arrived).seconds())
    }));
    let beyond = (served.works.len() - took.len()) as u64;
    let what = "time to terminal";
    let mut checks = compare(what, "time_to_terminal", harness, &took, beyond);
    let added = both(harness, served).filter_map(|(told, work)| {
        let took = told.detected?.since(told.intended).seconds();
        Some(took - work.told?.since(work.arrived).seconds())
    });
    checks.push(each(what, harness, added));
    checks
}

fn compare(what: &str, metric: &str, harness: &Harness, took: &[f64], beyond: u64) -> Vec<Check> {
    QUANTILES
        .iter()
        .map(|(name, q)| {
            let truth = quantile(took, beyond, *q);
            let measured = harness.figure(metric, name);
            let allowed = allowed(harness, "p99", truth);
            Check::seconds(format!("{what}, {name}"), truth, measured, Some(allowed))
        })
        .collect()
}

/// The estimate of the time in the service, whoever looks, against the exact one; nothing from a
/// run that does not estimate it. Within is what its own bounds hold; without bounds it promises
/// nothing. The estimate takes a lost work as one that was not looked at any longer, which says
/// nothing of its end, so it is not among the exact ones either.
fn sojourn(harness: &Harness, served: &Served) -> Vec<Check> {
    let took = sorted((served.works.iter()).filter_map(|work| {
        let end = work.terminal?;
        Some(end.since(work.arrived).seconds())
    }));
    let open = [State::Pending, State::Running];
    let open = served
        .works
        .iter()
        .filter(|work| open.contains(&work.state));
    let beyond = open.count() as u64;
    QUANTILES
        .iter()
        .filter_map(|(name, q)| {
            let Estimate { value, low, high } = harness.sojourn(name)?;
            let truth = quantile(&took, beyond, *q);
            let half = |bound: Option<f64>| bound.map(|bound| (bound - value).abs());
            let reach = match truth {
                Some(truth) if truth < value => half(low),
                _ => half(high),
            };
            let allowed = reach.map(|reach| reach + allowed(harness, "p99", truth));
            let what = format!("sojourn time, {name}");
            Some(Check::seconds(what, truth, Some(value), allowed))
        })
        .collect()
}

/// Polls of a work come a whole number of intervals apart, as the service sees them.
fn poll_spacing(interval: Span, harness: &Harness, served: &Served) -> Vec<Check> {
    let interval = interval.seconds();
    let known = both(harness, served);
    let gaps = known.flat_map(|(_, work)| work.polls.windows(2));
    let off = sorted(gaps.map(|pair| {
        let gap = pair[1].since(pair[0]).seconds();
        let slots = (gap / interval).round().max(1.0);
        (gap - slots * interval).abs()
    }));
    LEVELS
        .iter()
        .map(|(name, q, level)| {
            let lags = harness.lag("poll_lag", level) + 2.0 * harness.lag("stamp_delay", level);
            let measured = quantile(&off, 0, *q).or(Some(0.0));
            let what = format!("spacing of polls off by, {name}");
            Check::seconds(what, Some(0.0), measured, Some(lags + WAY))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::crafted::{Crafted, INTERVAL};
    use super::super::phases;
    use super::*;
    use crate::scenario::resolve;

    fn all(crafted: &Crafted) -> Vec<Check> {
        let text = phases::accuracy(phases::SHORTEST, 1);
        let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
        assert_eq!(plan.poll.interval, INTERVAL);
        checks(&plan, &crafted.harness(), &crafted.served())
    }

    fn beyond(crafted: &Crafted) -> Vec<String> {
        let all = all(crafted).into_iter();
        all.filter(|check| !check.is_within())
            .map(|check| check.what)
            .collect()
    }

    #[test]
    fn a_run_that_measures_well_is_within() {
        let crafted = Crafted::default();
        assert_eq!(beyond(&crafted), Vec::<String>::new());
        // Without an estimate of the sojourn time nothing is said of it.
        assert_eq!(all(&crafted).len(), 13);
    }

    #[test]
    fn answers_that_are_stamped_late_are_found() {
        let crafted = Crafted {
            accepted_stamp_error: 0.005,
            ..Crafted::default()
        };
        let found = beyond(&crafted);
        let names = [
            "accept latency, p50",
            "accept latency, p90",
            "accept latency, p99",
            "accept latency, work by work, p50",
        ];
        assert_eq!(found, names);
        let crafted = Crafted {
            detected_stamp_error: 0.005,
            ..Crafted::default()
        };
        // p99 lies among the lost, on both sides.
        let names = [
            "time to terminal, p50",
            "time to terminal, p90",
            "time to terminal, work by work, p50",
        ];
        assert_eq!(beyond(&crafted), names);
    }

    #[test]
    fn a_late_stamp_that_the_run_knows_of_is_within() {
        let crafted = Crafted {
            accepted_stamp_error: 0.005,
            stamp_delay: 0.005,
            ..Crafted::default()
        };
        assert_eq!(beyond(&crafted), Vec::<String>::new());
    }

    #[test]
    fn polls_off_their_grid_are_found() {
        let crafted = Crafted {
            poll_drift: 0.005,
            ..Crafted::default()
        };
        let names = [
            "spacing of polls off by, p50",
            "spacing of polls off by, p99",
        ];
        assert_eq!(beyond(&crafted), names);
    }

    #[test]
    fn a_constant_error_does_not_hide_behind_a_rare_one() {
        let crafted = Crafted {
            accepted_stamp_error: 0.005,
            rare_stamp_delay: 0.009,
            ..Crafted::default()
        };
        assert_eq!(beyond(&crafted), ["accept latency, work by work, p50"]);
    }

    #[test]
    fn a_machine_that_is_late_and_knows_it_is_of_no_use() {
        let crafted = Crafted {
            generator_lag: 0.02,
            ..Crafted::default()
        };
        assert_eq!(beyond(&crafted), ["own lag of submits, p99"]);
    }

    #[test]
    fn an_estimate_of_the_sojourn_time_is_held_against_the_exact_one() {
        let exact = Crafted::default().sojourn_p50();
        let with = |value: f64, low: f64, high: f64| {
            let crafted = Crafted {
                sojourn: Some([value, low, high]),
                ..Crafted::default()
            };
            beyond(&crafted)
        };
        assert_eq!(
            with(exact, exact - 0.05, exact + 0.05),
            Vec::<String>::new()
        );
        assert_eq!(
            with(exact + 0.1, exact + 0.05, exact + 0.15),
            ["sojourn time, p50"]
        );
        assert_eq!(
            with(exact - 0.1, exact - 0.15, exact - 0.05),
            ["sojourn time, p50"]
        );
    }
}
