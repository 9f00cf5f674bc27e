//! The result on the terminal: a line a figure, then the ladder.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use super::ladder::Rung;
use super::{Check, Selftest};
use crate::report::selftest::Quoted;
use crate::report::text::number;
use crate::report::text::wrap::hanging;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// The whole result, with styles, in lines of at most 80 characters where nothing is longer.
pub fn table(selftest: &Selftest, columns: usize) -> String {
    let mut out = String::new();
    write_all(&mut out, selftest, columns).expect("a String takes everything");
    out
}

/// One line for `--quiet`, without styles.
pub fn line(selftest: &Selftest) -> String {
    let word = if selftest.passed() { "pass" } else { "invalid" };
    let quoted = Quoted::Last(selftest.quoted()).sentence();
    format!("{word} {}", quoted.unwrap_or_default())
}

fn write_all(out: &mut String, selftest: &Selftest, columns: usize) -> fmt::Result {
    let (style, word) = if selftest.passed() {
        (GREEN, "PASS")
    } else {
        (RED, "INVALID")
    };
    let machine = &selftest.machine;
    let about = hanging(
        &format!(
            "{word}  selftest: {}; {}, kernel {}, {}",
            verdict(selftest),
            number::counted(machine.cores, "core"),
            number::tame(&machine.kernel, 40),
            number::time(selftest.duration.seconds()),
        ),
        2,
        columns,
    );
    let rest = about.strip_prefix(word).unwrap_or_default();
    writeln!(out, "{style}{word}{style:#}{rest}")?;
    for why in &selftest.invalid {
        writeln!(out, "  not to be trusted: {why}")?;
    }
    writeln!(
        out,
        "\n{BOLD}{:<36}{:>10}{:>10}{:>10}{:>10}{BOLD:#}",
        "against the truth", "truth", "measured", "error", "allowed"
    )?;
    for check in &selftest.checks {
        row(out, check)?;
        if !check.note.is_empty() {
            let note = hanging(&check.note, 4, columns);
            writeln!(out, "    {DIM}{note}{DIM:#}")?;
        }
    }
    writeln!(
        out,
        "\n{BOLD}{:<16}{:>12}{:>10}{:>10}{:>10}{:>10}{BOLD:#}",
        "works a second", "requests/s", "sends", "polls", "stamps", "core"
    )?;
    writeln!(out, "  {DIM}late by (p99), and the share of a core{DIM:#}")?;
    for rung in selftest.ladder.rungs() {
        step(out, rung)?;
    }
    let quoted = Quoted::Last(selftest.quoted())
        .sentence()
        .unwrap_or_default();
    writeln!(out, "\n  {}", hanging(&quoted, 2, columns))
}

fn verdict(selftest: &Selftest) -> String {
    let all = selftest.checks.len();
    let beyond = selftest
        .checks
        .iter()
        .filter(|check| !check.is_within())
        .count();
    match beyond {
        0 => format!("{all} of {all} figures within what is promised"),
        some => format!("{some} of {all} figures not within what is promised"),
    }
}

fn row(out: &mut String, check: &Check) -> fmt::Result {
    let value = |value: Option<f64>| value.map_or("beyond".to_owned(), |it| check.unit.show(it));
    let error = if check.error.is_finite() {
        check.unit.show(check.error)
    } else {
        "-".to_owned()
    };
    let (style, word) = match check.allowed {
        None => (DIM, "-"),
        Some(_) if check.is_within() => (GREEN, "ok"),
        Some(_) => (RED, "NOT"),
    };
    writeln!(
        out,
        "{:<36}{:>10}{:>10}{error:>10}{:>10} {style}{word}{style:#}",
        check.what,
        value(check.truth),
        value(check.measured),
        check
            .allowed
            .map_or("-".to_owned(), |it| check.unit.show(it)),
    )
}

fn step(out: &mut String, rung: &Rung) -> fmt::Result {
    let (style, word) = match &rung.stopped_by {
        None => (GREEN, "ok".to_owned()),
        Some(code) => (RED, code.clone()),
    };
    let core = rung.core_share.map_or("-".to_owned(), number::percent);
    // A rung that was not tried has no figures.
    let figure = |figure: String| {
        if rung.was_tried() {
            figure
        } else {
            "-".to_owned()
        }
    };
    writeln!(
        out,
        "{:<16}{:>12}{:>10}{:>10}{:>10}{core:>10} {style}{word}{style:#}",
        number::count(rung.works_per_s),
        figure(number::plain(rung.requests_per_s)),
        figure(number::time(rung.generator_lag)),
        figure(number::time(rung.poll_lag)),
        figure(number::time(rung.stamp_delay)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::selftest;
    use super::*;

    fn plain(selftest: &Selftest) -> String {
        let text = table(selftest, 80);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_person_reads_truth_error_and_what_is_promised() {
        let text = plain(&selftest());
        for part in [
            "PASS  selftest: 3 of 3 figures within what is promised; 2 cores, kernel 6.18,\n  60 s\n",
            "accept latency, p99                      10 ms   10.4 ms    400 us    500 us ok\n    a note\n",
            "lateness of arrivals, max                  0 s    500 ms    500 ms         - -\n",
            "works completed                             98        98         0         0 ok\n",
            "1,000                  3,000    100 us    200 us    300 us      25 % cpu\n",
            "accurate up to 1,500\n  requests a second, then cpu;",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn what_is_not_within_stands_out() {
        let mut selftest = selftest();
        selftest
            .checks
            .push(Check::seconds("x", Some(1.0), None, Some(0.1)));
        let text = plain(&selftest);
        assert!(
            text.starts_with("INVALID  selftest: 1 of 4 figures not within"),
            "{text}"
        );
        assert!(text.contains("beyond         -    100 ms NOT"), "{text}");
        assert!(line(&selftest).starts_with("invalid "), "{text}");
    }
}
