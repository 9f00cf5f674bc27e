//! Polls: when a work is asked, and what its answers bound. No engine, no service: ages alone.

use plimsoll::random::{ChaCha8Rng, Purpose, stream, unit};
use plimsoll::record::blocks::Blocks;
use plimsoll::record::interval::Seen;
use plimsoll::record::windows::{Happening, Window, WindowCounter};
use plimsoll::time::{Span, Tick};

use super::laws::Law;

/// When a work is asked, by its own past alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Policy {
    /// Each interval of so many seconds, from a random phase on.
    Fixed(f64),
    /// After a second, two, four, up to 30, each 25 % longer or shorter by chance, from a random
    /// phase on.
    Backoff,
    /// After a quarter of its age, at least a second, half of that longer or shorter by chance.
    ByAge,
}

impl Policy {
    /// What it is called in tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Fixed(interval) => format!("fixed, {interval} s"),
            Self::Backoff => "exponential, 1 s to 30 s".to_owned(),
            Self::ByAge => "a quarter of the age".to_owned(),
        }
    }

    /// The age of the next poll after that of the last, which is 0 before the first.
    fn next(self, number: i32, age: f64, random: &mut ChaCha8Rng) -> f64 {
        let draw = unit(random);
        match self {
            Self::Fixed(interval) if number == 0 => interval * draw,
            Self::Fixed(interval) => age + interval,
            Self::Backoff if number == 0 => draw,
            Self::Backoff => {
                let gap = libm::pow(2.0, f64::from(number - 1)).min(30.0);
                age + gap * (0.75 + 0.5 * draw)
            }
            Self::ByAge => age + (age / 4.0).max(1.0) * (0.5 + draw),
        }
    }

    /// The window of a work that takes so many seconds, in seconds.
    pub(crate) fn window(self, takes: f64, random: &mut ChaCha8Rng) -> (f64, f64) {
        let mut last = 0.0;
        for number in 0.. {
            let age = self.next(number, last, random);
            if age >= takes {
                return (last, age);
            }
            last = age;
        }
        unreachable!("ages grow without end")
    }
}

/// A run: works evenly over blocks of time.
pub(crate) struct Run<'a> {
    /// How long they take.
    pub(crate) law: &'a Law,
    /// When they are asked.
    pub(crate) policy: Policy,
    /// How many.
    pub(crate) works: u64,
    /// In how many blocks.
    pub(crate) blocks: u64,
    /// Of all chance.
    pub(crate) seed: u64,
}

impl Run<'_> {
    /// What its polls saw, and the seconds at which each work was detected, if they are asked for.
    pub(crate) fn windows(&self, mut detected: Option<&mut Vec<f64>>) -> Blocks {
        let length = Span::from_secs_f64(60.0);
        let mut blocks = Blocks::of(length);
        for block in 0..self.blocks {
            let mut random = stream(self.seed, Purpose::named("accuracy"), block);
            let mut counter = WindowCounter::default();
            let here = self.works * (block + 1) / self.blocks - self.works * block / self.blocks;
            for _ in 0..here {
                let takes = self.law.draw(&mut random);
                let (from, to) = self.policy.window(takes, &mut random);
                if let Some(detected) = &mut detected {
                    detected.push(to);
                }
                let (from, to) = (Span::from_secs_f64(from), Span::from_secs_f64(to));
                counter.count(Window::seen(Happening::Completed, from, to));
            }
            let windows = counter.take();
            let seen = Seen {
                windows,
                ..Seen::default()
            };
            blocks.add(Tick(length.0 * block + 1), &seen);
        }
        blocks
    }
}
