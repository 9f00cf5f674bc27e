//! The share of a core that a thread uses.

use std::collections::VecDeque;

use super::limits::thread_cpu;
use crate::time::{Span, Tick};

/// Looked at in equal steps by the thread itself.
#[derive(Debug)]
pub(super) struct CoreShare {
    /// When it was looked at, and what time the thread had then spent on a processor.
    looks: VecDeque<(Tick, Span)>,
    /// Over how many steps the share is judged.
    steps: usize,
    largest: f64,
}

impl CoreShare {
    pub(super) const fn over(steps: usize) -> Self {
        Self {
            looks: VecDeque::new(),
            steps,
            largest: 0.0,
        }
    }

    /// A step has passed. The answer is all time that the thread has spent on a processor.
    pub(super) fn look(&mut self, now: Tick) -> Span {
        let spent = thread_cpu();
        self.looks.push_back((now, spent));
        if self.looks.len() > self.steps {
            let (then, before) = self.looks.pop_front().unwrap_or((now, spent));
            let share = Span(spent.0 - before.0).seconds() / now.since(then).seconds();
            self.largest = self.largest.max(share);
        }
        spent
    }

    /// The largest share of a core so far.
    pub(super) const fn largest(&self) -> f64 {
        self.largest
    }
}
