//! Numbers for people: three digits, and a unit that makes them readable.

use crate::time::Span;

use super::super::binomial::whole;

/// A number with three significant digits, without zeros that say nothing.
fn digits(value: f64) -> String {
    let text = match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A length of time given in seconds: `412 us`, `12.3 ms`, `1.25 s`, `3.5 min`, `7.2 h`.
pub fn time(seconds: f64) -> String {
    let (scale, unit) = match seconds.abs() {
        size if size < 5e-10 => (1.0, "s"),
        size if size < 0.000_999_5 => (1e6, "us"),
        size if size < 0.999_5 => (1e3, "ms"),
        size if size < 120.0 => (1.0, "s"),
        size if size < 7_200.0 => (1.0 / 60.0, "min"),
        _ => (1.0 / 3_600.0, "h"),
    };
    format!("{} {unit}", digits(seconds * scale))
}

/// A size: `128 bytes`, `21.5 MB`.
pub fn bytes(bytes: f64) -> String {
    let (scale, unit) = match bytes {
        size if size < 999.5 => (1.0, "bytes"),
        size if size < 999.5e3 => (1e-3, "kB"),
        size if size < 999.5e6 => (1e-6, "MB"),
        _ => (1e-9, "GB"),
    };
    format!("{} {unit}", digits(bytes * scale))
}

/// A share: `1.23 %`; what is not 0 is never shown as 0.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.000_05 {
        return "< 0.01 %".to_owned();
    }
    format!("{} %", digits(share * 100.0))
}

/// Events per second: `19.8/s`.
pub fn rate(per_second: f64) -> String {
    if per_second >= 999.5 {
        return format!("{}/s", count(whole(per_second.round())));
    }
    format!("{}/s", digits(per_second))
}

/// A plain number.
pub fn plain(value: f64) -> String {
    if value >= 999.5 {
        return count(whole(value.round()));
    }
    digits(value)
}

/// A count with its thousands apart: `12,345`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 poll`, `1,032 polls`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A length of time as a clock shows it: `0:07`, `1:02:05`.
pub fn clock(span: Span) -> String {
    let seconds = span.0 / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// Text that came from a service: on one line, without anything that a terminal would obey, and cut
/// to `most` characters as they are shown.
pub fn tame(text: &str, most: usize) -> String {
    let mut tame = String::new();
    let mut shown = 0;
    for character in text.chars() {
        // Quotes do no harm, and JSON is full of them.
        let is_quote = matches!(character, '"' | '\'');
        let form = character.escape_debug();
        shown += if is_quote { 1 } else { form.len() };
        if shown > most {
            tame.push_str("..");
            break;
        }
        if is_quote {
            tame.push(character);
        } else {
            tame.extend(form);
        }
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_reads_best() {
        let check = |seconds: f64, text: &str| assert_eq!(time(seconds), text);
        check(0.0, "0 s");
        check(0.000_412, "412 us");
        check(0.000_999_6, "1 ms");
        check(0.012_34, "12.3 ms");
        check(0.25, "250 ms");
        check(0.999_7, "1 s");
        check(1.254, "1.25 s");
        check(24.07, "24.1 s");
        check(119.9, "120 s");
        check(210.0, "3.5 min");
        check(86_400.0, "24 h");
    }

    #[test]
    fn sizes_have_the_unit_that_reads_best() {
        let check = |size: f64, text: &str| assert_eq!(bytes(size), text);
        check(0.0, "0 bytes");
        check(127.6, "128 bytes");
        check(4_096.0, "4.1 kB");
        check(21_500_000.0, "21.5 MB");
        check(3.2e9, "3.2 GB");
    }

    #[test]
    fn small_shares_are_not_nothing() {
        let check = |share: f64, text: &str| assert_eq!(percent(share), text);
        check(0.0, "0 %");
        check(0.000_001, "< 0.01 %");
        check(0.012_3, "1.23 %");
        check(0.123_4, "12.3 %");
        check(1.0, "100 %");
    }

    #[test]
    fn counts_and_clocks() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(counted(1, "poll"), "1 poll");
        assert_eq!(counted(1_032, "poll"), "1,032 polls");
        assert_eq!(rate(1_234.5), "1,235/s");
        assert_eq!(clock(Span::from_secs(7)), "0:07");
        assert_eq!(clock(Span::from_secs(3_725)), "1:02:05");
    }

    #[test]
    fn a_terminal_obeys_nothing_that_a_service_sent() {
        assert_eq!(tame("run\u{1b}[2Jning\n", 40), "run\\u{1b}[2Jning\\n");
        assert_eq!(tame(r#"{"it's": 1}"#, 11), r#"{"it's": 1}"#);
        assert_eq!(tame("\u{202e}abc", 10), "\\u{202e}ab..");
    }
}
