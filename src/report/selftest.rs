//! `Quoted`: what a report says of the last `plimsoll selftest` of its machine.
//!
//! The selftest's own file and the `selftest` of a `summary.json` have the same fields here, so one
//! reader is enough for both.

use serde::Serialize;
use serde_json::Value;

use super::summary::wall;
use super::text::number;

/// The version of the shape of the file.
pub const SCHEMA: &str = "plimsoll.selftest/1";

/// What is known of the accuracy of the machine that a run was made on.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Quoted {
    /// No machine had a part, as in virtual time; or nobody knows any more, as of a run that was
    /// killed.
    #[default]
    Unknown,
    /// There had been no selftest of it.
    Never,
    /// The last one.
    Last(LastSelftest),
}

/// What is remembered of a selftest.
#[derive(Clone, Debug, PartialEq)]
pub struct LastSelftest {
    /// When it began: microseconds since the Unix epoch.
    pub started_at: i64,
    /// The version that was tested.
    pub version: String,
    /// Whether every error was within what is promised.
    pub passed: bool,
    /// Requests in a second up to which the machine stayed accurate; none if there was no such
    /// rate.
    pub highest_requests_per_s: Option<f64>,
    /// Why it was no more: a code. None where the time was over before.
    pub stopped_by: Option<String>,
    /// The error that comes nearest to what is allowed, or is the farthest beyond it.
    pub worst: Option<Worst>,
}

/// An error that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// Of which figure.
    pub what: String,
    /// Of what kind it is.
    pub unit: Unit,
    /// How large it is.
    pub error: f64,
    /// How large it may be.
    pub allowed: f64,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Works, requests or stamps.
    Count,
    /// A pure number, such as a distance between distributions.
    Number,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Seconds, Self::Count, Self::Number];

    /// The word in the files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Count => "count",
            Self::Number => "number",
        }
    }

    /// A value for people.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Seconds => number::time(value),
            Self::Count => number::plain(value),
            Self::Number => format!("{value:.4}"),
        }
    }
}

/// Nine decimals: as the file has every number, so that a reader who rounds again finds the same.
pub fn nano(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// `selftest` of `summary.json`, where it is there: null, or an object.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Shape<'a>(Option<Head<'a>>);

/// The object, and the head of the selftest's own file.
#[derive(Debug, Serialize)]
pub struct Head<'a> {
    started_at: String,
    version: &'a str,
    passed: bool,
    highest_requests_per_s: Option<f64>,
    stopped_by: Option<&'a str>,
    worst: Option<Nearest<'a>>,
}

#[derive(Debug, Serialize)]
struct Nearest<'a> {
    what: &'a str,
    unit: &'static str,
    error: f64,
    allowed: f64,
}

impl<'a> From<&'a LastSelftest> for Head<'a> {
    fn from(from: &'a LastSelftest) -> Self {
        Self {
            started_at: wall(from.started_at),
            version: &from.version,
            passed: from.passed,
            highest_requests_per_s: from.highest_requests_per_s.map(nano),
            stopped_by: from.stopped_by.as_deref(),
            worst: from.worst.as_ref().map(|worst| Nearest {
                what: &worst.what,
                unit: worst.unit.word(),
                error: nano(worst.error),
                allowed: nano(worst.allowed),
            }),
        }
    }
}

impl LastSelftest {
    /// Reads the fields of [`Head`]; none if one that must be there is not.
    pub fn recall(from: &Value) -> Option<Self> {
        let text = |key: &str| from[key].as_str().map(str::to_owned);
        let started: jiff::Timestamp = text("started_at")?.parse().ok()?;
        Some(Self {
            started_at: started.as_microsecond(),
            version: text("version")?,
            passed: from["passed"].as_bool()?,
            highest_requests_per_s: from["highest_requests_per_s"].as_f64(),
            stopped_by: text("stopped_by"),
            worst: worst(&from["worst"]),
        })
    }

    /// Reads the file of a selftest; the error is a sentence.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let file: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if file["schema"] != SCHEMA {
            return Err(format!("found no \"schema\": \"{SCHEMA}\""));
        }
        Self::recall(&file).ok_or_else(|| "a field is missing, or is no such value".to_owned())
    }
}

fn worst(from: &Value) -> Option<Worst> {
    let word = from["unit"].as_str()?;
    Some(Worst {
        what: from["what"].as_str()?.to_owned(),
        unit: Unit::ALL.into_iter().find(|unit| unit.word() == word)?,
        error: from["error"].as_f64()?,
        allowed: from["allowed"].as_f64()?,
    })
}

impl Quoted {
    /// What an earlier summary says; without the key nobody knows.
    pub(super) fn recall(summary: &Value) -> Self {
        match summary.get("selftest") {
            None => Self::Unknown,
            Some(from) => LastSelftest::recall(from).map_or(Self::Never, Self::Last),
        }
    }

    /// The value in `summary.json`: no key at all, null, or an object.
    pub(super) fn shape(&self) -> Option<Shape<'_>> {
        match self {
            Self::Unknown => None,
            Self::Never => Some(Shape(None)),
            Self::Last(last) => Some(Shape(Some(last.into()))),
        }
    }

    /// A sentence for people; none where nobody knows.
    pub fn sentence(&self) -> Option<String> {
        let last = match self {
            Self::Unknown => return None,
            Self::Never => {
                let text = "no selftest of this machine: `plimsoll selftest` measures how \
                            accurate it is";
                return Some(text.to_owned());
            }
            Self::Last(last) => last,
        };
        let day = wall(last.started_at);
        let day = day.split('T').next().unwrap_or_default();
        let version = number::tame(&last.version, 20);
        let worst = last.worst.as_ref().map_or_else(String::new, |worst| {
            format!(
                "; its worst error was {} of {} allowed, in {}",
                worst.unit.show(worst.error),
                worst.unit.show(worst.allowed),
                number::tame(&worst.what, 60)
            )
        });
        let not = if last.passed { "" } else { "NOT PASSED, " };
        let highest = last.highest();
        Some(format!(
            "selftest of this machine ({day}, version {version}): {not}{highest}{worst}"
        ))
    }

    /// That the peak that is expected of a plan is above what the machine is accurate for, if so.
    pub fn warning(&self, requests_per_s: f64) -> Option<String> {
        let highest = self.limit()?;
        (requests_per_s > highest).then(|| {
            format!(
                "selftest: {} are expected at the peak; this machine is accurate up to {}",
                number::rate(requests_per_s),
                number::rate(highest)
            )
        })
    }

    /// Requests in a second up to which the machine is accurate, where that is known.
    fn limit(&self) -> Option<f64> {
        let Self::Last(last) = self else { return None };
        // Where the selftest ran out of time, the limit is somewhere above.
        last.stopped_by.as_ref().and(last.highest_requests_per_s)
    }

    /// That the busiest second of a run had more requests than the machine is accurate for, if so.
    pub fn note(&self, busiest_second: u64) -> Option<String> {
        let highest = self.limit()?;
        (super::float(busiest_second) > highest).then(|| {
            format!(
                "the busiest second had {} requests; by its selftest this machine is accurate up \
                 to {}",
                number::count(busiest_second),
                number::rate(highest)
            )
        })
    }
}

impl LastSelftest {
    fn highest(&self) -> String {
        let Some(rate) = self.highest_requests_per_s else {
            return "accurate at no rate that was tried".to_owned();
        };
        let rate = number::plain(rate.floor());
        match &self.stopped_by {
            Some(code) => {
                let code = number::tame(code, 30);
                format!("accurate up to {rate} requests a second, then {code}")
            }
            None => format!("accurate at {rate} requests a second, the most that it had time for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn last() -> LastSelftest {
        LastSelftest {
            started_at: 1_750_000_000_123_456,
            version: "0.1.0".to_owned(),
            passed: true,
            highest_requests_per_s: Some(9_012.5),
            stopped_by: Some("late_generator".to_owned()),
            worst: Some(Worst {
                what: "accept latency p99".to_owned(),
                unit: Unit::Seconds,
                error: 0.000_412,
                allowed: 0.001_2,
            }),
        }
    }

    #[test]
    fn what_is_written_is_recalled() {
        let value = serde_json::to_value(Head::from(&last())).unwrap();
        assert_eq!(LastSelftest::recall(&value), Some(last()));
        let none = LastSelftest {
            passed: false,
            highest_requests_per_s: None,
            stopped_by: None,
            worst: None,
            ..last()
        };
        let value = serde_json::to_value(Head::from(&none)).unwrap();
        assert_eq!(LastSelftest::recall(&value), Some(none));
    }

    #[test]
    fn a_summary_says_of_each_kind_which_it_is() {
        let check = |summary: Value, expected: Quoted| {
            assert_eq!(Quoted::recall(&summary), expected);
        };
        check(json!({}), Quoted::Unknown);
        check(json!({"selftest": null}), Quoted::Never);
        let head = serde_json::to_value(Head::from(&last())).unwrap();
        check(json!({"selftest": head}), Quoted::Last(last()));
    }

    #[test]
    fn a_damaged_file_is_told_by_what_is_wrong() {
        let check = |bytes: &[u8], part: &str| {
            let error = LastSelftest::read(bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        check(b"{\"schema\": \"plims", "EOF");
        check(b"{}", "found no \"schema\"");
        check(
            b"{\"schema\": \"plimsoll.selftest/1\"}",
            "a field is missing",
        );
    }

    #[test]
    fn a_reader_is_told_how_accurate_the_machine_is() {
        let text = Quoted::Last(last()).sentence().unwrap();
        assert_eq!(
            text,
            "selftest of this machine (2025-06-15, version 0.1.0): accurate up to 9,012 requests a \
             second, then late_generator; its worst error was 412 us of 1.2 ms allowed, in accept \
             latency p99"
        );
        assert!(Quoted::Never.sentence().unwrap().starts_with("no selftest"));
        assert_eq!(Quoted::Unknown.sentence(), None);
    }

    #[test]
    fn more_than_the_machine_is_accurate_for_is_noted() {
        let check = |quoted: &Quoted, busiest, noted: bool| {
            assert_eq!(quoted.note(busiest).is_some(), noted, "{busiest}");
        };
        check(&Quoted::Last(last()), 9_012, false);
        check(&Quoted::Last(last()), 9_013, true);
        check(&Quoted::Never, u64::MAX, false);
        let unlimited = LastSelftest {
            stopped_by: None,
            ..last()
        };
        check(&Quoted::Last(unlimited), 20_000, false);
    }
}
