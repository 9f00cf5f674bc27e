//! Stints: between which two ages a work began and between which two it ended, counted together.
//!
//! The time from the begin to the end has no window of its own that would be independent of it: its
//! two ends are looked at by the same polls. So both windows are kept as one, on a grid of 16 cells
//! an octave (each between 3 and 6 % of its age). Where there are too many different ones all of
//! them are counted on a grid half as fine, so that what is held in memory has a bound.
//!
//! A poll is always rounded to the nearest edge of the grid, whatever it saw: see
//! [`Window::seen`](super::windows::Window::seen).

use super::counted::{Counted, Loose};
use super::windows::{EDGE_BITS, Edge, Window};

/// Different stints at most: 24 bytes each.
const MOST: usize = 16_384;
/// The finest grid has every fourth of the edges that windows have.
const FINEST: Grid = Grid(4);

/// A grid: every so many edges of the one that windows have, a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grid(usize);

impl Grid {
    /// The edge of this number.
    fn edge(number: usize) -> Edge {
        Edge::numbered(number).unwrap_or(Edge::LAST)
    }

    /// The nearest edge. Of two as near it is the one that is an edge of the next grid too.
    fn nearest(self, edge: Edge) -> Edge {
        let (half, number) = (self.0 / 2, edge.number());
        let up = (number % self.0 + usize::from(number / self.0 % 2 == 1)) > half;
        Self::edge((number / self.0 + usize::from(up)) * self.0)
    }

    /// Both ends at the nearest edges; where they would meet, outward.
    fn rounded(self, (from, to): (Edge, Option<Edge>)) -> (Edge, Option<Edge>) {
        let nearest = (self.nearest(from), to.map(|to| self.nearest(to)));
        if nearest.1.is_none_or(|to| nearest.0 < to) {
            return nearest;
        }
        let below = from.number() / self.0 * self.0;
        let above = to.map_or(0, |to| to.number().div_ceil(self.0) * self.0);
        let above = above.max(below + self.0);
        (Self::edge(below), Some(Self::edge(above)))
    }
}

/// A work's time from its begin to its end, as polls saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stint {
    /// It had not begun by the one age, and it had by the other.
    pub begun: (Edge, Edge),
    /// It had not ended by the one age, and it had by the other; without another it was not seen to
    /// end.
    pub ended: (Edge, Option<Edge>),
}

impl Stint {
    /// Of a work that began within the one window and ended within the other.
    pub fn of(begun: (Edge, Edge), ended: Window) -> Self {
        let ended = (ended.from, ended.to);
        Self { begun, ended }.on(FINEST)
    }

    /// A number for each stint, in their order.
    fn number(self) -> u64 {
        let to = self.ended.1.map_or(0, Edge::number);
        let edges = [
            self.begun.0.number(),
            self.begun.1.number(),
            self.ended.0.number(),
            to,
        ];
        (edges.into_iter()).fold(0, |number, edge| number << EDGE_BITS | edge as u64)
    }

    /// The stint of a number.
    fn numbered(number: u64) -> Self {
        let edge = |place: u32| Edge::of_bits(number >> (place * EDGE_BITS));
        Self {
            begun: (edge(3), edge(2)),
            ended: (edge(1), Edge::maybe_of_bits(number)),
        }
    }

    fn on(self, grid: Grid) -> Self {
        let (from, to) = grid.rounded((self.begun.0, Some(self.begun.1)));
        Self {
            begun: (from, to.unwrap_or(Edge::LAST)),
            ended: grid.rounded(self.ended),
        }
    }
}

/// How often each stint was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stints {
    grid: Grid,
    counted: Counted<Stint>,
}

impl Default for Stints {
    fn default() -> Self {
        Self {
            grid: FINEST,
            counted: Counted::default(),
        }
    }
}

impl Stints {
    /// Of stints in any order.
    pub fn of(seen: Vec<(Stint, u64)>) -> Self {
        let mut stints = Self {
            counted: Counted::of(seen),
            ..Self::default()
        };
        stints.bound();
        stints
    }

    /// Each different one and how often it was seen, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (Stint, u64)> + '_ {
        self.counted.iter()
    }

    /// How many different ones there are.
    pub fn different(&self) -> usize {
        self.counted.different()
    }

    /// Every so many edges of the grid of windows one of theirs lies.
    pub fn step(&self) -> usize {
        self.grid.0
    }

    /// Counts on a grid that is at least so coarse.
    pub fn coarsen(&mut self, step: usize) {
        // Step by step, so that a stint is at the same place by whatever way it came there.
        while self.grid.0 < step {
            let grid = Grid(self.grid.0 * 2);
            let moved = self.iter().map(|(stint, works)| (stint.on(grid), works));
            *self = Self {
                counted: Counted::of(moved.collect()),
                grid,
            };
        }
    }

    /// Adds those of another shard or time. In whatever order many are added, the grid is in the
    /// end the finest on which all of them together are few enough.
    pub fn merge(&mut self, other: &Self) {
        if other.different() == 0 {
            return;
        }
        self.coarsen(other.grid.0);
        if other.grid < self.grid {
            let mut other = other.clone();
            other.coarsen(self.grid.0);
            self.counted.merge(&other.counted);
        } else {
            self.counted.merge(&other.counted);
        }
        self.bound();
    }

    fn bound(&mut self) {
        while self.different() > MOST {
            self.coarsen(self.grid.0 * 2);
        }
    }
}

/// Counts stints as they are seen.
#[derive(Clone, Debug, Default)]
pub struct StintCounter {
    counted: Stints,
    /// Seen since, in their order.
    loose: Loose<u64>,
}

impl StintCounter {
    /// Counts one.
    pub fn count(&mut self, stint: Stint) {
        if self.loose.push(stint.number()) >= MOST {
            self.sort_in();
        }
    }

    /// All that were counted since the last call.
    pub fn take(&mut self) -> Stints {
        self.sort_in();
        std::mem::take(&mut self.counted)
    }

    fn sort_in(&mut self) {
        let counted = self.loose.count(Stint::numbered);
        let mut loose = Stints {
            counted,
            ..Stints::default()
        };
        loose.bound();
        self.counted.merge(&loose);
    }
}

#[cfg(test)]
mod tests {
    use super::super::windows::Happening;
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::time::Span;
    use proptest::prelude::*;
    use rand::RngExt;

    /// Of ages in nanoseconds at which polls looked.
    fn stint(begun: (u64, u64), ended: (u64, Option<u64>)) -> Stint {
        let seen = |from, to| Window::seen(Happening::Begun, Span(from), Span(to));
        let begun = seen(begun.0, begun.1);
        let ended = match ended.1 {
            Some(to) => seen(ended.0, to),
            None => Window::censored(Happening::Begun, Span(ended.0)),
        };
        Stint::of((begun.from, begun.to.unwrap_or(Edge::LAST)), ended)
    }

    #[test]
    fn a_poll_is_at_the_nearest_edge_and_ties_go_both_ways() {
        let nearest = |step, number| Grid(step).nearest(Grid::edge(number)).number();
        let all: Vec<_> = (0..=12).map(|number| nearest(4, number)).collect();
        assert_eq!(all, [0, 0, 0, 4, 4, 4, 8, 8, 8, 8, 8, 12, 12]);
        for number in 0..=Edge::LAST.number() {
            let by_steps = nearest(8, nearest(4, number));
            assert!(by_steps.abs_diff(number) <= 6, "{number}: {by_steps}");
        }
        assert_eq!(Grid(512).nearest(Edge::LAST), Grid::edge(2_048));
    }

    proptest! {
        #[test]
        fn the_number_of_a_stint_has_its_order(
            one in prop::array::uniform4(0..=2_240_usize),
            two in prop::array::uniform4(0..=2_240_usize),
        ) {
            let stint = |edges: [usize; 4]| {
                let [from, to, open, end] = edges.map(Grid::edge);
                let end = Some(end).filter(|end| *end > Edge::ZERO);
                Stint { begun: (from, to), ended: (open, end) }
            };
            let (one, two) = (stint(one), stint(two));
            prop_assert_eq!(Stint::numbered(one.number()), one);
            prop_assert_eq!(one.number().cmp(&two.number()), one.cmp(&two));
        }

        #[test]
        fn a_stint_holds_the_truth_but_for_a_cell(
            ages in prop::collection::vec(0..1_u64 << 45, 4), is_open in any::<bool>(),
        ) {
            let mut ages = ages;
            ages.sort_unstable();
            let [a, b, c, d] = ages[..] else { unreachable!() };
            let found = stint((a, b), (c, (!is_open).then_some(d)));
            // Half a cell of this grid, and one of that of windows.
            let near = |edge: Edge, age: u64| {
                let slack = (age / 16).max(8_000);
                edge.age().0 <= age + slack && age <= edge.age().0 + slack
            };
            prop_assert!(found.begun.0 < found.begun.1 && found.ended.0 <= Edge::LAST);
            prop_assert!(near(found.begun.0, a) && near(found.begun.1, b), "{:?}", found);
            prop_assert!(near(found.ended.0, c), "{:?}", found);
            prop_assert_eq!(found.ended.1.is_none(), is_open);
            if let Some(to) = found.ended.1 {
                prop_assert!(near(to, d) && found.ended.0 < to, "{:?}", found);
            }
        }
    }

    #[test]
    fn many_different_ones_take_bounded_memory_in_whatever_order_they_come() {
        let mut random = stream(5, Purpose::JITTER, 0);
        let mut draw = |most: u64| random.random_range(0..most * 1_000_000_000);
        let one = |_| {
            let (begun, ran) = (draw(300), draw(300));
            stint(
                (begun, begun + draw(100)),
                (begun + ran, Some(begun + ran + draw(100))),
            )
        };
        let all: Vec<Stint> = (0..40_000).map(one).collect();
        let counted = |order: &[&[Stint]]| {
            let mut sum = Stints::default();
            for part in order {
                let mut counter = StintCounter::default();
                part.iter().for_each(|stint| counter.count(*stint));
                sum.merge(&counter.take());
            }
            sum
        };
        let (first, second) = all.split_at(1_000);
        let whole = counted(&[&all]);
        assert_eq!(whole, counted(&[first, second]));
        assert_eq!(whole, counted(&[second, first]));
        assert_eq!(whole.iter().map(|(_, works)| works).sum::<u64>(), 40_000);
        assert!(whole.different() <= MOST && whole.step() > FINEST.0);
        assert_eq!(counted(&[first]).step(), FINEST.0);
        let mut least = whole.clone();
        least.coarsen(2_048);
        assert!(least.different() < 100, "{}", least.different());
    }
}
