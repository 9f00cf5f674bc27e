//! `Sojourn`: how long works take from the submit to their end, whoever looks.

use std::sync::Arc;

use crate::estimate::curve::Curve;
use crate::scenario::earlier::Ended;
use crate::scenario::{Empirical, Law};
use crate::time::Span;

/// Points at which a law is made a curve.
#[cfg(test)]
const POINTS: u32 = 20_000;

/// The law of the sojourn times of a service, as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Sojourn {
    curve: Curve,
    /// Of those that end.
    ends: Empirical,
    points: Vec<(f64, f64)>,
}

impl Sojourn {
    /// By what an earlier run saw; none where it saw no end.
    pub fn of_ended(ended: &[Ended]) -> Option<Self> {
        let points = ended.iter();
        let points = points.map(|at| (at.seconds, (at.completed + at.failed).min(1.0)));
        Self::through(points.collect())
    }

    /// Through ages in seconds and the shares that have ended by then, which ascend.
    fn through(points: Vec<(f64, f64)>) -> Option<Self> {
        Some(Self {
            curve: Curve::through(points.iter().copied())?,
            ends: Empirical::through(&points)?,
            points,
        })
    }

    /// All of them `times` as long: what if the service slows down?
    #[must_use]
    pub fn stretched(&self, times: f64) -> Self {
        let points = self.points.iter();
        let points = points.map(|&(seconds, share)| (times * seconds, share));
        Self::through(points.collect()).expect("a stretched curve is a curve")
    }

    /// The curve.
    pub const fn curve(&self) -> &Curve {
        &self.curve
    }

    /// The mean in seconds of those that end.
    pub fn mean(&self) -> f64 {
        self.ends.mean()
    }

    /// A quantile in seconds of those that end.
    pub fn quantile(&self, share: f64) -> f64 {
        self.ends.quantile(share).seconds()
    }

    /// The share that is open at an age in seconds.
    pub fn open(&self, seconds: f64) -> f64 {
        1.0 - self.curve.share(seconds)
    }

    /// The share that was not seen to end.
    pub fn endless(&self) -> f64 {
        (1.0 - self.curve.known()).max(0.0)
    }

    /// The mean time in seconds for which a work is open between two ages: the integral of the
    /// survival function, whose value from 0 on is the mean (Feller, An Introduction to
    /// Probability Theory, vol. 2, V.6, lemma 1).
    pub fn open_time(&self, from: f64, to: f64) -> f64 {
        if to <= from {
            return 0.0;
        }
        (to - from) * self.open(from) - self.curve.undetected(from, to)
    }

    /// The law of the times that are left after so many seconds; where a work ended sooner, none.
    pub fn law_after(&self, seconds: f64) -> Law {
        let points = self.points.iter();
        let points = points.map(|&(at, share)| ((at - seconds).max(0.0), share));
        let points: Vec<_> = points.collect();
        let law = Empirical::through(&points).expect("a shifted curve is a curve");
        Law::Empirical(law)
    }

    /// What had ended by each age, as an earlier run tells it.
    pub fn ended(&self) -> Arc<[Ended]> {
        let points = self.points.iter();
        let ended = points.map(|&(seconds, completed)| Ended {
            seconds,
            completed,
            failed: 0.0,
        });
        ended.collect()
    }

    /// So many works that stand for all that end: the middles of equal shares, in ascending order.
    pub fn middles(&self, works: u32) -> impl Iterator<Item = f64> + '_ {
        let works_f = f64::from(works);
        (0..works).map(move |work| self.quantile((f64::from(work) + 0.5) / works_f))
    }

    /// A law as a curve, up to the age at which fewer than a millionth are open.
    #[cfg(test)]
    pub(crate) fn of_law(law: &str) -> Self {
        let law = Law::parse(law).unwrap();
        let mut until = 1.0;
        while law.survival(until) > 1e-6 {
            until *= 1.1;
        }
        let fixed = if let Law::Fixed(length) = law {
            vec![(length.seconds(), 0.0), (length.seconds(), 1.0)]
        } else {
            let ages = (0..POINTS).map(|at| until * f64::from(at) / f64::from(POINTS));
            let ages = ages.map(|age| (age, 1.0 - law.survival(age)));
            ages.chain([(until, 1.0)]).collect()
        };
        Self::through(fixed).unwrap()
    }
}

/// What lies between a caller and the service, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// From the submit to its accept.
    pub accept: f64,
    /// From a poll to its answer.
    pub round_trip: f64,
}

impl Way {
    /// The age of a work, counted from its submit, that the service tells to a poll which leaves so
    /// many seconds after the accept.
    pub fn age(self, after_accept: f64) -> f64 {
        self.accept + after_accept + self.one_way()
    }

    /// From the caller to the service, or back.
    pub fn one_way(self) -> f64 {
        self.round_trip / 2.0
    }

    /// From the accept on, on the wire: what the service itself takes to accept.
    pub fn accept_delay(self) -> Span {
        Span::from_secs_f64((self.accept - self.round_trip).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-3 * expected.abs().max(1.0),
            "{found}, not {expected}"
        );
    }

    #[test]
    fn a_law_keeps_its_mean_and_what_is_left_of_it() {
        let exponential = Sojourn::of_law("exp(8s)");
        near(exponential.mean(), 8.0);
        near(exponential.open_time(0.0, 1e9), 8.0);
        // Of the memoryless law the same is left at every age, to those that are still open.
        near(
            exponential.open_time(3.0, 1e9),
            8.0 * (-3.0_f64 / 8.0).exp(),
        );
        near(exponential.open(8.0), (-1.0_f64).exp());
        near(exponential.quantile(0.5), 8.0 * 2.0_f64.ln());
        let twice = exponential.stretched(2.0);
        near(twice.mean(), 16.0);
        let fixed = Sojourn::of_law("fixed(9s)");
        near(fixed.open_time(4.0, 100.0), 5.0);
        near(fixed.middles(3).sum::<f64>(), 27.0);
        near(fixed.law_after(4.0).survival(4.9), 1.0);
        near(fixed.law_after(4.0).survival(5.1), 0.0);
    }

    #[test]
    fn what_was_not_seen_to_end_stays_open() {
        let ended = |seconds, completed, failed| Ended {
            seconds,
            completed,
            failed,
        };
        let sojourn = Sojourn::of_ended(&[ended(1.0, 0.0, 0.0), ended(3.0, 0.6, 0.2)]).unwrap();
        near(sojourn.endless(), 0.2);
        near(sojourn.mean(), 2.0);
        near(sojourn.open_time(0.0, 10.0), 0.8 * 2.0 + 0.2 * 10.0);
        assert_eq!(Sojourn::of_ended(&[ended(1.0, 0.0, 0.0)]), None);
    }
}
