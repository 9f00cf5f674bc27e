//! How sure the curve is: 95 % bounds, from the run's own stretches of time.
//!
//! Works that end in the same minute saw the same service, so they are not drawn one by one: whole
//! blocks of the run's time are drawn with replacement, as many as there are, and the coarse curve
//! is computed anew from what ended in them (the block bootstrap: Carlstein, Annals of Statistics
//! 14, 1986). The interval is that of percentiles. Few blocks vary too little among each other; the
//! percentiles are moved outward as far as Student's law is from the normal (Hesterberg, American
//! Statistician 69, 2015).

use super::chance::{normal, student};
use super::family::{Family, Risks};
use super::npmle::Npmle;
use super::quantiles::LEVELS;
use super::regions::Weighted;
use super::sieve::{Grid, Sieve};
use crate::random::{Purpose, stream, unit};
use crate::record::blocks::Blocks;

/// The curve on the coarse grid, with bounds for each of its edges alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// In ascending order.
    pub points: Vec<BandPoint>,
    /// How many stretches of the run were drawn from.
    pub blocks: usize,
    /// How often.
    pub resamples: usize,
    /// The 95 % interval of each of [`LEVELS`], in seconds; without an end where it is beyond what
    /// was seen.
    pub(super) quantiles: [(f64, Option<f64>); LEVELS.len()],
}

/// Bounds at one age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandPoint {
    /// The age.
    pub seconds: f64,
    /// The probability by then, on the coarse grid.
    pub cdf: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Why there are no bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBands {
    /// Fewer works than that.
    FewWorks {
        /// At least so many.
        least: u64,
    },
    /// Fewer stretches of the run in which works ended.
    FewBlocks {
        /// So many.
        blocks: usize,
        /// At least so many.
        least: usize,
    },
    /// The windows tell the curve at one age only, or at none: all works were asked at the same
    /// ages.
    OneAge,
    /// Two times are bounded: the begin is estimated itself, and how unsure it is would be in the
    /// bands too.
    TwoTimes,
}

/// Works at least: fewer have a handful of coarse cells.
const LEAST_WORKS: u64 = 125;
/// Blocks at least: the spread of fewer is hardly known.
const LEAST_BLOCKS: usize = 20;
/// Blocks at most. More are joined with their neighbours, so that what lasts longer than a block
/// stays together.
const MOST_BLOCKS: usize = 64;
/// How often the cells are tilted anew.
const TILTED: usize = 2;
/// How often is drawn.
const RESAMPLES: usize = 200;
/// The share of an interval that is left out at each side.
const SIDE: f64 = 0.025;

impl Bands {
    pub(super) fn of(
        blocks: &Blocks,
        family: Family,
        (npmle, risks): (&Npmle, &Risks),
        seed: u64,
    ) -> Result<Self, NoBands> {
        if risks.works < LEAST_WORKS {
            return Err(NoBands::FewWorks { least: LEAST_WORKS });
        }
        let shares = Shares::of(blocks, family, &risks.all);
        if shares.blocks.len() < LEAST_BLOCKS {
            return Err(NoBands::FewBlocks {
                blocks: shares.blocks.len(),
                least: LEAST_BLOCKS,
            });
        }
        let grid = Grid::of(npmle, &risks.all).ok_or(NoBands::OneAge)?;
        let mut sieve = Sieve::of(grid, &shares.windows);
        let whole = shares.whole();
        let start = sieve.start(|edge| npmle.cdf(edge));
        let mut best = sieve.maximise(&whole, &start);
        for _ in 0..TILTED {
            sieve = sieve.tilted(&shares.windows, &best);
            best = sieve.maximise(&whole, &best);
        }
        let drawn: Vec<Vec<f64>> = (0..RESAMPLES as u64)
            .map(|index| sieve.maximise(&shares.drawn(seed, index), &best))
            .collect();
        Ok(Self::around(&sieve, &best, &drawn, shares.blocks.len()))
    }

    fn around(sieve: &Sieve, best: &[f64], drawn: &[Vec<f64>], blocks: usize) -> Self {
        let grid = sieve.grid();
        let side = side(blocks);
        let inner = 1..best.len() - 1;
        let point = |node: usize| {
            let mut values: Vec<f64> = drawn.iter().map(|sums| sums[node]).collect();
            let (low, high) = interval(&mut values, side);
            BandPoint {
                seconds: grid.edges[node].age().seconds(),
                cdf: best[node],
                low: low.min(best[node]),
                high: high.max(best[node]),
            }
        };
        let last = grid.edges.last().map_or(0.0, |edge| edge.age().seconds());
        let quantile = |level: f64| {
            let found = drawn.iter().map(|sums| grid.quantile(sums, level));
            let (mut lows, mut highs): (Vec<f64>, Vec<f64>) = found
                .map(|found| found.unwrap_or((last, f64::INFINITY)))
                .unzip();
            let (low, _) = interval(&mut lows, side);
            let (_, high) = interval(&mut highs, side);
            (low, Some(high).filter(|high| high.is_finite()))
        };
        Self {
            points: inner.map(point).collect(),
            blocks,
            resamples: drawn.len(),
            quantiles: LEVELS.map(quantile),
        }
    }
}

/// What is left out at each side, so that it is [`SIDE`] in truth.
#[expect(clippy::cast_precision_loss, reason = "blocks are few")]
fn side(blocks: usize) -> f64 {
    let blocks = blocks as f64;
    normal(-student(1.0 - SIDE, blocks - 1.0) * (blocks / (blocks - 1.0)).sqrt())
}

/// The percentiles at both sides: values between two of those drawn are nearer to the outer one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values are few"
)]
#[expect(clippy::cast_precision_loss, reason = "values are few")]
fn interval(values: &mut [f64], side: f64) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let rank = libm::floor(side * (values.len() + 1) as f64) as usize;
    let place = rank.saturating_sub(1).min(values.len() - 1);
    (values[place], values[values.len() - 1 - place])
}

/// Windows, and how many of each every block has.
struct Shares {
    windows: Vec<Weighted>,
    /// The number of a window, and how many works had it.
    blocks: Vec<Vec<(u32, f64)>>,
}

impl Shares {
    /// The windows are those of all blocks, in ascending order of their happenings.
    fn of(blocks: &Blocks, family: Family, all: &[Weighted]) -> Self {
        let mut windows = all.to_vec();
        windows.sort_by_key(|window| (window.0, window.1));
        windows.dedup_by_key(|window| (window.0, window.1));
        let number = |window: &Weighted| {
            let found = windows.binary_search_by_key(&(window.0, window.1), |it| (it.0, it.1));
            let place = found.expect("the sum of the blocks has all of their windows");
            (
                u32::try_from(place).expect("fewer than 2^32 windows"),
                window.2,
            )
        };
        let each = blocks
            .iter()
            .map(|block| Risks::of(&block.seen.windows, family).all);
        let mut blocks: Vec<Vec<(u32, f64)>> = each
            .map(|all| all.iter().map(number).collect())
            .filter(|all: &Vec<_>| !all.is_empty())
            .collect();
        let together = blocks.len().div_ceil(MOST_BLOCKS).max(1);
        if together > 1 {
            blocks = blocks.chunks(together).map(<[_]>::concat).collect();
        }
        Self { windows, blocks }
    }

    /// How many works had each window.
    fn whole(&self) -> Vec<f64> {
        self.weights(std::iter::repeat_n(1.0, self.blocks.len()))
    }

    /// The same of blocks that are drawn with replacement.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "blocks are few"
    )]
    #[expect(clippy::cast_precision_loss, reason = "blocks are few")]
    fn drawn(&self, seed: u64, index: u64) -> Vec<f64> {
        let mut random = stream(seed, Purpose::named("bands"), index);
        let mut times = vec![0.0; self.blocks.len()];
        for _ in 0..times.len() {
            times[(unit(&mut random) * self.blocks.len() as f64) as usize] += 1.0;
        }
        self.weights(times.into_iter())
    }

    fn weights(&self, times: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut weights = vec![0.0; self.windows.len()];
        for (block, times) in self
            .blocks
            .iter()
            .zip(times)
            .filter(|(_, times)| *times > 0.0)
        {
            for (window, works) in block {
                weights[*window as usize] += works * times;
            }
        }
        weights
    }
}
