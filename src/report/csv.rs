//! CSV: a row a second in `intervals.csv`, a row a work in `works.csv`.
//!
//! Readers go by column name. Times are seconds with six decimals, an empty cell is "did not
//! happen" or "no samples". Text that came from a service is quoted as RFC 4180 has it, and left as
//! it is.

use std::io;

use super::quantiles::Sample;
use crate::record::CATALOGUE;
use crate::record::interval::Interval;
use crate::record::ledger::{Count, Gauges};
use crate::record::row::WorkRow;
use crate::time::Tick;
use crate::work::ServiceTime;

/// The counts whose columns come first in `intervals.csv`.
const FIRST: [Count; 12] = [
    Count::Scheduled,
    Count::Sent,
    Count::Dropped,
    Count::Accepted,
    Count::Rejected,
    Count::IntakeFailed,
    Count::Completed,
    Count::Failed,
    Count::Expired,
    Count::Lost,
    Count::Polls,
    Count::RateLimited,
];

/// The quantiles of `intervals.csv`; 1 is the largest value.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max")];

/// The column of the area under the backlog, in works times seconds.
pub(super) const BACKLOG_AREA: &str = "backlog_work_s";

/// A stamp of the service in seconds of its epoch; before that the sign stands in front of the
/// whole.
pub(super) fn stamp_text(time: ServiceTime) -> String {
    let micros = time.0.unsigned_abs();
    let sign = if time.0 < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Reads a stamp of the service.
pub(super) fn stamp_of(text: &str) -> Option<ServiceTime> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() != 6 || !digits(part) || !digits(whole) {
        return None;
    }
    let (whole, part): (i64, i64) = (whole.parse().ok()?, part.parse().ok()?);
    let micros = whole.checked_mul(1_000_000)?.checked_add(part)?;
    Some(ServiceTime(sign * micros))
}

/// The columns of `works.csv`.
pub const WORKS: [&str; 18] = [
    "seq",
    "stage",
    "intended_s",
    "sent_s",
    "accepted_s",
    "http_status",
    "work_id",
    "last_open_s",
    "detected_s",
    "source",
    "outcome",
    "polls",
    "rate_limited",
    "fault",
    "maybe_accepted",
    "last_status",
    "service_finished_s",
    "settled_s",
];

/// Counts that are not among [`FIRST`].
fn others() -> impl Iterator<Item = Count> {
    Count::ALL
        .iter()
        .copied()
        .filter(|count| !FIRST.contains(count))
}

/// The gauges by name.
pub(super) fn gauges(gauges: &Gauges) -> [(&'static str, u64); 4] {
    [
        ("backlog", gauges.backlog),
        ("in_flight", gauges.in_flight),
        ("queued", gauges.queued),
        ("submitting", gauges.submitting),
    ]
}

/// The columns of `intervals.csv`, in their order.
pub fn interval_columns() -> Vec<String> {
    let mut columns: Vec<String> = ["start_s", "length_s", "stage"].map(str::to_owned).into();
    columns.extend(FIRST.iter().map(|count| count.name().to_owned()));
    let [backlog, in_flight, queued, submitting] = gauges(&Gauges::default()).map(|(name, _)| name);
    columns.extend([backlog, in_flight].map(str::to_owned));
    for metric in &CATALOGUE {
        columns.extend(QUANTILES.map(|(_, name)| format!("{}_{name}", metric.name)));
    }
    columns.extend(others().map(|count| count.name().to_owned()));
    columns.extend([queued, submitting, BACKLOG_AREA].map(str::to_owned));
    columns.extend(
        CATALOGUE
            .iter()
            .map(|metric| format!("{}_overflow", metric.name)),
    );
    columns
}

/// Writes `intervals.csv`.
#[derive(Debug)]
pub struct IntervalWriter<W: io::Write> {
    to: csv::Writer<W>,
}

impl<W: io::Write> IntervalWriter<W> {
    /// Writes the header.
    pub fn new(to: W) -> io::Result<Self> {
        let mut to = csv::Writer::from_writer(to);
        to.write_record(interval_columns())?;
        Ok(Self { to })
    }

    /// Writes one interval. The quantiles are over the samples of the interval alone.
    pub fn write(&mut self, interval: &Interval) -> io::Result<()> {
        let mut cells: Vec<String> = vec![
            interval.start.to_string(),
            // Ends, cut to the microsecond, must be where the next interval begins.
            Tick(cut(interval.end()).0 - cut(interval.start).0).to_string(),
            interval
                .stage
                .map_or_else(String::new, |stage| stage.to_string()),
        ];
        let counted = |count: Count| interval.counts.get(count).to_string();
        cells.extend(FIRST.map(counted));
        let gauges = gauges(&interval.gauges).map(|(_, value)| value.to_string());
        cells.extend_from_slice(&gauges[..2]);
        for metric in &CATALOGUE {
            let sample = Sample::seen(&interval.histograms, metric.metric);
            let values = sample.quantiles(QUANTILES.map(|(q, _)| q));
            cells.extend(values.map(|value| value.map_or_else(String::new, |s| format!("{s:.6}"))));
        }
        cells.extend(others().map(counted));
        cells.extend_from_slice(&gauges[2..]);
        cells.push(Tick(interval.backlog_area.0).to_string());
        cells.extend(
            CATALOGUE
                .iter()
                .map(|metric| interval.histograms.overflow(metric.metric).to_string()),
        );
        self.to.write_record(&cells)?;
        Ok(())
    }

    /// Hands everything to the writer below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Cuts an instant to the microsecond, as the files show it.
pub(super) fn cut(at: Tick) -> Tick {
    Tick(at.0 - at.0 % 1_000)
}

/// Writes `works.csv`.
#[derive(Debug)]
pub struct WorkWriter<W: io::Write> {
    to: csv::Writer<W>,
}

impl<W: io::Write> WorkWriter<W> {
    /// Writes the header.
    pub fn new(to: W) -> io::Result<Self> {
        let mut to = csv::Writer::from_writer(to);
        to.write_record(WORKS)?;
        Ok(Self { to })
    }

    /// Writes one work.
    pub fn write(&mut self, row: &WorkRow) -> io::Result<()> {
        let at = |tick: Option<Tick>| tick.map_or_else(String::new, |tick| tick.to_string());
        let number = |number: u64| number.to_string();
        let finished = row.finished.map_or_else(String::new, stamp_text);
        let status = row.http_status.map_or_else(String::new, |s| s.to_string());
        let cells: [&str; 18] = [
            &number(row.seq),
            &number(u64::from(row.stage)),
            &at(Some(row.intended)),
            &at(row.sent),
            &at(row.accepted),
            &status,
            row.work_id.as_ref().map_or("", |id| &id.0),
            &at(row.last_open),
            &at(row.detected),
            row.source.map_or("", |source| source.word()),
            row.outcome.word(),
            &number(u64::from(row.polls)),
            &number(u64::from(row.rate_limited)),
            row.fault.map_or("", |fault| fault.word()),
            if row.maybe_accepted { "1" } else { "0" },
            row.last_status.as_deref().unwrap_or(""),
            &finished,
            &at(row.settled),
        ];
        self.to.write_record(cells)?;
        Ok(())
    }

    /// Hands everything to the writer below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;
    use crate::work::{Outcome, WorkId};

    #[test]
    fn the_columns_begin_as_promised_and_name_every_count_once() {
        let columns = interval_columns();
        let promised = "start_s,length_s,stage,scheduled,sent,dropped,accepted,rejected,intake_failed,\
                        completed,failed,expired,lost,polls,rate_limited,backlog,in_flight";
        assert_eq!(columns[..17].join(","), promised);
        for count in Count::ALL {
            let found = columns.iter().filter(|name| *name == count.name());
            assert_eq!(found.count(), 1, "{}", count.name());
        }
        assert!(columns.contains(&"time_to_terminal_p99".to_owned()));
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), columns.len());
    }

    #[test]
    fn an_interval_is_one_line() {
        let mut bytes = Vec::new();
        let mut writer = IntervalWriter::new(&mut bytes).unwrap();
        let run = run();
        writer.write(&run.intervals[0]).unwrap();
        writer.write(&run.intervals[5]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].starts_with("0.000000,1.000000,0,34,34,0,33,0,0,0,0,0,0,"),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].starts_with("5.000000,0.500000,,0,0,0,0,"),
            "{}",
            lines[2]
        );
    }

    #[test]
    fn hostile_text_stays_in_its_cell() {
        let mut row = run().rows[0].row.clone();
        let id = "a,b\"c\r\n=cmd()\u{202e}\0";
        row.work_id = Some(WorkId(id.into()));
        row.last_status = Some("\"\n".into());
        row.outcome = Outcome::Lost;
        let mut bytes = Vec::new();
        let mut writer = WorkWriter::new(&mut bytes).unwrap();
        writer.write(&row).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let headers = reader.headers().unwrap().clone();
        assert_eq!(headers.iter().collect::<Vec<_>>(), WORKS);
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 1);
        assert_eq!(&records[0][6], id);
        assert_eq!(&records[0][10], "lost");
        assert_eq!(&records[0][15], "\"\n");
        assert_eq!(&records[0][16], "1750000001.000001");
    }
}
