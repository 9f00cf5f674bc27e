//! Bursts: how many ends fall into a short window, where they come independently.

/// Windows in which bursts are told, in seconds.
pub const WINDOWS: [f64; 3] = [0.01, 1.0, 10.0];

/// Seconds in which a peak is reached once: an hour.
const ONCE_IN: f64 = 3_600.0;

/// Standard deviations beyond which nothing is summed up: the share of what lies there is below
/// 1e-20.
const WIDE: f64 = 10.0;

/// The peak rate to provide for, a second: in one window an hour more come, in the mean.
///
/// Ends of independent works are a Poisson process whatever the law of their times, if their
/// arrivals are one (Mirasol, Operations Research 11 (1963), the output of an M/G/infinity queue).
/// Where they come in bursts the index of dispersion (variance over mean of the counts) is above
/// 1; then they are reckoned as bursts of so many that come independently.
pub fn peak(per_second: f64, window: f64, dispersion: f64) -> f64 {
    let together = dispersion.max(1.0);
    let bursts = per_second * window / together;
    let share = 1.0 - (window / ONCE_IN).min(0.5);
    poisson_quantile(bursts, share) * together / window
}

/// The most at once of those that are each there for so many seconds, above which they are in one
/// such time an hour: the number in an M/G/infinity queue is Poisson with the mean rate x time.
pub fn most_at_once(per_second: f64, seconds: f64, dispersion: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    (peak(per_second, seconds, dispersion) * seconds).ceil()
}

/// How unevenly something came, by the windows of one length in a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispersion {
    /// Variance over mean of the counts.
    pub index: f64,
    /// How many windows there were.
    pub windows: f64,
}

impl Dispersion {
    /// Fewest windows that tell anything.
    const FEWEST: f64 = 30.0;

    /// The index where it is above that of a Poisson process by more than chance makes it; else 1.
    /// The index of n Poisson counts has the standard error `sqrt(2 / (n - 1))` (Cox and Lewis, The
    /// Statistical Analysis of Series of Events, 1966).
    pub fn beyond_chance(self) -> f64 {
        let error = (2.0 / (self.windows - 1.0).max(1.0)).sqrt();
        let is_told = self.windows >= Self::FEWEST && self.index > 1.0 + 3.0 * error;
        if is_told { self.index } else { 1.0 }
    }
}

/// The smallest number that a Poisson variable of this mean does not exceed with the probability
/// `share`.
pub fn poisson_quantile(mean: f64, share: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let far = WIDE * mean.sqrt() + WIDE;
    let (first, last) = ((mean - far).max(0.0).floor(), (mean + far).ceil());
    let chance = |k: f64| libm::exp(k * libm::log(mean) - mean - libm::lgamma(k + 1.0));
    let mut number = first;
    let mut sum = chance(number);
    while sum < share && number < last {
        number += 1.0;
        sum += chance(number);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{DiscreteCDF, Poisson};

    #[test]
    fn poisson_quantiles_are_those_of_another_implementation() {
        for mean in [0.001, 0.5, 3.0, 47.3, 1_000.0, 250_000.0] {
            for share in [0.5, 0.99, 1.0 - 1e-6] {
                let oracle = Poisson::new(mean).unwrap();
                let found = poisson_quantile(mean, share);
                #[expect(
                    clippy::cast_sign_loss,
                    clippy::cast_possible_truncation,
                    reason = "a count"
                )]
                let count = found as u64;
                assert!(oracle.cdf(count) >= share - 1e-9, "{mean} {share}: {found}");
                let below = count.checked_sub(1).map_or(0.0, |below| oracle.cdf(below));
                assert!(below < share + 1e-9, "{mean} {share}: {found}");
            }
        }
        assert!(poisson_quantile(0.0, 0.9).abs() < 1e-12);
    }

    #[test]
    fn short_windows_have_higher_peaks() {
        let [short, second, ten] = WINDOWS.map(|window| peak(100.0, window, 1.0));
        // 100 a second: 3.6 standard deviations of 10 above, and in 10 ms seven instead of one.
        assert!((136.0..140.0).contains(&second), "{second}");
        assert!(short > 500.0 && ten < 112.0, "{short} {ten}");
        let bursty = peak(100.0, 1.0, 4.0);
        assert!((170.0..180.0).contains(&bursty), "{bursty}");
    }

    #[test]
    fn unevenness_counts_where_chance_does_not_explain_it() {
        let told = |index, windows| Dispersion { index, windows }.beyond_chance();
        for (index, windows, expected) in [(1.5, 800.0, 1.5), (1.1, 800.0, 1.0), (9.0, 3.0, 1.0)] {
            assert!(
                (told(index, windows) - expected).abs() < 1e-12,
                "{index} {windows}"
            );
        }
    }

    #[test]
    fn a_receiver_holds_what_came_while_it_was_busy() {
        // A mean of half a callback: seven at once are as rare as once in an hour.
        let most = most_at_once(10.0, 0.05, 1.0);
        assert!((6.0..=7.0).contains(&most), "{most}");
        assert!(most_at_once(10.0, 0.0, 1.0).abs() < 1e-12);
    }
}
