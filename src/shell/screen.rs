//! Screen: what a person sees while the run goes on. On a terminal a block that is drawn anew each
//! second, otherwise a plain line now and then; always on the error output, so that the result
//! alone is on the standard output.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::live::{BLOCK_LINES, Progress, block, line};
use crate::report::text;

/// Lines are never cut shorter than this, nor run on longer, however wide the terminal.
const NARROWEST: usize = 60;
const WIDEST: usize = 100;

/// How many columns text on this stream should have; 80 if it is no terminal.
pub fn columns(stream: impl AsFd) -> usize {
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).clamp(NARROWEST, WIDEST),
        _ => text::COLUMNS,
    }
}

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

/// Where progress is shown. A clone shows at the same place.
#[derive(Clone, Debug)]
pub enum Screen {
    /// A block of lines.
    Block(MultiProgress, [ProgressBar; BLOCK_LINES]),
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
                let lines = [(); BLOCK_LINES].map(|()| {
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
                let passed = progress.really.unwrap_or(progress.elapsed);
                let seconds = passed.0 / 1_000_000_000;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_has_eighty_columns() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(columns(file), 80);
    }
}
