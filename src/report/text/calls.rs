//! Callbacks: how many came, what was odd about them, who told first, and how unevenly they came.

use std::fmt;

use super::{number, section, wrapped};
use crate::record::Metric;
use crate::record::attempts::MOST;
use crate::record::ledger::Count;
use crate::report::Report;
use crate::report::quantiles::Sample;
use crate::scenario::Mode;
use crate::work::Anomaly;

pub(super) fn write(out: &mut String, report: &Report, columns: usize) -> fmt::Result {
    if !report.facts.mode.hears_callbacks() {
        return Ok(());
    }
    section(out, "callbacks")?;
    let mut lines = vec![arrived(report)];
    lines.extend(odd(report));
    lines.extend(who_was_first(report));
    lines.extend(swept(report));
    lines.extend(behind(report));
    lines.extend(bursts(report));
    lines.extend(again(report));
    lines.extend(receiver(report));
    for line in lines {
        wrapped(out, 2, columns, &line)?;
    }
    Ok(())
}

fn get(report: &Report, count: Count) -> u64 {
    report.snapshot.counts.get(count)
}

fn arrived(report: &Report) -> String {
    let (accepted, first) = (
        get(report, Count::Accepted),
        get(report, Count::CallbacksFirst),
    );
    format!(
        "{} came; {} of {} accepted were told of, {} were not",
        number::counted(get(report, Count::Callbacks), "callback"),
        number::counted(first, "work"),
        number::count(accepted),
        number::count(accepted.saturating_sub(first)),
    )
}

/// What a receiver of its own would have to be mended for.
pub(super) fn worries(report: &Report) -> Vec<String> {
    let all = get(report, Count::Callbacks);
    let line = |count, what: &str, hint: &str| {
        let times = get(report, count);
        let each = if times == all && all > 1 {
            format!("all {} callbacks", number::count(all))
        } else {
            format!(
                "{} of {} callbacks",
                number::count(times),
                number::count(all)
            )
        };
        (times > 0).then(|| format!("{each} {what}: {hint}"))
    };
    let bad = get(report, Count::BadToken);
    let bad = (bad > 0).then(|| {
        let requests = number::counted(bad, "request");
        format!(
            "{requests} to the receiver without the token: does the service call the URL as it is?"
        )
    });
    [
        line(
            Count::CallbacksUnverified,
            "had a signature that does not fit",
            "are the secrets of observe.callback.signature the service's?",
        ),
        line(
            Count::CallbacksUnreadable,
            "were not understood",
            "do observe.callback.id and observe.callback.terminal name what is in them?",
        ),
        bad,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is not as it should be, each kind that occurred.
fn odd(report: &Report) -> Option<String> {
    let kinds: [(Count, &str); 15] = [
        (Anomaly::DuplicateCallback.into(), "duplicates"),
        (Count::CallbacksRepeated, "of them of the same delivery"),
        (
            Anomaly::CallbackBeforeAccept.into(),
            "before the 202 was read",
        ),
        (
            Anomaly::CallbackAfterSettlement.into(),
            "after their work had settled",
        ),
        (Count::CallbacksLate, "later than the deadline"),
        (Count::CallbacksOpen, "not terminal"),
        (
            Count::CallbacksUnverified,
            "with a signature that does not fit",
        ),
        (Count::CallbacksUnreadable, "not understood"),
        (Anomaly::UnknownWork.into(), "about unknown works"),
        (Count::CallbacksUnaccepted, "about works never accepted"),
        (Count::CallbacksRefused, "refused on purpose"),
        (Count::BadToken, "requests without the token"),
        (Count::BadCalls, "malformed requests"),
        (Count::SlowCalls, "requests that were too slow"),
        (Count::Evicted, "connections closed to make room"),
    ];
    let found: Vec<String> = kinds
        .into_iter()
        .map(|(count, words)| (get(report, count), words))
        .filter(|(times, _)| *times > 0)
        .map(|(times, words)| format!("{} {words}", number::count(times)))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// In mode both each work is its own control.
fn who_was_first(report: &Report) -> Vec<String> {
    let by = |metric: Metric| {
        let sample = Sample::of(&report.snapshot, metric);
        let [half, most] = sample.quantiles([0.5, 0.99]);
        let time = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number::time);
        format!("by {} (p50), {} (p99)", time(half), time(most))
    };
    let line = |count, who: &str, metric| {
        let works = get(report, count);
        let line = format!("{who} told first of {}", number::counted(works, "work"));
        (works > 0).then(|| format!("{line}, {}", by(metric)))
    };
    [
        line(Count::CallbackAhead, "the callback", Metric::CallbackAhead),
        line(Count::PollAhead, "the poll", Metric::PollAhead),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn swept(report: &Report) -> Option<String> {
    if report.facts.mode == Mode::Both {
        return None;
    }
    let swept = match report.facts.mode {
        Mode::Hybrid => format!(
            "; polls found the end of {}",
            get(report, Count::CallbacksSwept)
        ),
        _ => String::new(),
    };
    Some(format!(
        "{} had no callback at the deadline{swept}",
        number::counted(get(report, Count::CallbacksOverdue), "work"),
    ))
}

/// How late they were, where the service says when works ended.
fn behind(report: &Report) -> Option<String> {
    let lags = report.call_lags().ok()?;
    let time = |seconds: f64| {
        let sign = if seconds < 0.0 { "-" } else { "" };
        format!("{sign}{}", number::time(seconds.abs()))
    };
    let figures = lags.figures();
    let [half, most, mean] = [figures.p50?, figures.p99?, figures.mean?];
    Some(format!(
        "by the service's stamps they came {} (p50), {} (p99), {} (mean) after the end of their \
         work, each more or less {}",
        time(half),
        time(most),
        time(mean),
        number::time(lags.uncertainty),
    ))
}

fn bursts(report: &Report) -> Option<String> {
    let bursts = report.bursts();
    let each: Vec<String> = bursts
        .iter()
        .map(|burst| {
            format!(
                "{} in {} (mean {}, dispersion {})",
                number::count(burst.most),
                number::time(burst.window.seconds()),
                number::plain(burst.mean),
                number::plain(burst.dispersion),
            )
        })
        .collect();
    (!each.is_empty()).then(|| format!("at the peak {}", each.join(", ")))
}

/// What a team has to provide for a receiver of its own.
fn receiver(report: &Report) -> Option<String> {
    let receiver = report.facts.receiver?;
    let mean = if receiver.mean_at_once < 0.01 {
        "less than 0.01".to_owned()
    } else {
        number::plain(receiver.mean_at_once)
    };
    Some(format!(
        "the receiver had {} at once at most ({mean} on the average) on {}, and took {} of CPU",
        number::counted(receiver.most_at_once, "callback"),
        number::counted(receiver.most_connections, "connection"),
        number::time(receiver.cpu.seconds()),
    ))
}

/// The retry schedule, as far as it was seen.
fn again(report: &Report) -> Option<String> {
    let each: Vec<String> = report
        .attempts()
        .iter()
        .map(|attempt| {
            format!(
                "call {} came {} after the one before ({} to {}, {})",
                attempt.number,
                number::time(attempt.mean),
                number::time(attempt.least.seconds()),
                number::time(attempt.most.seconds()),
                number::counted(attempt.count, "work"),
            )
        })
        .collect();
    let last = report.attempts().last()?.number;
    // Those of the last number are of all later ones, too.
    let end = if (last as usize) < MOST {
        format!("; no work had more than {last}")
    } else {
        " or later".to_owned()
    };
    Some(each.join("; ") + &end)
}
