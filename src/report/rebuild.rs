//! Rebuild: a run read back from its files, also one that was killed.
//!
//! The report ends at the last instant up to which both `intervals.csv` and `histograms.hlog` are
//! whole. What was cut off after it is left out and said. Works open at that instant are
//! unresolved.

use std::collections::BTreeMap;
use std::{fmt, io};

use csv::{ReaderBuilder, StringRecord};

use super::csv::BACKLOG_AREA;
use super::hlog::{self, tick};
use super::summary::{self, Recalled};
use super::{EndedBy, Facts, Reason, check_area, text::number};
use super::{calls, seen};
use crate::record::CATALOGUE;
use crate::record::Histograms;
use crate::record::area::AreaBooks;
use crate::record::interval::{Calls, Interval, Seen};
use crate::record::ledger::{Count, Gauges};
use crate::record::snapshot::Snapshot;
use crate::time::{Span, Tick};
use crate::work::Outcome;

/// The word of works that were open when a run was killed: what a poll last said of them is not
/// known.
pub const NOT_RECORDED: &str = "(not recorded)";

/// What a run directory holds.
pub struct Files<'a> {
    /// `intervals.csv`
    pub intervals: &'a [u8],
    /// `windows.csv`; nothing of a run of an earlier version.
    pub windows: &'a [u8],
    /// `histograms.hlog`
    pub histograms: &'a [u8],
    /// `works.csv`, read in one pass: it may be larger than memory.
    pub works: &'a mut dyn io::Read,
    /// `callbacks.csv`, likewise; nothing of a run that heard none.
    pub callbacks: &'a mut dyn io::Read,
    /// `summary.json`; a run that was killed has none.
    pub summary: Option<&'a [u8]>,
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("intervals", &self.intervals.len())
            .field("histograms", &self.histograms.len())
            .finish_non_exhaustive()
    }
}

/// What the files of a run say.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// What the run was.
    pub facts: Facts,
    /// What it measured.
    pub snapshot: Snapshot,
    /// Why an earlier report did not trust it, as far as the samples cannot tell.
    pub reasons: Vec<Reason>,
}

/// A file that is not what a run writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which file.
    pub file: &'static str,
    /// Where, what was found, and what was expected.
    pub what: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\nhint: was the file edited, or is it of another run or version?",
            self.file, self.what
        )
    }
}

impl std::error::Error for Unreadable {}

/// Reads a run. `facts` are those of its plan ([`Facts::of`]) and its directory.
pub fn rebuild(facts: Facts, files: Files) -> Result<Rebuilt, Unreadable> {
    let Files {
        intervals: written,
        windows,
        histograms,
        works,
        callbacks,
        summary: earlier,
    } = files;
    let (rows, rows_torn) = intervals(written)?;
    let log = hlog::read(histograms).map_err(|what| Unreadable {
        file: "histograms.hlog",
        what,
    })?;
    let last_row = rows.last().map_or(Tick::ZERO, Interval::end);
    let ends = log.intervals.iter().map(|(end, _)| *end);
    let end = ends
        .filter(|end| *end <= last_row)
        .max()
        .unwrap_or(Tick::ZERO);

    let mut snapshot = Snapshot::of_load(facts.load_planned);
    for row in rows.iter().filter(|row| row.end() <= end) {
        snapshot.absorb(row);
    }
    for (_, histograms) in log.intervals.iter().filter(|(at, _)| *at <= end) {
        snapshot.histograms.merge(histograms);
    }
    let (seen, windows_torn) = seen::read(windows, facts.load_planned)?;
    snapshot.seen = seen;
    let recalled = earlier.and_then(|bytes| summary::recall(bytes, &facts));
    let Recalled {
        mut facts,
        mut reasons,
        stuck: earlier,
    } = recalled.unwrap_or_else(|| killed(facts, &log, &rows, end));
    let mut area = facts.has_rows.then(|| AreaBooks::of(&rows));
    let (stuck, works_torn) = read_works(works, &snapshot, earlier, area.as_mut())?;
    snapshot.stuck = stuck;
    let came = calls::read(callbacks, end)?;
    (snapshot.bursts, snapshot.attempts, snapshot.lags) = (came.bursts, came.attempts, came.lags);
    if facts.ended_by == EndedBy::Killed {
        facts.notes.push(format!(
            "the run was killed: this report ends at its last whole interval, at {}; \
             works that were open then have no rows to be compared with the backlog",
            number::time(end.seconds())
        ));
    } else if let Ok(difference) = check_area(area, &reasons) {
        // Why it could not be checked stands in the notes that were recalled.
        reasons.extend(difference);
    }
    for (file, torn) in [
        ("intervals.csv", rows_torn || last_row > end),
        ("histograms.hlog", log.torn),
        ("windows.csv", windows_torn),
        ("works.csv", works_torn),
        ("callbacks.csv", came.is_torn),
    ] {
        if torn {
            facts
                .notes
                .push(format!("the end of {file} is not whole and is left out"));
        }
    }
    Ok(Rebuilt {
        facts,
        snapshot,
        reasons,
    })
}

/// What is known of a run that was killed, and ended at `end` as far as the files tell.
fn killed(facts: Facts, log: &hlog::Log, rows: &[Interval], end: Tick) -> Recalled {
    let staged = rows.iter().filter(|row| row.stage.is_some());
    let load = staged.map(Interval::end).filter(|at| *at <= end).max();
    let load = load.map_or(Span::ZERO, |at| at.since(Tick::ZERO));
    let facts = match &log.simulated {
        Some(how) => facts.in_virtual_time(how),
        None => facts,
    };
    Recalled {
        facts: Facts {
            started_at: log.started_at.unwrap_or(0),
            load: load.min(facts.load_planned),
            duration: end.since(Tick::ZERO),
            ended_by: EndedBy::Killed,
            ..facts
        },
        reasons: Vec::new(),
        stuck: BTreeMap::new(),
    }
}

/// Remembers the last byte that was read: a file that does not end with a line end was cut off.
struct Ending<'a> {
    from: &'a mut dyn io::Read,
    last: u8,
}

impl io::Read for Ending<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.last = into[..read].last().copied().unwrap_or(self.last);
        Ok(read)
    }
}

/// Reads a CSV file row by row. Returns whether its end was cut off: a row that cannot be read is
/// an error only if another one comes after it.
pub(super) fn rows(
    file: &'static str,
    from: &mut dyn io::Read,
    needed: &[&str],
    mut row: impl FnMut(&Columns, &StringRecord) -> Result<(), String>,
) -> Result<bool, Unreadable> {
    let unreadable = |what: String| Unreadable { file, what };
    let from = Ending { from, last: b'\n' };
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(from);
    let headers = reader
        .headers()
        .map_err(|error| unreadable(error.to_string()))?;
    let columns = Columns(headers.iter().map(str::to_owned).collect());
    let mut records = reader.records();
    let mut next = records.next();
    let cut_off = |records: &csv::StringRecordsIter<_>| {
        let ending: &Ending = records.reader().get_ref();
        ending.last != b'\n'
    };
    if next.is_none() && (columns.0.is_empty() || cut_off(&records)) {
        return Ok(cut_off(&records));
    }
    if let Some(name) = needed.iter().find(|name| columns.place(name).is_none()) {
        return Err(unreadable(format!("line 1: found no column `{name}`")));
    }
    while let Some(record) = next {
        next = records.next();
        let last = next.is_none();
        if last && cut_off(&records) {
            return Ok(true);
        }
        match record {
            Ok(record) => match columns.read(&record, &mut row) {
                Err(_) if last => return Ok(true),
                read => read.map_err(unreadable)?,
            },
            Err(error) if last && !error.is_io_error() => return Ok(true),
            Err(error) => return Err(unreadable(error.to_string())),
        }
    }
    Ok(false)
}

/// The columns of a file by name.
pub(super) struct Columns(Vec<String>);

impl Columns {
    /// Reads one record; the error names its line.
    fn read(
        &self,
        record: &StringRecord,
        row: &mut impl FnMut(&Self, &StringRecord) -> Result<(), String>,
    ) -> Result<(), String> {
        let (found, expected) = (record.len(), self.0.len());
        let read = if found == expected {
            row(self, record)
        } else {
            Err(format!("found {found} cells, expected {expected}"))
        };
        let line = record.position().map_or(0, csv::Position::line);
        read.map_err(|what| format!("line {line}: {what}"))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| column == name)
    }

    pub(super) fn cell<'a>(&self, record: &'a StringRecord, name: &str) -> &'a str {
        self.place(name)
            .and_then(|place| record.get(place))
            .unwrap_or("")
    }

    /// A count; 0 where the column is not there, as in files of an earlier version.
    pub(super) fn count(&self, record: &StringRecord, name: &str) -> Result<u64, String> {
        let Some(place) = self.place(name) else {
            return Ok(0);
        };
        let cell = &record[place];
        cell.parse().map_err(|_| {
            format!(
                "found `{}` in `{name}`, expected a count",
                cell.escape_debug()
            )
        })
    }

    /// An instant; an empty cell is "did not happen".
    fn maybe_time(&self, record: &StringRecord, name: &str) -> Result<Option<Tick>, String> {
        match self.cell(record, name) {
            "" => Ok(None),
            _ => self.time(record, name).map(Some),
        }
    }

    pub(super) fn time(&self, record: &StringRecord, name: &str) -> Result<Tick, String> {
        let cell = self.cell(record, name);
        tick(cell).ok_or_else(|| {
            let found = cell.escape_debug();
            format!("found `{found}` in `{name}`, expected seconds with six decimals")
        })
    }
}

/// Reads `intervals.csv`: the counts, and of the samples only those above the bounds.
fn intervals(mut bytes: &[u8]) -> Result<(Vec<Interval>, bool), Unreadable> {
    let mut intervals = Vec::new();
    let needed = [
        "start_s",
        "length_s",
        "stage",
        "scheduled",
        "sent",
        "backlog",
        BACKLOG_AREA,
    ];
    let torn = rows("intervals.csv", &mut bytes, &needed, |columns, record| {
        intervals.push(interval(columns, record)?);
        Ok(())
    })?;
    Ok((intervals, torn))
}

fn interval(columns: &Columns, record: &StringRecord) -> Result<Interval, String> {
    let stage = match columns.cell(record, "stage") {
        "" => None,
        cell => Some(cell.parse().map_err(|_| {
            format!(
                "found `{}` in `stage`, expected a number",
                cell.escape_debug()
            )
        })?),
    };
    let count = |name: &str| columns.count(record, name);
    let mut interval = Interval {
        start: columns.time(record, "start_s")?,
        length: columns.time(record, "length_s")?.since(Tick::ZERO),
        stage,
        counts: crate::record::ledger::Counts::default(),
        gauges: Gauges {
            backlog: count("backlog")?,
            in_flight: count("in_flight")?,
            queued: count("queued")?,
            submitting: count("submitting")?,
        },
        backlog_area: columns.time(record, BACKLOG_AREA)?.since(Tick::ZERO),
        histograms: Histograms::default(),
        seen: Seen::default(),
        calls: Calls::default(),
    };
    for what in Count::ALL {
        interval.counts.add(*what, count(what.name())?);
    }
    for metric in &CATALOGUE {
        let samples = count(&format!("{}_overflow", metric.name))?;
        interval.histograms.add_overflow(metric.metric, samples);
    }
    Ok(interval)
}

/// Reads `works.csv`: the stays of all works in the backlog; and open, expired and lost works by
/// their last status word, as `works.csv` knows it, where that has them all; otherwise as an
/// earlier summary does; otherwise as far as `works.csv` knows it.
fn read_works(
    works: &mut dyn io::Read,
    snapshot: &Snapshot,
    earlier: BTreeMap<Box<str>, u64>,
    mut area: Option<&mut AreaBooks>,
) -> Result<(BTreeMap<Box<str>, u64>, bool), Unreadable> {
    let mut stuck: BTreeMap<Box<str>, u64> = BTreeMap::new();
    let words = [Outcome::Expired, Outcome::Lost, Outcome::Unresolved].map(Outcome::word);
    let needed = ["accepted_s", "settled_s", "outcome", "last_status"];
    let torn = rows("works.csv", works, &needed, |columns, record| {
        if let Some(area) = &mut area
            && let Some(accepted) = columns.maybe_time(record, "accepted_s")?
        {
            area.stay(accepted, columns.maybe_time(record, "settled_s")?);
        }
        // A work of the time that is left out is none of this report's, however soon it ended.
        if words.contains(&columns.cell(record, "outcome"))
            && columns.time(record, "accepted_s")? <= snapshot.end
        {
            let word = match columns.cell(record, "last_status") {
                "" => Snapshot::NO_WORD,
                word => word,
            };
            *stuck.entry(word.into()).or_default() += 1;
        }
        Ok(())
    })?;
    let counts = &snapshot.counts;
    let all = counts.get(Count::Expired) + counts.get(Count::Lost) + snapshot.gauges.backlog;
    let unknown = all.saturating_sub(stuck.values().sum());
    if unknown > 0 && earlier.values().sum::<u64>() == all {
        stuck = earlier;
    } else if unknown > 0 {
        stuck.insert(NOT_RECORDED.into(), unknown);
    }
    Ok((stuck, torn))
}

#[cfg(test)]
mod tests;
