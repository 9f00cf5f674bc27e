//! Explorers: works that are polled as `fixed` does, so that it can be learned when works end.
//!
//! A curve that is learned from polls which went by it knows the better what it believed before,
//! and less of all else: ages at which nobody asks stay unknown, and every work is asked at the
//! same ones. So a tenth of the works, chosen by the seed and never by anything that they do, is
//! polled at the interval from a random first phase on, and the curve is learned from their windows
//! alone. Until the first lesson all are, and all explore. Those that are still open count as such:
//! without them the works that end soon would count for more than their share.
//!
//! What is held has a bound: so many open explorers, and a count for each different window on a
//! grid of 16 cells an octave.

use std::collections::{BTreeMap, BTreeSet};

use super::poll_ages::EXPLORE;
use crate::estimate::curve::Curve;
use crate::estimate::npmle::Npmle;
use crate::random::{Purpose, unit_at};
use crate::record::windows::{Edge, Happening, Window};
use crate::time::Span;

/// Open explorers at most: works that come while there are so many do not explore.
const MOST_OPEN: usize = 20_000;
/// Cells of the grid of windows that are one here.
const CELLS: usize = 4;
/// Windows that are remembered at full weight. When there are twice as many, what was seen so far
/// counts half: a service that changes is learned anew.
const MEMORY: f64 = 10_000.0;
/// Works that a law without memory, of the same mean, adds to those seen: where little was seen the
/// curve goes by it, and polls go as by `fixed`.
const GUESSED: f64 = 5.0;

/// After one edge and not after another; without the second it had not happened by the first.
type Between = (Edge, Option<Edge>);

/// The works that explore, and what they saw.
#[derive(Debug)]
pub(super) struct Explorers {
    seed: u64,
    /// Their places in the table of works.
    open: BTreeSet<u32>,
    seen: BTreeMap<Between, f64>,
    ended: u64,
    weight: f64,
    /// The share of the works that explore.
    share: f64,
}

impl Explorers {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            open: BTreeSet::new(),
            seen: BTreeMap::new(),
            ended: 0,
            weight: 0.0,
            share: 1.0,
        }
    }

    /// Whether a work that was accepted explores.
    pub(super) fn take(&mut self, place: u32, seq: u64) -> bool {
        let chosen =
            self.open.len() < MOST_OPEN && unit_at(self.seed, Purpose::EXPLORERS, seq) < self.share;
        if chosen {
            self.open.insert(place);
        }
        chosen
    }

    /// Whether the work at a place does.
    pub(super) fn has(&self, place: u32) -> bool {
        self.open.contains(&place)
    }

    /// From now on only a tenth of the works does.
    pub(super) fn be_few(&mut self) {
        self.share = EXPLORE;
    }

    /// A work leaves: found open at one age, and ended at another if that was seen. False if it was
    /// no explorer.
    pub(super) fn leaves(&mut self, place: u32, open: Span, end: Option<Span>) -> bool {
        if !self.open.remove(&place) {
            return false;
        }
        self.ended += u64::from(end.is_some());
        *self.seen.entry(between(open, end)).or_insert(0.0) += 1.0;
        self.weight += 1.0;
        true
    }

    /// How many were seen to end.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// What is known of the ends of works, where the open ones were found so at these ages.
    pub(super) fn curve(&self, found_open: impl Fn(u32) -> Span) -> Option<Curve> {
        let open = (self.open.iter()).map(|place| {
            let (from, to) = between(found_open(*place), None);
            (from, to, 1.0)
        });
        let seen = (self.seen.iter()).map(|((from, to), weight)| (*from, *to, *weight));
        let curve = Curve::most_likely(&Npmle::of(seen.chain(open))?)?;
        let curve = curve.told_by(self.weight)?;
        with_guess(&curve, GUESSED / (self.weight + GUESSED))
    }

    /// Lets what was seen long ago count for less.
    pub(super) fn forget(&mut self) {
        if self.weight < 2.0 * MEMORY {
            return;
        }
        self.seen.retain(|_, weight| {
            *weight /= 2.0;
            *weight > 1e-3
        });
        self.weight /= 2.0;
    }
}

/// A window on the grid of fewer cells, each end rounded to the nearest edge as
/// [`Window::seen`] has it, and outward where they would meet.
fn between(open: Span, end: Option<Span>) -> Between {
    let window = end.map_or_else(
        || Window::censored(Happening::Completed, open),
        |end| Window::seen(Happening::Completed, open, end),
    );
    let numbered = |number: usize| Edge::numbered(number * CELLS);
    let nearest = |edge: Edge| numbered((edge.number() + CELLS / 2) / CELLS);
    let from = nearest(window.from).unwrap_or(Edge::LAST);
    match window.to.map(nearest) {
        None => (from, None),
        Some(Some(to)) if from < to => (from, Some(to)),
        Some(_) => {
            let from = numbered(window.from.number() / CELLS).unwrap_or(Edge::LAST);
            (from, numbered(from.number() / CELLS + 1))
        }
    }
}

/// The same with a share of works that end without memory, after the same mean. Between two edges
/// of the grid both are taken to be linear.
fn with_guess(curve: &Curve, guessed: f64) -> Option<Curve> {
    let until = curve.until();
    let edges = (1..).map_while(|number| Edge::numbered(number * CELLS));
    let ages = edges
        .map(|edge| edge.age().seconds())
        .take_while(|age| *age <= until);
    Curve::through(ages.map(|age| {
        let memoryless = 1.0 - libm::exp(-age / curve.mean());
        let share = curve.share(age);
        (age, share + guessed * (memoryless - share))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{stream, unit};

    fn seconds(seconds: f64) -> Span {
        Span::from_secs_f64(seconds)
    }

    #[test]
    fn a_tenth_explores_and_no_more_than_there_is_room_for() {
        let mut explorers = Explorers::new(3);
        assert!((0..500).all(|seq| explorers.take(1_000_000, seq)));
        explorers.be_few();
        let chosen = (0..10_000).filter(|seq| explorers.take(*seq, u64::from(*seq)));
        let chosen = chosen.count();
        // Five standard errors of a binomial.
        assert!((850..=1_150).contains(&chosen), "{chosen}");
        for place in 10_000..1_000_000 {
            explorers.take(place, u64::from(place));
        }
        assert_eq!(explorers.open.len(), MOST_OPEN);
    }

    /// Works of a mean of 8 s, polled every 5 s from a random phase on; those that began less than
    /// `most` ago have not ended.
    fn learned(works: u32, cut_at: f64) -> Curve {
        let mut explorers = Explorers::new(3);
        let mut random = stream(5, Purpose::EXPLORERS, 0);
        let mut open = BTreeMap::new();
        for place in 0..works {
            let life = -8.0 * libm::log(1.0 - unit(&mut random));
            let phase = 5.0 * unit(&mut random);
            let watched = cut_at * unit(&mut random);
            let polls_by = |age: f64| ((age - phase) / 5.0).floor();
            let last_open = |age: f64| (phase + 5.0 * polls_by(age)).max(0.0);
            let seen = phase + 5.0 * (polls_by(life) + 1.0).max(0.0);
            explorers.open.insert(place);
            if seen <= watched {
                let end = Some(seconds(seen));
                assert!(explorers.leaves(place, seconds(last_open(life)), end));
            } else {
                open.insert(place, seconds(last_open(watched.min(life))));
            }
        }
        assert_eq!(explorers.open.len(), open.len());
        explorers.curve(|place| open[&place]).unwrap()
    }

    #[test]
    fn works_that_are_open_are_not_forgotten() {
        // A third has not ended when it was last looked at. Without those the shares would be 0.1
        // too high and more.
        let curve = learned(5_000, 30.0);
        for age in [4.0_f64, 8.0, 16.0] {
            let share = 1.0 - libm::exp(-age / 8.0);
            assert!((curve.share(age) - share).abs() < 0.05, "{age}");
        }
    }

    #[test]
    fn where_little_was_seen_a_law_without_memory_fills_in() {
        let certain = Curve::through([(10.0, 0.0), (10.5, 1.0)]).unwrap();
        let curve = with_guess(&certain, 0.2).unwrap();
        let expected = 0.2 * (1.0 - libm::exp(-5.0 / certain.mean()));
        assert!((curve.share(5.0) - expected).abs() < 1e-3);
        assert!(curve.known() > 0.9 && curve.known() < 1.0);
    }

    #[test]
    fn what_was_seen_long_ago_counts_less() {
        let mut explorers = Explorers::new(3);
        for place in 0..20_000 {
            explorers.open.insert(place);
            let end = Some(seconds(2.0));
            explorers.leaves(place, seconds(1.0), end);
        }
        explorers.forget();
        assert!((explorers.weight - MEMORY).abs() < 1e-9);
        assert_eq!(explorers.ended(), 20_000);
    }
}
