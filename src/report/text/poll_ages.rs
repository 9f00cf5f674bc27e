//! The schedule of polls that the measured service would be asked at best.

use std::fmt::{self, Write as _};

use super::wrap::hanging;
use super::{DIM, number, section};
use crate::report::Report;

/// Ages that are shown; `summary.json` has all.
const SHOWN: usize = 16;

pub(super) fn write(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    let Some(schedule) = &report.poll_at_ages else {
        return Ok(());
    };
    section(out, "poll at these ages")?;
    let ages: Vec<String> = (schedule.ages.iter().take(SHOWN))
        .map(|age| number::time(*age))
        .collect();
    let every = number::time(schedule.then_every);
    let then = if schedule.ages.len() > SHOWN {
        let rest = number::count((schedule.ages.len() - SHOWN) as u64);
        format!("and at {rest} more that summary.json has")
    } else {
        format!("then every {every}")
    };
    let text = format!("{} after the submit, {then}", ages.join(", "));
    writeln!(out, "  {}", hanging(&text, 2, columns))?;
    let expected = format!(
        "{:.2} polls a work, its end seen {} late; every {every}, the first at random: {:.2} polls, \
         {} late",
        schedule.cost.polls,
        number::time(schedule.cost.lag),
        schedule.fixed.polls,
        number::time(schedule.fixed.lag),
    );
    let expected = hanging(&expected, 2, columns);
    writeln!(out, "  {DIM}{expected}{DIM:#}")
}
