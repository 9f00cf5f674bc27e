//! The curve on a coarse grid: straight between a few edges, and so smooth that theory knows how
//! sure it is.
//!
//! The most likely law of all rises in few steps, whose places are chance: it converges with the
//! cube root of the works, to a limit that is not normal, and the bootstrap fails on it
//! (Groeneboom and Wellner 1992; Kosorok 2008). With a bounded number of masses the usual theory
//! holds (Tang, Banerjee and Kosorok, Annals of Statistics 40, 2012). So the masses here are those
//! of at most `n^(1/3)` cells, with a straight density in each. The windows stay on the fine grid:
//! rounded outward to the coarse one they would no longer be independent of what they bound.
//!
//! The maximum is found by Newton's method in the cumulated masses. A hundredth of a work in each
//! cell (the logarithmic barrier of interior points) keeps masses above 0.

use super::npmle::Npmle;
use super::regions::{Region, Weighted};
use super::solve::Symmetric;
use crate::record::windows::Edge;

/// What the barrier is worth: works that are added to each cell.
const BARRIER: f64 = 0.01;
/// Newton's steps at most.
const MOST_STEPS: usize = 60;
/// The rise of the logarithm of the likelihood that is not worth another step.
const NO_RISE: f64 = 1e-5;
/// Works beyond the last inner edge at least, so that the last cell is not empty by chance.
const LAST_WORKS: f64 = 10.0;
/// The first cell has this share of the polls of another: below it nobody asked.
const FIRST: f64 = 0.1;
/// A cell's density changes by this share of its mean, from the middle to either end, at most.
const MOST_TILT: f64 = 0.95;

/// Where the coarse cells meet, in ascending order; and whether mass may be beyond the last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) edges: Vec<Edge>,
    /// Of each cell: how much denser its end is than its middle, as a share; the density is
    /// straight within it. From -1 to 1.
    tilts: Vec<f64>,
    /// The first cell of the upper end, with fewer polls than others.
    thin: usize,
    /// The last age at which anything was seen to have happened.
    seen: Edge,
    has_beyond: bool,
}

impl Grid {
    /// At most `works^(1/3)` cells. They have equally much of the middles of the windows each, but
    /// for those at the upper end, which have half as much as the one before. None where windows
    /// tell the curve at no age, or there are too few works for two cells.
    pub(super) fn of(npmle: &Npmle, windows: &[Weighted]) -> Option<Self> {
        let works = npmle.weight();
        let seen = windows.iter().filter_map(|window| window.1).max()?;
        let regions: Vec<Region> = npmle.regions().map(|(region, _)| region).collect();
        let first = regions.first()?.from;
        let last = regions.iter().rev().find_map(|region| region.to)?;
        let asked = asked(windows);
        let polls: f64 = asked.iter().map(|(_, works)| works).sum();
        let mut edges = vec![first];
        let mut sum = 0.0;
        let mut polled = asked.iter();
        let mut at = first;
        let mut thin = 0;
        let (levels, full) = levels(works);
        for (number, level) in levels.into_iter().enumerate() {
            while sum < level * polls {
                let Some((edge, works)) = polled.next() else {
                    break;
                };
                (sum, at) = (sum + works, *edge);
            }
            let edge = told(&regions, at);
            if Some(&edge) > edges.last() && edge < last {
                edges.push(edge);
            }
            if number < full {
                thin = edges.len() - 1;
            }
        }
        edges.push(last);
        let has_beyond = regions.last().is_some_and(|region| region.to.is_none());
        let tilts = vec![0.0; edges.len() - 1];
        (edges.len() > 2).then_some(Self {
            edges,
            tilts,
            thin,
            seen,
            has_beyond,
        })
    }

    /// The same grid, each cell tilted by the slope from the one neighbour to the other, and nowhere
    /// below 0 (van Leer, J. Computational Physics 32, 1979). The first and the last cell are flat.
    fn tilted(&self, sums: &[f64]) -> Self {
        let cells = self.tilts.len();
        let seconds = |place: usize| self.edges[place].age().seconds();
        let width = |cell: usize| seconds(cell + 1) - seconds(cell);
        let density = |cell: usize| (sums[cell + 1] - sums[cell]) / width(cell);
        let middle = |cell: usize| f64::midpoint(seconds(cell), seconds(cell + 1));
        let tilt = |cell: usize| {
            if cell == 0 || cell + 1 == cells {
                return 0.0;
            }
            // The first cell is small: its density is chance, and no neighbour to look at.
            let before = if cell == 1 { 1 } else { cell - 1 };
            let slope = (density(cell + 1) - density(before)) / (middle(cell + 1) - middle(before));
            (slope * width(cell) / (2.0 * density(cell))).clamp(-MOST_TILT, MOST_TILT)
        };
        Self {
            tilts: (0..cells).map(tilt).collect(),
            ..self.clone()
        }
    }

    /// How many cumulated masses there are, the 0 before the first cell and the 1 at the end
    /// included.
    fn nodes(&self) -> usize {
        self.edges.len() + usize::from(self.has_beyond)
    }

    fn place(&self, age: Option<Edge>) -> Place {
        let last = self.edges.len() - 1;
        let Some(age) = age else {
            return Place::node(self.nodes() - 1);
        };
        let next = self.edges.partition_point(|edge| *edge <= age);
        if next == 0 || next > last {
            return Place::node(if next == 0 { 0 } else { last });
        }
        let seconds = |place: usize| self.edges[place].age().seconds();
        let (from, to) = (seconds(next - 1), seconds(next));
        let way = (age.age().seconds() - from) / (to - from);
        let tilt = self.tilts[next - 1];
        Place {
            node: next - 1,
            part: way * (1.0 - tilt * (1.0 - way)),
        }
    }

    /// The age by which a share has happened, if the cumulated masses are these: from the one to
    /// the other, as in a thin cell it is told only that it is there. None where it is beyond.
    pub(super) fn quantile(&self, sums: &[f64], share: f64) -> Option<(f64, f64)> {
        let seconds = |place: usize| self.edges[place].age().seconds();
        let next = sums[1..].partition_point(|sum| *sum < share) + 1;
        let last = self.edges.len() - 1;
        if next > last {
            return None;
        }
        let (from, to) = (seconds(next - 1), seconds(next));
        if next == last {
            return Some((from, self.seen.age().seconds()));
        }
        if next > self.thin {
            return Some((from, to));
        }
        let part = (share - sums[next - 1]) / (sums[next] - sums[next - 1]);
        let (part, tilt) = (part.clamp(0.0, 1.0), self.tilts[next - 1]);
        let flat = 1.0 - tilt;
        let way = 2.0 * part / (flat + (flat * flat + 4.0 * tilt * part).sqrt());
        let at = from + (to - from) * way.clamp(0.0, 1.0);
        Some((at, at))
    }
}

/// How much is below each inner edge, in ascending order, and how many of them are below the thin
/// cells.
fn levels(works: f64) -> (Vec<f64>, usize) {
    let cells = libm::floor(libm::cbrt(works) + 1e-9);
    // Upwards from the last cell, each has twice as much, until they are as large as the others.
    let mut above = vec![LAST_WORKS.max(cells) / works];
    while above.last().is_some_and(|above| above * cells < 1.0) {
        above.push(above.last().map_or(1.0, |above| above * 2.0));
    }
    let rest = 1.0 - above.last().map_or(0.0, |above| *above);
    #[expect(clippy::cast_precision_loss, reason = "cells are few")]
    let left = cells - above.len() as f64;
    let mut levels = Vec::new();
    let mut level = FIRST;
    while level < left - 1.0 + FIRST {
        levels.push(rest * level / (left - 1.0 + FIRST));
        level += 1.0;
    }
    let full = levels.len();
    levels.extend(above.iter().rev().map(|above| 1.0 - above));
    (levels, full)
}

/// The ages at which polls told something, in ascending order, and how many works were asked then.
fn asked(windows: &[Weighted]) -> Vec<(Edge, f64)> {
    let ends = windows.iter().flat_map(|(from, to, works)| {
        let from = Some(*from).filter(|from| *from > Edge::ZERO);
        from.into_iter().chain(*to).map(|edge| (edge, *works))
    });
    let mut asked: Vec<(Edge, f64)> = ends.collect();
    asked.sort_by_key(|(edge, _)| *edge);
    asked
}

/// The edge, or where it is within a region, the nearer end of that: how the mass of a region is
/// spread no window can tell.
fn told(regions: &[Region], edge: Edge) -> Edge {
    let place = regions.partition_point(|region| region.to.is_some_and(|to| to < edge));
    let Some(Region { from, to: Some(to) }) = regions.get(place) else {
        return edge;
    };
    if edge <= *from || edge >= *to {
        return edge;
    }
    let is_nearer = edge.number() - from.number() < to.number() - edge.number();
    if is_nearer { *from } else { *to }
}

/// A place between two nodes.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: usize,
    /// How far on the way to the next one.
    part: f64,
}

impl Place {
    const fn node(node: usize) -> Self {
        Self { node, part: 0.0 }
    }

    fn on(self, sums: &[f64]) -> f64 {
        let here = sums[self.node];
        if self.part > 0.0 {
            here + (sums[self.node + 1] - here) * self.part
        } else {
            here
        }
    }
}

/// Windows as places on the coarse grid.
pub(super) struct Sieve {
    grid: Grid,
    /// Of each window: where it begins and ends.
    places: Vec<(Place, Place)>,
}

impl Sieve {
    pub(super) fn of(grid: Grid, windows: &[Weighted]) -> Self {
        let place = |window: &Weighted| (grid.place(Some(window.0)), grid.place(window.1));
        let places = windows.iter().map(place).collect();
        Self { grid, places }
    }

    /// The same windows, in cells that are tilted as these cumulated masses tell.
    pub(super) fn tilted(&self, windows: &[Weighted], sums: &[f64]) -> Self {
        Self::of(self.grid.tilted(sums), windows)
    }

    pub(super) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Where the search begins: as another law has it, and a little of everything.
    pub(super) fn start(&self, cdf: impl Fn(Edge) -> f64) -> Vec<f64> {
        let mut sums: Vec<f64> = self.grid.edges.iter().map(|edge| cdf(*edge)).collect();
        sums.resize(self.grid.nodes(), 1.0);
        let last = sums.len() - 1;
        (sums[0], sums[last]) = (0.0, 1.0);
        mixed(&sums, 0.05)
    }

    /// The cumulated masses that make the windows, with these weights, most likely, searched from
    /// others.
    pub(super) fn maximise(&self, weights: &[f64], from: &[f64]) -> Vec<f64> {
        let mut sums = mixed(from, 1e-3);
        let mut matrix = Symmetric::zero(sums.len() - 2);
        let mut value = self.value(weights, &sums);
        for _ in 0..MOST_STEPS {
            let slopes = self.look(weights, &sums, &mut matrix);
            let Some(step) = matrix.solve(&slopes) else {
                break;
            };
            let rise: f64 = slopes
                .iter()
                .zip(&step)
                .map(|(slope, step)| slope * step)
                .sum();
            if rise <= NO_RISE {
                break;
            }
            let mut part = furthest(&sums, &step);
            loop {
                let there = moved(&sums, &step, part);
                let worth = self.value(weights, &there);
                if worth >= value + 1e-4 * part * rise {
                    (sums, value) = (there, worth);
                    break;
                }
                part /= 2.0;
                if part < 1e-9 {
                    return sums;
                }
            }
        }
        sums
    }

    /// The logarithm of the likelihood, and of the barrier.
    fn value(&self, weights: &[f64], sums: &[f64]) -> f64 {
        let each = self
            .places
            .iter()
            .zip(weights)
            .filter(|(_, weight)| **weight > 0.0);
        let likelihood: f64 = each
            .map(|((from, to), weight)| weight * libm::log(to.on(sums) - from.on(sums)))
            .sum();
        let cells = sums.windows(2).map(|pair| libm::log(pair[1] - pair[0]));
        likelihood + BARRIER * cells.sum::<f64>()
    }

    /// The slopes in the inner nodes; the matrix becomes the Hessian with its sign turned.
    fn look(&self, weights: &[f64], sums: &[f64], matrix: &mut Symmetric) -> Vec<f64> {
        let mut slopes = vec![0.0; sums.len() - 2];
        matrix.clear();
        for ((from, to), weight) in self.places.iter().zip(weights) {
            if *weight <= 0.0 {
                continue;
            }
            let slope = weight / (to.on(sums) - from.on(sums));
            let bend = slope * slope / weight;
            let parts = [
                (to.node, 1.0 - to.part),
                (to.node + 1, to.part),
                (from.node, from.part - 1.0),
                (from.node + 1, -from.part),
            ];
            add(&mut slopes, matrix, &parts, slope, bend);
        }
        for cell in 0..sums.len() - 1 {
            let mass = sums[cell + 1] - sums[cell];
            let (slope, bend) = (BARRIER / mass, BARRIER / (mass * mass));
            add(
                &mut slopes,
                matrix,
                &[(cell + 1, 1.0), (cell, -1.0)],
                slope,
                bend,
            );
        }
        slopes
    }
}

/// Adds a term that depends on these nodes, in these parts. The first and the last node are fixed.
fn add(slopes: &mut [f64], matrix: &mut Symmetric, parts: &[(usize, f64)], slope: f64, bend: f64) {
    let inner = |node: usize| node.checked_sub(1).filter(|it| *it < slopes.len());
    let mut free = [(0, 0.0); 4];
    let mut many = 0;
    for (node, part) in parts {
        if let Some(place) = inner(*node).filter(|_| *part != 0.0) {
            free[many] = (place, *part);
            many += 1;
        }
    }
    for (place, part) in &free[..many] {
        slopes[*place] += slope * part;
        for (other, times) in &free[..many] {
            if other <= place {
                matrix.add(*place, *other, bend * part * times);
            }
        }
    }
}

/// A part of each is replaced by evenly spread masses.
#[expect(clippy::cast_precision_loss, reason = "cells are few")]
fn mixed(sums: &[f64], part: f64) -> Vec<f64> {
    let cells = (sums.len() - 1) as f64;
    let each = sums.iter().enumerate();
    each.map(|(node, sum)| sum * (1.0 - part) + part * node as f64 / cells)
        .collect()
}

fn moved(sums: &[f64], step: &[f64], part: f64) -> Vec<f64> {
    let mut there = sums.to_vec();
    for (sum, step) in there[1..].iter_mut().zip(step) {
        *sum += step * part;
    }
    there
}

/// How much of a step can be gone, so that no cell loses more than nine tenths of its mass.
fn furthest(sums: &[f64], step: &[f64]) -> f64 {
    let at = |node: usize| {
        node.checked_sub(1)
            .and_then(|it| step.get(it))
            .copied()
            .unwrap_or(0.0)
    };
    let mut part: f64 = 1.0;
    for cell in 0..sums.len() - 1 {
        let (mass, change) = (sums[cell + 1] - sums[cell], at(cell + 1) - at(cell));
        if change < 0.0 {
            part = part.min(-0.9 * mass / change);
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One work in each cell of the grid before an edge, up to `edges`.
    fn points(edges: usize) -> Vec<Weighted> {
        let edge = |number| Edge::numbered(number).unwrap();
        let point = |number: usize| (edge(number - 1), Some(edge(number)), 1.0);
        (1..=edges).map(point).collect()
    }

    #[test]
    fn of_points_the_shares_below_each_edge_are_found() {
        let all = points(1_000);
        let npmle = Npmle::of_all(&all).unwrap();
        let grid = Grid::of(&npmle, &all).unwrap();
        assert!(
            (8..=10).contains(&(grid.edges.len() - 1)),
            "{:?}",
            grid.edges
        );
        let mut sieve = Sieve::of(grid, &all);
        let weights: Vec<f64> = all.iter().map(|window| window.2).collect();
        let mut sums = sieve.start(|_| 0.5);
        for _ in 0..2 {
            sums = sieve.maximise(&weights, &sums);
            for (edge, sum) in sieve.grid().edges.iter().zip(&sums) {
                // The barrier adds a hundredth of a work to each cell.
                let share = f64::from(u16::try_from(edge.number()).unwrap()) / 1_000.0;
                assert!((sum - share).abs() < 2e-4, "{edge:?}: {sum} and {share}");
            }
            sieve = sieve.tilted(&all, &sums);
        }
    }

    #[test]
    fn a_quantile_is_where_its_share_is_below() {
        let all = points(1_000);
        let npmle = Npmle::of_all(&all).unwrap();
        let flat = Grid::of(&npmle, &all).unwrap();
        let sums: Vec<f64> = flat.edges.iter().map(|edge| npmle.cdf(*edge)).collect();
        for grid in [flat.tilted(&sums), flat] {
            for number in (grid.edges[0].number() + 1)..grid.edges[grid.thin].number() {
                let edge = Edge::numbered(number).unwrap();
                let share = grid.place(Some(edge)).on(&sums);
                let (low, high) = grid.quantile(&sums, share).unwrap();
                assert!(low.total_cmp(&high).is_eq());
                let there = edge.age().seconds();
                assert!((low / there - 1.0).abs() < 1e-9, "{low} and {there}");
            }
            // In the thin cells only the edges are told, in the last one the latest of all.
            let (from, to) = grid.quantile(&sums, 0.9995).unwrap();
            assert!(from < to && to.total_cmp(&1_000e-6).is_ge());
        }
    }

    #[test]
    fn no_edge_lies_where_nobody_asked() {
        // All are asked at the same four ages: between them nothing is told.
        let edge = |number| Edge::numbered(number).unwrap();
        let all = [
            (0, 100, 300.0),
            (100, 200, 400.0),
            (200, 300, 200.0),
            (300, 400, 100.0),
        ];
        let all = all.map(|(from, to, works)| (edge(from), Some(edge(to)), works));
        let grid = Grid::of(&Npmle::of_all(&all).unwrap(), &all).unwrap();
        let numbers: Vec<usize> = grid.edges.iter().map(|edge| edge.number()).collect();
        assert_eq!(numbers, [0, 100, 200, 300, 400]);
        assert!(Grid::of(&Npmle::of_all(&all[..1]).unwrap(), &all[..1]).is_none());
    }
}
