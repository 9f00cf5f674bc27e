//! Stamps: when works ended by the clock of the service, and what polls tell about that clock.
//!
//! That clock may show anything. But a work ended after the last poll that found it open was sent,
//! and before its terminal answer was read: each work bounds what the clock showed at the origin of
//! the run, and all of them together bound it closely (Moon, Skelly and Towsley, INFOCOM 1999, for
//! a clock that does not drift).

use super::grid::Grid;
use super::windows::Happening;
use crate::time::Tick;
use crate::work::ServiceTime;

/// What the service's clock showed at the origin of the run, in microseconds of its epoch: not less
/// than the one, not more than the other. Where they are the wrong way round, the stamps contradict
/// the polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockBounds {
    /// Not less.
    pub least: i64,
    /// Not more.
    pub most: i64,
}

/// One stamped end, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Completed or failed.
    pub what: Happening,
    /// The service's clock at the end less our clock when the submit was sent: at least this, in
    /// microseconds.
    pub from: i64,
}

/// To how many microseconds a clock tells: a second, or a decimal part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolution(i64);

impl Default for Resolution {
    fn default() -> Self {
        Self(1_000_000)
    }
}

impl Resolution {
    /// The clock has shown this.
    pub(super) const fn see(&mut self, shown: ServiceTime) {
        while shown.0 % self.0 != 0 {
            self.0 /= 10;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0 = self.0.min(other.0);
    }

    pub(super) const fn micros(self) -> i64 {
        self.0
    }
}

/// The service's clock less ours at an instant, in microseconds.
fn since(stamp: ServiceTime, tick: Tick) -> i64 {
    let micros = i64::try_from(tick.0 / 1_000).unwrap_or(i64::MAX);
    stamp.0.saturating_sub(micros)
}

/// Ends by the service's clock, counted on a grid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    grid: Grid<Happening>,
    resolution: Resolution,
    /// As if the clock told the microsecond.
    bounds: Option<ClockBounds>,
}

impl Stamps {
    /// A work whose submit was sent at an instant was open at the next and had ended at the last.
    pub fn count(&mut self, what: Happening, stamp: ServiceTime, seen: [Tick; 3]) {
        self.bound_by(stamp, seen);
        let [sent, ..] = seen;
        self.add(what, since(stamp, sent), 1);
    }

    /// The same of a work that is not to be counted: only what it tells of the clock.
    pub fn bound_by(&mut self, stamp: ServiceTime, [_, open, ended]: [Tick; 3]) {
        self.resolution.see(stamp);
        // Our ticks are cut to the microsecond: the end may be one later.
        self.bound(ClockBounds {
            least: since(stamp, ended).saturating_sub(1),
            most: since(stamp, open),
        });
    }

    /// The clock is within these bounds too, its resolution apart.
    pub fn bound(&mut self, other: ClockBounds) {
        self.bounds = Some(self.bounds.map_or(other, |mine| ClockBounds {
            least: mine.least.max(other.least),
            most: mine.most.min(other.most),
        }));
    }

    /// The clock tells so much and may tell more.
    pub fn resolve(&mut self, resolution: i64) {
        self.resolution.merge(Resolution(resolution));
    }

    /// Adds ends at a place of the grid.
    pub fn add(&mut self, what: Happening, from: i64, works: u64) {
        self.grid.add(what, from, works);
    }

    /// Counts on a grid of this width, which is the one it has times a power of two.
    pub fn coarsen(&mut self, width: i64) {
        self.grid.coarsen(width);
    }

    /// Adds those of another shard or time.
    pub fn merge(&mut self, other: &Self) {
        self.resolution.merge(other.resolution);
        if let Some(bounds) = other.bounds {
            self.bound(bounds);
        }
        self.grid.merge(&other.grid);
    }

    /// Whether no work was stamped.
    pub fn is_empty(&self) -> bool {
        self.grid.is_empty() && self.bounds.is_none()
    }

    /// How many different ones there are.
    pub fn different(&self) -> usize {
        self.grid.different()
    }

    /// The width of the grid in microseconds.
    pub fn width(&self) -> i64 {
        self.grid.width()
    }

    /// To how many microseconds the clock tells.
    pub fn resolution(&self) -> i64 {
        self.resolution.micros()
    }

    /// What the clock showed at the origin, without its resolution: where it cuts its time to whole
    /// units, it may have shown up to a unit less one microsecond more.
    pub fn bounds(&self) -> Option<ClockBounds> {
        self.bounds
    }

    /// The same, the resolution included.
    pub fn clock(&self) -> Option<ClockBounds> {
        self.bounds.map(|bounds| ClockBounds {
            most: bounds.most.saturating_add(self.resolution() - 1),
            ..bounds
        })
    }

    /// Each different stamp and how often it was seen, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (Stamp, u64)> + '_ {
        let ends = self.grid.iter();
        ends.map(|((what, from), works)| (Stamp { what, from }, works))
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::{FINEST, MOST};
    use super::*;
    use Happening::{Completed, Failed};
    use proptest::prelude::*;

    /// The service's clock at the origin.
    const SHOWN: i64 = 1_750_000_000_000_123;

    fn tick(micros: i64) -> Tick {
        Tick(u64::try_from(micros).unwrap() * 1_000)
    }

    proptest! {
        #[test]
        fn the_truth_is_within_the_bounds(
            works in prop::collection::vec(
                (0..9_000_000_i64, 0..9_000_000_i64, 0..5_000_000_i64, 0..5_000_000_i64), 1..60
            ),
            unit in prop::sample::select(vec![1_i64, 1_000, 10_000, 1_000_000]),
        ) {
            let mut stamps = Stamps::default();
            let mut again = Stamps::default();
            for (sent, open, end, told) in works {
                let (open, end) = (sent + open, sent + open + end);
                let at = [sent, open, end + told].map(tick);
                let shown = ServiceTime((SHOWN + end).div_euclid(unit) * unit);
                stamps.count(Completed, shown, at);
                let mut one = Stamps::default();
                one.count(Completed, shown, at);
                again.merge(&one);
            }
            let clock = stamps.clock().unwrap();
            prop_assert!(clock.least <= SHOWN && SHOWN <= clock.most, "{clock:?}");
            prop_assert_eq!(stamps, again);
        }
    }

    #[test]
    fn a_clock_that_was_set_contradicts_the_polls() {
        let mut stamps = Stamps::default();
        let at = [0, 1_000, 2_000].map(tick);
        stamps.count(Failed, ServiceTime(SHOWN + 1_500), at);
        stamps.count(Failed, ServiceTime(SHOWN + 3_501), at);
        let clock = stamps.clock().unwrap();
        assert!(clock.least > clock.most, "{clock:?}");
    }

    #[test]
    fn many_different_stamps_take_bounded_memory() {
        let mut stamps = Stamps::default();
        for number in 0..100_000 {
            stamps.add(Completed, -400_000 + number * FINEST, 1);
        }
        assert_eq!(stamps.width(), 8 * FINEST);
        assert!(stamps.different() <= MOST);
        assert_eq!(stamps.iter().map(|(_, works)| works).sum::<u64>(), 100_000);
        assert!(
            stamps
                .iter()
                .all(|(stamp, _)| stamp.from % (8 * FINEST) == 0)
        );
    }
}
