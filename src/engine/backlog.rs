//! `Backlog`: how many works are accepted and open, and the area under that number.
//!
//! The area over an interval is the time that all works together spent in the backlog. It is summed
//! up without a walk: a work that enters at `at` is there until the end of the interval, unless it
//! leaves before, which takes its rest away again. So with n works at the end the area is
//! n (end - start) - (sum of at - start over those that entered - the same of those that left).

use crate::time::{Span, Tick};

/// The works that are accepted and open.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    works: u64,
    /// Where the interval began.
    start: Tick,
    /// Nanoseconds: the sum in the brackets above.
    moment: i128,
    last_change: Tick,
}

impl Backlog {
    /// How many there are.
    pub(super) fn works(&self) -> u64 {
        self.works
    }

    /// The latest instant at which one came or went.
    pub(super) fn last_change(&self) -> Tick {
        self.last_change
    }

    /// A work was accepted at this instant.
    pub(super) fn enter(&mut self, at: Tick) {
        self.works += 1;
        self.moment += self.offset(at);
        self.last_change = self.last_change.max(at);
    }

    /// A work has ended, or is followed no longer.
    pub(super) fn leave(&mut self, at: Tick) {
        self.works -= 1;
        self.moment -= self.offset(at);
        self.last_change = self.last_change.max(at);
    }

    fn offset(&self, at: Tick) -> i128 {
        i128::from(at.0) - i128::from(self.start.0)
    }

    /// Ends the interval, and begins the next one there. The answer is the area under it, in works
    /// times nanoseconds.
    ///
    /// # Panics
    /// At 584 years of work in one interval.
    pub(super) fn take_area(&mut self, end: Tick) -> Span {
        let area = i128::from(self.works) * self.offset(end) - self.moment;
        // A change that is told an interval late moves its area into this one. What cannot be taken
        // away from here is taken from the next.
        let taken = area.max(0);
        self.start = end;
        self.moment = taken - area;
        Span(u64::try_from(taken).expect("fewer than 584 years of work"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_that_is_told_late_moves_its_area_and_loses_none() {
        let mut backlog = Backlog::default();
        backlog.enter(Tick(2));
        assert_eq!(backlog.take_area(Tick(10)), Span(8));
        // It had left at 7, when 3 of the 8 were still to come.
        backlog.leave(Tick(7));
        assert_eq!(backlog.take_area(Tick(20)), Span(0));
        backlog.enter(Tick(20));
        assert_eq!(backlog.take_area(Tick(30)), Span(10 - 3));
    }

    proptest! {
        #[test]
        fn the_area_is_the_sum_of_the_stays(
            stays in prop::collection::vec((0_u64..100, 0_u64..100), 0..40)
        ) {
            let mut changes: Vec<(u64, bool)> = Vec::new();
            for (from, length) in &stays {
                changes.push((*from, true));
                changes.push((from + length, false));
            }
            // Of one instant whoever enters comes first.
            changes.sort_unstable_by_key(|(at, enters)| (*at, !enters));
            let mut backlog = Backlog::default();
            let mut changes = changes.into_iter().peekable();
            for window in 0..20 {
                let (start, end) = (window * 10, window * 10 + 10);
                while let Some((at, enters)) = changes.next_if(|(at, _)| *at < end) {
                    if enters { backlog.enter(Tick(at)) } else { backlog.leave(Tick(at)) }
                }
                let clipped = stays.iter().map(|(from, length)| {
                    (from + length).clamp(start, end) - (*from).clamp(start, end)
                });
                prop_assert_eq!(backlog.take_area(Tick(end)), Span(clipped.sum()));
            }
            prop_assert_eq!(backlog.works(), 0);
        }
    }
}
