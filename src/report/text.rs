//! The summary on the terminal: the verdict first, then why, then the figures, then what should
//! worry the reader. 80 columns, readable without colour; the shell strips the styles where they
//! would not show.

pub mod number;

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use super::quantiles::{Quantiles, Sample};
use super::slo::{Decision, Estimate, Judgement, Ratio, polls_per_work};
use super::{Report, Verdict, binomial};
use crate::record::Metric;
use crate::record::ledger::{Count, Group};
use crate::scenario::{Slo, Statistic};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// How many stuck statuses and anomalies are shown; the rest is in `summary.json`.
const SHOWN: usize = 5;

/// The columns of a terminal.
const WIDTH: usize = 80;

/// The whole summary, with styles.
pub fn summary(report: &Report) -> String {
    let mut out = String::new();
    write_all(&mut out, report).expect("a String takes everything");
    out
}

/// One line for `--quiet`, without styles.
pub fn line(report: &Report) -> String {
    let p99 = |metric| {
        let sample = Sample::of(&report.snapshot, metric);
        let [p99] = sample.quantiles([0.99]);
        value(p99, &sample)
    };
    format!(
        "{} {}: {}; accept latency p99 {}, time to terminal p99 {}, {}; {}",
        report.verdict.word(),
        report.facts.scenario,
        why(report),
        p99(Metric::AcceptLatency),
        p99(Metric::TimeToTerminal),
        share("work failure", Ratio::WorkFailure.parts(&report.snapshot)),
        report.facts.run_dir,
    )
}

fn write_all(out: &mut String, report: &Report) -> fmt::Result {
    headline(out, report)?;
    promises(out, report)?;
    ratios(out, report)?;
    table(out, report)?;
    worries(out, report)?;
    section(out, "files")?;
    writeln!(out, "  {}", report.facts.run_dir)
}

fn section(out: &mut String, name: &str) -> fmt::Result {
    writeln!(out, "\n{BOLD}{name}{BOLD:#}")
}

/// Writes a sentence over as many lines as it needs, each behind `indent` spaces.
fn wrapped(out: &mut String, indent: usize, text: &str) -> fmt::Result {
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && indent + column + 1 + length > WIDTH {
            writeln!(out)?;
            column = 0;
        }
        if column == 0 {
            write!(out, "{:indent$}{word}", "")?;
            column = length;
        } else {
            write!(out, " {word}")?;
            column += 1 + length;
        }
    }
    writeln!(out)
}

fn headline(out: &mut String, report: &Report) -> fmt::Result {
    let style = match report.verdict {
        Verdict::Pass => GREEN,
        Verdict::Undecided => YELLOW,
        Verdict::Fail | Verdict::Invalid => RED,
    };
    let (facts, word) = (&report.facts, report.verdict.word().to_uppercase());
    let why = why(report);
    writeln!(out, "{style}{word}{style:#}  {}: {why}", facts.scenario)?;
    for reason in &report.reasons {
        wrapped(out, 2, &format!("{}: {}", reason.code.word(), reason.text))?;
    }
    let rates = match (
        facts.achieved_rate(&report.snapshot),
        facts.offered_rate(&report.snapshot),
    ) {
        (Some(achieved), Some(offered)) => format!(
            ", {} sent of {} offered",
            number::rate(achieved),
            number::rate(offered)
        ),
        _ => String::new(),
    };
    let about = format!(
        "{}, {} of load in {} altogether{rates}, seed {}, ended by {}",
        number::tame(&facts.target, 60),
        number::time(facts.load.seconds()),
        number::time(facts.duration.seconds()),
        facts.seed,
        facts.ended_by.word(),
    );
    wrapped(out, 2, &about)?;
    if facts.insecure {
        writeln!(out, "  {YELLOW}certificates were not checked{YELLOW:#}")?;
    }
    for note in &facts.notes {
        wrapped(out, 2, &format!("note: {note}"))?;
    }
    Ok(())
}

/// The verdict in half a sentence.
fn why(report: &Report) -> String {
    let (all, of) = (report.slo.len(), |decision| {
        let judged = report.slo.iter();
        judged.filter(|judged| judged.decision == decision).count()
    });
    let (failed, undecided) = (of(Decision::Fail), of(Decision::Undecided));
    let few = "too few samples";
    match report.verdict {
        Verdict::Invalid => {
            let codes: Vec<&str> = report.reasons.iter().map(|why| why.code.word()).collect();
            format!(
                "the measurement is not to be trusted ({})",
                codes.join(", ")
            )
        }
        Verdict::Pass if all == 0 => "a valid run; it has no SLO".to_owned(),
        Verdict::Pass => format!("{all} of {all} SLOs kept"),
        Verdict::Undecided if undecided == 0 => {
            "the run was stopped at its first answer".to_owned()
        }
        Verdict::Undecided => format!("{undecided} of {all} SLOs undecided, {few}"),
        Verdict::Fail if undecided == 0 => format!("{failed} of {all} SLOs failed"),
        Verdict::Fail => format!("{failed} of {all} SLOs failed, {undecided} undecided"),
    }
}

fn promises(out: &mut String, report: &Report) -> fmt::Result {
    if report.slo.is_empty() {
        return Ok(());
    }
    section(out, "SLOs")?;
    for judged in &report.slo {
        let style = match judged.decision {
            Decision::Pass => GREEN,
            Decision::Fail => RED,
            Decision::Undecided => YELLOW,
        };
        let word = judged.decision.word();
        let that = number::tame(&judged.slo.that, 60);
        writeln!(out, "  {style}{word:<9}{style:#}  {that}")?;
        wrapped(out, 13, &measured(report, judged))?;
    }
    Ok(())
}

/// What was measured of an SLO, and between which bounds.
fn measured(report: &Report, judged: &Judgement) -> String {
    let Some(estimate) = judged.estimate else {
        return "no samples".to_owned();
    };
    let show = |value: f64| {
        if value.is_finite() {
            return in_unit(&judged.slo, value);
        }
        let metric = Metric::named(&judged.slo.subject);
        let seen = metric.and_then(|of| Sample::of(&report.snapshot, of).largest_seen());
        seen.map_or_else(
            || "beyond every value".to_owned(),
            |seen| format!("> {}", number::time(seen)),
        )
    };
    let Some(n) = estimate.n else {
        return format!("it is {}", show(estimate.value));
    };
    let mut text = format!("{} over {}", show(estimate.value), number::count(n));
    let Estimate { low, high, .. } = estimate;
    if low.is_finite() && high.is_finite() && low < high {
        let bounds = format!(
            "; at least {}, at most {} (each 95 %)",
            show(low),
            show(high)
        );
        text.push_str(&bounds);
    } else if low.is_finite() && high.is_infinite() {
        let bound = format!("; at least {} (95 %), no upper bound", show(low));
        text.push_str(&bound);
    }
    if let Some(Statistic::Quantile(q)) = judged.slo.statistic {
        let needed = binomial::samples_needed(q);
        if n < needed && judged.decision == Decision::Undecided {
            text.push_str(": that needs ");
            text.push_str(&number::count(needed));
            text.push_str(" samples");
        }
    }
    text
}

fn in_unit(slo: &Slo, value: f64) -> String {
    if slo.statistic.is_some() {
        number::time(value)
    } else if slo.subject.ends_with("_ratio") {
        number::percent(value)
    } else if slo.subject.ends_with("_rate") {
        number::rate(value)
    } else {
        number::plain(value)
    }
}

fn share(name: &str, (k, n): (u64, u64)) -> String {
    if n == 0 {
        return format!("{name} -");
    }
    let share = number::percent(binomial::float(k) / binomial::float(n));
    format!("{name} {share}")
}

fn ratios(out: &mut String, report: &Report) -> fmt::Result {
    section(out, "ratios")?;
    for (ratio, name, of) in [
        (Ratio::IntakeFailure, "intake failure", "sent"),
        (Ratio::WorkFailure, "work failure", "accepted"),
        (Ratio::Unresolved, "unresolved", "accepted"),
    ] {
        let (k, n) = ratio.parts(&report.snapshot);
        let share = match n {
            0 => "-".to_owned(),
            _ => number::percent(binomial::float(k) / binomial::float(n)),
        };
        let counts = format!("{} of {} {of}", number::count(k), number::count(n));
        writeln!(out, "  {name:<16}{share:>10}   {DIM}{counts}{DIM:#}")?;
    }
    Ok(())
}

/// Picks a figure of a metric.
type Part = fn(&Quantiles) -> Option<f64>;

/// A quantile, or that it is larger than all that was seen.
fn value(quantile: Option<f64>, sample: &Sample) -> String {
    match (quantile, sample.largest_seen()) {
        (Some(seconds), _) => number::time(seconds),
        (None, Some(seen)) => format!("> {}", number::time(seen)),
        (None, None) => "-".to_owned(),
    }
}

fn table(out: &mut String, report: &Report) -> fmt::Result {
    let samples = [
        Metric::AcceptLatency,
        Metric::AcceptServiceTime,
        Metric::TimeToTerminal,
    ]
    .map(|metric| Sample::of(&report.snapshot, metric));
    let figures = samples.each_ref().map(Sample::figures);
    writeln!(
        out,
        "\n{BOLD}{:<10}{:>20}{:>23}{:>20}{BOLD:#}",
        "", "accept latency", "accept service time", "time to terminal"
    )?;
    let mut row = |name: &str, cells: [String; 3]| {
        let [a, b, c] = cells;
        writeln!(out, "  {name:<8}{a:>20}{b:>23}{c:>20}")
    };
    let parts: [(&str, Part); 7] = [
        ("min", |of| of.min),
        ("p50", |of| of.p50),
        ("p90", |of| of.p90),
        ("p95", |of| of.p95),
        ("p99", |of| of.p99),
        ("p99.9", |of| of.p999),
        ("max", |of| of.max),
    ];
    for (name, part) in parts {
        let cell = |index: usize| value(part(&figures[index]), &samples[index]);
        row(name, [cell(0), cell(1), cell(2)])?;
    }
    row("samples", figures.map(|of| number::count(of.count)))?;
    if figures.iter().any(|of| of.beyond > 0) {
        row("beyond", figures.map(|of| number::count(of.beyond)))?;
        let dim = "beyond: without an answer; they count as larger than every value";
        writeln!(out, "  {DIM}{dim}{DIM:#}")?;
    }
    Ok(())
}

fn worries(out: &mut String, report: &Report) -> fmt::Result {
    let mut lines = stuck(report);
    lines.extend(anomalies(report));
    lines.extend(limits(report));
    if !lines.is_empty() {
        section(out, "worth a look")?;
        for line in lines {
            wrapped(out, 2, &line)?;
        }
    }
    section(out, "what asking cost")?;
    for line in costs(report) {
        wrapped(out, 2, &line)?;
    }
    Ok(())
}

fn stuck(report: &Report) -> Vec<String> {
    let mut stuck: Vec<_> = report.snapshot.stuck.iter().collect();
    stuck.sort_by_key(|(_, works)| std::cmp::Reverse(**works));
    let mut lines: Vec<String> = stuck
        .iter()
        .take(SHOWN)
        .map(|(status, works)| {
            let works = number::count(**works);
            format!("stuck at {}: {works}", number::tame(status, 40))
        })
        .collect();
    if stuck.len() > SHOWN {
        lines.push(format!("stuck at {} other statuses", stuck.len() - SHOWN));
    }
    lines
}

fn anomalies(report: &Report) -> Vec<String> {
    Count::ALL
        .iter()
        .filter(|count| count.group() == Group::Anomalies)
        .map(|count| (count.name(), report.snapshot.counts.get(*count)))
        .filter(|(_, times)| *times > 0)
        .map(|(name, times)| format!("broken promise {name}: {}", number::count(times)))
        .collect()
}

/// What was held back, refused or lost on the way.
fn limits(report: &Report) -> Vec<String> {
    let counts = &report.snapshot.counts;
    let gauges = &report.snapshot.gauges;
    let mut lines = Vec::new();
    let mut say = |number: u64, text: &str| {
        if number > 0 {
            lines.push(format!("{text}: {}", number::count(number)));
        }
    };
    say(
        counts.get(Count::Dropped),
        "arrivals dropped by the scenario's own limits",
    );
    say(gauges.queued, "arrivals still queued at the end");
    say(gauges.submitting, "submits without an answer at the end");
    say(
        counts.get(Count::MaybeAccepted),
        "submits that the service may have taken unseen",
    );
    say(
        counts.get(Count::Missed),
        "arrivals missed while no process ran",
    );
    say(
        counts.get(Count::Unknown),
        "arrivals of which nothing is known",
    );
    say(
        counts.get(Count::NotVisible),
        "polls that did not yet see an accepted work",
    );
    say(counts.get(Count::PollErrors), "polls that failed");
    say(
        counts.get(Count::HintClamps),
        "waits cut, as the headers asked for too much",
    );
    let (all, submits, polls) = (
        counts.get(Count::RateLimited),
        counts.get(Count::RateLimitedSubmits),
        counts.get(Count::RateLimitedPolls),
    );
    if all > 0 {
        let family = report.facts.rate_limit_family.as_ref();
        let family = family.map_or_else(String::new, |name| format!("; headers: {name}"));
        lines.push(format!(
            "answers 429: {} ({} to submits, {} to polls), in {} closures of the gate{family}",
            number::count(all),
            number::count(submits),
            number::count(polls),
            number::count(counts.get(Count::GateClosures)),
        ));
    }
    lines
}

fn costs(report: &Report) -> Vec<String> {
    let counts = &report.snapshot.counts;
    let per_work = polls_per_work(&report.snapshot).map_or_else(String::new, |polls| {
        format!(", {} for each work", number::plain(polls))
    });
    let p99 = |metric| {
        let sample = Sample::of(&report.snapshot, metric);
        let [p99] = sample.quantiles([0.99]);
        value(p99, &sample)
    };
    vec![
        format!(
            "{} polls{per_work}; {} slots skipped; {} connections opened",
            number::count(counts.get(Count::Polls)),
            number::count(counts.get(Count::SkippedSlots)),
            number::count(counts.get(Count::NewConnections)),
        ),
        format!(
            "a due poll waited (p99) {} for the budget, {} at the gate",
            p99(Metric::PollWaitBudget),
            p99(Metric::PollWaitGate),
        ),
        format!(
            "the generator's own lag: p99 {}, of {} allowed",
            p99(Metric::GeneratorLag),
            number::time(report.limits.schedule_lag_p99.seconds()),
        ),
    ]
}

#[cfg(test)]
mod tests;
