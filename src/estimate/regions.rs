//! Regions: where the mass of a law can be placed by windows alone.
//!
//! Of all ways to spread a mass over time, the likelihood of windows `(from, to]` knows only how
//! much each of them holds. It is largest where mass lies in the innermost intervals: those from a
//! `from` to the next `to`, with neither between them (Peto, Applied Statistics 22, 1973; Turnbull,
//! J. Royal Stat. Soc. B 38, 1976). Where in a region its mass lies, no likelihood says.

use crate::record::windows::Edge;

/// A window, and how many works had it: after the first edge, and not after the second. Without a
/// second edge it had not happened by the first.
pub type Weighted = (Edge, Option<Edge>, f64);

/// After `from`, and not after `to`; without a `to`, later than whatever was seen, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it begins.
    pub from: Edge,
    /// Where it ends.
    pub to: Option<Edge>,
}

/// The regions of some windows, in ascending order. None overlaps another, and each window holds
/// one at least.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Regions {
    pub(super) all: Vec<Region>,
    /// By the number of an edge: how many regions begin before it.
    begun: Vec<u32>,
    /// By the number of an edge: how many regions have ended by it.
    ended: Vec<u32>,
}

/// Windows that hold the same regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// The first region.
    pub(super) first: u32,
    /// The one after the last.
    pub(super) end: u32,
    /// How many windows: a share of all, where it was asked for.
    pub(super) weight: f64,
}

impl Regions {
    pub(super) fn of(windows: &[Weighted]) -> Self {
        let all = innermost(windows);
        let edges = Edge::LAST.number() + 1;
        let (mut begun, mut ended) = (Vec::with_capacity(edges), Vec::with_capacity(edges));
        let (mut begins, mut ends) = (0, 0);
        for number in 0..edges {
            let at = |region: usize| all.get(region);
            begun.push(count(begins));
            begins += usize::from(at(begins).is_some_and(|it| it.from.number() == number));
            let end = at(ends).and_then(|it| it.to);
            ends += usize::from(end.is_some_and(|to| to.number() == number));
            ended.push(count(ends));
        }
        Self { all, begun, ended }
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Runs in ascending order, each once. Windows without a weight are left out.
    pub(super) fn runs(&self, windows: &[Weighted]) -> Vec<Run> {
        let run = |window: &Weighted| Run {
            first: self.begun[window.0.number()],
            end: window
                .1
                .map_or(count(self.count()), |to| self.ended[to.number()]),
            weight: window.2,
        };
        let mut runs: Vec<Run> = windows.iter().filter(|it| it.2 > 0.0).map(run).collect();
        // Stable, so that the weights of a run are always summed in the same order.
        runs.sort_by_key(|run| (run.first, run.end));
        runs.dedup_by(|next, kept| {
            let same = (next.first, next.end) == (kept.first, kept.end);
            kept.weight += if same { next.weight } else { 0.0 };
            same
        });
        runs
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).expect("no more regions than edges")
}

fn innermost(windows: &[Weighted]) -> Vec<Region> {
    let mut begins = vec![false; Edge::LAST.number() + 1];
    let mut ends = begins.clone();
    let mut is_open = false;
    for (from, to, _) in windows.iter().filter(|window| window.2 > 0.0) {
        begins[from.number()] = true;
        match to {
            Some(to) => ends[to.number()] = true,
            None => is_open = true,
        }
    }
    let mut found = Vec::new();
    let mut begun = None;
    for number in 0..begins.len() {
        let edge = Edge::numbered(number).expect("as many as there are edges");
        // A window that ends at an edge holds it, one that begins there does not.
        if ends[number]
            && let Some(from) = begun.take()
        {
            let to = Some(edge);
            found.push(Region { from, to });
        }
        if begins[number] {
            begun = Some(edge);
        }
    }
    if is_open && let Some(from) = begun {
        found.push(Region { from, to: None });
    }
    found
}
