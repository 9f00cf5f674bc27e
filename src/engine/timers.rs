//! `TimerQueue`: which work is to be looked at next, and when.
//!
//! A hierarchical timing wheel (Varghese and Lauck, 1987): three levels of 1,024 buckets, of 2^20
//! ns (1.05 ms), 1.07 s and 18 minutes, so that it turns once in 13 days. Setting, cancelling and
//! taking are O(1) however many works there are. A bucket is a chain of cache lines with 14 places
//! each, so that a turn reads what it moves side by side and not one behind the other: 12 bytes a
//! place, and 64 for each 14 timers. What is due within the current bucket waits in a small heap,
//! exact to the nanosecond.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chunks::Chunks;
use crate::time::Tick;

/// Nanoseconds of the finest bucket, as a power of 2.
const FINEST: u32 = 20;
/// Buckets of a level, as a power of 2.
const BITS: u32 = 10;
const BUCKETS: usize = 1 << BITS;
const LEVELS: usize = 3;
/// From this bit on, the number of a finest bucket is beyond the three levels.
const BEYOND: u32 = 3 * BITS;
/// Words of the bit map of a level.
const WORDS: usize = BUCKETS / 64;

/// No line.
const NONE: u32 = u32::MAX;
/// In place of a line: the timer is not set.
const IDLE: u32 = u32::MAX;
/// In place of a line: the timer waits in the heap of near ones, or of far ones.
const IN_HEAP: u32 = u32::MAX - 1;

/// The timer of one place, in 12 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Timer {
    at: Tick,
    line: u32,
}

/// A cache line of the chain of a bucket. Only the first of a chain has room.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    places: [u32; Line::PLACES],
    next: u32,
    bucket: u16,
    held: u16,
}

impl Line {
    const PLACES: usize = 14;
    const FRESH: Self = Self {
        places: [0; Self::PLACES],
        next: NONE,
        bucket: 0,
        held: 0,
    };

    fn places(&self) -> &[u32] {
        &self.places[..usize::from(self.held)]
    }
}

const _: () = assert!(size_of::<Line>() == 64 && size_of::<Timer>() == 12);

/// One timer for each place of the work table.
#[derive(Debug)]
pub struct TimerQueue {
    timers: Chunks<Timer>,
    lines: Chunks<Line>,
    /// Lines that were ever used, and the first of the chain of those that are not.
    used: u32,
    free: u32,
    /// The first line of each bucket.
    first: Box<[u32; LEVELS * BUCKETS]>,
    occupied: [[u64; WORDS]; LEVELS],
    /// The finest bucket that has been emptied last; nothing before it is in the wheel.
    cursor: u64,
    /// Timers of buckets up to the cursor. An entry counts only if its timer still says so.
    near: BinaryHeap<Reverse<(Tick, u32)>>,
    /// Timers beyond the wheel.
    far: BinaryHeap<Reverse<(Tick, u32)>>,
}

impl Default for TimerQueue {
    fn default() -> Self {
        Self {
            timers: Chunks::default(),
            lines: Chunks::default(),
            used: 0,
            free: NONE,
            first: Box::new([NONE; LEVELS * BUCKETS]),
            occupied: [[0; WORDS]; LEVELS],
            cursor: 0,
            near: BinaryHeap::new(),
            far: BinaryHeap::new(),
        }
    }
}

impl TimerQueue {
    /// Looks at the place at this instant, and not at the one that was set before.
    pub fn set(&mut self, at: Tick, place: u32) {
        self.timers.reach(place, || Timer {
            at: Tick::NEVER,
            line: IDLE,
        });
        self.cancel(place);
        self.timers[place].at = at;
        self.file(at, place);
    }

    /// Does not look at the place.
    pub fn cancel(&mut self, place: u32) {
        let line = self.timers.get(place).map_or(IDLE, |timer| timer.line);
        if line == IDLE {
            return;
        }
        self.timers[place].line = IDLE;
        // The entry of a heap is passed over when its turn comes.
        if line != IN_HEAP {
            self.strike(line, place);
        }
    }

    /// When the timer of a place goes off, or went off last.
    pub fn at(&self, place: u32) -> Tick {
        self.timers.get(place).map_or(Tick::NEVER, |timer| timer.at)
    }

    /// An instant at which to come back: never later than the earliest timer. After
    /// [`TimerQueue::take`] has answered that there is none, later than its `now`.
    pub fn next(&self) -> Option<Tick> {
        let near = self.near.peek().map(|Reverse((at, _))| *at);
        let far = self.far.peek().map(|Reverse((at, _))| *at);
        // All of the wheel is later than what is near, and earlier than what is far.
        near.or_else(|| self.next_bucket().map(|(start, _)| Tick(start << FINEST)))
            .or(far)
    }

    /// Takes the earliest timer whose instant has come.
    pub fn take(&mut self, now: Tick) -> Option<(Tick, u32)> {
        self.turn(now, |_| {});
        while let Some(&Reverse((at, place))) = self.near.peek()
            && at <= now
        {
            self.near.pop();
            if self.is_in_heap(at, place) {
                self.timers[place].line = IDLE;
                return Some((at, place));
            }
        }
        None
    }

    /// Whether this entry of a heap still counts.
    fn is_in_heap(&self, entry: Tick, place: u32) -> bool {
        let Timer { at, line } = self.timers[place];
        line == IN_HEAP && at == entry
    }

    /// Puts a timer where its instant belongs.
    fn file(&mut self, at: Tick, place: u32) {
        let slot = at.0 >> FINEST;
        if slot <= self.cursor {
            self.timers[place].line = IN_HEAP;
            self.near.push(Reverse((at, place)));
            return;
        }
        let level = ((slot ^ self.cursor).ilog2() / BITS) as usize;
        if level >= LEVELS {
            self.timers[place].line = IN_HEAP;
            self.far.push(Reverse((at, place)));
            return;
        }
        let line = self.open_line(level * BUCKETS + digit(slot, level));
        let Line { places, held, .. } = &mut self.lines[line];
        places[usize::from(*held)] = place;
        *held += 1;
        self.timers[place].line = line;
    }

    /// The first line of a bucket, with room.
    fn open_line(&mut self, bucket: usize) -> u32 {
        let first = self.first[bucket];
        if first != NONE && usize::from(self.lines[first].held) < Line::PLACES {
            return first;
        }
        let line = if self.free == NONE {
            self.lines.reach(self.used, || Line::FRESH);
            self.used += 1;
            self.used - 1
        } else {
            let next = self.lines[self.free].next;
            std::mem::replace(&mut self.free, next)
        };
        self.lines[line] = Line {
            next: first,
            bucket: u16::try_from(bucket).expect("3,072 buckets"),
            ..Line::FRESH
        };
        self.set_first(bucket, line);
        line
    }

    /// Strikes a place from a line; the last place of the first line of its bucket fills the gap.
    fn strike(&mut self, line: u32, place: u32) {
        let bucket = usize::from(self.lines[line].bucket);
        let first = self.first[bucket];
        let Line {
            places, held, next, ..
        } = &mut self.lines[first];
        *held -= 1;
        let (last, is_empty, next) = (places[usize::from(*held)], *held == 0, *next);
        if last != place {
            let mut places = self.lines[line].places.iter_mut();
            let gap = places.find(|other| **other == place);
            *gap.expect("a timer is in the line that it names") = last;
            self.timers[last].line = line;
        }
        if is_empty {
            self.set_first(bucket, next);
            self.release(first);
        }
    }

    fn release(&mut self, line: u32) {
        self.lines[line].next = std::mem::replace(&mut self.free, line);
    }

    fn set_first(&mut self, bucket: usize, line: u32) {
        self.first[bucket] = line;
        let (level, digit) = (bucket / BUCKETS, bucket % BUCKETS);
        let word = &mut self.occupied[level][digit / 64];
        if line == NONE {
            *word &= !(1 << (digit % 64));
        } else {
            *word |= 1 << (digit % 64);
        }
    }

    /// The first finest slot and the number of the next bucket that holds anything.
    fn next_bucket(&self) -> Option<(u64, usize)> {
        (0..LEVELS).find_map(|level| {
            let digit = self.next_digit(level, digit(self.cursor, level) + 1)?;
            let shift = BITS * u32::try_from(level).expect("three levels");
            // The digits above stay, this one is the bucket's, those below are 0.
            let above = self.cursor >> (shift + BITS) << BITS;
            Some(((above | digit as u64) << shift, level * BUCKETS + digit))
        })
    }

    /// The first occupied bucket of a level from a digit on.
    fn next_digit(&self, level: usize, from: usize) -> Option<usize> {
        (from / 64..WORDS).find_map(|word| {
            let skipped = if word == from / 64 { from % 64 } else { 0 };
            let bits = self.occupied[level][word] >> skipped << skipped;
            (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
        })
    }

    /// Turns the wheel to an instant: every bucket up to it becomes near, and `nears` is told of
    /// each place in it, up to a bucket's length before its time.
    pub fn turn(&mut self, now: Tick, mut nears: impl FnMut(u32)) {
        let to = now.0 >> FINEST;
        if to <= self.cursor {
            return;
        }
        while let Some((start, bucket)) = self.next_bucket().filter(|(start, _)| *start <= to) {
            self.cursor = start;
            let mut next = self.first[bucket];
            self.set_first(bucket, NONE);
            while next != NONE {
                let line = self.lines[next];
                self.release(next);
                if bucket < BUCKETS {
                    line.places().iter().for_each(|place| nears(*place));
                }
                // All of them are read before any is filed, so that no read waits for another.
                let mut instants = [Tick::NEVER; Line::PLACES];
                for (at, place) in instants.iter_mut().zip(line.places()) {
                    *at = self.timers[*place].at;
                }
                for (at, place) in instants.into_iter().zip(line.places()) {
                    self.file(at, *place);
                }
                next = line.next;
            }
        }
        self.cursor = to;
        // Once in 13 days the wheel has room for what was beyond it.
        while let Some(&Reverse((at, place))) = self.far.peek()
            && (at.0 >> FINEST ^ self.cursor) >> BEYOND == 0
        {
            self.far.pop();
            if self.is_in_heap(at, place) {
                self.file(at, place);
            }
        }
    }
}

/// The digit of a slot at a level, in the base of the number of buckets.
fn digit(slot: u64, level: usize) -> usize {
    let shift = BITS * u32::try_from(level).expect("three levels");
    usize::try_from(slot >> shift & (BUCKETS as u64 - 1)).expect("below 1,024")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn timers_leave_in_the_order_of_their_instants_and_never_early() {
        let mut timers = TimerQueue::default();
        for (at, place) in [(30, 3), (10, 1), (20, 2)] {
            timers.set(Tick(at), place);
        }
        assert_eq!(timers.take(Tick(9)), None);
        assert_eq!(timers.take(Tick(25)), Some((Tick(10), 1)));
        assert_eq!(timers.take(Tick(25)), Some((Tick(20), 2)));
        assert_eq!(timers.take(Tick(25)), None);
        assert_eq!(timers.next(), Some(Tick(30)));
    }

    #[test]
    fn a_timer_beyond_the_wheel_is_not_forgotten() {
        const DAY: u64 = 86_400_000_000_000;
        let mut timers = TimerQueue::default();
        for (days, place) in [(400, 0), (14, 1), (13, 2), (1, 3)] {
            timers.set(Tick(days * DAY), place);
        }
        timers.set(Tick::NEVER, 4);
        for (days, place) in [(1, 3), (13, 2), (14, 1), (400, 0)] {
            let at = Tick(days * DAY);
            assert_eq!(timers.take(Tick(at.0 - 1)), None);
            assert!(timers.next().is_some_and(|next| next <= at));
            assert_eq!(timers.take(at), Some((at, place)));
        }
    }

    /// What a timer queue promises, done slowly: a map from place to instant.
    fn slow_take(timers: &mut BTreeMap<u32, Tick>, now: Tick) -> Option<(Tick, u32)> {
        let (at, place) = timers.iter().map(|(place, at)| (*at, *place)).min()?;
        (at <= now).then(|| {
            timers.remove(&place);
            (at, place)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_wheel_does_what_a_sorted_list_does(
            steps in prop::collection::vec((0_u32..80, 0_u32..58, any::<u64>(), 0_u8..10), 1..300),
        ) {
            let (mut wheel, mut slow) = (TimerQueue::default(), BTreeMap::new());
            let mut now = 0_u64;
            for (place, scale, noise, what) in steps {
                // Lengths of every order of magnitude, so that all levels are used.
                let span = noise & ((1 << scale) - 1);
                match what {
                    0 => {
                        wheel.cancel(place);
                        slow.remove(&place);
                    }
                    1..=5 => {
                        let at = Tick(now + span);
                        wheel.set(at, place);
                        slow.insert(place, at);
                    }
                    _ => {
                        now += span >> 8;
                        loop {
                            let taken = wheel.take(Tick(now));
                            prop_assert_eq!(taken, slow_take(&mut slow, Tick(now)));
                            if taken.is_none() {
                                break;
                            }
                        }
                        if let Some(next) = wheel.next() {
                            prop_assert!(next > Tick(now));
                        }
                        if let Some(earliest) = slow.values().min() {
                            prop_assert!(wheel.next().is_some_and(|next| next <= *earliest));
                        }
                    }
                }
            }
        }
    }
}
