//! `ClosedLoop`: a caller who waits for each answer before it sends again, imagined within the run.
//!
//! It has one request on the wire at a time. Whenever it is idle the next submit that leaves is its
//! own, and it is idle again when that one has its last answer, or will never have one. What it
//! would have recorded is a sample of the submits of the run: it takes no memory and sends nothing.

use crate::work::Slot;

/// The caller of one shard.
#[derive(Debug, Default)]
pub(super) struct ClosedLoop {
    awaits: Option<Slot>,
}

impl ClosedLoop {
    /// A submit leaves for the first time.
    pub(super) fn sees_leave(&mut self, slot: Slot) {
        self.awaits.get_or_insert(slot);
    }

    /// A submit is answered for good; true if the caller was waiting for it.
    pub(super) fn hears(&mut self, slot: Slot) -> bool {
        let is_own = self.awaits == Some(slot);
        if is_own {
            self.awaits = None;
        }
        is_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_while_the_caller_waits_is_none_of_its_own() {
        let slot = |index| Slot {
            index,
            generation: 7,
        };
        let mut caller = ClosedLoop::default();
        assert!(!caller.hears(slot(0)));
        caller.sees_leave(slot(0));
        caller.sees_leave(slot(1));
        assert!(!caller.hears(slot(1)));
        assert!(caller.hears(slot(0)));
        assert!(!caller.hears(slot(0)));
        caller.sees_leave(slot(2));
        assert!(caller.hears(slot(2)));
    }
}
