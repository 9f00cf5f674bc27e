//! `Stopwatch`: adds up the time in which something was so.

use crate::time::{Span, Tick};

/// Adds up the time in which something was so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stopwatch {
    since: Option<Tick>,
    total: Span,
}

impl Stopwatch {
    pub(super) fn set(&mut self, running: bool, now: Tick) {
        self.total = self.read(now);
        self.since = running.then_some(now);
    }

    pub(super) fn read(&self, now: Tick) -> Span {
        Span(self.total.0 + self.since.map_or(0, |since| now.since(since).0))
    }
}
