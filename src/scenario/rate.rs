//! Rates and sizes as they are written: `20/s`, `600/min`, `0.5/h`, `16KiB`.

use std::fmt;

use super::{Bucket, Rate};
use crate::time::{NANOS_PER_SECOND, Span};

/// The most that a rate may say, per second: beyond it lies a mistake, not a load.
pub const MAX_PER_SECOND: f64 = 10_000_000.0;

impl Rate {
    /// Reads `COUNT/s`, `COUNT/min` or `COUNT/h`, exactly; the count may have up to six decimals.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.trim().split_once('/')?;
        let mut seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            _ => return None,
        };
        let number = number.trim();
        let (whole, decimals) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        let decimals = decimals.trim_end_matches('0');
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return None;
        }
        let count: u64 = format!("{whole}{decimals}").parse().ok()?;
        for _ in 0..decimals.len() {
            seconds *= 10;
        }
        let rate = Self {
            count,
            per: Span(seconds * NANOS_PER_SECOND),
        };
        (rate.per_second() <= MAX_PER_SECOND).then_some(rate)
    }

    /// The burst of a bucket for which none is written: a tenth of a second's worth, at least 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is at most MAX_PER_SECOND, so a tenth of it fits"
    )]
    pub fn default_burst(self) -> u32 {
        ((self.per_second() / 10.0).round() as u32).max(1)
    }
}

impl fmt::Display for Rate {
    /// As it is written, or by the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1, "s"), (60, "min"), (3_600, "h")];
        let unit = units
            .iter()
            .find(|(of, _)| self.per == Span::from_secs(*of));
        match unit {
            Some((_, unit)) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/s", self.per_second()),
        }
    }
}

impl Bucket {
    /// The most requests that may leave in a window: `burst + rate x window`, the promise of GCRA.
    pub fn most_in(self, window: Span) -> f64 {
        f64::from(self.burst) + self.rate.per_second() * window.seconds()
    }
}

/// Reads a size in bytes: a count with `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_exactly() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let rate = expected.map(|(count, seconds)| Rate {
                count,
                per: Span::from_secs(seconds),
            });
            assert_eq!(Rate::parse(text), rate, "{text}");
        };
        check("20/s", Some((20, 1)));
        check("600/min", Some((600, 60)));
        check("1/h", Some((1, 3_600)));
        check("2.50/s", Some((25, 10)));
        check("0.000001/h", Some((1, 3_600_000_000)));
        check(" 7 / s ", Some((7, 1)));
        check("0/s", Some((0, 1)));
        for wrong in [
            "20",
            "20/m",
            "/s",
            "-1/s",
            "1e3/s",
            "1./s",
            ".5/s",
            "1.0000001/s",
            "10000001/s",
            "99999999999999999999/s",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn rates_are_shown_as_they_are_written() {
        for text in ["20/s", "600/min", "1/h", "0.5/s"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second() {
        let check = |text: &str, burst: u32| {
            assert_eq!(Rate::parse(text).unwrap().default_burst(), burst, "{text}");
        };
        check("80/s", 8);
        check("1/h", 1);
        check("600/min", 1);
    }

    #[test]
    fn sizes_are_read_exactly() {
        let check = |text: &str, bytes: Option<u64>| assert_eq!(size(text), bytes, "{text}");
        check("16KiB", Some(16_384));
        check("1 MiB", Some(1 << 20));
        check("5MB", Some(5_000_000));
        check("12", None);
        check("KiB", None);
        check("99999999999GiB", None);
    }
}
