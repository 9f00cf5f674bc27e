//! The same service, asked at short and long intervals.

use std::fmt::Write as _;

use plimsoll::estimate::{Estimate, Family};

use super::laws::LAWS;
use super::polls::{Policy, Run};

/// What is compared: p50, p90, p99, by their places in the estimate.
const PLACES: [usize; 3] = [0, 1, 3];
const LEVELS: [f64; 3] = [0.5, 0.9, 0.99];

/// One interval.
pub(crate) struct Row {
    /// In seconds.
    pub(crate) interval: f64,
    /// Quantiles of the age at which the end was detected.
    pub(crate) felt: [f64; 3],
    /// Of the middles of the windows.
    pub(crate) middle: [f64; 3],
    /// As estimated.
    pub(crate) estimate: [f64; 3],
    /// Of the law.
    pub(crate) truth: [f64; 3],
}

/// 100,000 works of the log-normal law.
pub(crate) fn rows() -> Vec<Row> {
    [1.0, 5.0, 20.0].map(row).into()
}

fn row(interval: f64) -> Row {
    let law = &LAWS[1];
    let run = Run {
        law,
        policy: Policy::Fixed(interval),
        works: 100_000,
        blocks: 30,
        seed: 202,
    };
    let mut detected = Vec::new();
    let blocks = run.windows(Some(&mut detected));
    detected.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank"
    )]
    #[expect(clippy::cast_precision_loss, reason = "100,000 is exact")]
    let felt = LEVELS.map(|level| detected[libm::ceil(level * detected.len() as f64) as usize - 1]);
    let estimate = Estimate::of(&blocks, Family::Sojourn, run.seed).unwrap();
    Row {
        interval,
        felt,
        middle: PLACES.map(|place| estimate.midpoints[place].unwrap()),
        estimate: PLACES.map(|place| estimate.quantiles[place].value.unwrap()),
        truth: LEVELS.map(|level| law.quantile(level)),
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| interval | detected | middle of the window | estimate | truth |\n".to_owned();
    text += "|---|---|---|---|---|\n";
    for row in rows {
        let three = |values: [f64; 3]| values.map(|value| format!("{value:.2}")).join(" / ");
        let cells = [row.felt, row.middle, row.estimate, row.truth].map(three);
        writeln!(text, "| {} s | {} |", row.interval, cells.join(" | ")).unwrap();
    }
    text
}
