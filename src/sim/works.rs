//! `Works`: the works that the service has taken, as far as it must still know them.
//!
//! Once the time of a work is over, what a poll hears of it never changes again and is a function
//! of the seed and its number. So a service that need not tell the truth about it afterwards may
//! forget it: a day of a thousand works a second then takes the memory of those that last.

use super::truth::Work;
use std::collections::VecDeque;

/// Works by their number, from 0 in the order in which they were taken.
#[derive(Debug, Default)]
pub(super) struct Works {
    /// The number of the first that is held.
    first: u64,
    held: VecDeque<Work>,
}

impl Works {
    /// How many were taken, forgotten ones included.
    pub(super) fn taken(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    /// How many are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The one that was taken last.
    pub(super) fn last(&self) -> Option<&Work> {
        self.held.back()
    }

    /// Takes one.
    pub(super) fn push(&mut self, work: Work) {
        self.held.push_back(work);
    }

    /// Forgets the oldest ones for which this holds. The last one stays: the next may be given its
    /// id.
    pub(super) fn forget(&mut self, is_over: impl Fn(&Work) -> bool) {
        while self.held.len() > 1 && self.held.pop_front_if(|work| is_over(work)).is_some() {
            self.first += 1;
        }
    }

    /// A work that is held.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Work> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.held.get_mut(place)
    }

    /// Whether a work of this number was forgotten.
    pub(super) fn has_forgotten(&self, number: u64) -> bool {
        number < self.first
    }

    /// All that were ever taken.
    ///
    /// # Panics
    /// If one of them was forgotten.
    pub(super) fn into_all(self) -> Vec<Work> {
        assert_eq!(self.first, 0, "what was forgotten cannot be told");
        self.held.into()
    }
}
