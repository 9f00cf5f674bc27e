//! `plimsoll selftest`: what a run told, held against what the service knows.
//!
//! Everything here compares values: a run's own files ([`Harness`]) with the books and stamps of
//! the simulated service ([`Served`]). Each comparison is a [`Check`]: what is true, what was
//! measured, the error, and how large the run itself said that it may be. The `run` module makes
//! the runs.

pub mod arrivals;
pub mod budget;
pub mod counts;
pub mod harness;
pub mod kolmogorov;
pub mod ladder;
pub mod latency;
pub mod phases;
pub mod result;
pub mod served;
pub mod table;

#[cfg(test)]
mod crafted;

pub use harness::Harness;
pub use result::{Machine, Selftest};
pub use served::Served;

use crate::report::selftest::Unit;

/// What the loopback interface and two system calls may take, both ways together, in seconds. It is
/// no error of anybody's; on an idle machine it is a tenth of that.
const WAY: f64 = 0.000_5;

/// The relative width of a histogram's cell: a figure of a report is known no better.
const CELL: f64 = 0.001;

/// What is allowed at two quantiles of an error, by those of the lags that it is a sum of. At p99
/// the p99 of each, as `own_error` of a report has it. At p50 the p90: a sum of up to five parts is
/// above the sum of their p90 at most as often as one of them is above its own, which is half of
/// the time. So a lag that is always there cannot hide behind one that is rare.
const LEVELS: [(&str, f64, &str); 2] = [("p50", 0.5, "p90"), ("p99", 0.99, "p99")];

/// One figure of a run against the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Which figure.
    pub what: String,
    /// In what it is counted.
    pub unit: Unit,
    /// What the service knows; none if it is larger than every value.
    pub truth: Option<f64>,
    /// What the run told; none if it is larger than every value.
    pub measured: Option<f64>,
    /// How far they lie apart, with the sign of `measured - truth`; infinite where one alone has no
    /// value.
    pub error: f64,
    /// The largest error, in either direction, that is within what is promised; none of a figure
    /// that nothing is promised of.
    pub allowed: Option<f64>,
    /// What else a reader may want to know; often empty.
    pub note: String,
}

impl Check {
    /// Two values in seconds, or their absence.
    pub fn seconds(
        what: impl Into<String>,
        truth: Option<f64>,
        measured: Option<f64>,
        allowed: Option<f64>,
    ) -> Self {
        let error = match (truth, measured) {
            (Some(truth), Some(measured)) => measured - truth,
            (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        Self {
            what: what.into(),
            unit: Unit::Seconds,
            truth,
            measured,
            error,
            allowed,
            note: String::new(),
        }
    }

    /// Two counts, which must be equal.
    pub fn count(what: impl Into<String>, truth: u64, measured: u64) -> Self {
        Self {
            unit: Unit::Count,
            ..Self::seconds(what, Some(float(truth)), Some(float(measured)), Some(0.0))
        }
    }

    /// The same check with a sentence for its reader.
    #[must_use]
    pub fn noted(self, note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..self
        }
    }

    /// Whether the error is within what is promised; true of what nothing is promised of.
    pub fn is_within(&self) -> bool {
        self.allowed
            .is_none_or(|allowed| self.error.abs() <= allowed)
    }

    /// The error as a multiple of what is allowed: what is beyond 1 is not within it.
    fn strain(&self) -> Option<f64> {
        let (error, allowed) = (self.error.abs(), self.allowed?);
        Some(if error <= 0.0 { 0.0 } else { error / allowed })
    }
}

/// A count as a number to reckon with: exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a minute are far below 2^53"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

/// The quantile `q` of sorted values, by the rule of every report: the value of rank `ceil(q n)`,
/// where `beyond` more are larger than all of them. None if the rank falls among those.
fn quantile(sorted: &[f64], beyond: u64, q: f64) -> Option<f64> {
    let all = sorted.len() as u64 + beyond;
    if all == 0 {
        return None;
    }
    let rank = crate::report::quantiles::rank(q, all);
    let place = usize::try_from(rank - 1).ok()?;
    sorted.get(place).copied()
}

/// Values in ascending order.
fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_within_what_is_promised_or_not() {
        let check = |truth, measured, allowed, within: bool, strain: Option<f64>| {
            let check = Check::seconds("x", truth, measured, allowed);
            assert_eq!(check.is_within(), within, "{check:?}");
            assert_eq!(check.strain(), strain, "{check:?}");
        };
        check(Some(1.0), Some(1.5), Some(0.5), true, Some(1.0));
        check(Some(1.5), Some(1.0), Some(0.25), false, Some(2.0));
        check(None, None, Some(0.5), true, Some(0.0));
        check(Some(1.0), None, Some(0.5), false, Some(f64::INFINITY));
        check(Some(1.0), Some(9.0), None, true, None);
        assert!(Check::count("x", 3, 3).is_within());
        assert_eq!(Check::count("x", 3, 4).strain(), Some(f64::INFINITY));
    }

    #[test]
    fn a_quantile_knows_those_beyond() {
        let check = |beyond, q, expected| {
            assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], beyond, q), expected);
        };
        check(0, 0.5, Some(2.0));
        check(0, 1.0, Some(4.0));
        check(4, 0.5, Some(4.0));
        check(4, 0.6, None);
        assert_eq!(quantile(&[], 0, 0.5), None);
    }
}
