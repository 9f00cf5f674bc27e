//! By the clock of the service: windows from the stamps of terminal answers, in place of those from
//! polls.
//!
//! What that clock showed at the origin of the run is bounded by the polls ([`ClockBounds`]). With
//! it each stamp says between which two ages a work ended: as closely as the clock is known and
//! tells. Those windows do not hang on how often anybody polled.

use crate::record::blocks::Blocks;
use crate::record::interval::Seen;
use crate::record::stamps::{ClockBounds, Stamp};
use crate::record::windows::{Edge, Happening, Window, Windows};
use crate::time::Span;

/// Stamps must be closer than this share of what the polls tell.
const WORTH: f64 = 0.25;

/// What the stamps of a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct ByClock {
    /// The run with windows from stamps. Works whose end was not seen are in it.
    pub blocks: Blocks,
    /// What the service's clock showed at the origin of the run, in microseconds of its epoch.
    pub clock: ClockBounds,
    /// The length of a window in microseconds.
    pub width: u64,
}

/// Why stamps are not used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NotByClock {
    /// There are none.
    NoStamps,
    /// Some terminal answers had none.
    Missing {
        /// Works with a stamp.
        stamped: u64,
        /// Works that were seen to end.
        ended: u64,
    },
    /// They contradict the polls: the clock was set, drifts, or shows something else.
    Contradiction {
        /// By so many microseconds.
        by: u64,
    },
    /// They are hardly closer than the polls, or not at all.
    Coarse {
        /// What they tell, in microseconds.
        width: u64,
        /// What polls tell, in microseconds in the mean.
        polls: u64,
    },
}

impl ByClock {
    /// Of a run.
    ///
    /// # Errors
    /// Says why its stamps are not used.
    pub fn of(blocks: &Blocks) -> Result<Self, NotByClock> {
        let all = blocks.sum();
        let clock = all.stamps.clock().ok_or(NotByClock::NoStamps)?;
        let stamped: u64 = all.stamps.iter().map(|(_, works)| works).sum();
        let (ended, polls) = seen_by_polls(&all.windows);
        if stamped != ended {
            return Err(NotByClock::Missing { stamped, ended });
        }
        if clock.least > clock.most {
            let by = clock.least.abs_diff(clock.most);
            return Err(NotByClock::Contradiction { by });
        }
        let unsure = clock.most.abs_diff(clock.least);
        let ticks = all.stamps.resolution().unsigned_abs() + all.stamps.width().unsigned_abs();
        let width = unsure + ticks;
        #[expect(clippy::cast_precision_loss, reason = "12 days are fewer than 2^53 us")]
        let is_worth_it = width as f64 <= WORTH * polls as f64;
        if !is_worth_it {
            return Err(NotByClock::Coarse { width, polls });
        }
        // The grid of a stretch may be finer than that of the run, never coarser.
        let window = |stamp: Stamp| {
            let age = |micros: i64| Span(u64::try_from(micros).unwrap_or(0).saturating_mul(1_000));
            let last = stamp.from.saturating_add_unsigned(ticks);
            Window::seen(
                stamp.what,
                age(stamp.from.saturating_sub(clock.most)),
                age(last.saturating_sub(clock.least)),
            )
        };
        let windows = |seen: &Seen| {
            let others = seen.windows.iter().filter(|(window, _)| !is_end(*window));
            let stamped = (seen.stamps.iter()).map(|(stamp, works)| (window(stamp), works));
            Windows::of(others.chain(stamped).collect())
        };
        Ok(Self {
            blocks: blocks.with_windows(windows),
            clock,
            width,
        })
    }
}

/// Whether a window is that of an end that was seen.
fn is_end(window: Window) -> bool {
    matches!(window.what, Happening::Completed | Happening::Failed) && window.to.is_some()
}

/// How many ends polls saw, and in windows of which length in the mean, in microseconds.
fn seen_by_polls(windows: &Windows) -> (u64, u64) {
    let ends = windows.iter().filter(|(window, _)| is_end(*window));
    let (works, micros) = ends.fold((0, 0_u128), |(sum, micros), (window, works)| {
        let to = window.to.map_or(0, Edge::micros);
        let width = u128::from(to - window.from.micros());
        (sum + works, micros + width * u128::from(works))
    });
    let mean = micros.checked_div(u128::from(works)).unwrap_or(0);
    (works, u64::try_from(mean).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::time::Tick;
    use crate::work::ServiceTime;
    use rand::RngExt;

    /// The service's clock at the origin.
    const SHOWN: i64 = 1_750_000_000_123_457;
    const WORKS: u64 = 4_000;

    /// Works that end after 1 s to 3 s, evenly, polled each second from a random phase on; the
    /// stamps tell so many microseconds, and jump by so many half way.
    fn run(resolution: i64, jump: i64) -> Blocks {
        let mut random = stream(3, Purpose::JITTER, 0);
        let mut blocks = Blocks::of(Span::from_secs(1));
        for number in 0..WORKS {
            let sent = Tick(number * 10_000_000);
            let age = random.random_range(1_000_000_000..3_000_000_000_u64);
            let phase = random.random_range(0..1_000_000_000_u64);
            let polls = (age - phase.min(age)).div_ceil(1_000_000_000);
            let seen = Span(phase + polls * 1_000_000_000);
            let open = Span((phase + polls * 1_000_000_000).saturating_sub(1_000_000_000));
            let open = if polls == 0 { Span::ZERO } else { open };
            let mut one = Seen::default();
            let jump = if number < WORKS / 2 { 0 } else { jump };
            let end = SHOWN + jump + i64::try_from((sent + Span(age)).0 / 1_000).unwrap();
            let stamp = ServiceTime(end - end % resolution);
            let at = [sent, sent + open, sent + seen];
            one.stamps.count(Happening::Completed, stamp, at);
            let window = Window::seen(Happening::Completed, open, seen);
            one.windows = Windows::of(vec![(window, 1)]);
            blocks.add(sent + seen, &one);
        }
        blocks
    }

    #[test]
    fn stamps_tell_more_than_polls_whatever_the_clock_shows() {
        for (resolution, most) in [(1, 30_000), (1_000, 30_000), (100_000, 130_000)] {
            let by_clock = ByClock::of(&run(resolution, 0)).unwrap();
            let clock = by_clock.clock;
            assert!(clock.least <= SHOWN && SHOWN <= clock.most, "{clock:?}");
            assert!(by_clock.width <= most, "{}", by_clock.width);
            let windows = by_clock.blocks.sum().windows;
            assert_eq!(windows.iter().map(|(_, works)| works).sum::<u64>(), WORKS);
            for (window, _) in windows.iter() {
                let (from, to) = (window.from.micros(), window.to.unwrap().micros());
                assert!(from <= 3_000_000 && to >= 1_000_000);
                // The rounding to the grid adds two cells at most.
                assert!(to - from <= by_clock.width + to / 30, "{from} {to}");
            }
        }
    }

    #[test]
    fn stamps_that_are_no_help_are_refused_with_the_reason() {
        let Err(NotByClock::Coarse { width, polls }) = ByClock::of(&run(1_000_000, 0)) else {
            panic!("stamps of a second tell no more than polls of one");
        };
        assert!(width > 1_000_000 && (900_000..1_100_000).contains(&polls));
        let Err(NotByClock::Contradiction { by }) = ByClock::of(&run(1, 700_000)) else {
            panic!("the clock was set by 0.7 s");
        };
        assert!((600_000..700_000).contains(&by), "{by}");
        let mut without = run(1, 0);
        let window = Window::seen(Happening::Failed, Span::ZERO, Span::from_secs(1));
        let one = Seen {
            windows: Windows::of(vec![(window, 1)]),
            ..Seen::default()
        };
        without.add(Tick(1), &one);
        let missing = NotByClock::Missing {
            stamped: WORKS,
            ended: WORKS + 1,
        };
        assert_eq!(ByClock::of(&without), Err(missing));
        let none = Blocks::default();
        assert_eq!(ByClock::of(&none), Err(NotByClock::NoStamps));
    }
}
