//! `[[load]]` made into stages, recorded logs among them.

use std::sync::Arc;

use super::cursor::Cursor;
use super::kind::LONGEST;
use super::mistake::Mistakes;
use super::resolve::ReadFile;
use super::tree::Value;
use super::{Arrivals, Rate, Shape, Stage};
use crate::time::Span;

/// From the last arrival of a replay to the end of its stage, where the scenario does not say.
const AFTER_LAST: Span = Span::from_millis(10);

/// Reads all stages.
pub(super) fn stages(
    top: &Cursor<'_>,
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Stage> {
    let stages: Vec<Stage> = top
        .items("load")
        .iter()
        .map(|at| stage(at, read, mistakes))
        .collect();
    if stages.iter().all(|stage| stage.expected_arrivals() <= 0.0) {
        let load = top.at("load");
        let found = "no arrivals at all";
        mistakes.add(
            "load",
            load.place(),
            found,
            "a stage with a rate above zero",
            None,
        );
    }
    let total: u128 = stages
        .iter()
        .map(|stage| u128::from(stage.duration.0))
        .sum();
    if total > u128::from(LONGEST.0) {
        let load = top.at("load");
        let found = "stages of more than ten years";
        mistakes.add("load", load.place(), found, "a load that ends", None);
    }
    stages
}

impl Stage {
    /// How many arrivals are expected: the integral of the rate; exact for a replay.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a log has far fewer than 2^53 rows"
    )]
    pub fn expected_arrivals(&self) -> f64 {
        match &self.arrivals {
            Arrivals::Constant(shape) | Arrivals::Poisson(shape) => {
                let (from, to) = shape.ends();
                f64::midpoint(from, to) * self.duration.seconds()
            }
            Arrivals::Replay(offsets) => offsets.len() as f64,
        }
    }

    /// The highest rate per second: of a replay, the most arrivals in any second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a log has far fewer than 2^53 rows"
    )]
    pub fn peak_rate(&self) -> f64 {
        match &self.arrivals {
            Arrivals::Constant(shape) | Arrivals::Poisson(shape) => {
                let (from, to) = shape.ends();
                from.max(to)
            }
            Arrivals::Replay(offsets) => {
                let second = Span::from_secs(1).0;
                let mut from = 0;
                let mut most = 0;
                for (index, offset) in offsets.iter().enumerate() {
                    while offsets[from].0 + second <= offset.0 {
                        from += 1;
                    }
                    most = most.max(index + 1 - from);
                }
                most as f64
            }
        }
    }
}

impl Shape {
    /// The rates at both ends, per second.
    pub fn ends(&self) -> (f64, f64) {
        match self {
            Self::Flat(rate) => (rate.per_second(), rate.per_second()),
            Self::Ramp(from, to) => (from.per_second(), to.per_second()),
        }
    }
}

fn stage(at: &Cursor<'_>, read: ReadFile<'_>, mistakes: &mut Mistakes<'_>) -> Stage {
    if at.text("arrivals") == "replay" {
        return replay(at, read, mistakes);
    }
    for key in ["rate", "duration"] {
        needed(&at.at(key), "for arrivals that are no replay", mistakes);
    }
    if let Some(file) = at.maybe("file") {
        let expected = "it only where arrivals = \"replay\"";
        mistakes.add(
            file.path(),
            file.place(),
            "a key without effect",
            expected,
            None,
        );
    }
    let shape = shape(at);
    let arrivals = match at.text("arrivals") {
        "constant" => Arrivals::Constant(shape),
        _ => Arrivals::Poisson(shape),
    };
    Stage {
        arrivals,
        duration: at.span("duration"),
    }
}

fn shape(at: &Cursor<'_>) -> Shape {
    let zero = Rate {
        count: 0,
        per: Span::from_secs(1),
    };
    match at.at("rate").value() {
        Some(Value::Table(_)) => {
            let end = |key| at.rate(key).unwrap_or(zero);
            Shape::Ramp(end("rate.from"), end("rate.to"))
        }
        _ => Shape::Flat(at.rate("rate").unwrap_or(zero)),
    }
}

fn needed(at: &Cursor<'_>, why: &str, mistakes: &mut Mistakes<'_>) {
    if !at.is_there() {
        let expected = format!("a value, {why}");
        mistakes.add(at.path(), at.place(), "nothing", expected, None);
    }
}

fn replay(at: &Cursor<'_>, read: ReadFile<'_>, mistakes: &mut Mistakes<'_>) -> Stage {
    if let Some(rate) = at.maybe("rate") {
        let hint = Some("stretch or squeeze a replay with time_scale".to_owned());
        let found = "a rate for a replay";
        mistakes.add(
            rate.path(),
            rate.place(),
            found,
            "the rate that the log has",
            hint,
        );
    }
    let file = at.at("file");
    needed(&file, "for a replay", mistakes);
    let name = file.own_text().unwrap_or("");
    let mut offsets = Vec::new();
    if !name.is_empty() {
        let scale = at.number("time_scale");
        let log = read(name).and_then(|bytes| recorded(&bytes, at.text("column"), scale));
        match log {
            Ok(read) => offsets = read,
            Err(why) => {
                let found = format!("\"{name}\": {why}");
                let expected = "a CSV file with a column of ascending times";
                mistakes.add(file.path(), file.place(), found, expected, None);
            }
        }
    }
    // The stage ends behind its last arrival, unless it says when: late enough for that to be sent.
    let duration = if at.at("duration").is_there() {
        at.span("duration")
    } else {
        offsets
            .last()
            .map_or(AFTER_LAST, |last| Span(last.0 + AFTER_LAST.0))
    };
    offsets.retain(|offset| *offset < duration);
    Stage {
        arrivals: Arrivals::Replay(Arc::from(offsets)),
        duration,
    }
}

/// The offsets of a recorded log from its first row, times `scale`.
fn recorded(bytes: &[u8], column: &str, scale: f64) -> Result<Vec<Span>, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(|why| why.to_string())?;
    let Some(index) = header.iter().position(|name| name.trim() == column) else {
        let known: Vec<&str> = header.iter().collect();
        return Err(format!(
            "no column `{column}` (it has {})",
            known.join(", ")
        ));
    };
    let mut offsets = Vec::new();
    let mut first = None;
    let mut last = i128::MIN;
    for record in reader.records() {
        let record = record.map_err(|why| why.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = record[index].trim();
        let time = instant(text)
            .ok_or_else(|| format!("line {line}: `{text}` is neither RFC 3339 nor seconds"))?;
        if time < last {
            return Err(format!(
                "line {line}: {text} is earlier than the line before"
            ));
        }
        last = time;
        let gap = time - *first.get_or_insert(time);
        let offset =
            scaled(gap, scale).ok_or_else(|| format!("line {line}: more than ten years"))?;
        offsets.push(offset);
    }
    if offsets.is_empty() {
        return Err("no rows".to_owned());
    }
    Ok(offsets)
}

/// A gap in nanoseconds times the scale; exact where the scale is 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "a scale that was written as 1 is 1; any other rounds to the nanosecond"
)]
fn scaled(gap: i128, scale: f64) -> Option<Span> {
    let span = if scale == 1.0 {
        Span(u64::try_from(gap).ok()?)
    } else {
        Span::from_secs_f64(gap as f64 / 1e9 * scale)
    };
    (span <= LONGEST).then_some(span)
}

/// Nanoseconds of an RFC 3339 time, or of decimal seconds from any origin.
fn instant(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = |c: char| c.is_ascii_digit() || c == '.';
    if digits.is_empty() || !digits.chars().all(plain) {
        let time: jiff::Timestamp = text.parse().ok()?;
        return Some(time.as_nanosecond());
    }
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let decimals = decimals.trim_end_matches('0');
    if decimals.contains('.') || decimals.len() > 9 {
        return None;
    }
    let nanos: i128 = format!("{decimals:0<9}").parse().ok()?;
    let seconds: i128 = whole.parse::<u64>().ok()?.into();
    let size = seconds * 1_000_000_000 + nanos;
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_as_offsets() {
        let check = |log: &str, scale: f64, ns: &[u64]| {
            let spans: Vec<Span> = ns.iter().copied().map(Span).collect();
            assert_eq!(
                recorded(log.as_bytes(), "timestamp", scale),
                Ok(spans),
                "{log}"
            );
        };
        check(
            "timestamp\n0\n0.000000001\n2.5\n",
            1.0,
            &[0, 1, 2_500_000_000],
        );
        check(
            "x,timestamp\na,1700000000.1\nb,1700000001.1\n",
            0.5,
            &[0, 500_000_000],
        );
        check(
            "timestamp\n2026-11-23T10:00:00Z\n2026-11-23T12:00:00.25+02:00\n",
            1.0,
            &[0, 250_000_000],
        );
        check("timestamp\n-1\n-0.5\n", 1.0, &[0, 500_000_000]);
    }

    #[test]
    fn what_is_wrong_with_a_log_is_said() {
        let check = |log: &str, word: &str| {
            let said = recorded(log.as_bytes(), "timestamp", 1.0).unwrap_err();
            assert!(said.contains(word), "{log}: {said}");
        };
        check("time\n1\n", "no column `timestamp` (it has time)");
        check("timestamp\n2\n1\n", "line 3: 1 is earlier");
        check("timestamp\nsoon\n", "line 2: `soon` is neither");
        check("timestamp\n", "no rows");
        check("timestamp\n0\n9999999999\n", "more than ten years");
    }

    #[test]
    fn arrivals_and_peaks_have_closed_forms() {
        let rate = |text| Rate::parse(text).unwrap();
        let check = |arrivals: Arrivals, seconds: u64, expected: f64, peak: f64| {
            let stage = Stage {
                arrivals,
                duration: Span::from_secs(seconds),
            };
            assert!((stage.expected_arrivals() - expected).abs() < 1e-9);
            assert!(
                (stage.peak_rate() - peak).abs() < 1e-9,
                "{}",
                stage.peak_rate()
            );
        };
        check(
            Arrivals::Constant(Shape::Flat(rate("20/s"))),
            30,
            600.0,
            20.0,
        );
        check(
            Arrivals::Poisson(Shape::Ramp(rate("10/s"), rate("0/s"))),
            60,
            300.0,
            10.0,
        );
        let log: Vec<Span> = [0, 400, 900, 1_000, 1_300].map(Span::from_millis).into();
        check(Arrivals::Replay(log.into()), 2, 5.0, 4.0);
    }
}
