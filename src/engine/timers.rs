//! `TimerQueue`: which work is to be looked at next, and when. Cancelling is lazy: an entry whose
//! work has moved on is skipped by whoever takes it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Tick;
use crate::work::Slot;

/// Entries in the order of their instants; a work has at most two at a time.
#[derive(Debug, Default)]
pub struct TimerQueue {
    heap: BinaryHeap<Reverse<(Tick, Slot)>>,
}

impl TimerQueue {
    /// Looks at the work at this instant.
    pub fn set(&mut self, at: Tick, slot: Slot) {
        self.heap.push(Reverse((at, slot)));
    }

    /// The earliest instant.
    pub fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry whose instant has come.
    pub fn take(&mut self, now: Tick) -> Option<(Tick, Slot)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_leave_in_the_order_of_their_instants_and_never_early() {
        let mut timers = TimerQueue::default();
        let slot = |index| Slot {
            index,
            generation: 0,
        };
        for (at, index) in [(30, 3), (10, 1), (20, 2)] {
            timers.set(Tick(at), slot(index));
        }
        assert_eq!(timers.take(Tick(9)), None);
        assert_eq!(timers.take(Tick(25)), Some((Tick(10), slot(1))));
        assert_eq!(timers.take(Tick(25)), Some((Tick(20), slot(2))));
        assert_eq!(timers.take(Tick(25)), None);
        assert_eq!(timers.next(), Some(Tick(30)));
    }
}
