//! The table of quantiles: what the promises are about, side by side, and what of it is too small
//! to be told from our own error.

use std::fmt::{self, Write as _};

use super::wrap::hanging;
use super::{BOLD, DIM, number, value};
use crate::record::Metric;
use crate::report::quantiles::Sample;
use crate::report::{Report, own_error};

/// In so many columns the wide table fits.
const WIDE: usize = 80;

/// A column: its metric, and its name on one line and on two.
struct Column {
    metric: Metric,
    name: &'static str,
    lines: [&'static str; 2],
    width: usize,
    narrow: usize,
}

const COLUMNS: [Column; 4] = [
    Column {
        metric: Metric::AcceptLatency,
        name: "accept latency",
        lines: ["accept", "latency"],
        width: 15,
        narrow: 11,
    },
    Column {
        metric: Metric::AcceptServiceTime,
        name: "accept service time",
        lines: ["accept service", "time"],
        width: 22,
        narrow: 16,
    },
    Column {
        metric: Metric::ClosedLoopLatency,
        name: "closed loop",
        lines: ["closed", "loop"],
        width: 14,
        narrow: 11,
    },
    Column {
        metric: Metric::TimeToTerminal,
        name: "time to terminal",
        lines: ["time to", "terminal"],
        width: 18,
        narrow: 11,
    },
];

/// What stands behind a figure that is smaller than our own error.
const MARK: &str = "*";

pub(super) fn write(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    let is_wide = columns >= WIDE;
    writeln!(out)?;
    let mut head = |part: fn(&Column) -> &str| {
        let names = COLUMNS
            .each_ref()
            .map(|column| format!("{} ", part(column)));
        writeln!(out, "{BOLD}{}{BOLD:#}", row(is_wide, "", &names))
    };
    if is_wide {
        head(|column| column.name)?;
    } else {
        head(|column| column.lines[0])?;
        head(|column| column.lines[1])?;
    }
    let figures = COLUMNS.map(|column| Figures::of(report, &column));
    for (index, (name, ..)) in figures[0].cells.iter().enumerate() {
        let cells = figures.each_ref().map(|of| of.cells[index].1.clone());
        writeln!(out, "{}", row(is_wide, name, &cells))?;
    }
    let mut count = |name, part: fn(&Figures) -> u64| {
        let counts = figures
            .each_ref()
            .map(|of| format!("{} ", number::count(part(of))));
        writeln!(out, "{}", row(is_wide, name, &counts))
    };
    count("samples", |of| of.count)?;
    let mut remarks = Vec::new();
    if figures.iter().any(|of| of.beyond > 0) {
        count("beyond", |of| of.beyond)?;
        remarks.push("beyond: without an answer; they count as larger than every value".to_owned());
    }
    let marked = COLUMNS.iter().zip(&figures);
    let marked: Vec<String> = marked
        .filter_map(|(column, of)| Some((column.name, number::time(of.error?))))
        .map(|(name, error)| format!("{error} for {name}"))
        .collect();
    if !marked.is_empty() {
        remarks.push(format!(
            "{MARK} less than our own error: {}",
            marked.join(", ")
        ));
    }
    for remark in remarks {
        writeln!(out, "  {DIM}{}{DIM:#}", hanging(&remark, 2, columns))?;
    }
    Ok(())
}

/// One line. Each cell ends with its mark, or with the place of one.
fn row(is_wide: bool, name: &str, cells: &[String; COLUMNS.len()]) -> String {
    let mut line = format!("  {name:<8}");
    for (column, cell) in COLUMNS.iter().zip(cells) {
        let width = if is_wide { column.width } else { column.narrow };
        write!(line, "{cell:>width$}").expect("a String takes everything");
    }
    line.trim_end().to_owned()
}

/// What stands in a column.
struct Figures {
    /// The name of the row, and the figure with its mark.
    cells: Vec<(&'static str, String)>,
    count: u64,
    beyond: u64,
    /// The largest error that a figure of the column is smaller than.
    error: Option<f64>,
}

impl Figures {
    fn of(report: &Report, column: &Column) -> Self {
        let sample = Sample::of(&report.snapshot, column.metric);
        let figures = sample.figures();
        let mut largest: Option<f64> = None;
        let cells = figures.each().into_iter().map(|figure| {
            let error = own_error::of_quantile(&report.snapshot, column.metric, figure.q);
            let error = error.filter(|error| figure.value.is_some_and(|value| value < *error));
            largest = largest.into_iter().chain(error).reduce(f64::max);
            let mark = error.map_or(" ", |_| MARK);
            let name = match figure.name {
                "p999" => "p99.9",
                name => name,
            };
            (name, format!("{}{mark}", value(figure.value, &sample)))
        });
        Self {
            cells: cells.collect(),
            count: figures.count,
            beyond: figures.beyond,
            error: largest,
        }
    }
}
