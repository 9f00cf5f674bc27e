//! What the samples of a plan can and cannot prove.

use super::{Lines, arrivals, expect};
use crate::scenario::{Judge, Plan, Relation, Statistic, slo};

/// What so many works can say about quantiles and ratios.
pub(super) fn samples(plan: &Plan, lines: &mut Lines) {
    let n = arrivals(plan);
    if n < 1.0 {
        return;
    }
    let said = |(name, statistic): &(&str, Statistic)| {
        let Statistic::Quantile(quantile) = *statistic else {
            return None;
        };
        let least = expect::samples_for_bound(quantile);
        Some(if n < least {
            format!("{name} not measurable (needs {least:.0})")
        } else {
            let precision = expect::tail_precision(quantile, n) * 100.0;
            if precision > 100.0 {
                format!("{name} an upper bound only")
            } else {
                format!("{name} \u{b1}{precision:.0} %")
            }
        })
    };
    let all: Vec<String> = slo::STATISTICS.iter().filter_map(said).collect();
    lines.fact(
        "proof",
        format!(
            "{n:.0} works carry, of the tail's share: {}",
            all.join(", ")
        ),
    );
    lines.fact(
        "proof",
        format!(
            "no failure among them would prove a ratio below {:.2} %",
            100.0 * expect::provable_ratio(n)
        ),
    );
    let limits = plan.validity;
    lines.fact(
        "validity",
        format!(
            "invalid if the p99 of schedule_lag exceeds {} or the generator takes more than {:.0} % \
             of a core",
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
