//! Laws of the time in the service, with distributions in closed form.

use plimsoll::random::{ChaCha8Rng, unit};

/// Of how many seconds a work takes.
pub(crate) struct Law {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// Of what it is made: shares that sum to 1.
    pub(crate) parts: &'static [(f64, Part)],
}

/// A part of a mixture, in seconds.
pub(crate) enum Part {
    Exponential { mean: f64 },
    LogNormal { median: f64, sigma: f64 },
    Normal { mean: f64, sigma: f64 },
}

/// Four that differ: smooth, skewed, in two heaps, and in two scales.
pub(crate) const LAWS: [Law; 4] = [
    Law {
        name: "exponential, 8 s",
        parts: &[(1.0, Part::Exponential { mean: 8.0 })],
    },
    Law {
        name: "log-normal, 8 s and 0.6",
        parts: &[(
            1.0,
            Part::LogNormal {
                median: 8.0,
                sigma: 0.6,
            },
        )],
    },
    Law {
        name: "90 % normal, 10 s and 1 s; 10 % 60 s and 5 s",
        parts: &[
            (
                0.9,
                Part::Normal {
                    mean: 10.0,
                    sigma: 1.0,
                },
            ),
            (
                0.1,
                Part::Normal {
                    mean: 60.0,
                    sigma: 5.0,
                },
            ),
        ],
    },
    Law {
        name: "90 % exponential, 2 s; 10 % 60 s",
        parts: &[
            (0.9, Part::Exponential { mean: 2.0 }),
            (0.1, Part::Exponential { mean: 60.0 }),
        ],
    },
];

impl Law {
    /// A work's time in seconds.
    pub(crate) fn draw(&self, random: &mut ChaCha8Rng) -> f64 {
        let mut left = unit(random);
        let mut part = &self.parts[0].1;
        for (share, other) in self.parts {
            part = other;
            left -= share;
            if left < 0.0 {
                break;
            }
        }
        match part {
            Part::Exponential { mean } => -mean * libm::log1p(-unit(random)),
            Part::LogNormal { median, sigma } => median * libm::exp(sigma * normal(random)),
            Part::Normal { mean, sigma } => (mean + sigma * normal(random)).max(0.0),
        }
    }

    /// The probability that a work takes no longer.
    pub(crate) fn cdf(&self, seconds: f64) -> f64 {
        if seconds <= 0.0 {
            return 0.0;
        }
        let below = |value: f64| libm::erfc(-value / std::f64::consts::SQRT_2) / 2.0;
        let part = |part: &Part| match part {
            Part::Exponential { mean } => -libm::expm1(-seconds / mean),
            Part::LogNormal { median, sigma } => below(libm::log(seconds / median) / sigma),
            Part::Normal { mean, sigma } => below((seconds - mean) / sigma),
        };
        self.parts.iter().map(|(share, it)| share * part(it)).sum()
    }

    /// The time that a share of all works does not exceed, in seconds: by halving.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1e6);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if self.cdf(middle) < share {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

/// A standard normal number (Box and Muller, 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * libm::log1p(-unit(random))).sqrt();
    radius * libm::cos(2.0 * std::f64::consts::PI * unit(random))
}
