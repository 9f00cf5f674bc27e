//! `callbacks.csv` and `pairs.csv`: a row for each callback, and for each work whose end was told
//! both ways.

use std::collections::BTreeMap;
use std::io;

use super::csv::{stamp_of, stamp_text};
use super::rebuild::{Unreadable, rows};
use crate::record::attempts::Attempts;
use crate::record::bursts::{Bursts, CELL, Cells};
use crate::record::calls::{CallKind, CallRow, PairRow};
use crate::record::lags::Lags;
use crate::time::{Span, Tick};
use crate::work::Ending;

/// The columns of `callbacks.csv`.
pub const CALLS: [&str; 13] = [
    "at_s",
    "seq",
    "work_id",
    "kind",
    "attempt",
    "since_last_s",
    "outcome",
    "service_finished_s",
    "delivery",
    "verified",
    "before_accept",
    "after_settlement",
    "disagrees",
];

/// The columns of `pairs.csv`.
pub const PAIRS: [&str; 5] = ["seq", "work_id", "callback_s", "polled_s", "ahead_s"];

/// Writes `callbacks.csv`.
#[derive(Debug)]
pub struct CallWriter<W: io::Write> {
    to: csv::Writer<W>,
}

fn flag(is_so: bool) -> &'static str {
    if is_so { "1" } else { "0" }
}

impl<W: io::Write> CallWriter<W> {
    /// Writes the header.
    pub fn new(to: W) -> io::Result<Self> {
        let mut to = csv::Writer::from_writer(to);
        to.write_record(CALLS)?;
        Ok(Self { to })
    }

    /// Writes one callback.
    pub fn write(&mut self, row: &CallRow) -> io::Result<()> {
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let since = row
            .since_last
            .map_or_else(String::new, |gap| Tick(gap.0).to_string());
        let delivery = row
            .delivery
            .map_or_else(String::new, |hash| format!("{hash:016x}"));
        let outcome = row.ending.map_or("", |ending| match ending {
            Ending::Completed => "completed",
            Ending::Failed => "failed",
        });
        let cells: [&str; 13] = [
            &row.at.to_string(),
            &number(row.seq),
            row.work_id.as_ref().map_or("", |id| &id.0),
            row.kind.word(),
            &number(row.attempt.map(u64::from)),
            &since,
            outcome,
            &row.finished.map_or_else(String::new, stamp_text),
            &delivery,
            row.verified.map_or("", flag),
            flag(row.before_accept),
            flag(row.after_settlement),
            flag(row.disagrees),
        ];
        self.to.write_record(cells)?;
        Ok(())
    }

    /// Hands everything to the writer below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes `pairs.csv`.
#[derive(Debug)]
pub struct PairWriter<W: io::Write> {
    to: csv::Writer<W>,
}

impl<W: io::Write> PairWriter<W> {
    /// Writes the header.
    pub fn new(to: W) -> io::Result<Self> {
        let mut to = csv::Writer::from_writer(to);
        to.write_record(PAIRS)?;
        Ok(Self { to })
    }

    /// Writes one work. `ahead_s` is by how much the callback came earlier; negative, later.
    pub fn write(&mut self, row: &PairRow) -> io::Result<()> {
        let micros = |tick: Tick| Tick(tick.0 - tick.0 % 1_000);
        let (called, polled) = (micros(row.called), micros(row.polled));
        let (sign, apart) = if called <= polled {
            ("", polled.since(called))
        } else {
            ("-", called.since(polled))
        };
        self.to.write_record([
            &row.seq.to_string(),
            &*row.work_id.0,
            &called.to_string(),
            &polled.to_string(),
            &format!("{sign}{}", Tick(apart.0)),
        ])?;
        Ok(())
    }

    /// Hands everything to the writer below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The column of the service's stamps.
const STAMP: &str = "service_finished_s";
/// Cells that are held while `callbacks.csv` is read: more than an hour's. Rows stand nearly in the
/// order of time.
const HELD: usize = 1 << 19;

/// How callbacks came, from `callbacks.csv`.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) bursts: Bursts,
    pub(super) attempts: Attempts,
    pub(super) lags: Lags,
    /// The end of the file was cut off.
    pub(super) is_torn: bool,
}

/// How callbacks came until `end`.
pub(super) fn read(from: &mut dyn io::Read, end: Tick) -> Result<Came, Unreadable> {
    let mut came = Came::default();
    let mut held: BTreeMap<u64, u32> = BTreeMap::new();
    let needed = ["at_s", "kind", "attempt", "since_last_s"];
    came.is_torn = rows("callbacks.csv", from, &needed, |columns, record| {
        let at = columns.time(record, "at_s")?;
        if at > end {
            return Ok(());
        }
        *held.entry(at.0 / CELL.0).or_default() += 1;
        if held.len() >= HELD {
            let late = held.keys().nth(HELD / 2).copied().unwrap_or_default();
            let rest = held.split_off(&late);
            pour(&mut came.bursts, &std::mem::replace(&mut held, rest));
        }
        if !columns.cell(record, "since_last_s").is_empty() {
            let gap = columns.time(record, "since_last_s")?.since(Tick::ZERO);
            let attempt = columns.count(record, "attempt")?;
            let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
            came.attempts.add(attempt, gap);
        }
        let stamp = columns.cell(record, STAMP);
        if columns.cell(record, "kind") == CallKind::First.word() && !stamp.is_empty() {
            let finished = stamp_of(stamp).ok_or_else(|| {
                let found = stamp.escape_debug();
                format!("found `{found}` in `{STAMP}`, expected seconds with six decimals")
            })?;
            came.lags.count(at, finished);
        }
        Ok(())
    })?;
    pour(&mut came.bursts, &held);
    Ok(came)
}

fn pour(bursts: &mut Bursts, held: &BTreeMap<u64, u32>) {
    let mut cells = Cells::default();
    for (cell, callbacks) in held {
        cells.add_many(*cell, *callbacks);
    }
    bursts.add(&cells);
}

/// How long after the one before attempts of one number came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// Which attempt, from 2.
    pub number: u32,
    /// How many.
    pub count: u64,
    /// The mean of the times before it, in seconds.
    pub mean: f64,
    /// The shortest.
    pub least: Span,
    /// The longest.
    pub most: Span,
}

/// The attempts that were seen, by their number.
pub(super) fn attempts(seen: &Attempts) -> Vec<Attempt> {
    seen.iter()
        .map(|(number, gap)| Attempt {
            number,
            count: gap.count,
            mean: gap.mean(),
            least: gap.least,
            most: gap.most,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::calls::CallKind;
    use crate::work::{ServiceTime, WorkId};

    fn call(millis: u64, since: Option<u64>) -> CallRow {
        CallRow {
            at: Tick::ZERO + Span::from_millis(millis),
            seq: Some(7),
            work_id: Some(WorkId("a,\"b".into())),
            kind: CallKind::Duplicate,
            attempt: Some(1 + u32::from(since.is_some())),
            since_last: since.map(Span::from_millis),
            ending: Some(Ending::Failed),
            finished: Some(ServiceTime(-1_500_000)),
            delivery: Some(10),
            verified: Some(false),
            before_accept: false,
            after_settlement: true,
            disagrees: false,
        }
    }

    #[test]
    fn a_callback_is_one_line_and_is_read_back() {
        let mut bytes = Vec::new();
        let mut writer = CallWriter::new(&mut bytes).unwrap();
        for row in [call(1, None), call(12, None), call(2_012, Some(2_000))] {
            writer.write(&row).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let line =
            "2.012000,7,\"a,\"\"b\",duplicate,2,2.000000,failed,-1.500000,000000000000000a,0,0,1,0";
        assert_eq!(text.lines().last(), Some(line));
        let end = Tick::ZERO + Span::from_secs(3);
        let came = read(&mut &bytes[..], end).unwrap();
        assert!(!came.is_torn);
        let peaks: Vec<u64> = came
            .bursts
            .until(end)
            .iter()
            .map(|burst| burst.most)
            .collect();
        assert_eq!(peaks, [1, 2, 3]);
        let seen = attempts(&came.attempts);
        assert_eq!((seen.len(), seen[0].number, seen[0].count), (1, 2, 1));
        let came = read(&mut &bytes[..], Tick::ZERO + Span::from_secs(1)).unwrap();
        assert_eq!(came.bursts.until(end)[2].most, 2);
        assert!(attempts(&came.attempts).is_empty());
    }

    #[test]
    fn a_pair_says_who_was_ahead() {
        let mut bytes = Vec::new();
        let mut writer = PairWriter::new(&mut bytes).unwrap();
        for (called, polled) in [(1_000, 2_500), (2_500, 1_000)] {
            writer
                .write(&PairRow {
                    seq: 1,
                    work_id: WorkId("w".into()),
                    called: Tick::ZERO + Span::from_millis(called),
                    polled: Tick::ZERO + Span::from_millis(polled),
                })
                .unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "seq,work_id,callback_s,polled_s,ahead_s\n1,w,1.000000,2.500000,1.500000\n\
             1,w,2.500000,1.000000,-1.500000\n"
        );
    }
}
