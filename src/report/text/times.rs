//! The table of the times in the service: what polls bound and the estimate makes of it.

use std::fmt::{self, Write as _};

use super::wrap::hanging;
use super::{BOLD, DIM, number, section};
use crate::estimate::Quantile;
use crate::report::Report;
use crate::report::times::{Measured, Method};

/// In so many columns midpoints stand in the table too.
const WIDE: usize = 80;

const ROWS: [&str; 5] = ["p50", "p90", "p95", "p99", "p99.9"];

/// What stands behind a figure that the sample cannot carry.
const MARK: &str = "?";

pub(super) fn write(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    section(out, "time in the service")?;
    let times = &report.times;
    let sojourn = match &times.sojourn {
        Ok(sojourn) => sojourn,
        Err(reason) => {
            let line = hanging(&format!("not known: {reason}"), 2, columns);
            return writeln!(out, "  {line}");
        }
    };
    let is_wide = columns >= WIDE;
    let width = if is_wide { 12 } else { 9 };
    let parts = [
        ("queue wait", "wait", times.queue_wait.as_ref().ok()),
        ("run time", "run", times.run_time.as_ref().ok()),
    ];
    let mut names = vec![
        if is_wide { "sojourn time" } else { "sojourn" },
        "at least",
        "at most",
    ];
    names.extend(is_wide.then_some("midpoint"));
    let known = parts.iter().filter(|(_, _, part)| part.is_some());
    names.extend(known.map(|(name, short, _)| if is_wide { name } else { short }));
    let names: Vec<String> = names.iter().map(|name| format!("{name} ")).collect();
    let head = line("", &names, width);
    writeln!(out, "{BOLD}{head}{BOLD:#}")?;
    for (row, name) in ROWS.into_iter().enumerate() {
        let quantile = sojourn.estimate.quantiles[row];
        let mut cells = vec![
            value(sojourn, quantile),
            bound(quantile.low),
            bound(quantile.high),
        ];
        cells.extend(is_wide.then(|| bound(sojourn.estimate.midpoints[row])));
        let known = parts.iter().filter_map(|(_, _, part)| *part);
        cells.extend(known.map(|part| value(part, part.estimate.quantiles[row])));
        writeln!(out, "{}", line(name, &cells, width))?;
    }
    for remark in remarks(sojourn, &parts.map(|(name, _, part)| (name, part))) {
        writeln!(out, "  {DIM}{}{DIM:#}", hanging(&remark, 2, columns))?;
    }
    Ok(())
}

/// One line. Each cell ends with its mark, or with the place of one.
fn line(name: &str, cells: &[String], width: usize) -> String {
    let mut line = format!("  {name:<6}");
    for cell in cells {
        write!(line, "{cell:>width$}").expect("a String takes everything");
    }
    line.trim_end().to_owned()
}

/// A quantile with its mark, or the place of one.
fn value(of: &Measured, quantile: Quantile) -> String {
    let Some(value) = quantile.value else {
        let last = of.estimate.curve.last().map_or(0.0, |last| last.seconds);
        return format!("> {} ", number::time(last));
    };
    let mark = if quantile.supported { " " } else { MARK };
    format!("{}{mark}", number::time(value))
}

fn bound(value: Option<f64>) -> String {
    value.map_or_else(
        || "- ".to_owned(),
        |value| format!("{} ", number::time(value)),
    )
}

/// What is left to the largest likelihood. Below that it is the rounding of numbers.
fn gap(gap: f64) -> String {
    if gap < 1e-12 {
        "below 1e-12".to_owned()
    } else {
        format!("{gap:.1e}")
    }
}

fn remarks(sojourn: &Measured, parts: &[(&str, Option<&Measured>)]) -> Vec<String> {
    let estimate = &sojourn.estimate;
    let from = match sojourn.method {
        Method::Npmle => "polls",
        Method::Timestamps => "the service's stamps",
    };
    let mut remarks = vec![format!(
        "estimated (NPMLE) from the windows that {from} left, of {} with {} not seen to end; \
         Kuhn-Tucker gap {}",
        number::counted(estimate.works, "work"),
        number::count(estimate.censored),
        gap(estimate.gap),
    )];
    if let Ok(bands) = &estimate.bands {
        remarks.push(format!(
            "at least, at most: 95 % bounds, from {} blocks of the run",
            bands.blocks
        ));
    }
    let known = || {
        parts
            .iter()
            .filter_map(|(name, part)| Some((name, (*part)?)))
    };
    let all = known().map(|(_, part)| part).chain([sojourn]);
    let mut quantiles = all.flat_map(|part| part.estimate.quantiles);
    if quantiles.any(|quantile| quantile.value.is_some() && !quantile.supported) {
        remarks.push(format!("{MARK} not supported: too few works"));
    }
    remarks.extend(sojourn.remarks.clone());
    for (name, part) in known() {
        let own = part
            .remarks
            .iter()
            .filter(|remark| !sojourn.remarks.contains(remark));
        remarks.extend(own.map(|remark| format!("{name}: {remark}")));
    }
    remarks
}
