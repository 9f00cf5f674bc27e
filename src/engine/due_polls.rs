//! Due polls: those that wait for their turn, in the order in which they are due.

use std::collections::VecDeque;

use crate::time::{Span, Tick};
use crate::work::Slot;

/// A poll that is due and waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct DuePoll {
    pub(super) slot: Slot,
    /// When its work is given up, held back or not.
    pub(super) overdue_at: Tick,
    /// How long the gate had been closed in all when the poll became due.
    pub(super) gate_before: Span,
    /// How long the budget had refused in all when the poll became due.
    pub(super) budget_before: Span,
}

/// The due polls, first come, first served.
#[derive(Debug)]
pub(super) struct DuePolls {
    queue: VecDeque<DuePoll>,
    /// No work of the queue is overdue before.
    overdue_from: Tick,
}

impl Default for DuePolls {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            overdue_from: Tick::NEVER,
        }
    }
}

impl DuePolls {
    pub(super) fn push(&mut self, poll: DuePoll) {
        self.overdue_from = self.overdue_from.min(poll.overdue_at);
        self.queue.push_back(poll);
    }

    pub(super) fn first(&self) -> Option<DuePoll> {
        self.queue.front().copied()
    }

    pub(super) fn pop(&mut self) {
        self.queue.pop_front();
    }

    /// Takes out those whose works are overdue. The queue is not walked if there can be none.
    pub(super) fn take_overdue(&mut self, now: Tick) -> Vec<Slot> {
        let mut overdue = Vec::new();
        if now < self.overdue_from {
            return overdue;
        }
        self.overdue_from = Tick::NEVER;
        self.queue.retain(|poll| {
            let stays = poll.overdue_at > now;
            if stays {
                self.overdue_from = self.overdue_from.min(poll.overdue_at);
            } else {
                overdue.push(poll.slot);
            }
            stays
        });
        overdue
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdue_polls_leave_from_the_middle_and_the_others_keep_their_order() {
        let mut due = DuePolls::default();
        for (index, overdue_at) in [30, 10, 20, 10].into_iter().enumerate() {
            due.push(DuePoll {
                slot: Slot {
                    index: u32::try_from(index).unwrap(),
                    generation: 0,
                },
                overdue_at: Tick(overdue_at),
                gate_before: Span::ZERO,
                budget_before: Span::ZERO,
            });
        }
        let places = |slots: Vec<Slot>| slots.iter().map(|slot| slot.index).collect::<Vec<_>>();
        assert!(places(due.take_overdue(Tick(9))).is_empty());
        assert_eq!(places(due.take_overdue(Tick(10))), [1, 3]);
        assert_eq!(due.first().map(|poll| poll.slot.index), Some(0));
        assert_eq!(places(due.take_overdue(Tick(29))), [2]);
        due.pop();
        assert!(due.is_empty());
    }
}
