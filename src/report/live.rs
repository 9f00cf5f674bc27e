//! The live block: how the run stands, while it stands.

use std::fmt::Write as _;

use super::text::number;
use crate::time::Span;

/// How a run stands at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the origin.
    pub elapsed: Span,
    /// Until the load ends; none in the drain.
    pub remaining: Option<Span>,
    /// The stage (from 0) and how many there are; none in the drain.
    pub stage: Option<(usize, usize)>,
    /// Intended arrivals per second, over the last interval.
    pub offered_rate: f64,
    /// Submits sent per second, over the last interval.
    pub achieved_rate: f64,
    /// Works that the service took.
    pub accepted: u64,
    /// Works accepted and still open.
    pub backlog: u64,
    /// Works completed.
    pub completed: u64,
    /// Works failed, expired or lost.
    pub failed: u64,
    /// Submits rejected or without an answer.
    pub refused: u64,
    /// Answers 429.
    pub rate_limited: u64,
    /// The p99 of the generator's own lateness so far; none without samples.
    pub schedule_lag_p99: Option<f64>,
}

/// Where the run is: stage and time.
fn place(now: &Progress) -> String {
    let mut text = match now.stage {
        Some((stage, stages)) if stages > 1 => format!("stage {} of {stages}", stage + 1),
        Some(_) => "load".to_owned(),
        None => "drain".to_owned(),
    };
    let elapsed = number::clock(now.elapsed);
    write!(text, "  {elapsed}").expect("a String takes everything");
    if let Some(left) = now.remaining {
        write!(text, ", {} left", number::clock(left)).expect("a String takes everything");
    }
    text
}

/// Three lines for a terminal, each under 80 columns for counts below a billion.
pub fn block(now: &Progress) -> [String; 3] {
    let lag = now
        .schedule_lag_p99
        .map_or_else(|| "-".to_owned(), number::time);
    [
        format!(
            "{}   {} sent of {} offered",
            place(now),
            number::rate(now.achieved_rate),
            number::rate(now.offered_rate)
        ),
        format!(
            "accepted {}   refused {}   429s {}   lag p99 {lag}",
            number::count(now.accepted),
            number::count(now.refused),
            number::count(now.rate_limited)
        ),
        format!(
            "completed {}   failed {}   backlog {}",
            number::count(now.completed),
            number::count(now.failed),
            number::count(now.backlog)
        ),
    ]
}

/// One plain line, for logs and pipes.
pub fn line(now: &Progress) -> String {
    let lag = now
        .schedule_lag_p99
        .map_or_else(|| "-".to_owned(), number::time);
    format!(
        "{}; {} of {}; accepted {}, completed {}, failed {}, backlog {}, refused {}, 429s {}, lag {lag}",
        place(now),
        number::rate(now.achieved_rate),
        number::rate(now.offered_rate),
        now.accepted,
        now.completed,
        now.failed,
        now.backlog,
        now.refused,
        now.rate_limited,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            elapsed: Span::from_secs(3_725),
            remaining: Some(Span::from_secs(75)),
            stage: Some((1, 3)),
            offered_rate: 20.0,
            achieved_rate: 19.83,
            accepted: 74_211,
            backlog: 41,
            completed: 73_900,
            failed: 270,
            refused: 2,
            rate_limited: 17,
            schedule_lag_p99: Some(0.000_412),
        }
    }

    #[test]
    fn the_block_says_how_it_stands() {
        assert_eq!(
            block(&progress()).join("\n"),
            "stage 2 of 3  1:02:05, 1:15 left   19.8/s sent of 20/s offered\n\
             accepted 74,211   refused 2   429s 17   lag p99 412 us\n\
             completed 73,900   failed 270   backlog 41"
        );
        let drain = Progress {
            remaining: None,
            stage: None,
            schedule_lag_p99: None,
            ..progress()
        };
        assert_eq!(
            line(&drain),
            "drain  1:02:05; 19.8/s of 20/s; accepted 74211, completed 73900, failed 270, \
             backlog 41, refused 2, 429s 17, lag -"
        );
    }

    #[test]
    fn the_block_fits_a_terminal() {
        let large = Progress {
            elapsed: Span::from_secs(360_000),
            remaining: Some(Span::from_secs(360_000)),
            stage: Some((10, 12)),
            offered_rate: 12_345.6,
            achieved_rate: 12_345.6,
            accepted: 999_999_999,
            backlog: 999_999_999,
            completed: 999_999_999,
            failed: 999_999_999,
            refused: 999_999_999,
            rate_limited: 999_999_999,
            schedule_lag_p99: Some(0.0123),
        };
        for line in block(&large) {
            assert!(line.chars().count() <= 80, "{}: {line}", line.len());
        }
    }
}
