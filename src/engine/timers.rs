//! `TimerQueue`: which work is to be looked at next, and when.
//!
//! A hierarchical timing wheel (Varghese and Lauck, 1987): four levels of 256 buckets, the finest
//! of 2^20 ns (1.05 ms), the coarsest of 4.9 h, so that it turns once in 52 days. Setting,
//! cancelling and taking are O(1) however many works there are. Buckets are lists through one array
//! by place, 16 bytes a work, without an allocation of their own. What is due within the current
//! bucket waits in a small heap, exact to the nanosecond.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chunks::Chunks;
use crate::time::Tick;

/// Nanoseconds of the finest bucket, as a power of 2.
const FINEST: u32 = 20;
/// Buckets of a level, as a power of 2.
const BITS: u32 = 8;
const BUCKETS: usize = 1 << BITS;
const LEVELS: usize = 4;
/// Words of the bit map of a level.
const WORDS: usize = BUCKETS / 64;

/// No place.
const NONE: u32 = u32::MAX;
/// In place of a predecessor: the timer is not set.
const IDLE: u32 = u32::MAX;
/// In place of a predecessor: the timer waits in the heap of near ones, or of far ones.
const IN_HEAP: u32 = u32::MAX - 1;
/// In place of a predecessor, with the number of a bucket: the timer is the first of the bucket.
const FIRST: u32 = 1 << 31;

/// The timer of one place.
#[derive(Clone, Copy, Debug)]
struct Link {
    at: Tick,
    next: u32,
    previous: u32,
}

/// One timer for each place of the work table.
#[derive(Debug)]
pub struct TimerQueue {
    links: Chunks<Link>,
    first: Box<[u32; LEVELS * BUCKETS]>,
    occupied: [[u64; WORDS]; LEVELS],
    /// The finest bucket that has been emptied last; nothing before it is in the wheel.
    cursor: u64,
    /// Timers of buckets up to the cursor. An entry counts only if its link still says so.
    near: BinaryHeap<Reverse<(Tick, u32)>>,
    /// Timers beyond the wheel.
    far: BinaryHeap<Reverse<(Tick, u32)>>,
}

impl Default for TimerQueue {
    fn default() -> Self {
        Self {
            links: Chunks::default(),
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
        self.links.reach(place, || Link {
            at: Tick::NEVER,
            next: NONE,
            previous: IDLE,
        });
        self.cancel(place);
        self.links[place].at = at;
        self.file(place);
    }

    /// Does not look at the place.
    pub fn cancel(&mut self, place: u32) {
        let Some(&Link { next, previous, .. }) = self.links.get(place) else {
            return;
        };
        match previous {
            IDLE => return,
            // The entry of a heap is passed over when its turn comes.
            IN_HEAP => {}
            bucket if bucket & FIRST != 0 => self.set_first((bucket & !FIRST) as usize, next),
            previous => self.links[previous].next = next,
        }
        if previous != IN_HEAP && next != NONE {
            self.links[next].previous = previous;
        }
        self.links[place].previous = IDLE;
    }

    /// When the timer of a place was last to go off, or is to.
    pub fn at(&self, place: u32) -> Tick {
        self.links.get(place).map_or(Tick::NEVER, |link| link.at)
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
        self.turn(now.0 >> FINEST);
        while let Some(&Reverse((at, place))) = self.near.peek()
            && at <= now
        {
            self.near.pop();
            let link = &mut self.links[place];
            if link.previous == IN_HEAP && link.at == at {
                link.previous = IDLE;
                return Some((at, place));
            }
        }
        None
    }

    /// Puts a timer where its instant belongs.
    fn file(&mut self, place: u32) {
        let at = self.links[place].at;
        let slot = at.0 >> FINEST;
        let link = &mut self.links[place];
        if slot <= self.cursor {
            link.previous = IN_HEAP;
            self.near.push(Reverse((at, place)));
            return;
        }
        let level = ((slot ^ self.cursor).ilog2() / BITS) as usize;
        if level >= LEVELS {
            link.previous = IN_HEAP;
            self.far.push(Reverse((at, place)));
            return;
        }
        let bucket = level * BUCKETS + digit(slot, level);
        let next = self.first[bucket];
        link.next = next;
        self.set_first(bucket, place);
        if next != NONE {
            self.links[next].previous = place;
        }
    }

    fn set_first(&mut self, bucket: usize, place: u32) {
        self.first[bucket] = place;
        let (level, digit) = (bucket / BUCKETS, bucket % BUCKETS);
        let word = &mut self.occupied[level][digit / 64];
        if place == NONE {
            *word &= !(1 << (digit % 64));
        } else {
            *word |= 1 << (digit % 64);
            let bucket = u32::try_from(bucket).expect("1,024 buckets");
            self.links[place].previous = FIRST | bucket;
        }
    }

    /// The first finest slot and the number of the next bucket that holds anything.
    fn next_bucket(&self) -> Option<(u64, usize)> {
        (0..LEVELS).find_map(|level| {
            let digit = self.next_digit(level, digit(self.cursor, level) + 1)?;
            let shift = BITS * u32::try_from(level).expect("four levels");
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

    /// Turns the wheel to a finest slot: everything up to it becomes near.
    fn turn(&mut self, to: u64) {
        if to <= self.cursor {
            return;
        }
        while let Some((start, bucket)) = self.next_bucket().filter(|(start, _)| *start <= to) {
            self.cursor = start;
            let mut place = self.first[bucket];
            self.set_first(bucket, NONE);
            while place != NONE {
                let next = self.links[place].next;
                self.file(place);
                place = next;
            }
        }
        self.cursor = to;
        // Once in 52 days the wheel has room for what was beyond it.
        while let Some(&Reverse((at, place))) = self.far.peek()
            && (at.0 >> FINEST ^ self.cursor) >> (BITS * 4) == 0
        {
            self.far.pop();
            let link = &self.links[place];
            if link.previous == IN_HEAP && link.at == at {
                self.file(place);
            }
        }
    }
}

/// The digit of a slot at a level, in the base of the number of buckets.
fn digit(slot: u64, level: usize) -> usize {
    let shift = BITS * u32::try_from(level).expect("four levels");
    usize::try_from(slot >> shift & (BUCKETS as u64 - 1)).expect("below 256")
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
        for (days, place) in [(400, 0), (53, 1), (52, 2), (1, 3)] {
            timers.set(Tick(days * DAY), place);
        }
        timers.set(Tick::NEVER, 4);
        for (days, place) in [(1, 3), (52, 2), (53, 1), (400, 0)] {
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
            steps in prop::collection::vec((0_u32..40, 0_u32..58, any::<u64>(), 0_u8..10), 1..300),
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
