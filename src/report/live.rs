//! The live block: how the run stands, while it stands.

use std::fmt::Write as _;

use super::text::number;
use crate::time::Span;

/// How a run stands at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the origin.
    pub elapsed: Span,
    /// How long a virtual run has really taken for that; none of a run in real time.
    pub really: Option<Span>,
    /// Until the load ends; in the drain until it ends at the latest.
    pub remaining: Span,
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
    pub work_failures: u64,
    /// Submits rejected, or without a usable answer.
    pub intake_failures: u64,
    /// Answers 429.
    pub rate_limited: u64,
    /// The p99 of the accept latency so far, in seconds; none without samples.
    pub accept_latency_p99: Option<f64>,
    /// The p99 of the time to terminal so far, of the works that have ended.
    pub time_to_terminal_p99: Option<f64>,
    /// The p99 of the generator's own lateness so far.
    pub generator_lag_p99: Option<f64>,
}

/// Lines of the block.
pub const BLOCK_LINES: usize = 6;

/// Where the run is: stage and time.
fn place(now: &Progress) -> String {
    let (elapsed, left) = (number::clock(now.elapsed), number::clock(now.remaining));
    match now.stage {
        Some((stage, stages)) if stages > 1 => {
            format!("stage {} of {stages}  {elapsed}, {left} left", stage + 1)
        }
        Some(_) => format!("load  {elapsed}, {left} left"),
        None => format!("drain  {elapsed}, at most {left} left"),
    }
}

/// Whether anything is offered or sent: in a drain only what had been queued is.
fn is_sending(now: &Progress) -> bool {
    now.stage.is_some() || now.achieved_rate > 0.0
}

/// How much faster than real time a virtual run is.
fn speed(now: &Progress, really: Span) -> String {
    let times = now.elapsed.seconds() / really.seconds().max(1e-6);
    format!("{} times as fast as real time", number::plain(times))
}

fn p99(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), number::time)
}

/// Lines for a terminal, each within 80 columns for counts below a billion.
pub fn block(now: &Progress) -> [String; BLOCK_LINES] {
    let mut first = place(now);
    if is_sending(now) {
        let (achieved, offered) = (
            number::rate(now.achieved_rate),
            number::rate(now.offered_rate),
        );
        write!(first, "   {achieved} sent of {offered} offered")
            .expect("a String takes everything");
    }
    [
        first,
        format!(
            "accepted {}   intake failures {}   429s {}",
            number::count(now.accepted),
            number::count(now.intake_failures),
            number::count(now.rate_limited)
        ),
        format!(
            "completed {}   work failures {}   backlog {}",
            number::count(now.completed),
            number::count(now.work_failures),
            number::count(now.backlog)
        ),
        format!(
            "p99   accept latency {}   time to terminal {}",
            p99(now.accept_latency_p99),
            p99(now.time_to_terminal_p99)
        ),
        now.really.map_or_else(
            || {
                let lag = p99(now.generator_lag_p99);
                format!("the generator's own lag   p99 {lag}")
            },
            |really| {
                let clock = number::clock(really);
                format!(
                    "simulated in virtual time   {}, for {clock}",
                    speed(now, really)
                )
            },
        ),
        "Ctrl-C: no more submits, follow the rest; twice: report now".to_owned(),
    ]
}

/// One plain line, for logs and pipes.
pub fn line(now: &Progress) -> String {
    let mut text = now.really.map_or_else(
        || place(now),
        |really| format!("simulated: {}, {}", place(now), speed(now, really)),
    );
    if is_sending(now) {
        let (achieved, offered) = (
            number::rate(now.achieved_rate),
            number::rate(now.offered_rate),
        );
        write!(text, "; {achieved} of {offered}").expect("a String takes everything");
    }
    write!(
        text,
        "; accepted {}, intake failures {}, 429s {}, completed {}, work failures {}, backlog {}",
        now.accepted,
        now.intake_failures,
        now.rate_limited,
        now.completed,
        now.work_failures,
        now.backlog,
    )
    .expect("a String takes everything");
    if now.really.is_none() {
        text.push_str(", generator lag p99 ");
        text.push_str(&p99(now.generator_lag_p99));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            elapsed: Span::from_secs(3_725),
            really: None,
            remaining: Span::from_secs(75),
            stage: Some((1, 3)),
            offered_rate: 20.0,
            achieved_rate: 19.83,
            accepted: 74_211,
            backlog: 41,
            completed: 73_900,
            work_failures: 270,
            intake_failures: 2,
            rate_limited: 17,
            accept_latency_p99: Some(0.021),
            time_to_terminal_p99: Some(7.77),
            generator_lag_p99: Some(0.000_412),
        }
    }

    #[test]
    fn the_block_says_how_it_stands() {
        assert_eq!(
            block(&progress()).join("\n"),
            "stage 2 of 3  1:02:05, 1:15 left   19.8/s sent of 20/s offered\n\
             accepted 74,211   intake failures 2   429s 17\n\
             completed 73,900   work failures 270   backlog 41\n\
             p99   accept latency 21 ms   time to terminal 7.77 s\n\
             the generator's own lag   p99 412 us\n\
             Ctrl-C: no more submits, follow the rest; twice: report now"
        );
        let drain = Progress {
            stage: None,
            offered_rate: 0.0,
            achieved_rate: 0.0,
            generator_lag_p99: None,
            ..progress()
        };
        assert_eq!(
            line(&drain),
            "drain  1:02:05, at most 1:15 left; accepted 74211, intake failures 2, 429s 17, \
             completed 73900, work failures 270, backlog 41, generator lag p99 -"
        );
    }

    #[test]
    fn a_virtual_run_is_marked_and_says_how_fast_it_is() {
        let simulated = Progress {
            really: Some(Span::from_millis(2_500)),
            ..progress()
        };
        assert_eq!(
            block(&simulated)[4],
            "simulated in virtual time   1,490 times as fast as real time, for 0:02"
        );
        assert_eq!(
            line(&simulated),
            "simulated: stage 2 of 3  1:02:05, 1:15 left, 1,490 times as fast as real time; \
             19.8/s of 20/s; accepted 74211, intake failures 2, 429s 17, completed 73900, \
             work failures 270, backlog 41"
        );
    }

    #[test]
    fn the_block_fits_a_terminal() {
        let large = Progress {
            elapsed: Span::from_secs(360_000),
            really: None,
            remaining: Span::from_secs(360_000),
            stage: Some((10, 12)),
            offered_rate: 12_345.6,
            achieved_rate: 12_345.6,
            accepted: 999_999_999,
            backlog: 999_999_999,
            completed: 999_999_999,
            work_failures: 999_999_999,
            intake_failures: 999_999_999,
            rate_limited: 999_999_999,
            accept_latency_p99: Some(0.012_34),
            time_to_terminal_p99: Some(754.0),
            generator_lag_p99: Some(0.012_34),
        };
        let simulated = Progress {
            really: Some(Span::from_secs(36)),
            ..large.clone()
        };
        for line in block(&large).into_iter().chain(block(&simulated)) {
            assert!(line.chars().count() <= 80, "{}: {line}", line.len());
        }
    }
}
