//! Random times by a [`Law`], the same on every machine.
//!
//! Uniform numbers come from `random`, and logarithms from `libm`, which is the same code
//! everywhere; so a seed means the same lives wherever it is used.

use crate::random::{Rng, unit};
use crate::scenario::Law;
use crate::time::Span;

/// True in a share `ratio` of the cases. Always takes one number, so that a changed ratio changes
/// nothing that is drawn after it.
pub(super) fn happens(rng: &mut impl Rng, ratio: f64) -> bool {
    unit(rng) < ratio
}

/// One time by the law, rounded to the nanosecond.
///
/// Exponential by inversion, log-normal by Box and Muller (1958), a mixture by its weights in
/// order, a measured curve by its inverse.
pub fn draw(law: &Law, rng: &mut impl Rng) -> Span {
    match law {
        Law::Fixed(length) => *length,
        Law::Uniform(low, high) => {
            let (low, high) = (low.seconds(), high.seconds());
            Span::from_secs_f64(low + (high - low) * unit(rng))
        }
        Law::Exponential(mean) => Span::from_secs_f64(-mean.seconds() * libm::log1p(-unit(rng))),
        Law::Lognormal(median, sigma) => {
            let radius = libm::sqrt(-2.0 * libm::log1p(-unit(rng)));
            let normal = radius * libm::cos(std::f64::consts::TAU * unit(rng));
            Span::from_secs_f64(median.seconds() * libm::exp(sigma * normal))
        }
        Law::Mixture(parts) => {
            let mut left = unit(rng);
            for (weight, part) in parts {
                if left < *weight {
                    return draw(part, rng);
                }
                left -= weight;
            }
            // Only what rounding left over of the weights comes here.
            parts.last().map_or(Span::ZERO, |(_, part)| draw(part, rng))
        }
        Law::Empirical(curve) => curve.quantile(unit(rng)),
    }
}

/// The mean of the law in seconds. With `workers` servers, `rate * mean / workers` is the load.
pub fn mean(law: &Law) -> f64 {
    match law {
        Law::Fixed(length) | Law::Exponential(length) => length.seconds(),
        Law::Uniform(low, high) => f64::midpoint(low.seconds(), high.seconds()),
        Law::Lognormal(median, sigma) => median.seconds() * libm::exp(sigma * sigma / 2.0),
        Law::Mixture(parts) => parts.iter().map(|(weight, part)| weight * mean(part)).sum(),
        Law::Empirical(curve) => curve.mean(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use statrs::distribution::{ContinuousCDF, Exp, LogNormal, Uniform};

    const N: usize = 40_000;

    fn sorted_sample(law: &Law) -> Vec<f64> {
        let mut rng = stream(7, Purpose::named("test"), 0);
        let mut sample: Vec<f64> = (0..N).map(|_| draw(law, &mut rng).seconds()).collect();
        sample.sort_by(f64::total_cmp);
        sample
    }

    /// Kolmogorov and Smirnov: for N samples of the law the largest distance between the empirical
    /// and the true distribution exceeds 1.95 / sqrt(N) once in a thousand seeds.
    fn check(law: &Law, cdf: impl Fn(f64) -> f64) {
        let sample = sorted_sample(law);
        let n = f64::from(u32::try_from(N).unwrap());
        let distance = sample
            .iter()
            .zip(0_u32..)
            .map(|(&x, i)| {
                let (below, with) = (f64::from(i) / n, f64::from(i + 1) / n);
                (cdf(x) - below).abs().max((with - cdf(x)).abs())
            })
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "{law:?}: distance {distance}");
        let average = sample.iter().sum::<f64>() / n;
        let spread = sample.iter().map(|x| (x - average).powi(2)).sum::<f64>() / n;
        let error = (average - mean(law)).abs() / (spread / n).sqrt();
        assert!(error < 3.3, "{law:?}: mean off by {error} standard errors");
    }

    #[test]
    fn laws_follow_their_distributions() {
        let second = Span::from_secs(1);
        check(&Law::Uniform(second, Span::from_secs(3)), |x| {
            Uniform::new(1.0, 3.0).unwrap().cdf(x)
        });
        check(&Law::Exponential(Span::from_secs(2)), |x| {
            Exp::new(0.5).unwrap().cdf(x)
        });
        check(&Law::Lognormal(Span::from_secs(2), 0.6), |x| {
            LogNormal::new(2_f64.ln(), 0.6).unwrap().cdf(x)
        });
        let mixture = Law::Mixture(vec![
            (0.9, Law::Exponential(second)),
            (0.1, Law::Uniform(Span::from_secs(5), Span::from_secs(6))),
        ]);
        check(&mixture, |x| {
            0.9 * Exp::new(1.0).unwrap().cdf(x) + 0.1 * Uniform::new(5.0, 6.0).unwrap().cdf(x)
        });
    }
}
