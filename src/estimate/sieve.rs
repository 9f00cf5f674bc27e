//! The curve on a coarse grid: straight between a few edges, and so smooth that theory knows how
//! sure it is.
//!
//! The most likely law of all rises in few steps, whose places are chance: it converges with the
//! cube root of the works, to a limit that is not normal, and the bootstrap fails on it
//! (Groeneboom and Wellner 1992; Kosorok 2008). With a bounded number of masses the usual theory
//! holds (Tang, Banerjee and Kosorok, Annals of Statistics 40, 2012). So the masses here are those
//! of at most `n^(1/3)` cells, each spread evenly over its cell. The windows stay on the fine grid:
//! rounded to the coarse one they would be later at both ends, and no longer independent of what
//! they bound.
//!
//! The maximum is found by Newton's method in the cumulated masses. A hundredth of a work in each
//! cell (the logarithmic barrier of interior points) keeps masses above 0.

use super::npmle::Npmle;
use super::regions::Weighted;
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

/// Where the coarse cells meet, in ascending order; and whether mass may be beyond the last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) edges: Vec<Edge>,
    has_beyond: bool,
}

impl Grid {
    /// At most `works^(1/3)` cells: equally many cells of the fine grid each, which is nearly
    /// evenly in the logarithm, but for the first and the last. None where there are fewer than
    /// two.
    pub(super) fn of(npmle: &Npmle, works: f64) -> Option<Self> {
        let most = libm::floor(libm::cbrt(works) + 1e-9);
        let regions: Vec<_> = npmle.regions().map(|(region, _)| region).collect();
        let first = regions.first()?.from;
        let last = regions.iter().rev().find_map(|region| region.to)?;
        let ended = 1.0 - npmle.beyond();
        let tail = LAST_WORKS.max(most) / works;
        let at = |share: f64| Some(npmle.quantile(share)?.1);
        let low = at(ended / most)?.to?.number();
        let high = at(ended - tail)?.to?.number();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let inner = (most as usize).checked_sub(2).filter(|inner| *inner > 0)?;
        let step = high.saturating_sub(low).div_ceil(inner).max(1);
        let mut edges = vec![first];
        // An edge within a region would ask what no window can tell.
        let told = |number: usize| {
            let edge = Edge::numbered(number)?;
            let place = regions.partition_point(|region| region.to.is_some_and(|to| to < edge));
            let Some((region, to)) = regions.get(place).and_then(|it| Some((it, it.to?))) else {
                return Some(edge);
            };
            let is_nearer =
                edge.number().saturating_sub(region.from.number()) < to.number() - edge.number();
            Some(match region.from < edge && edge < to {
                true if is_nearer => region.from,
                true => to,
                false => edge,
            })
        };
        for number in (low..=high).step_by(step) {
            edges.extend(told(number).filter(|edge| Some(edge) > edges.last() && *edge < last));
        }
        edges.push(last);
        let has_beyond = regions.last().is_some_and(|region| region.to.is_none());
        (edges.len() > 2).then_some(Self { edges, has_beyond })
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
        Place {
            node: next - 1,
            part: (age.age().seconds() - from) / (to - from),
        }
    }

    /// The age by which a share has happened, if the cumulated masses are these. In the last cell
    /// it is told only that it is there, from one edge to the other; none where it is beyond.
    pub(super) fn quantile(&self, sums: &[f64], share: f64) -> Option<(f64, f64)> {
        let seconds = |place: usize| self.edges[place].age().seconds();
        let next = sums[1..].partition_point(|sum| *sum < share) + 1;
        let last = self.edges.len() - 1;
        if next > last {
            return None;
        }
        let (from, to) = (seconds(next - 1), seconds(next));
        if next == last {
            return Some((from, to));
        }
        let part = (share - sums[next - 1]) / (sums[next] - sums[next - 1]);
        let at = from + (to - from) * part.clamp(0.0, 1.0);
        Some((at, at))
    }
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
