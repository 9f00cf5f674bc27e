//! The share of a core that a thread uses.

use std::collections::VecDeque;

use super::limits::thread_cpu;
use crate::time::{Span, Tick};

/// Over how long the share is judged, at least.
const OVER: Span = Span::from_secs(10);

/// Looked at now and then by the thread itself.
#[derive(Debug, Default)]
pub(super) struct CoreShare {
    /// When it was looked at, and what time the thread had then spent on a processor.
    looks: VecDeque<(Tick, Span)>,
    largest: f64,
}

impl CoreShare {
    /// The answer is all time that the thread has spent on a processor.
    pub(super) fn look(&mut self, now: Tick) -> Span {
        let spent = thread_cpu();
        self.looks.push_back((now, spent));
        // After a stop of the process many looks may come at one instant: the time counts.
        let is_past = |(at, _): &(Tick, Span)| now.since(*at) >= OVER;
        while self.looks.get(1).is_some_and(is_past) {
            self.looks.pop_front();
        }
        if let Some((then, before)) = self.looks.front().filter(|look| is_past(look)) {
            let share = Span(spent.0 - before.0).seconds() / now.since(*then).seconds();
            self.largest = self.largest.max(share);
        }
        spent
    }

    /// The largest share of a core so far.
    pub(super) const fn largest(&self) -> f64 {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_looks_after_a_stop_are_no_busy_core() {
        let mut core = CoreShare::default();
        let stop = Tick::ZERO + Span::from_secs(13);
        core.look(Tick::ZERO);
        for nanos in 0..1_000 {
            core.look(stop + Span(nanos));
        }
        assert!(core.largest() < 0.5, "{}", core.largest());
        assert!(core.largest() > 0.0);
    }

    #[test]
    fn nothing_is_judged_over_less_time() {
        let mut core = CoreShare::default();
        core.look(Tick::ZERO);
        core.look(Tick::ZERO + Span(OVER.0 - 1));
        assert!(core.largest() <= 0.0);
    }
}
