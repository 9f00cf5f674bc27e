//! Grid: whole microseconds of any sign, counted by what they are of, in bounded memory.

use std::collections::BTreeMap;

/// Different places at most; beyond it the grid is twice as coarse.
pub(super) const MOST: usize = 16_384;
/// The finest grid, in microseconds.
pub(super) const FINEST: i64 = 16;

/// Counts on a grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grid<K: Ord> {
    /// In microseconds.
    width: i64,
    counted: BTreeMap<(K, i64), u64>,
}

impl<K: Ord> Default for Grid<K> {
    fn default() -> Self {
        Self {
            width: FINEST,
            counted: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Grid<K> {
    pub(super) fn add(&mut self, what: K, from: i64, times: u64) {
        let from = from.div_euclid(self.width) * self.width;
        *self.counted.entry((what, from)).or_default() += times;
        while self.counted.len() > MOST {
            self.coarsen(self.width.saturating_mul(2));
        }
    }

    /// Counts on a grid of this width, which is the one it has times a power of two.
    pub(super) fn coarsen(&mut self, width: i64) {
        if width <= self.width {
            return;
        }
        self.width = width;
        for ((what, from), times) in std::mem::take(&mut self.counted) {
            let from = from.div_euclid(width) * width;
            *self.counted.entry((what, from)).or_default() += times;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.counted.is_empty() {
            return;
        }
        self.coarsen(other.width);
        for ((what, from), times) in &other.counted {
            self.add(*what, *from, *times);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// How many different ones there are.
    pub(super) fn different(&self) -> usize {
        self.counted.len()
    }

    /// In microseconds.
    pub(super) const fn width(&self) -> i64 {
        self.width
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = ((K, i64), u64)> + '_ {
        self.counted.iter().map(|(place, times)| (*place, *times))
    }
}
