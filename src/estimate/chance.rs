//! The normal law, and Student's.

/// The probability that a standard normal value is not above this one.
pub(super) fn normal(value: f64) -> f64 {
    libm::erfc(-value / std::f64::consts::SQRT_2) / 2.0
}

/// The value that a standard normal one is not above with this probability, for those from 0.5 to
/// 1 - 1e-9: by halving.
fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 6.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The same of Student's law with this many degrees of freedom, at least 19: the expansion in their
/// inverse (Abramowitz and Stegun, 26.7.5).
pub(super) fn student(probability: f64, freedom: f64) -> f64 {
    let x = normal_quantile(probability);
    let square = x * x;
    let first = x * (square + 1.0) / 4.0;
    let second = x * ((5.0 * square + 16.0) * square + 3.0) / 96.0;
    let third = x * (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0;
    x + (first + (second + third / freedom) / freedom) / freedom
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

    #[test]
    fn both_laws_are_those_of_another_program() {
        let standard = Normal::new(0.0, 1.0).unwrap();
        for value in [-5.0, -1.96, -0.3, 0.0, 1.0, 2.5] {
            assert!((normal(value) - standard.cdf(value)).abs() < 1e-10);
        }
        for freedom in [19.0, 25.0, 40.0, 63.0, 500.0] {
            let theirs = StudentsT::new(0.0, 1.0, freedom).unwrap();
            for probability in [0.5, 0.9, 0.975, 0.995] {
                let difference = student(probability, freedom) - theirs.inverse_cdf(probability);
                assert!(
                    difference.abs() < 1e-4,
                    "{freedom} {probability} {difference}"
                );
            }
        }
    }
}
