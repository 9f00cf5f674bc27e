//! Attempts: how long the service waits before it calls again about the same work, by the number of
//! the attempt. It shows the retry schedule of the service.

use crate::time::Span;

/// Attempts that are told apart; later ones count with the last.
pub const MOST: usize = 16;

/// The times between two attempts of the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// How many.
    pub count: u64,
    /// All of them together, in nanoseconds.
    pub sum: u128,
    /// The shortest.
    pub least: Span,
    /// The longest.
    pub most: Span,
}

impl Gap {
    fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let least = if self.count == 0 {
            other.least
        } else {
            self.least.min(other.least)
        };
        *self = Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            least,
            most: self.most.max(other.most),
        };
    }

    /// The mean, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    pub fn mean(&self) -> f64 {
        self.sum as f64 / 1e9 / self.count as f64
    }
}

/// Times between attempts, by the number of the later one: from the second attempt on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts([Gap; MOST - 1]);

impl Attempts {
    /// Attempt `number` of a work came this long after the one before.
    pub fn add(&mut self, number: u32, gap: Span) {
        let place = (number as usize).clamp(2, MOST) - 2;
        self.0[place].merge(&Gap {
            count: 1,
            sum: u128::from(gap.0),
            least: gap,
            most: gap,
        });
    }

    /// Adds those of another shard or time.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.merge(theirs);
        }
    }

    /// The number of each attempt that was seen, and the times before it.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Gap)> {
        (2..).zip(&self.0).filter(|(_, gap)| gap.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_sum_by_the_number_of_the_attempt() {
        let (mut one, mut two) = (Attempts::default(), Attempts::default());
        one.add(2, Span::from_secs(5));
        two.add(2, Span::from_secs(7));
        two.add(3, Span::from_secs(300));
        two.add(99, Span::from_secs(1));
        one.merge(&two);
        let seen: Vec<_> = one
            .iter()
            .map(|(number, gap)| (number, gap.count))
            .collect();
        assert_eq!(seen, [(2, 2), (3, 1), (16, 1)]);
        let (_, second) = one.iter().next().unwrap();
        assert_eq!(
            (second.least, second.most),
            (Span::from_secs(5), Span::from_secs(7))
        );
        assert!((second.mean() - 6.0).abs() < 1e-12);
    }
}
