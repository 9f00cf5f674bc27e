//! Time as an argument: instants and lengths that can be written down in a test.
//!
//! Nothing outside `shell` reads a clock. A [`Tick`] counts nanoseconds from the origin of the run,
//! which is the first instant of the plan; a [`Span`] is a length of time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// An instant: nanoseconds since the origin of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

/// An instant that may not have come yet, as small as a [`Tick`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MaybeTick(Tick);

impl MaybeTick {
    /// It has not come.
    pub const NOT_YET: Self = Self(Tick::NEVER);

    /// It came at this instant.
    pub const fn at(tick: Tick) -> Self {
        Self(tick)
    }

    /// When it came.
    pub fn get(self) -> Option<Tick> {
        (self != Self::NOT_YET).then_some(self.0)
    }
}

impl fmt::Debug for MaybeTick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Tick {
    /// The origin of the run.
    pub const ZERO: Self = Self(0);
    /// Later than every instant of any run.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Seconds since the origin.
    pub fn seconds(self) -> f64 {
        Span(self.0).seconds()
    }

    /// The first whole multiple of `step` that is not earlier; [`Tick::NEVER`] beyond all.
    #[must_use]
    pub fn rounded_up(self, step: Span) -> Self {
        let steps = self.0.div_ceil(step.0.max(1));
        steps.checked_mul(step.0.max(1)).map_or(Self::NEVER, Self)
    }
}

impl Add<Span> for Tick {
    type Output = Self;
    /// Saturates at [`Tick::NEVER`].
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    /// Saturates at [`Span::MAX`].
    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Tick {
    type Output = Self;
    /// Saturates at the origin.
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than any run.
    pub const MAX: Self = Self(u64::MAX);

    /// A number of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// A number of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Rounds to the nearest nanosecond; negative and not-a-number become zero.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates at both ends, which is what is wanted"
    )]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as u64)
    }

    /// The length in seconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "104 days fit exactly; beyond, 1e-16 is lost"
    )]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Whole microseconds, rounded down.
    pub const fn micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The same length as the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Reads a length such as `250ms`, `1.5s`, `2m`, `8h`, `1d`, `40us` or `1h30m`.
    ///
    /// Units are `ns`, `us`, `ms`, `s`, `m`, `h` and `d`; at least one is required. Digits finer
    /// than a nanosecond are refused rather than rounded.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return None;
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let unit_ns: u64 = match unit {
                "ns" => 1,
                "us" => 1_000,
                "ms" => 1_000_000,
                "s" => NANOS_PER_SECOND,
                "m" => 60 * NANOS_PER_SECOND,
                "h" => 3_600 * NANOS_PER_SECOND,
                "d" => 86_400 * NANOS_PER_SECOND,
                _ => return None,
            };
            total = total.checked_add(scaled(number, unit_ns)?)?;
            rest = tail;
        }
        Some(Self(total))
    }
}

/// `number` (decimal digits, at most one point) times `unit`, exactly, or nothing.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let mut value = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        let digit = u64::from(digit - b'0');
        if !place.is_multiple_of(10) {
            if digit == 0 {
                continue;
            }
            return None;
        }
        place /= 10;
        value = value.checked_add(digit * place)?;
    }
    Some(value)
}

impl fmt::Display for Tick {
    /// Seconds with six decimals, rounded down to the microsecond: the form of every file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}",
            self.0 / NANOS_PER_SECOND,
            self.0 % NANOS_PER_SECOND / 1_000
        )
    }
}

impl fmt::Display for Span {
    /// The shortest exact form that [`Span::parse`] reads: `1.5s`, `250ms`, `2m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 6] = [
            (86_400 * NANOS_PER_SECOND, "d"),
            (3_600 * NANOS_PER_SECOND, "h"),
            (60 * NANOS_PER_SECOND, "m"),
            (NANOS_PER_SECOND, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        for (unit, name) in UNITS {
            if self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
            // A decimal part only where it is exact and reads well: 1.5s, 2.25ms.
            let decimal = matches!(name, "s" | "ms" | "us");
            if decimal && self.0 > unit && self.0.is_multiple_of(unit / 1_000) {
                let text = format!("{}.{:03}", self.0 / unit, self.0 % unit / (unit / 1_000));
                return write!(f, "{}{name}", text.trim_end_matches('0'));
            }
        }
        write!(f, "{}ns", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_exactly() {
        let check =
            |text: &str, ns: Option<u64>| assert_eq!(Span::parse(text), ns.map(Span), "{text}");
        check("250ms", Some(250_000_000));
        check("1.5s", Some(1_500_000_000));
        check("1h30m", Some(5_400_000_000_000));
        check("0.0000000010s", Some(1));
        check("0.5ns", None);
        check("1.0ns", Some(1));
        check("0s", Some(0));
        for wrong in [
            "",
            "5",
            "s",
            "1.s",
            ".5s",
            "1..5s",
            "5 s",
            "-1s",
            "5x",
            "1e3s",
            "99999999999d",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn ticks_print_seconds_with_six_decimals() {
        assert_eq!(Tick(1_234_567_899).to_string(), "1.234567");
        assert_eq!(Tick::ZERO.to_string(), "0.000000");
    }

    proptest! {
        #[test]
        fn a_printed_span_reads_back(ns in any::<u64>()) {
            prop_assert_eq!(Span::parse(&Span(ns).to_string()), Some(Span(ns)));
        }
    }
}
