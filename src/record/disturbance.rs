//! Disturbances: what kept the machine, the process or a shard from measuring, and when.
//!
//! [`ClockWatch`] finds them. It is told the clocks of the machine at instants that it had asked
//! for, and compares them with the reading before:
//!
//! | found | by |
//! |---|---|
//! | [`Kind::Starved`] | the reading came late |
//! | [`Kind::Suspended`] | the clock that runs on while the machine sleeps gained on the one that does not |
//! | [`Kind::ClockStep`] | the wall clock moved against the one that runs on |
//!
//! Clocks cannot be read at once. So each reading bounds the distance of two clocks from both
//! sides, and only what lies between two bounds is told. Steering a clock moves all of them alike.

use std::cmp::Reverse;

use crate::time::{Span, Tick};

/// What disturbed the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The machine slept.
    Suspended,
    /// The process was stopped, or was not given a processor.
    Starved,
    /// A shard did not read what had come.
    ShardStarved,
    /// The wall clock was set.
    ClockStep,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Suspended,
        Self::Starved,
        Self::ShardStarved,
        Self::ClockStep,
    ];

    /// The word in `summary.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Starved => "starved",
            Self::ShardStarved => "shard_starved",
            Self::ClockStep => "clock_step",
        }
    }

    /// Whether it passed on the clock of the run, which stood still while the machine slept.
    const fn passed(self) -> bool {
        matches!(self, Self::Starved | Self::ShardStarved)
    }
}

/// One disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disturbance {
    /// When it began.
    pub at: Tick,
    /// What it was.
    pub kind: Kind,
    /// How long it was; of a step of the wall clock how far, in either direction.
    pub length: Span,
}

/// How many disturbances there were, and the longest of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disturbances {
    /// How many of all kinds.
    pub count: u64,
    /// The longest of each kind, at most [`Disturbances::MOST`] of it and the newest.
    pub longest: Vec<Disturbance>,
}

impl Disturbances {
    /// Whatever is shorter is among the samples of the lags and no disturbance of its own.
    pub const SHORTEST: Span = Span::from_millis(100);
    /// So many of a kind are kept.
    pub const MOST: usize = 8;

    /// Something lasted from `at` on, if it was long enough to be told. What was late again before
    /// it had caught up is one disturbance.
    pub fn note(&mut self, kind: Kind, at: Tick, length: Span) {
        if length < Self::SHORTEST {
            return;
        }
        let same = self.longest.iter_mut().rfind(|one| one.kind == kind);
        if let Some(last) = same.filter(|last| kind.passed() && at <= last.at + last.length) {
            last.length = last.length.max((at + length).since(last.at));
            return;
        }
        self.count += 1;
        let older = self.longest.iter().enumerate();
        let of_kind = older.filter(|(_, one)| one.kind == kind);
        let shortest = of_kind.clone().min_by_key(|(_, one)| one.length);
        let too_many = shortest.filter(|_| of_kind.count() > Self::MOST);
        if let Some((place, _)) = too_many {
            self.longest.remove(place);
        }
        self.longest.push(Disturbance { at, kind, length });
    }

    /// Adds those that another watch has seen, and puts all in the order of their instants.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.longest.extend(&other.longest);
        self.longest.sort_by_key(|one| Reverse(one.length));
        let mut kept = [0; Kind::ALL.len()];
        self.longest.retain(|one| {
            kept[one.kind as usize] += 1;
            kept[one.kind as usize] <= Self::MOST
        });
        self.longest.sort_by_key(|one| (one.at, one.kind));
    }

    /// The longest of a kind.
    pub fn longest_of(&self, kind: Kind) -> Option<Disturbance> {
        let of_kind = self.longest.iter().filter(|one| one.kind == kind);
        of_kind.max_by_key(|one| one.length).copied()
    }
}

/// The clocks of a machine, read one after the other: the clock of the run, the one that runs on
/// while the machine sleeps, the wall clock, and the clock of the run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The clock of the run, which stands still while the machine sleeps.
    pub before: Tick,
    /// Nanoseconds since the machine was started, sleep included.
    pub boot: i64,
    /// Nanoseconds since the Unix epoch.
    pub wall: i64,
    /// The clock of the run again.
    pub after: Tick,
}

/// By how much one clock is ahead of another: at least, and at most.
#[derive(Clone, Copy, Debug)]
struct Lead {
    least: i64,
    most: i64,
}

impl Lead {
    /// By how much it has grown since, for certain.
    fn gain(self, earlier: Self) -> Span {
        let gain = self.least.saturating_sub(earlier.most);
        Span(u64::try_from(gain).unwrap_or(0))
    }
}

impl Reading {
    /// The clock that runs on, ahead of the one of the run: it was read between the two readings.
    fn boot_lead(&self) -> Lead {
        Lead {
            least: self.boot.saturating_sub(signed(self.after)),
            most: self.boot.saturating_sub(signed(self.before)),
        }
    }

    /// The wall clock, ahead of the one that runs on: it was read later, and before the end.
    fn wall_lead(&self) -> Lead {
        let most = self.wall.saturating_sub(self.boot);
        let took = Tick(self.after.since(self.before).0);
        Lead {
            least: most.saturating_sub(signed(took)),
            most,
        }
    }
}

fn signed(at: Tick) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// Compares the clocks of a machine.
#[derive(Debug, Default)]
pub struct ClockWatch {
    earlier: Option<Reading>,
    seen: Disturbances,
}

impl ClockWatch {
    /// The clocks were to be read at `due`, and this is what they said.
    pub fn look(&mut self, due: Tick, now: Reading) {
        self.seen.note(Kind::Starved, due, now.before.since(due));
        // A reading that was interrupted says too little: the next one is compared instead.
        let took = now.after.since(now.before);
        let earlier = match self.earlier {
            Some(_) if took >= Disturbances::SHORTEST => return,
            None => return self.earlier = Some(now),
            Some(earlier) => earlier,
        };
        self.earlier = Some(now);
        let (asleep, at) = (now.boot_lead().gain(earlier.boot_lead()), earlier.after);
        self.seen.note(Kind::Suspended, at, asleep);
        let (wall, wall_was) = (now.wall_lead(), earlier.wall_lead());
        let step = wall.gain(wall_was).max(wall_was.gain(wall));
        self.seen.note(Kind::ClockStep, at, step);
    }

    /// All that was found.
    pub fn seen(self) -> Disturbances {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{ClockStep, ShardStarved, Starved, Suspended};

    const MILLI: i64 = 1_000_000;

    fn millis(at: u64) -> Tick {
        Tick::ZERO + Span::from_millis(at)
    }

    /// The clock of the run, what the machine slept until then, and what the wall clock was set by,
    /// in milliseconds; a reading takes a millisecond.
    fn reading(at: u64, slept: i64, set: i64) -> Reading {
        let boot = 77_000_000 * MILLI + signed(millis(at)) + slept * MILLI;
        Reading {
            before: millis(at),
            boot,
            wall: 1_750_000_000_000 * MILLI + boot + set * MILLI,
            after: millis(at + 1),
        }
    }

    #[test]
    fn what_two_readings_tell() {
        // When it was due, the two readings, and what is found: kind, at, and its length at least.
        let check = |due: u64, then: Reading, now: Reading, found: &[(Kind, u64, u64)]| {
            let mut watch = ClockWatch::default();
            watch.look(then.before, then);
            watch.look(millis(due), now);
            let seen = watch.seen();
            assert_eq!(seen.count, found.len() as u64, "{seen:?}");
            for (one, (kind, at, length)) in seen.longest.iter().zip(found) {
                assert_eq!((one.kind, one.at), (*kind, millis(*at)), "{seen:?}");
                // A reading bounds what lies between two clocks to a millisecond.
                let length = Span::from_millis(*length);
                let least = Span(length.0 - 2 * 1_000_000);
                assert!((least..=length).contains(&one.length), "{seen:?}");
            }
        };
        let then = reading(1_000, 5_000, -70);
        // Nothing, and nothing worth telling.
        check(1_050, then, reading(1_050, 5_000, -70), &[]);
        check(1_050, then, reading(1_140, 5_090, 20), &[]);
        // Stopped, or without a processor.
        check(
            1_050,
            then,
            reading(3_050, 5_000, -70),
            &[(Starved, 1_050, 2_000)],
        );
        // Asleep for an hour, of which the clock of the run knows nothing. The wall clock is right.
        check(
            1_050,
            then,
            reading(1_051, 5_000 + 3_600_000, -70),
            &[(Suspended, 1_001, 3_600_000)],
        );
        // The wall clock was set forward, and back.
        check(
            1_050,
            then,
            reading(1_051, 5_000, 30_000 - 70),
            &[(ClockStep, 1_001, 30_000)],
        );
        check(
            1_050,
            then,
            reading(1_051, 5_000, -70 - 500),
            &[(ClockStep, 1_001, 500)],
        );
        // All at once.
        check(
            1_050,
            then,
            reading(1_350, 5_000 + 9_000, 4_000),
            &[
                (Starved, 1_050, 300),
                (Suspended, 1_001, 9_000),
                (ClockStep, 1_001, 4_070),
            ],
        );
    }

    #[test]
    fn a_reading_that_was_interrupted_is_neither_a_step_nor_the_end_of_the_watch() {
        let mut watch = ClockWatch::default();
        watch.look(millis(0), reading(0, 0, 0));
        // Half a second passed between the reading of one clock and of the next.
        let mut torn = reading(50, 0, 0);
        torn.wall += 500 * MILLI;
        torn.after = millis(551);
        watch.look(millis(50), torn);
        assert_eq!(watch.seen, Disturbances::default());
        watch.look(millis(600), reading(600, 0, 700));
        let seen = watch.seen();
        assert_eq!(
            seen.longest_of(ClockStep).map(|one| one.at),
            Some(millis(1))
        );
    }

    fn noted(kind: Kind, each: &[(u64, u64)]) -> Disturbances {
        let mut all = Disturbances::default();
        for (at, length) in each {
            all.note(kind, millis(*at), Span::from_millis(*length));
        }
        all
    }

    fn told(all: &Disturbances) -> Vec<(u64, u64)> {
        let millis = |nanos: u64| nanos / 1_000_000;
        let of = |one: &Disturbance| (millis(one.at.0), millis(one.length.0));
        all.longest.iter().map(of).collect()
    }

    #[test]
    fn what_overlaps_is_one_disturbance() {
        // Readings that were due while the process was stopped all come late together.
        let stopped = [(100, 2_000), (140, 1_960), (1_900, 300), (2_250, 150)];
        let all = noted(Starved, &stopped);
        assert_eq!(
            (all.count, told(&all)),
            (2, vec![(100, 2_100), (2_250, 150)])
        );
        // Of two sleeps the clock of the run does not know how long the first one was.
        let asleep = noted(Suspended, &[(100, 60_000), (150, 200)]);
        assert_eq!(asleep.count, 2);
    }

    #[test]
    fn the_longest_of_each_kind_are_kept_and_all_are_counted() {
        let many: Vec<(u64, u64)> = (1..=40).map(|n| (n * 10_000, 100 + n * 7 % 41)).collect();
        let all = noted(ShardStarved, &many);
        assert_eq!(all.count, 40);
        assert_eq!(all.longest.len(), Disturbances::MOST + 1);
        let mut merged = noted(Suspended, &[(55_000, 100)]);
        merged.merge(&all);
        assert_eq!(merged.count, 41);
        let mut longest = many.clone();
        longest.sort_by_key(|(_, length)| Reverse(*length));
        longest.truncate(Disturbances::MOST);
        longest.push((55_000, 100));
        longest.sort_unstable();
        assert_eq!(told(&merged), longest);
        let found = merged.longest_of(Suspended).map(|one| one.at);
        assert_eq!(found, Some(millis(55_000)));
        assert_eq!(merged.longest_of(Starved), None);
    }
}
