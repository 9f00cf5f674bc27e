//! Laws of random times as they are written: `lognormal(2s, 0.6)`, `mix(0.9 exp(2s), 0.1 exp(1m))`.

use std::fmt;

use super::Law;
use crate::time::Span;

/// The words that a mistake shows.
pub const GRAMMAR: &str = "fixed(D), uniform(A, B), exp(MEAN), lognormal(MEDIAN, SIGMA) or \
                           mix(WEIGHT LAW, WEIGHT LAW, ...)";

impl Law {
    /// Reads a law, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, inner) = text
            .strip_suffix(')')
            .and_then(|rest| rest.split_once('('))
            .ok_or_else(|| "it has no (...)".to_owned())?;
        let parts = split(inner);
        match (name.trim(), parts.as_slice()) {
            ("fixed", [length]) => Ok(Self::Fixed(span(length)?)),
            ("uniform", [from, to]) => {
                let (from, to) = (span(from)?, span(to)?);
                if from > to {
                    return Err(format!("{from} is more than {to}"));
                }
                Ok(Self::Uniform(from, to))
            }
            ("exp", [mean]) => Ok(Self::Exponential(span(mean)?)),
            ("lognormal", [median, sigma]) => {
                let sigma = number(sigma)?;
                if sigma > 10.0 {
                    return Err(format!("a sigma of {sigma} is beyond 10"));
                }
                Ok(Self::Lognormal(span(median)?, sigma))
            }
            ("mix", parts) => mixture(parts),
            ("fixed" | "exp", parts) => Err(format!("it has {} values, not 1", parts.len())),
            ("uniform" | "lognormal", parts) => {
                Err(format!("it has {} values, not 2", parts.len()))
            }
            (name, _) => Err(format!("`{name}` is no law")),
        }
    }

    /// The expected value.
    ///
    /// Log-normal: median x exp(sigma^2 / 2) (Johnson, Kotz, Balakrishnan, vol. 1, ch. 14).
    pub fn mean(&self) -> Span {
        Span::from_secs_f64(self.mean_seconds())
    }

    fn mean_seconds(&self) -> f64 {
        match self {
            Self::Fixed(length) | Self::Exponential(length) => length.seconds(),
            Self::Uniform(from, to) => f64::midpoint(from.seconds(), to.seconds()),
            Self::Lognormal(median, sigma) => median.seconds() * libm::exp(sigma * sigma / 2.0),
            Self::Mixture(parts) => parts
                .iter()
                .map(|(weight, law)| weight * law.mean_seconds())
                .sum(),
            Self::Empirical(curve) => curve.mean(),
        }
    }
}

impl fmt::Display for Law {
    /// As it is written in a scenario, and [`Law::parse`] reads it. What was measured no scenario
    /// can say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "fixed({length})"),
            Self::Uniform(from, to) => write!(f, "uniform({from}, {to})"),
            Self::Exponential(mean) => write!(f, "exp({mean})"),
            Self::Lognormal(median, sigma) => write!(f, "lognormal({median}, {sigma})"),
            Self::Mixture(parts) => {
                f.write_str("mix(")?;
                for (index, (weight, law)) in parts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{weight} {law}")?;
                }
                f.write_str(")")
            }
            Self::Empirical(curve) => write!(f, "a curve of {} points", curve.len()),
        }
    }
}

fn mixture(parts: &[&str]) -> Result<Law, String> {
    let mut laws = Vec::new();
    for part in parts {
        let (weight, law) = part
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("`{part}` is no weight and law"))?;
        laws.push((number(weight)?, Law::parse(law)?));
    }
    let sum: f64 = laws.iter().map(|(weight, _)| weight).sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(format!("the weights sum to {sum}, not 1"));
    }
    Ok(Law::Mixture(laws))
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| format!("`{text}` is no duration"))
}

fn number(text: &str) -> Result<f64, String> {
    let plain = |c: char| c.is_ascii_digit() || c == '.';
    text.parse()
        .ok()
        .filter(|_| text.chars().all(plain))
        .ok_or_else(|| format!("`{text}` is no number"))
}

/// Splits at the commas that stand outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let mut parts: Vec<&str> = text
        .split(|c: char| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .collect();
    for part in &mut parts {
        *part = part.trim();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laws_are_read_with_their_means() {
        let check = |text: &str, mean_s: f64| {
            let law = Law::parse(text).unwrap();
            let mean = law.mean().seconds();
            assert!((mean - mean_s).abs() < 1e-6, "{text}: {mean}");
            assert_eq!(Law::parse(&law.to_string()).as_ref(), Ok(&law));
        };
        check("fixed(250ms)", 0.25);
        check("uniform(1s, 3s)", 2.0);
        check("exp(2s)", 2.0);
        // 2 x exp(0.18), by an independent calculator.
        check("lognormal(2s, 0.6)", 2.394_434_7);
        check("mix(0.9 exp(2s), 0.1 exp(60s))", 7.8);
        check(
            "mix(0.5 fixed(1s), 0.5 mix(0.5 fixed(3s), 0.5 uniform(0s, 2s)))",
            1.5,
        );
    }

    #[test]
    fn laws_are_written_as_they_are_read() {
        let text = "mix(0.9 lognormal(2s, 0.6), 0.1 mix(0.5 exp(1m), 0.5 uniform(1.5s, 3s)))";
        assert_eq!(Law::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, word: &str| {
            let said = Law::parse(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        };
        check("2s", "(...)");
        check("exp(2)", "`2` is no duration");
        check("exp(1s, 2s)", "2 values, not 1");
        check("uniform(3s, 1s)", "3s is more than 1s");
        check("lognormal(2s, -1)", "`-1` is no number");
        check("pareto(2s)", "`pareto` is no law");
        check("mix(0.9 exp(2s), 0.2 exp(1s))", "not 1");
    }
}
