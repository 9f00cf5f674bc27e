//! The run time: from the begin of a work to its end, where polls bound both.
//!
//! With `B` the age at the begin and `X` the run time a work is seen as `B` in `(b, b']` and
//! `B + X` in `(e, e']`. Given the law of `B` and `X` independent of it, the likelihood of that is
//! the mean, over `B` within its window, of `F(e' - B) - F(e - B)` (De Gruttola and Lagakos,
//! Biometrics 45, 1989). The law of `B` is known from its own windows, so it is taken as given, and
//! `F` is estimated in a second step (Gomez and Lagakos, Biometrics 50, 1994).
//! `docs/run-time.md` says more.
//!
//! `F` rises evenly within each cell of a grid. The mean logarithm of the likelihood is concave in
//! the masses of the cells; self-consistency (Turnbull 1976) multiplies each by its slope `g`, and
//! `max g - 1` bounds how far it is from the largest there is, as for all mixtures (Lindsay, Annals
//! of Statistics 11, 1983).

use super::bands::NoBands;
use super::family::Risks;
use super::quantiles::{LEVELS, Quantile, least_works};
use super::{Estimate, Family, Npmle, Point};
use crate::record::blocks::Blocks;
use crate::record::stints::{Stint, Stints};
use crate::record::windows::Edge;

/// Places at which the begin may lie within its window, as likely as each other.
const PLACES: u32 = 16;
/// Where all of them are this close, as a share of the time to the end, they are one.
const CLOSE: f64 = 0.01;
/// The grid has every fourth of the edges that windows have.
const STEP: usize = 4;
/// The gap that is good enough, of a work.
const GAP: f64 = 1e-4;
/// The same of all works together. The largest likelihood of a law with eight free masses exceeds
/// that of the true law by more in one of 20 runs (Wilks 1938): beyond it there is only noise to
/// follow.
const GAP_OF_ALL: f64 = 8.0;
/// The most looks at a place of a work. The gap is told as it is then.
const MOST: usize = 100_000_000;
/// Sums of masses are this exact, at least; smaller masses are none.
const ROUNDING: f64 = 1e-9;

impl Estimate {
    /// The run time of works that began. None where none was seen to have.
    ///
    /// A work that was not seen to begin, nor to end, says nothing of it and is not counted.
    pub fn run_time(blocks: &Blocks) -> Option<Self> {
        let seen = blocks.sum();
        let begun = Risks::of(&seen.windows, Family::QueueWait);
        let begins = Begins::of(&Npmle::of_all(&begun.all)?);
        let law = Law::of(&seen.stints, &begins)?;
        let count = |is_counted: fn(&Stint) -> bool| -> u64 {
            let counted = seen.stints.iter().filter(|(stint, _)| is_counted(stint));
            counted.map(|(_, works)| works).sum()
        };
        let works = count(|_| true);
        Some(Self {
            works,
            censored: count(|stint| stint.ended.1.is_none()),
            gap: law.gap,
            curve: law.curve(),
            bands: Err(NoBands::TwoTimes),
            quantiles: LEVELS.map(|level| law.quantile(level, works)),
            midpoints: midpoints(&seen.stints, works),
            mean: law.mean(),
        })
    }
}

/// The law of the begin: straight between its knots.
struct Begins {
    /// Ages in seconds, and the probability by then; both ascend.
    knots: Vec<(f64, f64)>,
}

impl Begins {
    fn of(npmle: &Npmle) -> Self {
        let mut knots = vec![(0.0, 0.0)];
        let mut sum = 0.0;
        for (region, mass) in npmle.regions() {
            let Some(to) = region.to else { continue };
            knots.push((region.from.age().seconds(), sum));
            sum += mass;
            knots.push((to.age().seconds(), sum));
        }
        Self { knots }
    }

    fn by(&self, age: f64) -> f64 {
        let after = self.knots.partition_point(|knot| knot.0 <= age);
        let before = self.knots[after.max(1) - 1];
        let Some(next) = self.knots.get(after) else {
            return before.1;
        };
        before.1 + (next.1 - before.1) * (age - before.0) / (next.0 - before.0)
    }

    /// The age by which it has this probability; it is one that is reached.
    fn age(&self, probability: f64) -> f64 {
        let after = (self.knots).partition_point(|knot| knot.1 < probability);
        let before = self.knots[after.max(1) - 1];
        let Some(next) = self.knots.get(after).filter(|next| next.1 > before.1) else {
            return before.0;
        };
        before.0 + (next.0 - before.0) * (probability - before.1) / (next.1 - before.1)
    }

    /// Places within a window, as likely as each other. Where all of the window's probability lies
    /// beside it, as it may by the rounding to a grid, that is taken; where there is none, they are
    /// spread evenly.
    fn within(&self, from: Edge, to: Edge) -> Vec<f64> {
        let beside = |edge: Edge, step: usize| Edge::numbered(edge.number().saturating_add(step));
        let before = Edge::numbered(from.number().saturating_sub(STEP)).unwrap_or(from);
        let after = beside(to, STEP).unwrap_or(to);
        let parts = (0..PLACES).map(|place| (f64::from(place) + 0.5) / f64::from(PLACES));
        for (from, to) in [(from, to), (before, after)] {
            let by = [from, to].map(|edge| self.by(edge.age().seconds()));
            if by[1] - by[0] > ROUNDING {
                return (parts.map(|part| self.age(by[0] + (by[1] - by[0]) * part))).collect();
            }
        }
        let (from, to) = (from.age().seconds(), to.age().seconds());
        parts.map(|part| from + (to - from) * part).collect()
    }
}

/// A place on the grid: a cell, and how much of it lies before.
#[derive(Clone, Copy, Debug)]
struct Place {
    cell: u32,
    part: f64,
}

/// What a stint says: with each place of the begin, between which two run times the end lies.
struct Term {
    /// Of all works, those that have it.
    share: f64,
    /// Where its spans begin, and where they end.
    first: usize,
    end: usize,
}

/// The most likely law of the run time.
struct Law {
    /// Of the cells, in seconds.
    edges: Vec<f64>,
    /// Of the cells, and of what is later than the last.
    masses: Vec<f64>,
    gap: f64,
}

impl Law {
    fn of(stints: &Stints, begins: &Begins) -> Option<Self> {
        let last = stints.iter().map(|(stint, _)| {
            let last = stint.ended.1.unwrap_or(stint.ended.0);
            last.number().div_ceil(STEP).max(1)
        });
        let last = last.max()?;
        let edge = |number: usize| Edge::numbered(number * STEP).unwrap_or(Edge::LAST);
        let edges = (0..=last).map(|number| edge(number).age().seconds());
        let edges: Vec<f64> = edges.collect();
        let (terms, spans) = terms(stints, begins, &edges);
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 works")]
        let works = stints.iter().map(|(_, works)| works).sum::<u64>() as f64;
        let enough = GAP.max(GAP_OF_ALL / works);
        let mut law = Self::even(edges, stints.iter().any(|it| it.0.ended.1.is_none()));
        let mut looks = 0;
        loop {
            let slopes = law.slopes(&terms, &spans);
            law.gap = slopes.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b)) - 1.0;
            looks += spans.len() + slopes.len();
            if law.gap <= enough || looks > MOST {
                return Some(law);
            }
            for (mass, slope) in law.masses.iter_mut().zip(&slopes) {
                *mass *= slope;
            }
        }
    }

    /// Spread evenly over time; a part is later than the last edge where that may be.
    fn even(edges: Vec<f64>, is_open: bool) -> Self {
        let whole = edges[edges.len() - 1] * if is_open { 2.0 } else { 1.0 };
        let mut masses: Vec<f64> =
            (edges.windows(2).map(|pair| (pair[1] - pair[0]) / whole)).collect();
        masses.push(if is_open { 0.5 } else { 0.0 });
        Self {
            edges,
            masses,
            gap: f64::INFINITY,
        }
    }

    /// By how much the mean logarithm of the likelihood rises with the mass of each cell.
    fn slopes(&self, terms: &[Term], spans: &[[Place; 2]]) -> Vec<f64> {
        let mut sums = Vec::with_capacity(self.masses.len() + 1);
        let mut sum = 0.0;
        for mass in &self.masses {
            sums.push((sum, *mass));
            sum += mass;
        }
        sums.push((sum, 0.0));
        let by = |place: Place| {
            let (before, mass) = sums[place.cell as usize];
            before + place.part * mass
        };
        // Of each cell: what counts for a part of it, and what counts for all cells before it.
        let mut parts = vec![(0.0, 0.0); sums.len()];
        for term in terms {
            let spans = &spans[term.first..term.end];
            let likely: f64 = spans.iter().map(|span| by(span[1]) - by(span[0])).sum();
            let slope = term.share / likely;
            for [from, to] in spans {
                let cell = &mut parts[to.cell as usize];
                cell.0 += slope * to.part;
                cell.1 += slope;
                let cell = &mut parts[from.cell as usize];
                cell.0 -= slope * from.part;
                cell.1 -= slope;
            }
        }
        let mut after = 0.0;
        let mut slopes = vec![0.0; self.masses.len()];
        for (place, (part, before)) in parts.into_iter().enumerate().rev() {
            if let Some(slope) = slopes.get_mut(place) {
                *slope = after + part;
            }
            after += before;
        }
        slopes
    }

    /// Each cell that has mass: where it begins and ends, the mass before it, and its own.
    fn cells(&self) -> impl Iterator<Item = ([f64; 2], f64, f64)> + '_ {
        let mut sum = 0.0;
        let cells = self.edges.windows(2).zip(&self.masses);
        let all = cells.map(move |(edges, mass)| {
            let before = sum;
            sum += mass;
            ([edges[0], edges[1]], before, *mass)
        });
        all.filter(|(_, _, mass)| *mass > ROUNDING)
    }

    fn curve(&self) -> Vec<Point> {
        let mut curve: Vec<Point> = Vec::new();
        let point = |seconds, cdf| Point {
            seconds,
            cdf,
            completed: cdf,
            failed: 0.0,
        };
        for ([from, to], before, mass) in self.cells() {
            if curve.last().is_none_or(|last| last.seconds < from) {
                curve.push(point(from, before));
            }
            curve.push(point(to, before + mass));
        }
        curve
    }

    fn quantile(&self, level: f64, works: u64) -> Quantile {
        let mut cells = self.cells();
        let found = cells.find(|(_, before, mass)| before + mass >= level - ROUNDING);
        let value = found.map(|([from, to], before, mass)| {
            from + (to - from) * ((level - before) / mass).clamp(0.0, 1.0)
        });
        Quantile {
            value,
            low: None,
            high: None,
            supported: value.is_some() && works >= least_works(level),
        }
    }

    fn mean(&self) -> Option<f64> {
        let beyond = self.masses[self.masses.len() - 1];
        let parts = self
            .cells()
            .map(|([from, to], _, mass)| mass * f64::midpoint(from, to));
        (beyond <= ROUNDING).then(|| parts.sum())
    }
}

/// What each stint says on a grid of these edges.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 works")]
fn terms(stints: &Stints, begins: &Begins, edges: &[f64]) -> (Vec<Term>, Vec<[Place; 2]>) {
    let cell = |number: usize| u32::try_from(number).expect("cells are few");
    let beyond = cell(edges.len() - 1);
    let place = |age: f64| {
        let after = edges.partition_point(|edge| *edge <= age);
        match (
            after.checked_sub(1).map(|before| edges[before]),
            edges.get(after),
        ) {
            (Some(before), Some(next)) => Place {
                cell: cell(after - 1),
                part: (age - before) / (next - before),
            },
            (None, _) => Place { cell: 0, part: 0.0 },
            (_, None) => Place {
                cell: beyond,
                part: 0.0,
            },
        }
    };
    let works: u64 = stints.iter().map(|(_, works)| works).sum();
    let (mut terms, mut spans) = (Vec::new(), Vec::new());
    for (Stint { begun, ended }, alike) in stints.iter() {
        let (from, to) = (
            ended.0.age().seconds(),
            ended.1.map(|to| to.age().seconds()),
        );
        let mut places = begins.within(begun.0, begun.1);
        let (earliest, latest) = (places[0], places[places.len() - 1]);
        if latest - earliest <= CLOSE * (to.unwrap_or(from) - latest) {
            places = vec![f64::midpoint(earliest, latest)];
        }
        let first = spans.len();
        let never = Place {
            cell: beyond + 1,
            part: 0.0,
        };
        for begin in places {
            let to = to.map(|to| place((to - begin).max(edges[1])));
            spans.push([place(from - begin), to.unwrap_or(never)]);
        }
        let end = spans.len();
        let share = alike as f64 / works as f64;
        terms.push(Term { share, first, end });
    }
    (terms, spans)
}

/// Quantiles of the times between the middles of both windows, in seconds; works that were not seen
/// to end are larger than every value.
fn midpoints(stints: &Stints, works: u64) -> [Option<f64>; LEVELS.len()] {
    let middle = |from: Edge, to: Edge| u64::midpoint(from.micros(), to.micros());
    let seen = stints.iter().filter_map(|(Stint { begun, ended }, works)| {
        let end = middle(ended.0, ended.1?);
        Some((end.saturating_sub(middle(begun.0, begun.1)), works))
    });
    let mut times: Vec<(u64, u64)> = seen.collect();
    times.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        reason = "fewer than 2^53 works or microseconds"
    )]
    LEVELS.map(|level| {
        let mut left = level * works as f64;
        let found = times.iter().find(|(_, works)| {
            left -= *works as f64;
            left <= 0.0
        });
        found.map(|(time, _)| *time as f64 / 1e6)
    })
}

#[cfg(test)]
mod tests;
