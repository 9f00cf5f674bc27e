//! Promises as they are written: `accept_latency.p99 < 250ms`, `failed == 0`.

use super::{Judge, Rate, Relation, Slo, Statistic};
use crate::time::Span;

/// Metrics that a promise may be about; each has the statistics of [`STATISTICS`].
pub const METRICS: [&str; 18] = [
    "accept_latency",
    "accept_service_time",
    "closed_loop_latency",
    "schedule_lag",
    "time_to_terminal",
    "time_to_completed",
    "time_to_failed",
    "poll_round_trip",
    "poll_wait",
    "poll_wait_budget",
    "poll_wait_gate",
    "poll_lag",
    "generator_lag",
    "stamp_delay",
    "callback_ahead",
    "poll_ahead",
    "callback_gap",
    "callback_lag",
];

/// Counts of the ledger.
pub const LEDGER: [&str; 16] = [
    "scheduled",
    "sent",
    "dropped",
    "queued",
    "missed",
    "unknown",
    "accepted",
    "rejected",
    "intake_failed",
    "maybe_accepted",
    "submitting",
    "completed",
    "failed",
    "expired",
    "lost",
    "unresolved",
];

/// Counts of requests. (`polls_per_work` is a mean and no count.)
pub const REQUESTS: [&str; 13] = [
    "submits",
    "submit_retries",
    "polls",
    "poll_errors",
    "rate_limited",
    "rate_limited_submits",
    "rate_limited_polls",
    "not_visible",
    "skipped_slots",
    "rechecks",
    "new_connections",
    "hint_clamps",
    "gate_closures",
];

/// Counts of callbacks.
pub const CALLBACKS: [&str; 20] = [
    "callbacks",
    "callbacks_first",
    "callbacks_not_terminal",
    "callbacks_unreadable",
    "callbacks_refused",
    "callbacks_not_accepted",
    "callbacks_same_delivery",
    "callbacks_again",
    "callbacks_unverified",
    "callbacks_parked",
    "callbacks_late",
    "callbacks_overdue",
    "callbacks_swept",
    "pairs_callback_first",
    "pairs_poll_first",
    "polls_behind_callback",
    "receiver_bad_token",
    "receiver_malformed",
    "receiver_timed_out",
    "receiver_evicted",
];

/// Promises that a service can break.
pub const ANOMALIES: [&str; 9] = [
    "callback_before_accept",
    "duplicate_callback",
    "callback_after_settlement",
    "disagreement",
    "terminal_reverted",
    "duplicate_id",
    "unknown_status",
    "unknown_work",
    "foreign_poll_url",
];

/// Ratios, as they are written in a promise.
pub const RATIOS: [&str; 3] = [
    "intake_failure_ratio",
    "work_failure_ratio",
    "unresolved_ratio",
];

/// Statistics of a metric.
pub const STATISTICS: [(&str, Statistic); 7] = [
    ("mean", Statistic::Mean),
    ("p50", Statistic::Quantile(0.5)),
    ("p90", Statistic::Quantile(0.9)),
    ("p95", Statistic::Quantile(0.95)),
    ("p99", Statistic::Quantile(0.99)),
    ("p99.9", Statistic::Quantile(0.999)),
    ("max", Statistic::Max),
];

/// The rate that a promise may be about.
pub const ACHIEVED_RATE: &str = "achieved_rate";

/// The words that a mistake shows.
pub const GRAMMAR: &str = "a promise such as `accept_latency.p99 < 250ms`, `work_failure_ratio < \
                           2%`, `lost == 0` or `achieved_rate >= 45/s`";

impl Slo {
    /// Reads a promise, or says what is wrong with it.
    pub fn parse(that: &str, judge: Judge) -> Result<Self, String> {
        let (left, relation, right) = split(that)?;
        let (subject, statistic) = match left.split_once('.') {
            Some((metric, word)) => (metric, Some(statistic(metric, word)?)),
            None => (left, None),
        };
        if statistic.is_none() && METRICS.contains(&subject) {
            return Err(format!(
                "`{subject}` needs a statistic, such as {subject}.p99"
            ));
        }
        let count = [&LEDGER[..], &REQUESTS, &CALLBACKS, &ANOMALIES]
            .iter()
            .any(|names| names.contains(&subject));
        let bound = if statistic.is_some() {
            Span::parse(right)
                .map(Span::seconds)
                .ok_or_else(|| format!("`{right}` is no duration such as 250ms"))?
        } else if RATIOS.contains(&subject) {
            fraction(right).ok_or_else(|| format!("`{right}` is no share such as 2% or 0.02"))?
        } else if count {
            whole(right).ok_or_else(|| format!("`{right}` is no count such as 0"))?
        } else if subject == ACHIEVED_RATE {
            Rate::parse(right)
                .map(Rate::per_second)
                .ok_or_else(|| format!("`{right}` is no rate such as 45/s"))?
        } else {
            return Err(format!("`{subject}` is no metric, ratio or count"));
        };
        if relation == Relation::Equal && !count {
            return Err("`==` is for counts: nothing else is ever exactly equal".to_owned());
        }
        Ok(Self {
            that: that.to_owned(),
            subject: subject.to_owned(),
            statistic,
            relation,
            bound,
            judge,
        })
    }
}

impl Relation {
    /// As it is written.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Equal => "==",
        }
    }
}

/// Every name that may begin a promise, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS
        .into_iter()
        .chain(LEDGER)
        .chain(REQUESTS)
        .chain(CALLBACKS)
        .chain(ANOMALIES)
        .chain(RATIOS)
        .chain([ACHIEVED_RATE])
}

fn split(that: &str) -> Result<(&str, Relation, &str), String> {
    let relations = [
        ("<=", Relation::LessEqual),
        (">=", Relation::GreaterEqual),
        ("==", Relation::Equal),
        ("<", Relation::Less),
        (">", Relation::Greater),
    ];
    relations
        .into_iter()
        .find_map(|(sign, relation)| {
            let (left, right) = that.split_once(sign)?;
            Some((left.trim(), relation, right.trim()))
        })
        .ok_or_else(|| "it has none of <, <=, >, >= and ==".to_owned())
}

fn statistic(metric: &str, word: &str) -> Result<Statistic, String> {
    if !METRICS.contains(&metric) {
        return Err(format!("`{metric}` is no metric"));
    }
    STATISTICS
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, statistic)| *statistic)
        .ok_or_else(|| {
            let known: Vec<&str> = STATISTICS.iter().map(|(name, _)| *name).collect();
            format!("`{word}` is none of {}", known.join(", "))
        })
}

/// `2%` or `0.02`, in `[0, 1]`.
fn fraction(text: &str) -> Option<f64> {
    let (digits, scale) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let plain = |c: char| c.is_ascii_digit() || c == '.';
    let value = digits.parse::<f64>().ok()? / scale;
    (digits.chars().all(plain) && value <= 1.0).then_some(value)
}

fn whole(text: &str) -> Option<f64> {
    // A count of u32 size is exact as a float, and no run has more.
    text.parse::<u32>().ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_read_in_si_units() {
        let check = |that: &str, statistic: Option<Statistic>, relation: Relation, bound: f64| {
            let slo = Slo::parse(that, Judge::Bounds).unwrap();
            assert_eq!(
                (slo.statistic, slo.relation),
                (statistic, relation),
                "{that}"
            );
            assert!((slo.bound - bound).abs() < 1e-12, "{that}: {}", slo.bound);
        };
        let p = |q| Some(Statistic::Quantile(q));
        check("accept_latency.p99 < 250ms", p(0.99), Relation::Less, 0.25);
        check("poll_wait.p99.9<=2s", p(0.999), Relation::LessEqual, 2.0);
        check(
            "schedule_lag.max < 1s",
            Some(Statistic::Max),
            Relation::Less,
            1.0,
        );
        check("work_failure_ratio < 2%", None, Relation::Less, 0.02);
        check("unresolved_ratio < 0.5", None, Relation::Less, 0.5);
        check("lost == 0", None, Relation::Equal, 0.0);
        check("rate_limited <= 10", None, Relation::LessEqual, 10.0);
        check(
            "achieved_rate >= 2700/min",
            None,
            Relation::GreaterEqual,
            45.0,
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |that: &str, word: &str| {
            let said = Slo::parse(that, Judge::Bounds).unwrap_err();
            assert!(said.contains(word), "{that}: {said}");
        };
        check("accept_latency.p99", "none of <");
        check("accept_latency < 1s", "needs a statistic");
        check("accept_latency.p42 < 1s", "`p42` is none of");
        check("accept_latency.p99 < 250", "no duration");
        check("latency.p99 < 1s", "`latency` is no metric");
        check("work_failure_ratio < 200%", "no share");
        check("work_failure_ratio == 0", "for counts");
        check("lost == 1.5", "no count");
        check("achieved_rate > 45", "no rate");
        check("happiness > 1", "no metric, ratio or count");
    }
}
