//! A stand-in until the estimator is merged.

use crate::record::windows::Edge;

pub type Weighted = (Edge, Option<Edge>, f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    pub from: Edge,
    pub to: Option<Edge>,
}

#[derive(Clone, Debug)]
pub struct Npmle {
    regions: Vec<Region>,
    masses: Vec<f64>,
}

impl Npmle {
    pub fn of(windows: impl Iterator<Item = Weighted>) -> Option<Self> {
        let windows: Vec<Weighted> = windows.collect();
        let mut edges: Vec<Edge> = windows
            .iter()
            .flat_map(|w| [Some(w.0), w.1])
            .flatten()
            .collect();
        edges.sort();
        edges.dedup();
        let n: f64 = windows.iter().map(|w| w.2).sum();
        if n <= 0.0 {
            return None;
        }
        let cells = edges.len();
        let place = |e: Edge| edges.binary_search(&e).unwrap_or(0);
        let pairs: Vec<(usize, usize, f64)> = windows
            .iter()
            .map(|w| (place(w.0), w.1.map_or(cells, place), w.2 / n))
            .collect();
        let mut p = vec![1.0 / cells as f64; cells];
        for _ in 0..300 {
            let mut f = vec![0.0; cells + 1];
            for k in 0..cells {
                f[k + 1] = f[k] + p[k];
            }
            let mut g = vec![0.0; cells + 1];
            for &(l, r, w) in &pairs {
                let d = f[r] - f[l];
                g[l] += w / d;
                g[r] -= w / d;
            }
            let mut sum = 0.0;
            for k in 0..cells {
                sum += g[k];
                p[k] *= sum;
            }
        }
        let regions = (0..cells)
            .map(|k| Region {
                from: edges[k],
                to: edges.get(k + 1).copied(),
            })
            .collect();
        Some(Self { regions, masses: p })
    }

    pub fn regions(&self) -> impl Iterator<Item = (Region, f64)> + '_ {
        self.regions
            .iter()
            .copied()
            .zip(self.masses.iter().copied())
    }
}
