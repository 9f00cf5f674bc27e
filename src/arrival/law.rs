//! The laws: how many arrivals a stage has, and when the i-th is due after the start of the stage.

use std::sync::Arc;

use rand_distr::{Distribution, Poisson};

use crate::random::{ChaCha8Rng, Purpose, stream, unit};
use crate::scenario::{Arrivals, Rate, Shape, Stage};
use crate::time::{NANOS_PER_SECOND, Span};

/// A Poisson stage is drawn in blocks of this length.
const BLOCK: u64 = NANOS_PER_SECOND;

/// The law of one stage, ready to be asked.
#[derive(Debug)]
pub(super) struct Law {
    duration: Span,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Constant(Intensity),
    Poisson {
        intensity: Intensity,
        seed: u64,
        stage: u64,
    },
    Replay(Arc<[Span]>),
}

/// The block of a Poisson stage that was drawn last: a cache, never a state.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    number: u64,
    first: u64,
    offsets: Vec<Span>,
}

impl Law {
    pub(super) fn new(stage: &Stage, seed: u64, number: u64) -> Self {
        let duration = stage.duration;
        let kind = match &stage.arrivals {
            Arrivals::Constant(shape) => Kind::Constant(Intensity::new(*shape, duration)),
            Arrivals::Poisson(shape) => {
                let intensity = Intensity::new(*shape, duration);
                Kind::Poisson {
                    intensity,
                    seed,
                    stage: number,
                }
            }
            Arrivals::Replay(offsets) => Kind::Replay(Arc::clone(offsets)),
        };
        Self { duration, kind }
    }

    /// How many arrivals the stage has.
    pub(super) fn count(&self) -> u64 {
        match &self.kind {
            Kind::Constant(intensity) => intensity.count(),
            Kind::Poisson { .. } => (0..self.duration.0.div_ceil(BLOCK))
                .map(|block| self.block_count(block))
                .sum(),
            Kind::Replay(offsets) => offsets.partition_point(|at| *at < self.duration) as u64,
        }
    }

    /// When the arrival `index` (below [`Law::count`]) is due, from the start of the stage.
    pub(super) fn offset(&self, index: u64, block: &mut Block) -> Span {
        match &self.kind {
            Kind::Constant(intensity) => intensity.offset(index),
            Kind::Poisson { .. } => self.poisson_offset(index, block),
            Kind::Replay(offsets) => offsets[usize::try_from(index).expect("fits in memory")],
        }
    }

    fn poisson_offset(&self, index: u64, block: &mut Block) -> Span {
        if block.offsets.is_empty() || index < block.first {
            *block = Block::default();
            self.draw(block);
        }
        while index >= block.first + block.offsets.len() as u64 {
            // Blocks that are only passed are counted, not drawn.
            block.first += block.offsets.len() as u64;
            block.number += 1;
            let mut count = self.block_count(block.number);
            while index >= block.first + count {
                block.first += count;
                block.number += 1;
                count = self.block_count(block.number);
            }
            self.draw(block);
        }
        block.offsets[usize::try_from(index - block.first).expect("a block fits in memory")]
    }

    /// The number of arrivals of a block: the first draw of its stream.
    fn block_count(&self, block: u64) -> u64 {
        self.with_block(block, poisson)
    }

    fn with_block<T>(&self, block: u64, with: impl FnOnce(f64, &mut ChaCha8Rng) -> T) -> T {
        let Kind::Poisson {
            intensity,
            seed,
            stage,
        } = &self.kind
        else {
            unreachable!("only Poisson stages have blocks")
        };
        let (from, to) = (self.block_start(block), self.block_start(block + 1));
        let mean = intensity.cumulative(to) - intensity.cumulative(from);
        let mut rng = stream(*seed, Purpose::ARRIVALS, (stage << 32) | block);
        with(mean, &mut rng)
    }

    fn block_start(&self, block: u64) -> Span {
        Span(block.saturating_mul(BLOCK).min(self.duration.0))
    }

    /// Given their number, the arrivals of a Poisson process are independent, and each is
    /// distributed as the intensity is (Kingman, Poisson Processes, 1993, section 2.4).
    fn draw(&self, block: &mut Block) {
        let Kind::Poisson { intensity, .. } = &self.kind else {
            unreachable!("only Poisson stages have blocks")
        };
        let (from, to) = (
            self.block_start(block.number),
            self.block_start(block.number + 1),
        );
        let before = intensity.cumulative(from);
        block.offsets.clear();
        self.with_block(block.number, |mean, rng| {
            for _ in 0..poisson(mean, rng) {
                let at = intensity.inverse(before + unit(rng) * mean);
                block
                    .offsets
                    .push(at.clamp(from, Span(to.0.saturating_sub(1).max(from.0))));
            }
        });
        block.offsets.sort_unstable();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a Poisson number is a whole number that is not negative"
)]
fn poisson(mean: f64, rng: &mut ChaCha8Rng) -> u64 {
    Poisson::new(mean).map_or(0, |law| law.sample(rng) as u64)
}

/// The rate over a stage, its integral and the inverse of that.
#[derive(Clone, Copy, Debug)]
struct Intensity {
    from: Rate,
    to: Rate,
    duration: Span,
}

impl Intensity {
    const fn new(shape: Shape, duration: Span) -> Self {
        let (from, to) = match shape {
            Shape::Flat(rate) => (rate, rate),
            Shape::Ramp(from, to) => (from, to),
        };
        Self { from, to, duration }
    }

    fn is_flat(&self) -> bool {
        u128::from(self.from.count) * u128::from(self.to.per.0)
            == u128::from(self.to.count) * u128::from(self.from.per.0)
    }

    /// How many evenly spaced arrivals are due before the end: exact, by whole numbers.
    ///
    /// The mean of the two rates times the duration, rounded up, because the first is due at 0.
    fn count(&self) -> u64 {
        let duration = u128::from(self.duration.0);
        let (from, to) = (u128::from(self.from.count), u128::from(self.to.count));
        let (from_per, to_per) = (u128::from(self.from.per.0), u128::from(self.to.per.0));
        let whole = if self.is_flat() {
            (duration * from).div_ceil(from_per)
        } else if from_per == to_per {
            (duration * (from + to)).div_ceil(2 * from_per)
        } else {
            (duration * (from * to_per + to * from_per)).div_ceil(2 * from_per * to_per)
        };
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// When the evenly spaced arrival `index` is due.
    fn offset(&self, index: u64) -> Span {
        if self.is_flat() {
            // Whole numbers: floor(i / rate), exact however long the stage is.
            let at = u128::from(index) * u128::from(self.from.per.0)
                / u128::from(self.from.count.max(1));
            return Span(u64::try_from(at).unwrap_or(u64::MAX));
        }
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 arrivals")]
        let at = self.inverse(index as f64);
        at.min(Span(self.duration.0.saturating_sub(1)))
    }

    /// Arrivals per nanosecond at the start, and the growth of that per nanosecond.
    #[expect(clippy::cast_precision_loss, reason = "relative error 1e-16")]
    fn line(&self) -> (f64, f64) {
        let per_nano = |rate: Rate| rate.count as f64 / rate.per.0 as f64;
        let (from, to) = (per_nano(self.from), per_nano(self.to));
        (from, (to - from) / self.duration.0.max(1) as f64)
    }

    /// The expected number of arrivals before `at`: `a t + k t^2 / 2`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "104 days of nanoseconds fit exactly"
    )]
    fn cumulative(&self, at: Span) -> f64 {
        let (start, growth) = self.line();
        let at = at.0 as f64;
        at * (start + growth * at / 2.0)
    }

    /// The instant before which `arrivals` are expected, rounded down to the nanosecond.
    ///
    /// The root of `a t + k t^2 / 2 = n` in the form that does not cancel:
    /// `t = 2 n / (a + sqrt(a^2 + 2 k n))` (Press et al., Numerical Recipes, section 5.6).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates; the value is not negative"
    )]
    fn inverse(&self, arrivals: f64) -> Span {
        if arrivals <= 0.0 {
            return Span::ZERO;
        }
        let (start, growth) = self.line();
        let root = libm::sqrt((start * start + 2.0 * growth * arrivals).max(0.0));
        Span((2.0 * arrivals / (start + root)) as u64)
    }
}
