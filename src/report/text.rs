//! The summary on the terminal: the verdict first, then why, then the figures, then what should
//! worry the reader. As wide as the terminal, readable without colour; the shell strips the styles
//! where they would not show.

mod calls;
pub mod number;
mod poll_ages;
mod table;
mod times;
pub mod wrap;

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use self::wrap::hanging;
use super::quantiles::Sample;
use super::rebuild::NOT_RECORDED;
use super::slo::{Decision, Estimate, Judgement, Ratio, polls_per_work};
use super::{EndedBy, Facts, Report, Verdict, binomial};
use crate::record::Metric;
use crate::record::disturbance::Kind;
use crate::record::ledger::{Count, Group};
use crate::record::snapshot::Snapshot;
use crate::scenario::{Slo, Statistic};
use crate::time::Span;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// How many stuck statuses and anomalies are shown; the rest is in `summary.json`.
const SHOWN: usize = 5;

/// The columns of a terminal, and of what is no terminal.
pub const COLUMNS: usize = 80;

/// The whole summary, with styles, in lines of at most `columns` characters; 60 is the least.
pub fn summary(report: &Report, columns: usize) -> String {
    let mut out = String::new();
    write_all(&mut out, report, columns).expect("a String takes everything");
    out
}

/// One line for `--quiet`, without styles.
pub fn line(report: &Report) -> String {
    let p99 = |metric| {
        let sample = Sample::of(&report.snapshot, metric);
        let [p99] = sample.quantiles([0.99]);
        value(p99, &sample)
    };
    let name = name(&report.facts);
    format!(
        "{} {name}: {}; accept latency p99 {}, time to terminal p99 {}, {}; {}",
        report.verdict.word(),
        why(report),
        p99(Metric::AcceptLatency),
        p99(Metric::TimeToTerminal),
        share("work failure", Ratio::WorkFailure.parts(&report.snapshot)),
        report.facts.run_dir,
    )
}

/// The name of a run, marked where it is a virtual one.
fn name(facts: &Facts) -> String {
    let mark = if facts.simulated { " (simulated)" } else { "" };
    format!("{}{mark}", facts.scenario)
}

fn write_all(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    headline(out, report, columns)?;
    promises(out, report, columns)?;
    ratios(out, report, columns)?;
    table::write(out, report, columns)?;
    times::write(out, report, columns)?;
    poll_ages::write(out, report, columns)?;
    calls::write(out, report, columns)?;
    worries(out, report, columns)?;
    section(out, "files")?;
    writeln!(out, "  {}", report.facts.run_dir)
}

fn section(out: &mut String, name: &str) -> fmt::Result {
    writeln!(out, "\n{BOLD}{name}{BOLD:#}")
}

/// Writes a sentence over as many lines as it needs, each behind `indent` spaces.
fn wrapped(out: &mut String, indent: usize, columns: usize, text: &str) -> fmt::Result {
    writeln!(out, "{:indent$}{}", "", hanging(text, indent, columns))
}

fn headline(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    let style = match report.verdict {
        Verdict::Pass => GREEN,
        Verdict::Undecided => YELLOW,
        Verdict::Fail | Verdict::Invalid => RED,
    };
    let (facts, word) = (&report.facts, report.verdict.word().to_uppercase());
    let why = why(report);
    let line = hanging(&format!("{word}  {}: {why}", name(facts)), 2, columns);
    let rest = line.strip_prefix(&word).unwrap_or_default();
    writeln!(out, "{style}{word}{style:#}{rest}")?;
    for reason in &report.reasons {
        wrapped(
            out,
            2,
            columns,
            &format!("{}: {}", reason.code.word(), reason.text),
        )?;
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
        "{}{}, {} of load in {} altogether{rates}, seed {}, {}",
        number::tame(&facts.target, columns - 5),
        if facts.simulated {
            ", in virtual time"
        } else {
            ""
        },
        number::time(facts.load.seconds()),
        number::time(facts.duration.seconds()),
        facts.seed,
        ending(facts.ended_by),
    );
    wrapped(out, 2, columns, &about)?;
    if facts.insecure {
        writeln!(out, "  {YELLOW}certificates were not checked{YELLOW:#}")?;
    }
    for note in &facts.notes {
        wrapped(out, 2, columns, &format!("note: {note}"))?;
    }
    Ok(())
}

/// How a run ended, in words.
const fn ending(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Plan => "ended as planned",
        EndedBy::Interrupt => "interrupted",
        EndedBy::Abort => "stopped, as the first submit was refused",
        EndedBy::Error => "stopped by an error",
        EndedBy::Killed => "killed",
    }
}

/// The verdict in half a sentence.
fn why(report: &Report) -> String {
    let (all, of) = (report.slo.len(), |decision| {
        let judged = report.slo.iter();
        judged.filter(|judged| judged.decision == decision).count()
    });
    let (failed, undecided) = (of(Decision::Fail), of(Decision::Undecided));
    let within = report
        .slo
        .iter()
        .filter(|judged| judged.hangs_on_own_error());
    let few = match within.count() {
        0 => "too few samples",
        some if some == undecided => "by less than our own error",
        _ => "too few samples or by less than our own error",
    };
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
        Verdict::Undecided if undecided == 0 => "the run broke off before its end".to_owned(),
        Verdict::Undecided => format!("{undecided} of {all} SLOs undecided, {few}"),
        Verdict::Fail if undecided == 0 => format!("{failed} of {all} SLOs failed"),
        Verdict::Fail => format!("{failed} of {all} SLOs failed, {undecided} undecided"),
    }
}

fn promises(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
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
        let that = number::tame(&judged.slo.that, columns - 15);
        writeln!(out, "  {style}{word:<9}{style:#}  {that}")?;
        wrapped(out, 13, columns, &measured(report, judged))?;
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
    let mut text = format!(
        "{} over {}",
        show(estimate.value),
        number::counted(n, "sample")
    );
    let Estimate { low, high, .. } = estimate;
    if low.is_finite() && high.is_finite() && low < high {
        let bounds = format!("; 95 % bounds {} and {}", show(low), show(high));
        text.push_str(&bounds);
    } else if low.is_finite() && high.is_infinite() {
        let bound = format!("; 95 % lower bound {}, no upper bound", show(low));
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
    if judged.hangs_on_own_error() {
        let error = judged.own_error.unwrap_or_default();
        write!(text, "; our own error is up to {}", number::time(error))
            .expect("a String takes everything");
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

fn ratios(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
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
    match failures(report) {
        Some(line) => wrapped(out, 2, columns, &line),
        None => Ok(()),
    }
}

/// Of which kinds the failures of works are, where the service did not say of all of them that they
/// failed.
fn failures(report: &Report) -> Option<String> {
    let get = |count| report.snapshot.counts.get(count);
    let kinds = [
        (get(Count::Failed), "failed"),
        (get(Count::Expired), "expired, without an end"),
        (get(Count::Lost), "lost"),
    ];
    let [_, expired, lost] = kinds;
    if expired.0 + lost.0 == 0 {
        return None;
    }
    let kinds = kinds.into_iter().filter(|(works, _)| *works > 0);
    let each: Vec<String> = kinds
        .map(|(works, kind)| format!("{} {kind}", number::count(works)))
        .collect();
    Some(format!("of the work failures {}", each.join("; ")))
}

/// A quantile, or that it is larger than all that was seen.
fn value(quantile: Option<f64>, sample: &Sample) -> String {
    match (quantile, sample.largest_seen()) {
        (Some(seconds), _) => number::time(seconds),
        (None, Some(seen)) => format!("> {}", number::time(seen)),
        (None, None) => "-".to_owned(),
    }
}

fn worries(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    let mut lines = stuck(report);
    lines.extend(disturbances(report));
    lines.extend(calls::worries(report));
    lines.extend(anomalies(report));
    lines.extend(limits(report));
    if !lines.is_empty() {
        section(out, "worth a look")?;
        for line in lines {
            wrapped(out, 2, columns, &line)?;
        }
    }
    section(out, "what asking cost")?;
    for line in costs(report) {
        wrapped(out, 2, columns, &line)?;
    }
    Ok(())
}

/// Works that are open, expired or lost, by the last word that a poll had for them.
fn stuck(report: &Report) -> Vec<String> {
    let mut stuck: Vec<_> = report.snapshot.stuck.iter().collect();
    stuck.sort_by_key(|(_, works)| std::cmp::Reverse(**works));
    let mut lines: Vec<String> = stuck
        .iter()
        .take(SHOWN)
        .map(|(status, works)| {
            let last = match status.as_ref() {
                Snapshot::NO_WORD => "no poll had a status".to_owned(),
                NOT_RECORDED => "status not recorded".to_owned(),
                status => format!("last status {}", number::tame(status, 40)),
            };
            format!("works without an end, {last}: {}", number::count(**works))
        })
        .collect();
    if stuck.len() > SHOWN {
        let others = stuck.len() - SHOWN;
        lines.push(format!("works without an end, at {others} other statuses"));
    }
    lines
}

/// When the machine, the process or a shard did not measure: the longest, in the order of time.
fn disturbances(report: &Report) -> Vec<String> {
    let Some(all) = &report.facts.disturbances else {
        return Vec::new();
    };
    let mut longest = all.longest.clone();
    longest.sort_by_key(|one| std::cmp::Reverse(one.length));
    longest.truncate(SHOWN);
    longest.sort_by_key(|one| one.at);
    let shown = longest.len() as u64;
    let mut lines: Vec<String> = longest
        .iter()
        .map(|one| {
            let at = number::clock(Span(one.at.0));
            let length = number::time(one.length.seconds());
            let what = match one.kind {
                Kind::Suspended => "the machine was suspended for",
                Kind::Starved => "the generator was stopped, or had no processor, for",
                Kind::ShardStarved => "a shard read nothing for",
                Kind::ClockStep => "the wall clock was set by",
            };
            format!("at {at} {what} {length}")
        })
        .collect();
    if all.count > shown {
        let others = number::counted(all.count - shown, "shorter disturbance");
        lines.push(format!("{others}, in summary.json"));
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
            "answers 429: {} ({} to submits, {} to polls), in {} of the gate{family}",
            number::count(all),
            number::count(submits),
            number::count(polls),
            number::counted(counts.get(Count::GateClosures), "closure"),
        ));
        if polls == 0 && counts.get(Count::Polls) > 0 {
            // One key has one limit, so the gate is shared; the service may see it otherwise.
            lines.push("polls waited at the gate though only submits got 429".to_owned());
        }
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
    let polls = format!(
        "{}{per_work}; {} skipped",
        number::counted(counts.get(Count::Polls), "poll"),
        number::counted(counts.get(Count::SkippedSlots), "slot"),
    );
    let waits = format!(
        "a due poll waited (p99) {} for the budget, {} at the gate",
        p99(Metric::PollWaitBudget),
        p99(Metric::PollWaitGate),
    );
    if report.facts.simulated {
        let ideal = "in virtual time nothing is late and no connection is opened";
        return vec![polls, waits, ideal.to_owned()];
    }
    let opened = number::counted(counts.get(Count::NewConnections), "connection");
    let probes = Sample::of(&report.snapshot, Metric::StampDelay);
    let [stamped] = probes.quantiles([0.99]);
    let stamped = stamped.map_or_else(String::new, |late| {
        format!("; answers stamped late by (p99) {}", number::time(late))
    });
    let lag = format!(
        "the generator's own lag: p99 {}, of {} allowed{stamped}",
        p99(Metric::GeneratorLag),
        number::time(report.limits.schedule_lag_p99.seconds()),
    );
    let mut lines = vec![format!("{polls}; {opened} opened"), waits, lag];
    lines.extend(own_cost(report));
    lines.extend(report.facts.selftest.sentence());
    lines
}

/// What the generator itself took of the machine.
fn own_cost(report: &Report) -> Option<String> {
    let cost = report.facts.cost(&report.snapshot)?;
    let each = cost.per_request_s.map_or_else(String::new, |seconds| {
        format!(", {} a request", number::time(seconds))
    });
    let share = cost.core_share.map_or_else(String::new, |share| {
        format!(", {} of a core", number::percent(share))
    });
    let facts = &report.facts;
    let lane = facts.client.map(|lane| lane.word().to_owned());
    let shards = (facts.shards > 1).then(|| format!("{} shards", facts.shards));
    let client: Vec<String> = lane.into_iter().chain(shards).collect();
    let client = match &client[..] {
        [] => String::new(),
        known => format!(" ({})", known.join(", ")),
    };
    let cpu = number::time(cost.cpu.seconds());
    let memory = cost.memory.map_or_else(String::new, |memory| {
        let works = cost.bytes_per_work.map_or_else(String::new, |bytes| {
            format!(", {} for each open work", number::bytes(bytes))
        });
        let peak = number::bytes(binomial::float(memory.peak));
        format!("; the process {peak} of memory at most{works}")
    });
    Some(format!(
        "the generator took {cpu} of CPU{each}{share}{client}{memory}"
    ))
}

#[cfg(test)]
mod tests;
