//! SLO: is a promise kept, broken, or can this run not say?
//!
//! | judged | bound | source |
//! |---|---|---|
//! | quantiles | order statistics, over `count + beyond` | David and Nagaraja, Order Statistics,
//! 7.1 |
//! | ratios | Clopper-Pearson | Biometrika 26 (1934), 404-413 |
//! | mean | normal law with the sample's standard error | central limit theorem |
//! | max, counts, `achieved_rate` | exact | |
//! | `callback_lag` | as above, and its uncertainty on both sides | [`super::call_lags`] |
//!
//! Each bound is one-sided at 95 %. A promise is kept if everything up to the bound on its far side
//! keeps it, broken if everything down to the bound on the near side breaks it, else undecided.
//!
//! What the harness itself adds to a time ([`own_error`]) is taken off the lower bound: what is
//! kept is kept, as without us it would be smaller still; what is broken by less than our own error
//! is undecided.

use super::Facts;
use super::binomial::{float, rank_bounds, share_bounds};
use super::call_lags::{CALLBACK_LAG, CallLags};
use super::own_error;
use super::quantiles::{Sample, rank};
use crate::record::Metric;
use crate::record::ledger::Count;
use crate::record::snapshot::Snapshot;
use crate::scenario::{Judge, Relation, Slo, Statistic};

/// The quantile 0.95 of the standard normal law.
const NORMAL_95: f64 = 1.644_853_626_951_472_2;

/// What is said about one promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Kept.
    Pass,
    /// Too few samples to say.
    Undecided,
    /// Broken.
    Fail,
}

impl Decision {
    /// The word in every file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Undecided => "undecided",
            Self::Fail => "fail",
        }
    }

    /// The decision of a word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Pass, Self::Undecided, Self::Fail]
            .into_iter()
            .find(|decision| decision.word() == word)
    }
}

/// A measured value with its one-sided 95 % bounds, in SI units. Infinity is "beyond": larger than
/// every value that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value itself.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// How many samples it rests on; none for what is counted.
    pub n: Option<u64>,
}

/// A promise and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The promise.
    pub slo: Slo,
    /// What was measured; none without any sample.
    pub estimate: Option<Estimate>,
    /// By how much it may be too large because of us, in seconds; none where nothing of ours is in
    /// it.
    pub own_error: Option<f64>,
    /// The decision.
    pub decision: Decision,
}

/// Judges one promise.
pub fn judge(slo: &Slo, snapshot: &Snapshot, facts: &Facts) -> Judgement {
    let estimate = estimate(slo, snapshot, facts);
    let own_error = match (Metric::named(&slo.subject), slo.statistic) {
        (Some(metric), Some(statistic)) => own_error::of_statistic(snapshot, metric, statistic),
        _ => None,
    };
    Judgement {
        decision: decide_within(slo, estimate, own_error.unwrap_or(0.0)),
        slo: slo.clone(),
        estimate,
        own_error,
    }
}

/// Our own error can only have made the value larger than it is.
fn decide_within(slo: &Slo, estimate: Option<Estimate>, own_error: f64) -> Decision {
    estimate.map_or(
        Decision::Undecided,
        |Estimate {
             value, low, high, ..
         }| {
            let (low, high) = match slo.judge {
                Judge::Bounds => (low, high),
                Judge::Point => (value, value),
            };
            decide(
                slo.relation,
                own_error::truth(low, own_error),
                high,
                slo.bound,
            )
        },
    )
}

impl Judgement {
    /// Whether it would be decided, were it not for our own error.
    pub fn hangs_on_own_error(&self) -> bool {
        let without = decide_within(&self.slo, self.estimate, 0.0);
        self.decision == Decision::Undecided && without != Decision::Undecided
    }
}

fn estimate(slo: &Slo, snapshot: &Snapshot, facts: &Facts) -> Option<Estimate> {
    if let (Some(metric), Some(statistic)) = (Metric::named(&slo.subject), slo.statistic) {
        return of_metric(&Sample::of(snapshot, metric), statistic);
    }
    if let (CALLBACK_LAG, Some(statistic)) = (slo.subject.as_str(), slo.statistic) {
        let lags = facts.has_rows.then(|| CallLags::of(snapshot).ok())??;
        return Some(of_lags(&lags, statistic));
    }
    if let Some(ratio) = slo.subject.strip_suffix("_ratio").and_then(Ratio::named) {
        return of_ratio(ratio.parts(snapshot));
    }
    let value = match slo.subject.as_str() {
        "achieved_rate" => facts.achieved_rate(snapshot)?,
        "polls_per_work" => polls_per_work(snapshot)?,
        name => float(count(snapshot, name)?),
    };
    Some(Estimate {
        value,
        low: value,
        high: value,
        n: None,
    })
}

/// A count of the books, of requests or of anomalies by the name that `summary.json` gives it.
pub fn count(snapshot: &Snapshot, name: &str) -> Option<u64> {
    match name {
        "queued" => Some(snapshot.gauges.queued),
        "submitting" => Some(snapshot.gauges.submitting),
        "unresolved" => Some(snapshot.gauges.backlog),
        name => Count::named(name).map(|count| snapshot.counts.get(count)),
    }
}

/// Polls sent for each accepted work; none without any.
pub fn polls_per_work(snapshot: &Snapshot) -> Option<f64> {
    let accepted = snapshot.counts.get(Count::Accepted);
    (accepted > 0).then(|| float(snapshot.counts.get(Count::Polls)) / float(accepted))
}

/// A ratio of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ratio {
    /// (rejected + `intake_failed`) / sent
    IntakeFailure,
    /// (failed + expired + lost) / accepted
    WorkFailure,
    /// unresolved / accepted
    Unresolved,
}

impl Ratio {
    /// Every ratio, in the order of the files.
    pub const ALL: [Self; 3] = [Self::IntakeFailure, Self::WorkFailure, Self::Unresolved];

    /// Its name in `summary.json`; an SLO adds `_ratio`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IntakeFailure => "intake_failure",
            Self::WorkFailure => "work_failure",
            Self::Unresolved => "unresolved",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ratio| ratio.name() == name)
    }

    /// Numerator and denominator.
    pub fn parts(self, snapshot: &Snapshot) -> (u64, u64) {
        let count = |what| snapshot.counts.get(what);
        match self {
            Self::IntakeFailure => (
                count(Count::Rejected) + count(Count::IntakeFailed),
                count(Count::Sent),
            ),
            Self::WorkFailure => (
                count(Count::Failed) + count(Count::Expired) + count(Count::Lost),
                count(Count::Accepted),
            ),
            Self::Unresolved => (snapshot.gauges.backlog, count(Count::Accepted)),
        }
    }
}

fn of_ratio((k, n): (u64, u64)) -> Option<Estimate> {
    // Books that do not balance may hold more failures than works; that is reported elsewhere.
    let k = k.min(n);
    (n > 0).then(|| {
        let (low, high) = share_bounds(k, n);
        Estimate {
            value: float(k) / float(n),
            low,
            high,
            n: Some(n),
        }
    })
}

fn of_metric(sample: &Sample, statistic: Statistic) -> Option<Estimate> {
    let n = sample.total();
    if n == 0 {
        return None;
    }
    let (value, low, high) = match statistic {
        Statistic::Mean => mean(sample),
        Statistic::Quantile(q) => quantile(sample, q, n),
        Statistic::Max => {
            let [max] = sample.cells([n]);
            let max = max.map_or(f64::INFINITY, |cell| cell.high);
            (max, max, max)
        }
    };
    Some(Estimate {
        value,
        low,
        high,
        n: Some(n),
    })
}

/// Each lag may be wrong by the uncertainty, so both bounds are moved by it.
fn of_lags(lags: &CallLags, statistic: Statistic) -> Estimate {
    let n = lags.count();
    let (value, low, high) = match statistic {
        Statistic::Max => {
            let longest = lags.at(n);
            (longest, longest, longest)
        }
        Statistic::Mean => {
            let (mean, spread) = lags.mean();
            let error = NORMAL_95 * spread / float(n).sqrt();
            (mean, mean - error, mean + error)
        }
        Statistic::Quantile(q) => {
            let (low, high) = rank_bounds(q, n);
            let low = low.map_or(0.0, |rank| lags.at(rank));
            let high = high.map_or(f64::INFINITY, |rank| lags.at(rank));
            (lags.at(rank(q, n)), low, high)
        }
    };
    Estimate {
        value,
        low: low - lags.uncertainty,
        high: high + lags.uncertainty,
        n: Some(n),
    }
}

/// With anything beyond, the mean is beyond too.
fn mean(sample: &Sample) -> (f64, f64, f64) {
    sample.mean().map_or(
        (f64::INFINITY, f64::INFINITY, f64::INFINITY),
        |(mean, spread)| {
            let error = NORMAL_95 * spread / float(sample.count()).sqrt();
            // Times are not negative.
            (mean, (mean - error).max(0.0), mean + error)
        },
    )
}

/// Value and bounds of a quantile. The bounds take the far edges of the histogram's cells, so that
/// the rounding of the histogram can only widen them.
fn quantile(sample: &Sample, q: f64, n: u64) -> (f64, f64, f64) {
    let (low, high) = rank_bounds(q, n);
    // Absent ranks stand in as ones that ascend too and are not looked at.
    let [first, middle, last] = sample.cells([low.unwrap_or(0), rank(q, n), high.unwrap_or(n)]);
    let value = middle.map_or(f64::INFINITY, |cell| cell.high);
    let low = match low {
        None => 0.0,
        Some(_) => first.map_or(f64::INFINITY, |cell| cell.low),
    };
    let high = match high {
        None => f64::INFINITY,
        Some(_) => last.map_or(f64::INFINITY, |cell| cell.high),
    };
    (value, low, high)
}

#[expect(
    clippy::float_cmp,
    reason = "`==` is only kept by counts, which are whole numbers and exact"
)]
fn decide(relation: Relation, low: f64, high: f64, bound: f64) -> Decision {
    let (pass, fail) = match relation {
        Relation::Less => (high < bound, low >= bound),
        Relation::LessEqual => (high <= bound, low > bound),
        Relation::Greater => (low > bound, high <= bound),
        Relation::GreaterEqual => (low >= bound, high < bound),
        Relation::Equal => (low == bound && high == bound, low > bound || high < bound),
    };
    match (pass, fail) {
        (true, _) => Decision::Pass,
        (_, true) => Decision::Fail,
        _ => Decision::Undecided,
    }
}

#[cfg(test)]
mod tests;
