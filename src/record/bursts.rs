//! Bursts: how unevenly callbacks come. Counted in cells of 10 ms, from which windows of 10 ms, 1 s
//! and 10 s follow.

use crate::time::{Span, Tick};

/// The finest window.
pub const CELL: Span = Span::from_millis(10);

/// Callbacks in cells, the empty ones left out: what an interval holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells(Vec<(u64, u32)>);

impl Cells {
    /// A callback was read.
    pub fn add(&mut self, at: Tick) {
        self.add_many(at.0 / CELL.0, 1);
    }

    /// So many were read in a cell, which are counted from the origin of the run.
    pub fn add_many(&mut self, cell: u64, callbacks: u32) {
        // They come in the order of time, or nearly so.
        let place = self.0.iter().rposition(|(other, _)| *other <= cell);
        match place {
            Some(place) if self.0[place].0 == cell => self.0[place].1 += callbacks,
            Some(place) => self.0.insert(place + 1, (cell, callbacks)),
            None => self.0.insert(0, (cell, callbacks)),
        }
    }

    /// Adds those of another shard.
    pub fn merge(&mut self, other: &Self) {
        for (cell, callbacks) in &other.0 {
            self.add_many(*cell, *callbacks);
        }
    }

    /// The cells that are not empty, in their order, with their callbacks.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.0.iter().copied()
    }
}

/// Windows of one length, side by side from the origin of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The window that is being filled, and what is in it.
    current: u64,
    in_current: u64,
    /// Of those before it.
    most: u64,
    squares: u128,
    all: u64,
}

impl Windows {
    fn add(&mut self, window: u64, callbacks: u64) {
        if window > self.current {
            self.finish();
            self.current = window;
        }
        // One that comes late is counted where it is told.
        self.in_current += callbacks;
        self.all += callbacks;
    }

    fn finish(&mut self) {
        self.most = self.most.max(self.in_current);
        self.squares += u128::from(self.in_current).pow(2);
        self.in_current = 0;
    }

    /// The peak, and the index of dispersion of the first `windows` windows.
    #[expect(clippy::cast_precision_loss, reason = "statistics for people")]
    fn burst(mut self, window: Span, windows: u64) -> Option<Burst> {
        self.finish();
        let windows = windows as f64;
        let mean = self.all as f64 / windows;
        let variance = self.squares as f64 / windows - mean * mean;
        (self.all > 0).then(|| Burst {
            window,
            most: self.most,
            mean,
            dispersion: variance / mean,
        })
    }
}

/// How unevenly callbacks came, in windows of one length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The length of a window.
    pub window: Span,
    /// The most callbacks in one.
    pub most: u64,
    /// The mean of all windows until the end of the run, the empty ones with them.
    pub mean: f64,
    /// The index of dispersion: variance by mean of the counts; 1 where they come as a Poisson
    /// process (Cox and Lewis 1966, 4.5).
    pub dispersion: f64,
}

/// How many cells a window has.
const LENGTHS: [u64; 3] = [1, 100, 1_000];

/// All windows of a run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts([Windows; 3]);

impl Bursts {
    /// Adds those of an interval; intervals come in their order.
    pub fn add(&mut self, cells: &Cells) {
        for (cell, callbacks) in cells.iter() {
            for (windows, length) in self.0.iter_mut().zip(LENGTHS) {
                windows.add(cell / length, u64::from(callbacks));
            }
        }
    }

    /// For windows of 10 ms, 1 s and 10 s, of a run that lasted until `end`; nothing without
    /// callbacks.
    pub fn until(&self, end: Tick) -> Vec<Burst> {
        let of = |(windows, length): (&Windows, u64)| {
            let window = Span(CELL.0 * length);
            windows.burst(window, end.0.div_ceil(window.0).max(1))
        };
        self.0.iter().zip(LENGTHS).filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::ZERO + Span::from_millis(millis)
    }

    #[test]
    fn peak_and_dispersion_by_hand() {
        let mut cells = Cells::default();
        for millis in [0, 5, 9, 10, 1_500, 1_509, 20_001] {
            cells.add(at(millis));
        }
        let mut bursts = Bursts::default();
        bursts.add(&cells);
        let found = bursts.until(at(40_000));
        let peaks: Vec<u64> = found.iter().map(|burst| burst.most).collect();
        assert_eq!(peaks, [3, 4, 6]);
        // Of 4 windows of 10 s: 6, 0, 1, 0. Mean 7/4, mean of squares 37/4.
        let tens = found[2];
        assert!((tens.mean - 1.75).abs() < 1e-12);
        let dispersion = (37.0 / 4.0 - 1.75 * 1.75) / 1.75;
        assert!((tens.dispersion - dispersion).abs() < 1e-12);
    }

    #[test]
    fn shards_sum_and_late_ones_are_not_lost() {
        let (mut one, mut two) = (Cells::default(), Cells::default());
        for millis in [30, 10, 20, 11] {
            one.add(at(millis));
        }
        two.add(at(15));
        one.merge(&two);
        assert!(one.iter().eq([(1, 3), (2, 1), (3, 1)]));
    }

    #[test]
    fn without_callbacks_there_is_nothing_to_say() {
        assert!(Bursts::default().until(at(1_000)).is_empty());
    }
}
