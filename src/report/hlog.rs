//! The `HdrHistogram` interval log: every sample of a run, for the standard tools and for
//! `rebuild`.
//!
//! Format 1.3 as the Java classes `HistogramLogWriter` and `HistogramLogReader` have it; each
//! metric is a tag, values are microseconds. A comment ends each interval, so that a reader can
//! tell a whole interval from one whose last lines were never written.
//!
//! Intervals are [`coarse`] in long runs: 1 s up to an hour of load, 10 s up to ten hours, 60 s
//! beyond.

use std::fmt::Write as _;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use jiff::Timestamp;

use super::csv::cut;
use crate::record::interval::Interval;
use crate::record::{CATALOGUE, DIGITS, HIGH_MICROS, Histograms, LOW_MICROS, Metric};
use crate::time::{Span, Tick};

/// Begins the comment that ends an interval; the instant of the end follows.
const END: &str = "#[IntervalEnd: ";
/// Begins the comment with the exact start; microseconds since the epoch follow.
const ORIGIN: &str = "#[StartedAtMicros: ";
/// Begins the comment that is there in virtual time only; what answered follows.
const SIMULATED: &str = "#[VirtualTime: ";

/// How long an interval of the log is, by the planned length of the load.
pub const fn coarse(load: Span) -> Span {
    const HOUR: u64 = Span::from_secs(3_600).0;
    if load.0 <= HOUR {
        Span::from_secs(1)
    } else if load.0 <= 10 * HOUR {
        Span::from_secs(10)
    } else {
        Span::from_secs(60)
    }
}

/// Sums the intervals of a run to those of the log.
#[derive(Clone, Debug)]
pub struct Coarse {
    length: Span,
    start: Tick,
    end: Tick,
    sum: Histograms,
}

impl Coarse {
    /// For a load of this planned length, from the origin on.
    pub fn new(load: Span) -> Self {
        Self {
            length: coarse(load),
            start: Tick::ZERO,
            end: Tick::ZERO,
            sum: Histograms::default(),
        }
    }

    /// Adds an interval, and writes the sum as soon as it is long enough.
    pub fn write(&mut self, to: &mut impl io::Write, interval: &Interval) -> io::Result<()> {
        self.sum.merge(&interval.histograms);
        self.end = interval.end();
        if self.end.since(self.start) >= self.length {
            self.finish(to)?;
        }
        Ok(())
    }

    /// Writes what is there, however short: at the end of the run.
    pub fn finish(&mut self, to: &mut impl io::Write) -> io::Result<()> {
        if self.end > self.start {
            write_interval(to, self.start, self.end, &self.sum)?;
            self.start = self.end;
            self.sum = Histograms::default();
        }
        Ok(())
    }
}

/// Writes the head of a log. `started_at` is in microseconds since the epoch; `simulated` says in a
/// line what answered in virtual time.
pub fn write_head(
    to: &mut impl io::Write,
    version: &str,
    started_at: i64,
    simulated: Option<&str>,
) -> io::Result<()> {
    let wall = Timestamp::from_microsecond(started_at).unwrap_or(Timestamp::UNIX_EPOCH);
    let seconds = format!(
        "{}.{:03}",
        started_at.div_euclid(1_000_000),
        started_at.rem_euclid(1_000_000) / 1_000
    );
    let simulated = simulated.map_or_else(String::new, |how| format!("{SIMULATED}{how}]\n"));
    write!(
        to,
        "#[Histogram log format version 1.3]\n\
         #[plimsoll {version}; a tag is a metric; values in microseconds: \
         -outputValueUnitRatio 1000 shows milliseconds]\n\
         {ORIGIN}{started_at}]\n\
         {simulated}\
         #[StartTime: {seconds} (seconds since epoch), {wall:.6}]\n\
         #[BaseTime: {seconds} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
         \"Interval_Compressed_Histogram\"\n"
    )
}

/// Writes one interval: a line for each metric that has samples, and its end.
pub fn write_interval(
    to: &mut impl io::Write,
    start: Tick,
    end: Tick,
    histograms: &Histograms,
) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let (mut packed, mut line) = (Vec::new(), String::new());
    let length = Tick(end.since(start).0);
    for metric in &CATALOGUE {
        let Some(samples) = histograms.get(metric.metric).filter(|h| !h.is_empty()) else {
            continue;
        };
        packed.clear();
        serializer
            .serialize(samples, &mut packed)
            .map_err(|error| io::Error::other(error.to_string()))?;
        line.clear();
        let max = samples.max();
        write!(
            line,
            "Tag={},{},{},{max}.000,",
            metric.name,
            millis(start),
            millis(length)
        )
        .expect("a String takes everything");
        STANDARD.encode_string(&packed, &mut line);
        line.push('\n');
        to.write_all(line.as_bytes())?;
    }
    writeln!(to, "{END}{}]", cut(end))
}

/// Seconds with the three decimals that the format has.
fn millis(at: Tick) -> String {
    format!(
        "{}.{:03}",
        at.0 / 1_000_000_000,
        at.0 % 1_000_000_000 / 1_000_000
    )
}

/// A log that was read.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The wall clock at the origin, in microseconds since the epoch.
    pub started_at: Option<i64>,
    /// What answered, where the run was one in virtual time.
    pub simulated: Option<String>,
    /// The whole intervals: their end, and what was measured since the one before.
    pub intervals: Vec<(Tick, Histograms)>,
    /// There was something after the last whole interval.
    pub torn: bool,
}

/// Reads a log up to its last whole interval; a line that was cut off there is no error. The error
/// names line, what was found and what was expected.
pub fn read(bytes: &[u8]) -> Result<Log, String> {
    let mut log = Log::default();
    let mut open = Histograms::default();
    // A line that cannot be read is only torn if nothing whole comes after it.
    let mut wrong: Option<String> = None;
    for (number, line) in (1_u64..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        log.torn = true;
        let Some(text) = whole(line) else {
            wrong.get_or_insert(format!("line {number}: no whole line of text"));
            continue;
        };
        if let Some(end) = text.strip_prefix(END) {
            let Some(end) = end.strip_suffix(']').and_then(tick) else {
                wrong.get_or_insert(format!(
                    "line {number}: found `{text}`, expected an instant"
                ));
                continue;
            };
            if let Some(wrong) = wrong {
                return Err(wrong);
            }
            log.intervals.push((end, std::mem::take(&mut open)));
            log.torn = false;
        } else if let Some(origin) = text.strip_prefix(ORIGIN) {
            log.started_at = origin.strip_suffix(']').and_then(|us| us.parse().ok());
        } else if let Some(how) = text.strip_prefix(SIMULATED) {
            log.simulated = how.strip_suffix(']').map(str::to_owned);
        } else if !text.starts_with(['#', '"'])
            && let Err(what) = data(line, &mut open)
        {
            wrong.get_or_insert(format!("line {number}: {what}"));
        }
    }
    if log.intervals.is_empty() {
        log.torn = false;
    }
    Ok(log)
}

/// A line without its end, if it has one and is text.
fn whole(line: &[u8]) -> Option<&str> {
    std::str::from_utf8(line).ok()?.strip_suffix('\n')
}

/// Reads an instant in seconds with six decimals.
pub(crate) fn tick(text: &str) -> Option<Tick> {
    let (seconds, micros) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if micros.len() != 6 || !digits(micros) || !digits(seconds) {
        return None;
    }
    let seconds = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    let micros = micros.parse::<u64>().ok()?.checked_mul(1_000)?;
    seconds.checked_add(micros).map(Tick)
}

/// Reads a line with a histogram into the set.
fn data(line: &[u8], into: &mut Histograms) -> Result<(), String> {
    let Some(Ok(LogEntry::Interval(entry))) = IntervalLogIterator::new(line).next() else {
        return Err("expected a comment or `Tag=..,start,length,max,histogram`".to_owned());
    };
    let tag = entry.tag().map_or("", |tag| tag.as_str());
    // A metric of a later version is none of ours, and in nobody's way.
    let Some(metric) = Metric::named(tag) else {
        return Ok(());
    };
    let packed = STANDARD
        .decode(entry.encoded_histogram())
        .map_err(|error| format!("the histogram of {tag} is not base64: {error}"))?;
    let samples: Histogram<u64> = Deserializer::new()
        .deserialize(&mut packed.as_slice())
        .map_err(|error| format!("the histogram of {tag} cannot be unpacked: {error}"))?;
    let bounds = (samples.low(), samples.high(), samples.sigfig());
    if bounds != (LOW_MICROS, HIGH_MICROS, DIGITS) {
        return Err(format!(
            "the histogram of {tag} has bounds {bounds:?}, expected {:?}",
            (LOW_MICROS, HIGH_MICROS, DIGITS)
        ));
    }
    into.add(metric, &samples);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;

    fn log(load: Span) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_head(&mut bytes, "0.1.0", 1_750_000_000_123_456, None).unwrap();
        let mut coarse = Coarse::new(load);
        for interval in &run().intervals {
            coarse.write(&mut bytes, interval).unwrap();
        }
        coarse.finish(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn intervals_are_coarse_in_long_runs() {
        let check = |hours_ms: u64, length| {
            assert_eq!(coarse(Span::from_millis(hours_ms)), Span::from_secs(length));
        };
        check(0, 1);
        check(3_600_000, 1);
        check(3_600_001, 10);
        check(36_000_000, 10);
        check(36_000_001, 60);
    }

    #[test]
    fn what_is_written_is_read_back_sample_for_sample() {
        let run = run();
        for (load, intervals) in [(3, 6), (7_200, 1)] {
            let read = read(&log(Span::from_secs(load))).unwrap();
            assert_eq!(read.started_at, Some(1_750_000_000_123_456));
            assert_eq!(read.intervals.len(), intervals);
            assert!(!read.torn);
            let mut sum = Histograms::default();
            for (_, histograms) in &read.intervals {
                sum.merge(histograms);
            }
            for metric in &CATALOGUE {
                let (left, right) = (
                    sum.get(metric.metric),
                    run.snapshot.histograms.get(metric.metric),
                );
                assert_eq!(left, right, "{}", metric.name);
            }
            assert_eq!(read.intervals.last().unwrap().0, Tick(5_500_000_000));
        }
    }

    #[test]
    fn the_payload_is_the_one_of_the_standard_tools() {
        let text = String::from_utf8(log(Span::from_secs(3))).unwrap();
        assert!(text.starts_with("#[Histogram log format version 1.3]\n"));
        assert!(text.contains(
            "#[StartTime: 1750000000.123 (seconds since epoch), 2025-06-15T15:06:40.123456Z]\n"
        ));
        let data: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("Tag="))
            .collect();
        assert!(
            data[0].starts_with("Tag=accept_latency,0.000,1.000,3"),
            "{}",
            data[0]
        );
        for line in data {
            assert!(
                line.split(',').nth(4).unwrap().starts_with("HISTFAAAA"),
                "{line}"
            );
        }
    }

    #[test]
    fn damage_in_the_middle_is_named_and_at_the_end_forgiven() {
        let bytes = log(Span::from_secs(3));
        let text = String::from_utf8(bytes).unwrap();
        let damaged = text.replacen("HISTF", "HI!TF", 1);
        let error = read(damaged.as_bytes()).unwrap_err();
        assert!(
            error.starts_with("line 7: the histogram of accept_latency"),
            "{error}"
        );
        let cut = read(&text.as_bytes()[..text.len() - 2]).unwrap();
        assert!(cut.torn);
        assert_eq!(cut.intervals.len(), 5);
    }
}
