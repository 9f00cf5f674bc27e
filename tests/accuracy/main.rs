//! How accurate the estimate of the time in the service is, against laws in closed form.
//!
//! Works and polls are ages alone here: no engine, no service. `scripts/accuracy` runs the long
//! form, and writes its tables into `docs/accuracy.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot run fails")]

mod coverage;
mod intervals;
mod laws;
mod page;
mod polls;

use std::fmt::Write as _;

use coverage::{Cell, cells};
use intervals::Row;

/// Runs of each law and policy in the short form.
const SHORT: u64 = 8;
/// Runs of each in the long form.
const LONG: u64 = 100;

/// Whether the tables are to be written.
fn is_long() -> bool {
    std::env::var("ACCURACY").is_ok_and(|text| text == "long")
}

#[test]
fn ninety_five_percent_are_ninety_five_percent() {
    let runs = if is_long() { LONG } else { SHORT };
    let cells = cells(runs);
    if is_long() {
        page::write("bands", &table(&cells));
    }
    let (mut held, mut asked) = (0, 0);
    for cell in &cells {
        let name = format!(
            "{}, {}: {:?}",
            cell.law.name,
            cell.policy.name(),
            cell.bands
        );
        // Each quartile for itself: of 100 right bands 87 or fewer hold with probability 0.15 %.
        // Of 8 four or fewer do with 0.04 %.
        let least = if is_long() { 88 } else { 5 };
        assert!(cell.bands.iter().all(|held| *held >= least), "{name}");
        assert!(cell.gap <= 1e-5, "{name}: gap {}", cell.gap);
        held += cell.bands.iter().sum::<u64>();
        asked += cell.runs * cell.bands.len() as u64;
    }
    assert!(held * 100 >= asked * 93, "{held} of {asked}");
}

#[test]
fn the_median_hangs_on_the_service_and_not_on_the_interval() {
    let rows = intervals::rows();
    if is_long() {
        page::write("intervals", &intervals::table(&rows));
    }
    let felt = |row: &Row| row.felt[0];
    assert!(felt(&rows[1]) > felt(&rows[0]) + 1.0 && felt(&rows[2]) > felt(&rows[1]) + 5.0);
    for row in &rows {
        let truth = row.truth[0];
        let error = libm::fabs(row.estimate[0] - truth);
        assert!(error < 0.04 * truth, "{} s: {error} s", row.interval);
    }
}

fn table(cells: &[Cell]) -> String {
    let mut text =
        "| law | polls | p25 | p50 | p75 | interval of p50 | of p90 | of p99 |\n".to_owned();
    text += "|---|---|---|---|---|---|---|---|\n";
    let mut sum = [0; 2];
    for cell in cells {
        let [low, middle, high] = cell.bands;
        let of = |place: usize| format!("{} of {}", cell.quantiles[place], cell.told[place]);
        let (law, polls) = (cell.law.name, cell.policy.name());
        let (p50, p90, p99) = (of(0), of(1), of(3));
        writeln!(
            text,
            "| {law} | {polls} | {low} | {middle} | {high} | {p50} | {p90} | {p99} |"
        )
        .unwrap();
        sum = [
            sum[0] + cell.bands.iter().sum::<u64>(),
            sum[1] + cell.runs * 3,
        ];
    }
    let [held, asked] = sum;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let share = 100.0 * held as f64 / asked as f64;
    writeln!(text, "\nAll together: {held} of {asked}, {share:.1} %.").unwrap();
    text
}
