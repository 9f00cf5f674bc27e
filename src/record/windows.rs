//! Windows: between which two ages something happened to a work, as its polls saw it, counted on a
//! grid.
//!
//! A poll does not see when a work ended. It sees that it had not ended when the last poll that was
//! answered "not yet" was sent, and that it had when the one was sent whose answer was terminal.
//! Ages count from the instant at which the submit was first sent. Both ends are rounded to the
//! grid, and the right one is always beyond the left one, so that each window holds a cell of the
//! grid at least.
//!
//! Windows are counted, not kept: counts add up over shards and intervals without a loss, and as
//! many works as you like take no more memory than there are different windows.

use super::counted::{Counted, Loose};
use crate::time::Span;

/// An octave of the grid has 2 to this many cells: each is between 0.8 and 1.6 % of its age.
const CELL_BITS: u32 = 6;

/// An edge of the grid of ages. Up to 128 us they lie a microsecond apart, then 64 divide each
/// octave evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge(u16);

impl Edge {
    /// No age at all.
    pub const ZERO: Self = Self(0);
    /// The last one, at 2^40 us: 12.7 days. Nothing that ends later is told from what never ends.
    pub const LAST: Self = Self(2_240);

    /// The last edge that is not beyond an age.
    pub fn below(age: Span) -> Self {
        Self::of_micros(age.micros())
    }

    /// The first edge that is not before an age; none beyond the last.
    pub fn above(age: Span) -> Option<Self> {
        let micros = age.0.div_ceil(1_000);
        if micros > Self::LAST.micros() {
            return None;
        }
        let below = Self::of_micros(micros);
        Some(if below.micros() < micros {
            below.next()
        } else {
            below
        })
    }

    /// The edge that is nearest to an age; none where that is beyond the last.
    pub fn nearest(age: Span) -> Option<Self> {
        let (below, above) = (Self::below(age), Self::above(age)?);
        let is_below = age.0 - below.age().0 <= above.age().0 - age.0;
        Some(if is_below { below } else { above })
    }

    /// The edge of this number; none beyond the last.
    pub fn numbered(number: usize) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (number <= Self::LAST.0).then_some(Self(number))
    }

    /// Its number, counted from 0.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// Its age in microseconds.
    pub fn micros(self) -> u64 {
        let number = u64::from(self.0);
        match (number >> CELL_BITS).saturating_sub(1) {
            0 => number,
            octave => (number - (octave << CELL_BITS)) << octave,
        }
    }

    /// Its age.
    pub fn age(self) -> Span {
        Span(self.micros() * 1_000)
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn of_micros(micros: u64) -> Self {
        let micros = micros.min(Self::LAST.micros());
        let octave = (u64::from(micros.max(1).ilog2())).saturating_sub(u64::from(CELL_BITS));
        let number = (octave << CELL_BITS) + (micros >> octave);
        Self(u16::try_from(number).expect("edges are few"))
    }
}

/// What happened within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// The work completed.
    Completed,
    /// The work failed.
    Failed,
    /// The work had begun: a poll saw it so.
    Begun,
    /// The work had begun unseen: the poll after the one that saw it wait saw its end.
    BegunUnseen,
}

impl Happening {
    /// Every one, in the order of the files.
    pub const ALL: [Self; 4] = [
        Self::Completed,
        Self::Failed,
        Self::Begun,
        Self::BegunUnseen,
    ];

    /// The word in the files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Begun => "begun",
            Self::BegunUnseen => "begun_unseen",
        }
    }
}

/// After `from`, and not after `to`. Without a `to` it had not happened when the work was last
/// looked at: it is censored there, and says nothing of what would have happened (completed and
/// failed are one then, and it is counted as completed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// What.
    pub what: Happening,
    /// It had not happened by then.
    pub from: Edge,
    /// It had happened by then.
    pub to: Option<Edge>,
}

impl Window {
    /// From the age at which it had not happened to the one at which it had.
    ///
    /// Each end is rounded to the nearest edge, so that a poll at some age is counted at the same
    /// edge whatever it saw. (Outward would be at another edge by what it saw: a poll would then
    /// tell a little more than chance allows, and where all windows are of one length that adds up:
    /// cells of 1.5 % moved the median of an estimate by 4 %.) Ends that would meet are rounded
    /// outward: so close a window is as good as a point.
    pub fn seen(what: Happening, from: Span, to: Span) -> Self {
        let nearest = (Edge::nearest(from).unwrap_or(Edge::LAST), Edge::nearest(to));
        let (from, to) = match nearest {
            (near, Some(end)) if near >= end => {
                let from = Edge::below(from);
                let to = Edge::above(to).filter(|_| from < Edge::LAST);
                (from, to.map(|to| to.max(from.next())))
            }
            nearest => nearest,
        };
        Self { what, from, to }
    }

    /// At this age: the one cell that ends there.
    pub fn point(what: Happening, at: Span) -> Self {
        let to = Edge::above(at).map(|to| to.max(Edge::ZERO.next()));
        let from = to.map_or(Edge::LAST, |to| Edge(to.0 - 1));
        Self { what, from, to }
    }

    /// It had not happened at this age, and nobody looked again.
    pub fn censored(what: Happening, from: Span) -> Self {
        Self {
            what,
            from: Edge::nearest(from).unwrap_or(Edge::LAST),
            to: None,
        }
    }
}

/// Bits of the number of an edge.
pub(super) const EDGE_BITS: u32 = 12;

impl Edge {
    /// The edge that these bits of a number stand for.
    pub(super) fn of_bits(number: u64) -> Self {
        let bits = number & ((1 << EDGE_BITS) - 1);
        Self(u16::try_from(bits).expect("a dozen bits"))
    }

    /// An edge beyond another one, which is never the first, or none, which is before them all.
    pub(super) fn maybe_of_bits(number: u64) -> Option<Self> {
        Some(Self::of_bits(number)).filter(|edge| *edge != Self::ZERO)
    }
}

impl Window {
    /// A number for each window, in their order.
    fn number(self) -> u32 {
        let what = self.what as u32;
        let to = self.to.map_or(0, |to| to.0);
        (what << EDGE_BITS | u32::from(self.from.0)) << EDGE_BITS | u32::from(to)
    }

    /// The window of a number.
    fn numbered(number: u32) -> Self {
        let what = (number >> (2 * EDGE_BITS)) as usize;
        Self {
            what: Happening::ALL[what],
            from: Edge::of_bits(u64::from(number >> EDGE_BITS)),
            to: Edge::maybe_of_bits(number.into()),
        }
    }
}

/// How often each window was seen.
pub type Windows = Counted<Window>;

/// Counts windows as they are seen.
#[derive(Clone, Debug, Default)]
pub struct WindowCounter {
    counted: Windows,
    /// Seen since, in their order: at most so many as there are different ones, or
    /// [`MOST_LOOSE`].
    loose: Loose<u32>,
}

/// Windows that wait to be counted, where there are fewer different ones than that.
const MOST_LOOSE: usize = 4_096;

impl WindowCounter {
    /// Counts one.
    pub fn count(&mut self, window: Window) {
        if self.loose.push(window.number()) >= MOST_LOOSE.max(self.counted.different()) {
            self.sort_in();
        }
    }

    /// All that were counted since the last call.
    pub fn take(&mut self) -> Windows {
        self.sort_in();
        std::mem::take(&mut self.counted)
    }

    fn sort_in(&mut self) {
        let loose = self.loose.count(Window::numbered);
        self.counted.merge(&loose);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_ascend_by_one_cell_and_come_back() {
        let mut before = None;
        for number in 0..=Edge::LAST.number() {
            let edge = Edge::numbered(number).unwrap();
            assert_eq!(edge.number(), number);
            assert_eq!(Edge::below(edge.age()), edge);
            assert_eq!(Edge::above(edge.age()), Some(edge));
            if let Some(before) = before.replace(edge.micros()) {
                let step = edge.micros() - before;
                assert!(step >= 1, "{number}");
                assert!(
                    step == 1 || (64..128).contains(&(before / step)),
                    "{number}"
                );
            }
        }
        assert_eq!(Edge::LAST.micros(), 1 << 40);
        assert_eq!(Edge::numbered(Edge::LAST.number() + 1), None);
        assert_eq!(Edge::above(Span((1 << 40) * 1_000 + 1)), None);
        assert_eq!(Edge::below(Span(u64::MAX)), Edge::LAST);
    }

    proptest! {
        #[test]
        fn the_number_of_a_window_has_its_order(
            one in (0..4_usize, 0..2_240_u16, 0..=2_240_u16),
            two in (0..4_usize, 0..2_240_u16, 0..=2_240_u16),
        ) {
            let window = |(what, from, to): (usize, u16, u16)| Window {
                what: Happening::ALL[what],
                from: Edge(from),
                to: Some(Edge(to)).filter(|to| *to > Edge::ZERO),
            };
            let (one, two) = (window(one), window(two));
            prop_assert_eq!(Window::numbered(one.number()), one);
            prop_assert_eq!(one.number().cmp(&two.number()), one.cmp(&two));
        }

        #[test]
        fn a_window_is_rounded_by_a_cell_at_most(from in 0..1_u64 << 50, length in 0..1_u64 << 50) {
            let (from, to) = (Span(from), Span(from + length));
            let window = Window::seen(Happening::Completed, from, to);
            let near = |one: Span, other: Span| one.0.abs_diff(other.0) <= 1_000.max(one.0 / 64);
            prop_assert!(near(from, window.from.age()) || window.to.is_none());
            if let Some(edge) = window.to {
                prop_assert!(near(to, edge.age()));
                prop_assert!(edge > window.from);
            } else {
                prop_assert!(to > Edge::LAST.age() || window.from == Edge::LAST);
            }
            // The same age is at the same edge at either end of a window that is long enough, and
            // not at the end of the grid.
            let after = Window::seen(Happening::Completed, to, Span(2 * to.0 + 9_000));
            if window.to.is_some_and(|to| to.number() > window.from.number() + 2)
                && after.to.is_some()
            {
                prop_assert_eq!(window.to, Some(after.from));
            }
            let point = Window::point(Happening::Completed, to);
            if let Some(edge) = point.to {
                prop_assert!(edge.age() >= to && edge.number() == point.from.number() + 1);
            }
        }

        #[test]
        fn counts_add_up_however_they_are_cut(
            seen in prop::collection::vec((0..40_u64, 0..40_u64, 0..3_u8), 0..300),
            cut in 0..300_usize,
        ) {
            let windows = seen.iter().map(|(from, length, kind)| {
                let (from, to) = (Span(from * 1_000), Span((from + length) * 1_000));
                match kind {
                    0 => Window::censored(Happening::Completed, from),
                    1 => Window::seen(Happening::Failed, from, to),
                    _ => Window::point(Happening::Begun, to),
                }
            });
            let windows: Vec<_> = windows.collect();
            let (first, second) = windows.split_at(cut.min(windows.len()));
            let mut sum = Windows::default();
            for part in [first, second] {
                let mut counter = WindowCounter::default();
                for window in part {
                    counter.count(*window);
                }
                let part = counter.take();
                sum.merge(&part);
            }
            let expected = Windows::of(windows.iter().map(|window| (*window, 1)).collect());
            prop_assert_eq!(&sum, &expected);
            prop_assert_eq!(sum.iter().map(|(_, works)| works).sum::<u64>(), seen.len() as u64);
        }
    }
}
