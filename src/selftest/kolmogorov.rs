//! The test of Kolmogorov and Smirnov: does a sample come from a law that was fixed beforehand?

/// The largest distance between the shares of a sample and a law's, at and just before each value.
/// `sorted` is ascending; 0 without values.
pub fn distance(sorted: &[f64], law: impl Fn(f64) -> f64) -> f64 {
    let n = super::float(sorted.len() as u64);
    let mut largest: f64 = 0.0;
    let mut before = 0.0;
    for (rank, value) in (1_u64..).zip(sorted) {
        let (at, after) = (law(*value), super::float(rank) / n);
        largest = largest.max(after - at).max(at - before);
        before = after;
    }
    largest
}

/// How often a sample of `n` values of the law itself lies so far from it or farther.
///
/// Kolmogorov's limit law at Stephens' point, which is right to 0.02 from a handful of values on,
/// and far better where it is small. M. A. Stephens, "Use of the Kolmogorov-Smirnov, Cramer-von
/// Mises and related statistics without extensive tables", *J. Royal Statistical Society B* 32
/// (1970), 115-122.
pub fn p_value(distance: f64, n: u64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    above(distance * stretch(n))
}

/// The distance that a sample of `n` values of the law itself exceeds with the probability `alpha`,
/// which is small: the first term of the series is enough.
pub fn critical(alpha: f64, n: u64) -> f64 {
    (-libm::log(alpha / 2.0) / 2.0).sqrt() / stretch(n.max(1))
}

fn stretch(n: u64) -> f64 {
    let root = super::float(n).sqrt();
    root + 0.12 + 0.11 / root
}

/// How often Kolmogorov's law exceeds `x`: two series for the same, each where it converges fast.
fn above(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let share = if x < 1.18 {
        let unit = -std::f64::consts::PI * std::f64::consts::PI / (8.0 * x * x);
        let sum: f64 = [1.0, 9.0, 25.0, 49.0]
            .map(|k| libm::exp(k * unit))
            .iter()
            .sum();
        1.0 - (2.0 * std::f64::consts::PI).sqrt() / x * sum
    } else {
        let term = |k: f64| libm::exp(-2.0 * k * k * x * x);
        2.0 * (term(1.0) - term(2.0) + term(3.0) - term(4.0))
    };
    share.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `scipy.stats.kstest` says of samples that `scripts/ks-oracle` makes.
    const ORACLE: &str = include_str!("kolmogorov/oracle.csv");

    /// The gaps of the same samples: a linear congruential generator, as the script has it.
    fn sample(seed: u64, n: u64, scale: f64) -> Vec<f64> {
        let mut state = seed;
        let draws = (0..n).map(|_| {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            let u = (super::super::float(state) + 0.5) / 2_147_483_648.0;
            -scale * libm::log(1.0 - u)
        });
        super::super::sorted(draws)
    }

    #[test]
    fn distances_and_p_values_are_those_of_scipy() {
        let mut seen = 0;
        for line in ORACLE.lines().skip(1) {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            let [seed, n, scale, d, exact, limit] = cells[..] else {
                panic!("{line}");
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            let (seed, n) = (seed as u64, n as u64);
            let sample = sample(seed, n, scale);
            let found = distance(&sample, |x| 1.0 - libm::exp(-x));
            assert!((found - d).abs() < 1e-9, "{line}: {found}");
            let p = p_value(found, n);
            let off = if exact < 0.2 { 0.005 } else { 0.02 };
            assert!((p - exact).abs() < off, "{line}: {p}");
            // The bare limit law, which is further off.
            let bare = above(found * super::super::float(n).sqrt());
            assert!((bare - limit).abs() < 1e-6, "{line}: {bare}");
            seen += 1;
        }
        assert!(seen >= 20, "{seen}");
    }

    #[test]
    fn the_critical_distance_has_the_probability_that_it_is_named_for() {
        for (n, alpha) in [(20, 0.05), (400, 0.01), (100_000, 0.001)] {
            let p = p_value(critical(alpha, n), n);
            assert!((p / alpha - 1.0).abs() < 1e-3, "{n}: {p}");
        }
    }

    #[test]
    fn without_values_nothing_is_far() {
        assert!(distance(&[], |_| 0.5).abs() < 1e-12);
        assert!((p_value(0.0, 0) - 1.0).abs() < 1e-12);
        assert!((p_value(0.0, 9) - 1.0).abs() < 1e-12);
    }
}
