//! The result on the terminal: what to do and why, then the figures that it rests on.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use super::advice::{Advice, Decision, MARGIN, Verdict};
use super::need::{Callbacks, Need};
use super::played::Played;
use super::polling::Lag;
use super::result::{Peak, Row, Sizing};
use crate::report::text::number;
use crate::report::text::wrap::hanging;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// What stands where there is nothing to say.
const NOTHING: &str = "-";
/// What stands where a lag has no bound.
const GROWS: &str = "grows";

/// From this width on there is room for what goes over the wire.
const WIDE: usize = 98;

/// Columns of the figures of a choice: the two lines of each head, and its width. The last two
/// where there is room.
const COLUMNS: [(&str, &str, usize); 8] = [
    ("requests", "a second", 10),
    ("of the", "limit", 9),
    ("429", "a second", 10),
    ("polls", "a work", 8),
    ("known late", "by, mean", 12),
    ("by, 99 of", "100 works", 11),
    ("bytes", "a second", 10),
    ("on the", "wire", 8),
];
/// The same of a receiver.
const RECEIVER: [(&str, &str, usize); 7] = [
    ("callbacks", "a second", 10),
    ("busiest", "second", 8),
    ("at once", "in hand", 8),
    ("never", "come", 9),
    ("outage:", "lost", 8),
    ("storm", "a second", 9),
    ("for", "so long", 8),
];
/// The width of the names.
const NAMES: usize = 18;

/// The whole result, with styles, in lines of at most `columns` characters where no figure is
/// longer.
pub fn table(sizing: &Sizing, files: &str, columns: usize) -> String {
    let mut out = String::new();
    write_all(&mut out, sizing, files, columns).expect("a String takes everything");
    out
}

/// One line for `--quiet`, without styles.
pub fn line(sizing: &Sizing) -> String {
    let name = number::tame(&sizing.scenario, 100);
    let invalid = sizing.invalid();
    if !invalid.is_empty() {
        return format!("invalid {name}: {}", invalid.join(", "));
    }
    let of = |peak: &Peak| {
        let advice = peak.advice.as_ref()?;
        Some(format!("at {} {}", peak.rate, what_to_do(&advice.decision)))
    };
    let peaks: Vec<String> = sizing.peaks.iter().filter_map(of).collect();
    format!("{name}: {}", peaks.join("; "))
}

fn write_all(out: &mut String, sizing: &Sizing, files: &str, columns: usize) -> fmt::Result {
    let mut text = |indent: usize, text: &str| {
        writeln!(
            out,
            "{:indent$}{}",
            "",
            hanging(text, indent + 2, columns.saturating_sub(2))
        )
    };
    text(0, &line(sizing))?;
    text(2, &what_was_measured(sizing))?;
    recommended(out, sizing, columns)?;
    for peak in &sizing.peaks {
        needs(out, sizing, peak, columns)?;
    }
    explain(out, LEGEND, columns)?;
    receivers(out, sizing)?;
    if has_callbacks(sizing) {
        explain(out, RECEIVER_LEGEND, columns)?;
    }
    runs(out, sizing)?;
    let trust = how_far_to_trust(sizing);
    section(out, "how far to trust this", &trust, columns)?;
    section(out, "notes", &sizing.notes, columns)?;
    section(out, "files", &[files.to_owned()], columns)
}

fn section(out: &mut String, title: &str, lines: &[String], columns: usize) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}{title}{BOLD:#}")?;
    for line in lines {
        writeln!(out, "  {}", hanging(line, 4, columns))?;
    }
    Ok(())
}

fn explain(out: &mut String, legend: &str, columns: usize) -> fmt::Result {
    writeln!(out, "  {DIM}{}{DIM:#}", hanging(legend, 2, columns))
}

const LEGEND: &str = "first what the formulas say, below it what virtual time took: the same \
    arrivals, polls and callbacks played against works that end as the measured ones did. requests: \
    submits and polls together. 429: what callers who ignore the limit are refused; in virtual time \
    they wait as they are told to. known late: from the end of a work until its caller knows it; \
    beyond the limit that of callers who hold themselves to it (grows: without end; -: no figure). \
    size.csv has more";

const RECEIVER_LEGEND: &str = "busiest second: more come in one second an hour. at once in hand: \
    callbacks that the receiver works on, at most. never come: the share of the works of which no \
    callback comes while the receiver is up. outage: works of which no callback comes \
    because all attempts fall into it; then for how long the others come, and how fast at most, \
    beside the usual ones";

fn what_was_measured(sizing: &Sizing) -> String {
    let given = &sizing.given;
    let sojourn = &given.sojourn;
    let how = if sizing.simulated {
        " (in virtual time)"
    } else {
        ""
    };
    let limit = given.limit.map_or_else(
        || "no limit is known".to_owned(),
        |limit| format!("the limit is {}", number::rate(limit.rate.per_second())),
    );
    format!(
        "works take {} in the mean, half of them {}, 99 of 100 {} at most, by {} in {}{how}; a \
         submit takes {}, a poll {}; {limit}",
        number::time(sojourn.mean()),
        number::time(sojourn.quantile(0.5)),
        number::time(sojourn.quantile(0.99)),
        number::counted(sizing.works, "work"),
        sizing.source,
        number::time(given.way.accept),
        number::time(given.way.round_trip),
    )
}

fn recommended(out: &mut String, sizing: &Sizing, columns: usize) -> fmt::Result {
    let invalid = sizing.invalid();
    if !invalid.is_empty() {
        let text = format!(
            "nothing: a run is not to be trusted, and nothing is built on it: {}",
            invalid.join(", ")
        );
        writeln!(
            out,
            "\n{RED}recommended{RED:#}\n  {}",
            hanging(&text, 2, columns)
        )?;
        return Ok(());
    }
    writeln!(out, "\n{BOLD}recommended{BOLD:#}")?;
    for advice in sizing.peaks.iter().filter_map(|peak| peak.advice.as_ref()) {
        let style = if advice.decision.verdict == Verdict::Nothing {
            RED
        } else {
            GREEN
        };
        let what = what_to_do(&advice.decision);
        writeln!(out, "  at {}: {style}{what}{style:#}", rate(advice))?;
        let reasons = advice.reasons.iter().cloned();
        for reason in reasons.chain(what_would_change(advice)) {
            writeln!(out, "    {}", hanging(&reason, 6, columns))?;
        }
    }
    if let Some(highest) = sizing.highest {
        let text = format!(
            "polling so that ends are known {} late carries {} works by {} of the limit, and {} by \
             all of it; at any lag it carries fewer than {}",
            number::time(sizing.given.size.lag.seconds()),
            number::rate(highest.with_margin),
            number::percent(MARGIN),
            number::rate(highest.at_lag),
            number::rate(highest.at_any_lag),
        );
        writeln!(out, "  {}", hanging(&text, 4, columns))?;
    }
    let text = match sizing.break_even {
        Some(interval) => format!(
            "polling takes as few requests as callbacks from an interval of {} on, and then tells \
             {} late",
            number::time(interval),
            number::time(interval / 2.0)
        ),
        None => "callbacks take fewer requests than polling at any interval".to_owned(),
    };
    writeln!(out, "  {}", hanging(&text, 4, columns))
}

/// A peak as it was written, and by the second where that is another unit.
fn rate(advice: &Advice) -> String {
    let (written, second) = (
        advice.peak.to_string(),
        number::rate(advice.peak.per_second()),
    );
    if written == second {
        written
    } else {
        format!("{written} ({second})")
    }
}

fn what_to_do(decision: &Decision) -> String {
    let words = decision.verdict.words();
    match (decision.verdict, &decision.choice, decision.interval) {
        (Verdict::Poll, Some(choice), _) => in_words(choice),
        (Verdict::Poll, None, Some(interval)) => {
            format!("{words} every {}", number::time(interval))
        }
        _ => words.to_owned(),
    }
}

/// The name of polls as what a caller should do.
fn in_words(choice: &str) -> String {
    let words: Vec<&str> = choice.split(' ').collect();
    match words[..] {
        ["poll", interval] => format!("poll every {interval}"),
        ["poll", "exponential", interval] => {
            format!("poll after {interval}, and then at intervals that grow")
        }
        ["poll", "optimal", interval] => {
            format!("poll at the ages at which works end, as often as every {interval} would be")
        }
        _ => choice.to_owned(),
    }
}

fn what_would_change(advice: &Advice) -> Vec<String> {
    let mut all = vec![format!(
        "if works take twice as long: {}",
        compared(&advice.decision, &advice.if_slower)
    )];
    if let Some(halved) = &advice.if_halved {
        all.push(format!(
            "if the limit halves: {}",
            compared(&advice.decision, halved)
        ));
    }
    all
}

fn compared(now: &Decision, then: &Decision) -> String {
    let polls = then.share.map_or_else(String::new, |share| {
        format!(
            "; polls that tell in time then take {} of the limit",
            number::percent(share)
        )
    });
    if now.verdict == then.verdict && (now.verdict != Verdict::Poll || now.choice == then.choice) {
        format!("the same{polls}")
    } else {
        format!("{}{polls}", what_to_do(then))
    }
}

fn heads(out: &mut String, title: &str, columns: &[(&str, &str, usize)]) -> fmt::Result {
    write!(out, "\n{BOLD}{title:<width$}", width = NAMES + 2)?;
    for (head, _, width) in columns {
        write!(out, "{head:>width$}")?;
    }
    write!(out, "{BOLD:#}\n{BOLD}{:width$}", "", width = NAMES + 2)?;
    for (_, head, width) in columns {
        write!(out, "{head:>width$}")?;
    }
    writeln!(out, "{BOLD:#}")
}

fn cells(out: &mut String, name: &str, widths: &[usize], cells: &[String]) -> fmt::Result {
    write!(out, "  {name:<NAMES$}")?;
    for (width, cell) in widths.iter().zip(cells) {
        write!(out, "{cell:>width$}")?;
    }
    writeln!(out)
}

fn needs(out: &mut String, sizing: &Sizing, peak: &Peak, columns: usize) -> fmt::Result {
    let shown = if columns >= WIDE {
        &COLUMNS[..]
    } else {
        &COLUMNS[..6]
    };
    heads(out, &format!("at {}", peak.rate), shown)?;
    let widths: Vec<usize> = shown.iter().map(|column| column.2).collect();
    for (choice, Row { need, played }) in sizing.choices.iter().zip(&peak.rows) {
        cells(out, &choice.name, &widths, &computed(need))?;
        if let Some(played) = played {
            write!(out, "{DIM}")?;
            cells(
                out,
                "  in virtual time",
                &widths,
                &in_virtual_time(need, played),
            )?;
            write!(out, "{DIM:#}")?;
        }
    }
    Ok(())
}

fn computed(need: &Need) -> Vec<String> {
    let lag = |of: fn(&Lag) -> f64| match &need.lag {
        Some(lag) => number::time(of(lag)),
        None if need.grows() => GROWS.to_owned(),
        None => NOTHING.to_owned(),
    };
    vec![
        number::plain(need.requests_per_s),
        need.share
            .map_or_else(|| NOTHING.to_owned(), number::percent),
        number::plain(need.excess_per_s),
        number::plain(need.polls),
        lag(|lag| lag.mean),
        lag(|lag| lag.p99),
        number::bytes(need.bytes_per_s),
        number::plain(need.connections),
    ]
}

fn in_virtual_time(need: &Need, played: &Played) -> Vec<String> {
    let lag = |of: fn(&Lag) -> f64| match &played.lag {
        // How far it has grown says how long was played, and nothing else.
        _ if need.grows() => GROWS.to_owned(),
        Some(lag) => number::time(of(lag)),
        None => NOTHING.to_owned(),
    };
    vec![
        number::plain(played.requests_per_s.value),
        String::new(),
        number::plain(played.rejected_per_s),
        number::plain(played.polls.value),
        lag(|lag| lag.mean),
        lag(|lag| lag.p99),
    ]
}

fn has_callbacks(sizing: &Sizing) -> bool {
    let mut rows = sizing.peaks.iter().flat_map(|peak| &peak.rows);
    rows.any(|row| row.need.callbacks.is_some())
}

/// One line a peak: all choices with callbacks need the same receiver.
fn receivers(out: &mut String, sizing: &Sizing) -> fmt::Result {
    if !has_callbacks(sizing) {
        return Ok(());
    }
    heads(out, "the receiver", &RECEIVER)?;
    let widths = RECEIVER.map(|column| column.2);
    for peak in &sizing.peaks {
        let mut rows = peak.rows.iter();
        if let Some(callbacks) = rows.find_map(|row| row.need.callbacks.as_ref()) {
            cells(
                out,
                &format!("at {}", peak.rate),
                &widths,
                &receiver(callbacks),
            )?;
        }
    }
    Ok(())
}

fn receiver(callbacks: &Callbacks) -> Vec<String> {
    let outage = &callbacks.outage;
    vec![
        number::plain(callbacks.per_s),
        number::plain(callbacks.peak_per_s[1]),
        number::plain(callbacks.at_once),
        number::percent(callbacks.lost),
        number::plain(outage.lost.round()),
        number::plain(outage.storm_per_s),
        outage
            .storm_s
            .map_or_else(|| GROWS.to_owned(), number::time),
    ]
}

/// What the runs told, beside what the formulas say of the same rate.
fn runs(out: &mut String, sizing: &Sizing) -> fmt::Result {
    let columns = [
        ("works", "in all", 8),
        ("polls a work,", "measured", 16),
        ("", "computed", 10),
        ("known late by,", "measured", 16),
        ("", "computed", 10),
    ];
    if sizing.runs.is_empty() {
        return Ok(());
    }
    heads(out, "measured", &columns)?;
    let widths = columns.map(|column| column.2);
    for run in &sizing.runs {
        let choice = sizing
            .choices
            .iter()
            .find(|choice| choice.name == run.choice);
        let Some(choice) = choice else {
            continue;
        };
        let need = run.reckoned(&sizing.given, &choice.plan);
        let lag = run.lag.map_or_else(
            || NOTHING.to_owned(),
            |lag| {
                format!(
                    "{}±{}",
                    number::time(lag.mean),
                    number::time(2.0 * run.lag_error)
                )
            },
        );
        let figures = [
            number::count(run.works),
            format!(
                "{}±{}",
                number::plain(run.polls.value),
                number::plain(2.0 * run.polls.error)
            ),
            number::plain(need.polls),
            lag,
            need.lag
                .map_or_else(|| GROWS.to_owned(), |lag| number::time(lag.mean)),
        ];
        cells(out, &run.choice, &widths, &figures)?;
    }
    Ok(())
}

/// Standard errors that a dozen figures together seldom exceed by chance: once in some thirty
/// times.
const CHANCE: f64 = 3.0;

fn how_far_to_trust(sizing: &Sizing) -> Vec<String> {
    let given = &sizing.given;
    let mut all = Vec::new();
    if let Some((worst, rate, choice)) = sizing.worst() {
        let word = if sizing.agrees() {
            "agree"
        } else {
            "DO NOT AGREE"
        };
        all.push(format!(
            "formulas and virtual time {word}: they differ by {} at most (at {rate}, {choice}), of \
             which chance may be {}; beyond the limit they are not compared, nor is optimal, \
             which learns as it goes",
            number::percent(worst.largest()),
            number::percent(worst.noise)
        ));
    }
    if let Some((errors, choice)) = sizing.farthest() {
        let word = if errors <= CHANCE {
            "agree"
        } else {
            "DO NOT AGREE"
        };
        all.push(format!(
            "formulas and short runs {word}: the figure that is farthest off ({choice}) is {} standard \
             errors away, and chance alone seldom makes more than {CHANCE}; ± above is two of them",
            number::plain(errors)
        ));
    }
    all.push(
        "measured: how long works take, a submit and a poll. It is taken for granted that works take \
         as long at the peak; if they queue there, they take longer: see what happens if they do"
            .to_owned(),
    );
    all.push(format!(
        "not measured, but taken for granted of callbacks: {} of the attempts fail (size.failure_ratio), \
         {} in {} (simulator.callback.retries), the receiver is busy {} with each \
         (size.handler_time)",
        number::percent(given.size.failure_ratio),
        number::counted(given.delivery.tries() as u64, "attempt"),
        number::time(given.delivery.retried_for()),
        number::time(given.size.handler_time.seconds()),
    ));
    all
}
