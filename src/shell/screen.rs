//! Screen: what a person sees while the run goes on. On a terminal a block that is drawn anew each
//! second, otherwise a plain line now and then; always on the error output, so that the result
//! alone is on the standard output.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::live::{Progress, block, line};

/// A plain line is written after so many seconds: the first soon, then every fifth.
const PLAIN_EVERY: u64 = 5;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A live block on a terminal, plain lines elsewhere.
    Auto,
    /// Plain lines everywhere.
    Plain,
    /// Nothing before the result.
    Nothing,
}

/// Where progress is shown.
#[derive(Debug)]
pub enum Screen {
    /// A block of three lines.
    Block(MultiProgress, [ProgressBar; 3]),
    /// A line now and then.
    Lines,
    /// Nothing.
    Nothing,
}

impl Screen {
    /// A screen on the error output.
    pub fn new(show: Show) -> Self {
        match show {
            Show::Nothing => Self::Nothing,
            Show::Auto if std::io::stderr().is_terminal() => {
                let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
                let style = ProgressStyle::with_template("{msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner());
                let lines = [(); 3].map(|()| {
                    let bar = bars.add(ProgressBar::new_spinner());
                    bar.set_style(style.clone());
                    bar
                });
                Self::Block(bars, lines)
            }
            Show::Auto | Show::Plain => Self::Lines,
        }
    }

    /// Shows how the run stands.
    pub fn show(&self, progress: &Progress) {
        match self {
            Self::Block(_, lines) => {
                for (bar, text) in lines.iter().zip(block(progress)) {
                    bar.set_message(text);
                    bar.tick();
                }
            }
            Self::Lines => {
                let seconds = progress.elapsed.0 / 1_000_000_000;
                if seconds == 1 || seconds.is_multiple_of(PLAIN_EVERY) {
                    self.say(&line(progress));
                }
            }
            Self::Nothing => {}
        }
    }

    /// Shows a sentence above what is live.
    pub fn say(&self, text: &str) {
        match self {
            Self::Block(bars, _) => {
                // A terminal that has gone away shows nothing; the report is in the files.
                let _ = bars.println(text);
            }
            Self::Lines => {
                let _ = writeln!(anstream::stderr(), "{text}");
            }
            Self::Nothing => {}
        }
    }

    /// Takes the live block away: the result takes its place.
    pub fn clear(&self) {
        if let Self::Block(bars, _) = self {
            let _ = bars.clear();
        }
    }
}
