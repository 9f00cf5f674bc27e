//! `Selftest`: the whole result, and its file.

use serde::Serialize;

use super::Check;
use super::ladder::{Highest, Ladder, Rung};
use crate::report::selftest::{Head, LastSelftest, SCHEMA, Worst, nano};
use crate::time::Span;

/// What was found out about a machine.
#[derive(Clone, Debug)]
pub struct Selftest {
    /// When it began: microseconds since the Unix epoch.
    pub started_at: i64,
    /// How long it took.
    pub duration: Span,
    /// Which machine it was.
    pub machine: Machine,
    /// Every figure against the truth.
    pub checks: Vec<Check>,
    /// Why a run of the comparison is not to be trusted: a code, and which run it was.
    pub invalid: Vec<String>,
    /// The rates that were tried.
    pub ladder: Ladder,
}

/// What a machine is, without its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Cores that the process may use.
    pub cores: u64,
    /// Which kernel it has.
    pub kernel: String,
}

impl Selftest {
    /// Whether every error is within what is promised, and the runs were valid.
    pub fn passed(&self) -> bool {
        self.invalid.is_empty() && self.checks.iter().all(Check::is_within)
    }

    /// How far the ladder came.
    pub fn highest(&self) -> Highest {
        self.ladder.highest()
    }

    /// What a later report quotes of it.
    pub fn quoted(&self) -> LastSelftest {
        let highest = self.highest();
        LastSelftest {
            started_at: self.started_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            passed: self.passed(),
            highest_requests_per_s: highest.rung.map(|rung| rung.requests_per_s),
            stopped_by: highest.stopped_by,
            worst: self.worst(),
        }
    }

    /// The figure that strains its promise most.
    fn worst(&self) -> Option<Worst> {
        let strained = self
            .checks
            .iter()
            .filter_map(|check| Some((check.strain()?, check)));
        let (_, check) = strained.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        Some(Worst {
            what: check.what.clone(),
            unit: check.unit,
            // What has no value on one side has no error that a file could hold.
            error: check.error.abs().min(f64::MAX),
            allowed: check.allowed.unwrap_or_default(),
        })
    }

    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let quoted = self.quoted();
        let file = File {
            schema: SCHEMA,
            head: Head::from(&quoted),
            duration_s: nano(self.duration.seconds()),
            cores: self.machine.cores,
            kernel: &self.machine.kernel,
            invalid: &self.invalid,
            checks: self.checks.iter().map(Line::from).collect(),
            ladder: self.ladder.rungs().iter().map(Step::from).collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&file).expect("plain values have a form");
        bytes.push(b'\n');
        bytes
    }
}

#[derive(Serialize)]
struct File<'a> {
    schema: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    duration_s: f64,
    cores: u64,
    kernel: &'a str,
    invalid: &'a [String],
    checks: Vec<Line<'a>>,
    ladder: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    what: &'a str,
    unit: &'static str,
    truth: Option<f64>,
    measured: Option<f64>,
    error: Option<f64>,
    allowed: Option<f64>,
    within: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
}

impl<'a> From<&'a Check> for Line<'a> {
    fn from(from: &'a Check) -> Self {
        let error = Some(from.error).filter(|error| error.is_finite());
        Self {
            what: &from.what,
            unit: from.unit.word(),
            truth: from.truth.map(nano),
            measured: from.measured.map(nano),
            error: error.map(nano),
            allowed: from.allowed.map(nano),
            within: from.is_within(),
            note: &from.note,
        }
    }
}

#[derive(Serialize)]
struct Step<'a> {
    works_per_s: u64,
    requests_per_s: f64,
    generator_lag_p99_s: f64,
    poll_lag_p99_s: f64,
    stamp_delay_p99_s: f64,
    way_p99_s: f64,
    core_share: Option<f64>,
    stopped_by: Option<&'a str>,
}

impl<'a> From<&'a Rung> for Step<'a> {
    fn from(from: &'a Rung) -> Self {
        Self {
            works_per_s: from.works_per_s,
            requests_per_s: nano(from.requests_per_s),
            generator_lag_p99_s: nano(from.generator_lag),
            poll_lag_p99_s: nano(from.poll_lag),
            stamp_delay_p99_s: nano(from.stamp_delay),
            way_p99_s: nano(from.way),
            core_share: from.core_share.map(nano),
            stopped_by: from.stopped_by.as_deref(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::selftest::Unit;

    pub(in super::super) fn selftest() -> Selftest {
        let mut ladder = Ladder::default();
        for (works_per_s, stopped_by) in [(500, None), (1_000, Some("cpu")), (1_000, Some("cpu"))] {
            ladder.put(Rung {
                works_per_s,
                requests_per_s: super::super::float(3 * works_per_s),
                generator_lag: 0.000_1,
                poll_lag: 0.000_2,
                stamp_delay: 0.000_3,
                way: 0.000_05,
                core_share: Some(0.25),
                stopped_by: stopped_by.map(str::to_owned),
            });
        }
        let latency =
            |truth, measured| Check::seconds("accept latency, p99", truth, measured, Some(0.000_5));
        Selftest {
            started_at: 1_750_000_000_123_456,
            duration: Span::from_secs(60),
            machine: Machine {
                cores: 2,
                kernel: "6.18".to_owned(),
            },
            checks: vec![
                Check::count("works completed", 98, 98),
                latency(Some(0.01), Some(0.010_4)).noted("a note"),
                Check::seconds("lateness of arrivals, max", Some(0.0), Some(0.5), None),
            ],
            invalid: Vec::new(),
            ladder,
        }
    }

    #[test]
    fn what_is_written_is_quoted() {
        let selftest = selftest();
        let read = LastSelftest::read(&selftest.write()).unwrap();
        assert_eq!(read.highest_requests_per_s, Some(1_500.0));
        assert_eq!(read.stopped_by.as_deref(), Some("cpu"));
        assert!(read.passed);
        let worst = read.worst.unwrap();
        assert_eq!(
            (worst.what.as_str(), worst.unit),
            ("accept latency, p99", Unit::Seconds)
        );
        assert!((worst.error - 0.000_4).abs() < 1e-9, "{worst:?}");
    }

    #[test]
    fn one_error_too_many_is_not_passed() {
        let mut selftest = selftest();
        selftest.checks.push(Check::count("works lost", 2, 1));
        assert!(!selftest.passed());
        let worst = selftest.quoted().worst.unwrap();
        assert_eq!(worst.what, "works lost");
        // A figure that is missing on one side has no number, and the file has a form all the same.
        selftest
            .checks
            .push(Check::seconds("x", Some(1.0), None, Some(0.1)));
        assert!(LastSelftest::read(&selftest.write()).is_ok());
    }

    #[test]
    fn a_run_that_was_invalid_is_not_passed() {
        let selftest = Selftest {
            invalid: vec!["late_generator in the budget run".to_owned()],
            ..selftest()
        };
        assert!(!selftest.passed());
    }
}
