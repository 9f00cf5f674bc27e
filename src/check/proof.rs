//! What the samples of a plan can and cannot prove.

use super::{Lines, arrivals, expect};
use crate::scenario::{Judge, Plan, Relation, Statistic, slo};

/// What so many works can say about quantiles and ratios.
pub(super) fn samples(plan: &Plan, lines: &mut Lines) {
    let n = arrivals(plan);
    if n < 1.0 {
        return;
    }
    let (mut known, mut bounded, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (name, statistic) in slo::STATISTICS {
        let Statistic::Quantile(quantile) = statistic else {
            continue;
        };
        let least = expect::samples_for_bound(quantile);
        let precision = expect::tail_precision(quantile, n) * 100.0;
        if n < least {
            unknown.push(format!("{name} ({least:.0} needed)"));
        } else if precision > 100.0 {
            bounded.push(name);
        } else {
            known.push(format!("above {name} to \u{b1}{precision:.0} %"));
        }
    }
    if !known.is_empty() {
        let known = known.join(", ");
        let text = format!("{n:.0} works tell the share of works {known}");
        lines.fact("proof", text);
    }
    if !bounded.is_empty() {
        let text = format!("only an upper bound for {}", bounded.join(", "));
        lines.fact("proof", text);
    }
    if !unknown.is_empty() {
        let text = format!("too few works for a bound of {}", unknown.join(", "));
        lines.fact("proof", text);
    }
    lines.fact(
        "proof",
        format!(
            "no failure among {n:.0} works would prove a ratio below {:.2} %",
            100.0 * expect::provable_ratio(n)
        ),
    );
    let limits = plan.validity;
    lines.fact(
        "validity",
        format!(
            "invalid if the p99 of generator_lag exceeds {} (validity.schedule_lag_p99), or a thread \
             takes more than {:.0} % of its core over ten seconds (validity.cpu_share)",
            limits.schedule_lag_p99,
            limits.cpu_share * 100.0
        ),
    );
}

/// Promises that so many works cannot decide.
pub(super) fn promises(plan: &Plan, lines: &mut Lines) {
    let n = arrivals(plan);
    for slo in &plan.slo {
        if slo.judge == Judge::Point {
            continue;
        }
        let upper = matches!(slo.relation, Relation::Less | Relation::LessEqual);
        let needed = match slo.statistic {
            Some(Statistic::Quantile(quantile)) if upper => expect::samples_for_bound(quantile),
            // Zero failures prove a ratio below the p of which (1 - p)^n = 5 %.
            None if upper && slo.subject.ends_with("_ratio") => {
                expect::samples_for_bound(1.0 - slo.bound)
            }
            _ => continue,
        };
        if n < needed {
            lines.warn(
                "proof",
                format!(
                    "`{}` cannot be kept with certainty: it needs {needed:.0} works, {n:.0} are \
                     expected",
                    slo.that
                ),
            );
        }
    }
}
