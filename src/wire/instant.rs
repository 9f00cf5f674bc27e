//! Instants as services write them.

use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::wire::pointer::{Found, Kind};
use crate::work::ServiceTime;

/// From here on a bare number counts milliseconds of the epoch: as seconds it would be the year
/// 33658.
pub(crate) const MILLIS_FROM: f64 = 1e12;

/// The end of the year 9999, beyond which no form of date goes.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// An instant in a body: a number of seconds or milliseconds of the epoch, with or without a
/// fraction, or one of the texts of [`from_text`]. Zero and less mean "not yet" in some services,
/// and are no instants.
pub(crate) fn from_json(value: Found<'_>) -> Option<ServiceTime> {
    match value.kind() {
        Kind::Number => from_number(value.raw()),
        Kind::String => from_text(&value.string()?),
        _ => None,
    }
}

/// RFC 3339; the same without a zone, which is read as UTC; a date of HTTP; a number in a text.
pub(crate) fn from_text(text: &str) -> Option<ServiceTime> {
    let text = text.trim();
    if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['-', ':']) {
        return from_number(text);
    }
    let stamp: Option<Timestamp> = text.parse().ok();
    let stamp = stamp.or_else(|| without_zone(text));
    let micros = stamp.map(Timestamp::as_microsecond);
    Some(ServiceTime(micros.or_else(|| {
        http_date(text.as_bytes())?.checked_mul(1_000_000)
    })?))
}

/// A date and a time of day. `[` would name a zone by a place, whose rules we do not carry.
fn without_zone(text: &str) -> Option<Timestamp> {
    if !text.contains(':') || text.contains('[') {
        return None;
    }
    let civil: DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "below the year 10000 microseconds fit"
)]
fn from_number(text: &str) -> Option<ServiceTime> {
    let number: f64 = text.parse().ok()?;
    let seconds = if number >= MILLIS_FROM {
        number / 1e3
    } else {
        number
    };
    // Seconds of today with microseconds need 51 of the 53 bits: the rounding restores them
    // exactly.
    let plausible = seconds > 0.0 && seconds <= LAST_SECOND;
    plausible.then(|| ServiceTime((seconds * 1e6).round() as i64))
}

/// Seconds of the epoch of a date in one of the three forms of RFC 9110, section 5.6.7.
pub(crate) fn http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Pointer;
    use crate::wire::pointer::Picker;

    #[test]
    fn instants_of_every_form() {
        let check = |json: &str, micros: Option<i64>| {
            let [found] = Picker::new([Some(&Pointer(String::new()))])
                .pick(json.as_bytes())
                .unwrap();
            assert_eq!(from_json(found.unwrap()), micros.map(ServiceTime), "{json}");
        };
        // 784111777 is the example of RFC 9110, section 5.6.7.
        let example = 784_111_777_000_000;
        check("784111777", Some(example));
        check("784111777.5", Some(example + 500_000));
        check("1700000000.123456", Some(1_700_000_000_123_456));
        check("1700000000123", Some(1_700_000_000_123_000));
        check("\"784111777\"", Some(example));
        check("\"1994-11-06T08:49:37Z\"", Some(example));
        check("\"1994-11-06T08:49:37.000001Z\"", Some(example + 1));
        check("\"1994-11-06T09:49:37+01:00\"", Some(example));
        check("\"1994-11-06t08:49:37z\"", Some(example));
        check("\"1994-11-06T08:49:37\"", Some(example));
        check("\"1994-11-06 08:49:37.25\"", Some(example + 250_000));
        check("\"Sun, 06 Nov 1994 08:49:37 GMT\"", Some(example));
        check("\"Sunday, 06-Nov-94 08:49:37 GMT\"", Some(example));
        check("\"Sun Nov  6 08:49:37 1994\"", Some(example));
        for none in [
            "0",
            "-5",
            "1e300",
            "null",
            "true",
            "[1]",
            "{}",
            "\"\"",
            "\"soon\"",
            "\"nan\"",
            "\"1994-11-06\"",
            "\"1994-11-06T08:49:37[Europe/Oslo]\"",
            "\"1994-13-06T08:49:37Z\"",
        ] {
            check(none, None);
        }
    }
}
