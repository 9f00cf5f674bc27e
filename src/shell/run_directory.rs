//! The run directory: every file is opened before the load, and written while the run goes on.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::arrival::length;
use crate::record::calls::CallNote;
use crate::record::interval::Interval;
use crate::record::row::Settled;
use crate::report::calls::{CallWriter, PairWriter};
use crate::report::csv::{IntervalWriter, WorkWriter};
use crate::report::failures::Failures;
use crate::report::hlog;
use crate::report::seen::SeenWriter;
use crate::scenario::earlier::CURVE;
use crate::scenario::{Mode, Plan};
use crate::work::Outcome;

/// The resolved scenario.
pub const SCENARIO: &str = "scenario.toml";
/// The result.
pub const SUMMARY: &str = "summary.json";
/// A row a second.
pub const INTERVALS: &str = "intervals.csv";
/// A row a work.
pub const WORKS: &str = "works.csv";
/// Histograms by interval.
pub const HISTOGRAMS: &str = "histograms.hlog";
/// Between which ages works ended.
pub const WINDOWS: &str = "windows.csv";
/// A row a callback, where the mode hears them.
pub const CALLBACKS: &str = "callbacks.csv";
/// A row for each work whose end was told both ways, in mode both.
pub const PAIRS: &str = "pairs.csv";
/// Bodies that explain.
pub const FAILURES: &str = "failures.jsonl";

/// A file that could not be written, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// Which.
    pub path: PathBuf,
    /// The system's reason.
    pub reason: String,
    /// What the system says it is.
    pub kind: io::ErrorKind,
}

type Written = Result<(), Unwritable>;

/// An open run directory.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Whether works have rows.
    has_rows: bool,
    works: WorkWriter<BufWriter<File>>,
    intervals: IntervalWriter<BufWriter<File>>,
    windows: SeenWriter<BufWriter<File>>,
    /// None where no callbacks are heard.
    calls: Option<CallWriter<BufWriter<File>>>,
    pairs: Option<PairWriter<BufWriter<File>>>,
    histograms: BufWriter<File>,
    coarse: hlog::Coarse,
    failure_lines: BufWriter<File>,
    failures: Failures,
}

impl RunDirectory {
    /// Makes the directory and opens its files. A directory that holds a run already is refused.
    pub fn create(path: &Path, scenario: &str, plan: &Plan) -> Result<Self, Unwritable> {
        let (load, mode) = (length(&plan.load), plan.observe.mode);
        let at = |name: &str| path.join(name);
        fs::create_dir_all(path).map_err(|error| unwritable(path, &error))?;
        if at(WORKS).exists() {
            let reason = io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it holds a run already, which would be lost",
            );
            return Err(unwritable(path, &reason));
        }
        fs::write(at(SCENARIO), scenario).map_err(|error| unwritable(&at(SCENARIO), &error))?;
        let open = |name: &str| {
            File::create(at(name))
                .map(BufWriter::new)
                .map_err(|error| unwritable(&at(name), &error))
        };
        Ok(Self {
            works: WorkWriter::new(open(WORKS)?).map_err(|error| unwritable(&at(WORKS), &error))?,
            intervals: IntervalWriter::new(open(INTERVALS)?)
                .map_err(|error| unwritable(&at(INTERVALS), &error))?,
            windows: SeenWriter::new(open(WINDOWS)?, load)
                .map_err(|error| unwritable(&at(WINDOWS), &error))?,
            calls: (mode.hears_callbacks())
                .then(|| {
                    CallWriter::new(open(CALLBACKS)?)
                        .map_err(|error| unwritable(&at(CALLBACKS), &error))
                })
                .transpose()?,
            pairs: (mode == Mode::Both)
                .then(|| {
                    PairWriter::new(open(PAIRS)?).map_err(|error| unwritable(&at(PAIRS), &error))
                })
                .transpose()?,
            histograms: open(HISTOGRAMS)?,
            coarse: hlog::Coarse::new(load),
            failure_lines: open(FAILURES)?,
            failures: Failures::new(plan.report),
            has_rows: plan.report.works,
            path: path.to_owned(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the head of the histograms, once the origin of the run is known; `simulated` says
    /// what answered in virtual time.
    pub fn begin(&mut self, started_at: i64, simulated: Option<&str>) -> Written {
        let version = env!("CARGO_PKG_VERSION");
        hlog::write_head(&mut self.histograms, version, started_at, simulated)
            .map_err(|error| self.failed(HISTOGRAMS, &error))?;
        self.flush()
    }

    /// Writes the rows of submissions that have settled.
    pub fn settled(&mut self, settled: &[Settled]) -> Written {
        for one in settled {
            if self.has_rows {
                self.works
                    .write(&one.row)
                    .map_err(|error| self.failed(WORKS, &error))?;
            }
            self.failures
                .write(&mut self.failure_lines, one)
                .map_err(|error| unwritable(&self.path.join(FAILURES), &error))?;
        }
        Ok(())
    }

    /// Writes the rows of callbacks, and of works whose end was told both ways.
    pub fn calls(&mut self, calls: &[CallNote]) -> Written {
        for note in calls {
            match note {
                CallNote::Call(row) => {
                    if let Some(to) = &mut self.calls {
                        to.write(row)
                            .map_err(|error| self.failed(CALLBACKS, &error))?;
                    }
                }
                CallNote::Pair(row) => {
                    if let Some(to) = &mut self.pairs {
                        to.write(row).map_err(|error| self.failed(PAIRS, &error))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes an interval, and hands everything so far to the system.
    pub fn interval(&mut self, interval: &Interval) -> Written {
        self.intervals
            .write(interval)
            .map_err(|error| self.failed(INTERVALS, &error))?;
        self.windows
            .write(interval)
            .map_err(|error| self.failed(WINDOWS, &error))?;
        self.coarse
            .write(&mut self.histograms, interval)
            .map_err(|error| unwritable(&self.path.join(HISTOGRAMS), &error))?;
        self.flush()
    }

    /// Writes what is left, the curve, and the summary: that one also where the rest cannot be
    /// written, as it says so.
    pub fn finish(&mut self, curve: &[u8], summary: &[u8]) -> Written {
        let path = self.path.join(CURVE);
        let rest = fs::write(&path, curve).map_err(|error| unwritable(&path, &error));
        let rest = rest.and(self.finish_rows());
        let path = self.path.join(SUMMARY);
        let last = fs::write(&path, summary).map_err(|error| unwritable(&path, &error));
        rest.and(last)
    }

    fn finish_rows(&mut self) -> Written {
        self.windows
            .finish()
            .map_err(|error| self.failed(WINDOWS, &error))?;
        self.coarse
            .finish(&mut self.histograms)
            .map_err(|error| unwritable(&self.path.join(HISTOGRAMS), &error))?;
        self.flush()
    }

    /// Outcomes that had more to explain than there were lines for.
    pub fn left_out(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.failures.left_out()
    }

    fn flush(&mut self) -> Written {
        self.works
            .flush()
            .map_err(|error| self.failed(WORKS, &error))?;
        self.windows
            .flush()
            .map_err(|error| self.failed(WINDOWS, &error))?;
        if let Some(to) = &mut self.calls {
            to.flush().map_err(|error| self.failed(CALLBACKS, &error))?;
        }
        if let Some(to) = &mut self.pairs {
            to.flush().map_err(|error| self.failed(PAIRS, &error))?;
        }
        self.failure_lines
            .flush()
            .map_err(|error| self.failed(FAILURES, &error))?;
        self.histograms
            .flush()
            .map_err(|error| self.failed(HISTOGRAMS, &error))?;
        self.intervals
            .flush()
            .map_err(|error| self.failed(INTERVALS, &error))
    }

    fn failed(&self, name: &str, error: &io::Error) -> Unwritable {
        unwritable(&self.path.join(name), error)
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Unwritable {
    Unwritable {
        path: path.to_owned(),
        reason: error.to_string(),
        kind: error.kind(),
    }
}
