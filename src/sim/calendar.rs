//! The time windows of a plan, merged and sorted.

use crate::scenario::Window;
use crate::time::Tick;

/// Half-open windows `[from, until)` that neither overlap nor touch, ascending.
#[derive(Clone, Debug)]
pub(super) struct Calendar(Vec<(Tick, Tick)>);

impl Calendar {
    /// Merges windows that overlap or touch; empty ones are left out.
    pub(super) fn new(windows: &[Window]) -> Self {
        let mut spans: Vec<(Tick, Tick)> = windows
            .iter()
            .map(|window| {
                (
                    Tick::ZERO + window.at,
                    Tick::ZERO + window.at + window.length,
                )
            })
            .filter(|(from, until)| from < until)
            .collect();
        spans.sort_unstable();
        let mut merged: Vec<(Tick, Tick)> = Vec::with_capacity(spans.len());
        for (from, until) in spans {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        Self(merged)
    }

    /// The end of the window that `now` lies in.
    pub(super) fn end_at(&self, now: Tick) -> Option<Tick> {
        let next = self.0.partition_point(|(_, until)| *until <= now);
        let (from, until) = *self.0.get(next)?;
        (from <= now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use proptest::prelude::*;

    fn window(at: u64, length: u64) -> Window {
        Window {
            at: Span(at),
            length: Span(length),
        }
    }

    #[test]
    fn windows_are_half_open_and_merge() {
        let calendar = Calendar::new(&[window(20, 5), window(25, 5), window(2, 3), window(9, 0)]);
        let check = |now, end: Option<u64>| assert_eq!(calendar.end_at(Tick(now)), end.map(Tick));
        check(1, None);
        check(2, Some(5));
        check(4, Some(5));
        check(5, None);
        check(9, None);
        check(20, Some(30));
        check(27, Some(30));
        check(30, None);
    }

    proptest! {
        /// The truth by brute force: follow windows until none holds the instant.
        #[test]
        fn the_end_is_the_first_instant_outside_all_windows(
            windows in proptest::collection::vec((0_u64..100, 0_u64..20), 0..8),
            now in 0_u64..130,
        ) {
            let windows: Vec<Window> = windows.iter().map(|&(a, l)| window(a, l)).collect();
            let inside = |t: u64| {
                windows.iter().any(|w| w.at.0 <= t && t < w.at.0 + w.length.0)
            };
            let end = (now..=200).find(|&t| !inside(t)).map(Tick);
            let found = Calendar::new(&windows).end_at(Tick(now));
            prop_assert_eq!(found.unwrap_or(Tick(now)), end.unwrap());
            prop_assert_eq!(found.is_some(), inside(now));
        }
    }
}
