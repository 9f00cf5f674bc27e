//! Blocks: what was seen of the ends of works, in stretches of run time.
//!
//! Works that end close together have a lot in common (the same queue, the same slow minute), so an
//! estimate that says how sure it is must resample stretches of time and not works.

use std::collections::VecDeque;

use super::interval::Seen;
use super::windows::Windows;
use crate::time::{NANOS_PER_SECOND, Span, Tick};

/// Different windows, stints and stamps that all blocks together hold at most, unless there are
/// more in a single one.
const MOST_HELD: usize = 1 << 20;
/// Blocks at most.
const MOST: usize = 512;

/// One stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// When it ended.
    pub end: Tick,
    /// What was seen in it.
    pub seen: Seen,
}

/// What was seen in a run, in stretches of one length. Where they would be too many, each is joined
/// with its neighbour, so that what is held in memory has a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    length: Span,
    blocks: VecDeque<Block>,
}

impl Default for Blocks {
    /// Stretches of a second.
    fn default() -> Self {
        Self::of(Span(NANOS_PER_SECOND))
    }
}

impl Blocks {
    /// None yet, in stretches of this length.
    pub fn of(length: Span) -> Self {
        Self {
            length: length.max(Span(1)),
            blocks: VecDeque::new(),
        }
    }

    /// None yet, for a load of this planned length: of whole seconds, so that there are 256 of them
    /// or less.
    pub fn for_load(load: Span) -> Self {
        let seconds = (load.0 / 256).div_ceil(NANOS_PER_SECOND).max(1);
        Self::of(Span::from_secs(seconds))
    }

    /// Adds what was seen in an interval.
    pub fn add(&mut self, interval_end: Tick, seen: &Seen) {
        if seen.is_empty() {
            return;
        }
        let end = interval_end.rounded_up(self.length);
        let place = self.blocks.partition_point(|block| block.end < end);
        match self.blocks.get_mut(place).filter(|block| block.end == end) {
            Some(block) => block.seen.merge(seen),
            None => self.blocks.insert(
                place,
                Block {
                    end,
                    seen: seen.clone(),
                },
            ),
        }
        while self.blocks.len() > 1 && self.is_too_much() {
            self.join();
        }
    }

    /// The length of one.
    pub fn length(&self) -> Span {
        self.length
    }

    /// Each block in which anything was seen, in the order of time.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// The same stretches with other windows, each made from what was seen in it.
    #[must_use]
    pub fn with_windows(&self, windows: impl Fn(&Seen) -> Windows) -> Self {
        let other = |block: &Block| Block {
            end: block.end,
            seen: Seen {
                windows: windows(&block.seen),
                ..Seen::default()
            },
        };
        Self {
            length: self.length,
            blocks: self.iter().map(other).collect(),
        }
    }

    /// All of the run.
    pub fn sum(&self) -> Seen {
        let mut sum = Seen::default();
        for block in &self.blocks {
            sum.merge(&block.seen);
        }
        sum
    }

    fn is_too_much(&self) -> bool {
        let held = |Block { seen, .. }: &Block| {
            seen.windows.different() + seen.stints.different() + seen.stamps.different()
        };
        self.blocks.len() > MOST || self.iter().map(held).sum::<usize>() > MOST_HELD
    }

    fn join(&mut self) {
        self.length = Span(self.length.0.saturating_mul(2));
        for block in std::mem::take(&mut self.blocks) {
            let end = block.end.rounded_up(self.length);
            match self.blocks.back_mut().filter(|last| last.end == end) {
                Some(last) => last.seen.merge(&block.seen),
                None => self.blocks.push_back(Block { end, ..block }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::windows::{Happening, Window};

    fn one(age: u64) -> Seen {
        Seen {
            windows: Windows::of(vec![(Window::point(Happening::Failed, Span(age)), 1)]),
            ..Seen::default()
        }
    }

    fn works(blocks: &Blocks) -> u64 {
        blocks.sum().windows.iter().map(|(_, works)| works).sum()
    }

    #[test]
    fn a_block_takes_what_ends_within_it() {
        let mut blocks = Blocks::of(Span(10));
        for (end, age) in [(7, 1), (10, 1_000), (25, 1), (11, 5_000)] {
            blocks.add(Tick(end), &one(age));
        }
        blocks.add(Tick(90), &Seen::default());
        let ends: Vec<_> = blocks.iter().map(|block| block.end.0).collect();
        assert_eq!((ends, works(&blocks)), (vec![10, 20, 30], 4));
    }

    #[test]
    fn blocks_are_joined_where_they_become_too_many() {
        let mut blocks = Blocks::of(Span(10));
        let most = u64::try_from(MOST).unwrap();
        for number in 0..most {
            blocks.add(Tick(number * 10 + 1), &one(number));
        }
        assert_eq!((blocks.length(), blocks.iter().count()), (Span(10), MOST));
        blocks.add(Tick(most * 10 + 1), &one(0));
        assert_eq!(blocks.length(), Span(20));
        assert_eq!(blocks.iter().count(), MOST / 2 + 1);
        assert_eq!(works(&blocks), most + 1);
    }

    #[test]
    fn a_load_has_256_blocks_or_less() {
        for (seconds, expected) in [(1, 1), (256, 1), (257, 2), (28_800, 113)] {
            let blocks = Blocks::for_load(Span::from_secs(seconds));
            assert_eq!(blocks.length(), Span::from_secs(expected));
        }
    }
}
