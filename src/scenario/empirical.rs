//! `Empirical`: a law that was measured, as a curve through points.

use std::sync::Arc;

use crate::time::Span;

/// A distribution function that is linear between its points. It begins at no time and no share,
/// ends at the share 1, and ascends in both; where the time stays and the share jumps, that share
/// has exactly that time.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    /// Seconds and share.
    points: Arc<[(f64, f64)]>,
}

impl Empirical {
    /// The law of those that are in the curve: shares are parts of the last one. None if that is 0.
    ///
    /// # Panics
    /// If the points do not ascend in both, or begin below 0.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let total = points.last().map(|(_, share)| *share)?;
        let mut before = (0.0, 0.0);
        let mut curve = vec![before];
        for &(seconds, share) in points {
            assert!(seconds >= before.0 && share >= before.1, "points ascend");
            before = (seconds, share);
            curve.push((seconds, share / total));
        }
        (total > 0.0).then(|| Self {
            points: curve.into(),
        })
    }

    /// The time by which a share below 1 has ended: the inverse, which makes of a uniform number
    /// one of this law (Devroye, Non-Uniform Random Variate Generation, 1986, section II.2).
    pub fn quantile(&self, share: f64) -> Span {
        let after = self
            .points
            .partition_point(|(_, reached)| *reached <= share);
        let (from, low) = self.points[after.clamp(1, self.points.len()) - 1];
        let (to, high) = self.points.get(after).copied().unwrap_or((from, 1.0));
        if high <= low {
            return Span::from_secs_f64(to);
        }
        Span::from_secs_f64(from + (to - from) * (share - low) / (high - low))
    }

    /// The share that lasts longer than so many seconds.
    pub fn survival(&self, seconds: f64) -> f64 {
        let after = self.points.partition_point(|(at, _)| *at <= seconds);
        let Some(&(to, high)) = self.points.get(after) else {
            return 0.0;
        };
        match after.checked_sub(1).map(|place| self.points[place]) {
            Some((from, low)) => 1.0 - low - (high - low) * (seconds - from) / (to - from),
            None => 1.0,
        }
    }

    /// The mean in seconds: that of each piece is its middle.
    pub fn mean(&self) -> f64 {
        let pieces = self.points.iter().zip(&self.points[1..]);
        pieces
            .map(|((from, low), (to, high))| (high - low) * f64::midpoint(*from, *to))
            .sum()
    }

    /// How many points it has, the first at no time included.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Never: it has two points at least.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law() -> Empirical {
        // A quarter between 1 s and 3 s, a quarter at exactly 3 s, half between 4 s and 6 s.
        let points = [(1.0, 0.0), (3.0, 0.2), (3.0, 0.4), (4.0, 0.4), (6.0, 0.8)];
        Empirical::through(&points).unwrap()
    }

    #[test]
    fn quantiles_and_survival_are_inverse_on_each_piece() {
        let check = |share: f64, seconds: f64| {
            let found = law().quantile(share).seconds();
            assert!((found - seconds).abs() < 1e-9, "{share}: {found}");
        };
        check(0.0, 1.0);
        check(0.125, 2.0);
        check(0.25, 3.0);
        check(0.49, 3.0);
        check(0.5, 4.0);
        check(0.75, 5.0);
        check(1.0 - 1e-12, 6.0);
        let check = |seconds: f64, share: f64| {
            let found = law().survival(seconds);
            assert!((found - share).abs() < 1e-12, "{seconds}: {found}");
        };
        check(0.5, 1.0);
        check(2.0, 0.875);
        check(2.999_999_999_999_9, 0.75);
        check(3.0, 0.5);
        check(3.5, 0.5);
        check(5.0, 0.25);
        check(6.0, 0.0);
        check(9.0, 0.0);
    }

    #[test]
    fn its_mean_is_that_of_its_pieces() {
        // 0.25 x 2 + 0.25 x 3 + 0.5 x 5
        assert!((law().mean() - 3.75).abs() < 1e-12);
    }

    #[test]
    fn without_any_share_there_is_no_law() {
        assert_eq!(Empirical::through(&[]), None);
        assert_eq!(Empirical::through(&[(1.0, 0.0), (2.0, 0.0)]), None);
    }
}
