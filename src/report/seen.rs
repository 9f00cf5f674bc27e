//! `windows.csv`: between which ages works ended, counted; what an estimate is made from.
//!
//! A row is one cell of the count: `works` works settled in the stretch of the run that ended at
//! `end_s` (or were given up or left open in it), and `what` happened to each after the age
//! `from_s` and not after `to_s`. An empty `to_s`: it had not happened when the work was last
//! looked at. A row `ran` has the window of the end and that of the begin of the same works; `to_s`
//! of `ran_grid` is the first edge of the grid that they are rounded to, where it is not the
//! finest. Words that end with `_by_clock` count ends by the service's own clock: then both columns
//! are that clock less ours when the submit was sent. The row `clock` bounds what that clock showed
//! at the origin of the run, and `to_s` of `clock_resolution` is to what it tells.

use std::io;

use super::rebuild::{Columns, Unreadable, rows};
use crate::record::blocks::Blocks;
use crate::record::interval::{Interval, Seen};
use crate::record::stamps::{ClockBounds, Stamp};
use crate::record::stints::{Stint, Stints};
use crate::record::windows::{Edge, Happening, Window, Windows};
use crate::time::{Span, Tick};

/// The columns.
const COLUMNS: [&str; 7] = [
    "end_s",
    "what",
    "from_s",
    "to_s",
    "works",
    "begun_from_s",
    "begun_to_s",
];

/// The word of what has two windows.
const RAN: &str = "ran";
/// The word of the grid of those.
const RAN_GRID: &str = "ran_grid";
/// Ends the word of what is counted by the service's clock.
const BY_CLOCK: &str = "_by_clock";
/// The word of the bounds of the service's clock.
const CLOCK: &str = "clock";
/// The word of its resolution.
const RESOLUTION: &str = "clock_resolution";

/// Writes the file.
#[derive(Debug)]
pub struct SeenWriter<W: io::Write> {
    to: csv::Writer<W>,
    /// The length of the stretches.
    length: Span,
    /// The end of the one that is not written yet.
    end: Tick,
    seen: Seen,
}

impl<W: io::Write> SeenWriter<W> {
    /// Writes the header; stretches are those of a load of this planned length.
    pub fn new(to: W, load: Span) -> io::Result<Self> {
        let mut to = csv::Writer::from_writer(to);
        to.write_record(COLUMNS)?;
        Ok(Self {
            to,
            length: Blocks::for_load(load).length(),
            end: Tick::ZERO,
            seen: Seen::default(),
        })
    }

    /// Takes in an interval, and writes the stretch before if this one is beyond it.
    pub fn write(&mut self, interval: &Interval) -> io::Result<()> {
        let end = interval.end().rounded_up(self.length);
        if end != self.end {
            self.finish()?;
            self.end = end;
        }
        self.seen.merge(&interval.seen);
        Ok(())
    }

    /// Writes the stretch that is not over, at the end of the run.
    pub fn finish(&mut self) -> io::Result<()> {
        let seen = std::mem::take(&mut self.seen);
        for (window, works) in seen.windows.iter() {
            let to = window.to.map(|to| signed(to.micros()));
            self.row(window.what.word(), signed(window.from.micros()), to, works)?;
        }
        self.stints(&seen.stints)?;
        let stamps = &seen.stamps;
        for (stamp, works) in stamps.iter() {
            let word = format!("{}{BY_CLOCK}", stamp.what.word());
            self.row(&word, stamp.from, Some(stamp.from + stamps.width()), works)?;
        }
        if let Some(ClockBounds { least, most }) = stamps.bounds() {
            self.row(CLOCK, least, Some(most), 0)?;
            self.row(RESOLUTION, 0, Some(stamps.resolution()), 0)?;
        }
        Ok(())
    }

    /// Hands everything to the writer below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn stints(&mut self, stints: &Stints) -> io::Result<()> {
        let micros = |edge: Edge| signed(edge.micros());
        for (Stint { begun, ended }, works) in stints.iter() {
            let (from, to) = (micros(ended.0), ended.1.map(micros));
            let begun = [begun.0, begun.1].map(|edge| seconds(micros(edge)));
            self.cells(RAN, (from, to), works, begun)?;
        }
        let step = stints.step();
        if step > Stints::default().step() {
            self.row(RAN_GRID, 0, Edge::numbered(step).map(micros), 0)?;
        }
        Ok(())
    }

    fn row(&mut self, what: &str, from: i64, to: Option<i64>, works: u64) -> io::Result<()> {
        self.cells(what, (from, to), works, Default::default())
    }

    fn cells(
        &mut self,
        what: &str,
        (from, to): (i64, Option<i64>),
        works: u64,
        [begun, seen]: [String; 2],
    ) -> io::Result<()> {
        let to = to.map_or_else(String::new, seconds);
        let cells = [
            &self.end.to_string(),
            what,
            &seconds(from),
            &to,
            &works.to_string(),
            &begun,
            &seen,
        ];
        Ok(self.to.write_record(cells)?)
    }
}

/// Reads the file. The answer says too whether its end was cut off.
pub(super) fn read(mut file: &[u8], load: Span) -> Result<(Blocks, bool), Unreadable> {
    let mut blocks = Blocks::for_load(load);
    let (mut end, mut seen) = (Tick::ZERO, Unsorted::default());
    let torn = rows("windows.csv", &mut file, &COLUMNS, |columns, record| {
        let at = columns.time(record, "end_s")?;
        if at != end {
            blocks.add(end, &std::mem::take(&mut seen).sorted());
            end = at;
        }
        seen.row(columns, record)
    })?;
    blocks.add(end, &seen.sorted());
    Ok((blocks, torn))
}

/// One stretch while it is read.
#[derive(Default)]
struct Unsorted {
    windows: Vec<(Window, u64)>,
    stints: Vec<(Stint, u64)>,
    /// The number of the first edge of their grid.
    step: usize,
    seen: Seen,
}

impl Unsorted {
    fn sorted(self) -> Seen {
        let mut stints = Stints::of(self.stints);
        stints.coarsen(self.step);
        Seen {
            windows: Windows::of(self.windows),
            stints,
            ..self.seen
        }
    }

    fn row(&mut self, columns: &Columns, record: &csv::StringRecord) -> Result<(), String> {
        let word = columns.cell(record, "what");
        let time = |name: &str| {
            let cell = columns.cell(record, name);
            let wrong = || {
                let found = cell.escape_debug();
                format!("found `{found}` in `{name}`, expected seconds with six decimals")
            };
            micros(cell).ok_or_else(wrong)
        };
        let age_or_none = |name: &str| match columns.cell(record, name) {
            "" => Ok(None),
            _ => time(name).and_then(edge).map(Some),
        };
        let (from, works) = (time("from_s")?, columns.count(record, "works")?);
        let stamps = &mut self.seen.stamps;
        match word {
            CLOCK => {
                let (least, most) = (from, time("to_s")?);
                stamps.bound(ClockBounds { least, most });
            }
            RESOLUTION => stamps.resolve(time("to_s")?),
            RAN_GRID => self.step = edge(time("to_s")?)?.number(),
            RAN => {
                let begun = (edge(time("begun_from_s")?)?, edge(time("begun_to_s")?)?);
                let ended = (edge(from)?, age_or_none("to_s")?);
                self.stints.push((Stint { begun, ended }, works));
            }
            _ => {
                let name = word.strip_suffix(BY_CLOCK).unwrap_or(word);
                let what = Happening::ALL.into_iter().find(|what| what.word() == name);
                let what = what.ok_or_else(|| {
                    let found = word.escape_debug();
                    format!("found `{found}` in `what`, expected a word such as `completed`")
                })?;
                if name == word {
                    let (from, to) = (edge(from)?, age_or_none("to_s")?);
                    self.windows.push((Window { what, from, to }, works));
                } else {
                    let Stamp { what, from } = Stamp { what, from };
                    stamps.coarsen(time("to_s")?.saturating_sub(from));
                    stamps.add(what, from, works);
                }
            }
        }
        Ok(())
    }
}

/// An edge of the grid by its age.
fn edge(micros: i64) -> Result<Edge, String> {
    let age = u64::try_from(micros).ok();
    let edge = age.map(|micros| Edge::below(Span(micros.saturating_mul(1_000))));
    edge.filter(|edge| signed(edge.micros()) == micros)
        .ok_or_else(|| format!("found {}, which is no edge of the grid", seconds(micros)))
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Seconds with six decimals.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The inverse of [`seconds`].
fn micros(text: &str) -> Option<i64> {
    let plain = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = plain.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() != 6 || whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let (whole, part) = (whole.parse::<i64>().ok()?, part.parse::<i64>().ok()?);
    let micros = whole.checked_mul(1_000_000)?.checked_add(part)?;
    Some(if plain.len() < text.len() {
        -micros
    } else {
        micros
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ServiceTime;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// Intervals of a second in which works end, of each about this age in milliseconds.
    fn intervals(ages: &[Vec<u64>]) -> Vec<Interval> {
        let mut recorder = crate::record::Recorder::new(Tick::ZERO);
        let mut intervals = Vec::new();
        for (second, ages) in (1..).zip(ages) {
            let now = Tick(second * SECOND);
            for age in ages {
                let (what, from) = match age % 3 {
                    0 => (Happening::Completed, Span::from_millis(age / 2)),
                    1 => (Happening::Failed, Span::ZERO),
                    _ => (Happening::Begun, Span::from_millis(age / 3)),
                };
                let window = if age % 5 == 0 {
                    Window::censored(Happening::Completed, from)
                } else {
                    Window::seen(what, from, Span::from_millis(*age))
                };
                recorder.window(window);
                let begun = Window::seen(Happening::Begun, Span::ZERO, Span::from_millis(*age));
                recorder.stint(Stint::of((begun.from, begun.to.unwrap()), window));
                if age % 7 == 0 {
                    let sent = now - Span::from_millis(*age);
                    let shown = ServiceTime(-1_000_000 + i64::try_from(now.0 / 1_000).unwrap());
                    recorder
                        .stamps()
                        .count(what, shown, [sent, sent + from, now]);
                }
            }
            let gauges = crate::record::ledger::Gauges::default();
            intervals.push(recorder.close(now, Some(0), gauges, Span::ZERO));
        }
        intervals
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_seen(
            ages in prop::collection::vec(prop::collection::vec(0..90_000_u64, 0..20), 1..40),
            load in 1..2_000_u64,
        ) {
            let load = Span::from_secs(load);
            let mut file = Vec::new();
            let mut writer = SeenWriter::new(&mut file, load).unwrap();
            let mut blocks = Blocks::for_load(load);
            for interval in intervals(&ages) {
                writer.write(&interval).unwrap();
                blocks.add(interval.end(), &interval.seen);
            }
            writer.finish().unwrap();
            writer.flush().unwrap();
            drop(writer);
            prop_assert_eq!(read(&file, load).unwrap(), (blocks, false));
        }

        #[test]
        fn times_come_back(micros in any::<i64>()) {
            let micros_of = micros / 1_000;
            prop_assert_eq!(super::micros(&seconds(micros_of)), Some(micros_of));
        }
    }

    #[test]
    fn damage_is_named() {
        let check = |row: &str, part: &str| {
            let good = "1.000000,failed,0.000000,0.000128,3,,\n";
            let file =
                format!("end_s,what,from_s,to_s,works,begun_from_s,begun_to_s\n{row}\n{good}");
            let error = read(file.as_bytes(), Span::ZERO).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(part), "{error}");
        };
        check("1.000000,flown,0.000000,,1,,", "found `flown` in `what`");
        check("1.000000,failed,0,,1,,", "found `0` in `from_s`");
        check("1.000000,failed,0.000129,,1,,", "no edge of the grid");
        check("1.000000,failed,-1.000000,,1,,", "no edge of the grid");
        check("1.000000,ran,0.000000,,1,0.000000,", "in `begun_to_s`");
        check("1.000000,failed,0.000000,,x,,", "found `x` in `works`");
    }
}
