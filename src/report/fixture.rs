//! A small run with one of everything, for the tests of this folder.

use super::selftest::Quoted;
use super::{EndedBy, Facts, Memory};
use crate::record::disturbance::{Disturbances, Kind};
use crate::record::interval::Interval;
use crate::record::ledger::{Count, Gauges};
use crate::record::row::{Settled, WorkRow};
use crate::record::snapshot::Snapshot;
use crate::record::windows::{Happening, Window};
use crate::record::{Metric, Recorder};
use crate::scenario::{Judge, Lane, Relation, Slo, Statistic, ValidityLimits};
use crate::time::{Span, Tick};
use crate::work::{Fault, Outcome, ServiceTime, Source, WorkId};

/// A run as its intervals, its rows in the order of their end, and their sum.
pub(super) struct Run {
    pub(super) intervals: Vec<Interval>,
    pub(super) rows: Vec<Settled>,
    pub(super) snapshot: Snapshot,
}

pub(super) fn facts() -> Facts {
    Facts {
        scenario: "fixture".to_owned(),
        seed: 202,
        version: "0.1.0".to_owned(),
        started_at: 1_750_000_000_123_456,
        load_planned: Span::from_secs(3),
        load: Span::from_secs(3),
        duration: Span::from_millis(5_500),
        ended_by: EndedBy::Plan,
        target: "the built-in simulator".to_owned(),
        simulated: false,
        insecure: false,
        client: Some(Lane::Direct),
        shards: 3,
        mode: crate::scenario::Mode::Poll,
        cpu: Some(Span(250_123_000)),
        receiver: None,
        memory: Some(Memory {
            peak: 21_500_000,
            grown: 4_096,
        }),
        rate_limit_family: None,
        run_dir: "reports/fixture".to_owned(),
        disturbances: Some(disturbances()),
        has_rows: true,
        selftest: Quoted::Never,
        looks: None,
        cautions: Vec::new(),
        notes: Vec::new(),
    }
}

fn disturbances() -> Disturbances {
    let mut all = Disturbances::default();
    all.note(Kind::Starved, Tick(1_500_000_000), Span::from_millis(250));
    all
}

pub(super) fn limits() -> ValidityLimits {
    ValidityLimits {
        schedule_lag_p99: Span::from_millis(10),
        cpu_share: 0.95,
    }
}

/// `subject.q < bound`
pub(super) fn at_most(subject: &str, q: f64, bound: f64) -> Slo {
    promise(subject, Some(Statistic::Quantile(q)), Relation::Less, bound)
}

pub(super) fn promise(
    subject: &str,
    statistic: Option<Statistic>,
    relation: Relation,
    bound: f64,
) -> Slo {
    let statistics = match statistic {
        None => String::new(),
        Some(Statistic::Mean) => ".mean".to_owned(),
        Some(Statistic::Max) => ".max".to_owned(),
        Some(Statistic::Quantile(q)) => format!(".p{}", q * 100.0),
    };
    let sign = match relation {
        Relation::Less => "<",
        Relation::LessEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterEqual => ">=",
        Relation::Equal => "==",
    };
    Slo {
        that: format!("{subject}{statistics} {sign} {bound}"),
        subject: subject.to_owned(),
        statistic,
        relation,
        bound,
        judge: Judge::Bounds,
    }
}

/// 100 arrivals in three seconds, 30 ms apart; the run ends at 5.5 s.
pub(super) fn run() -> Run {
    let mut works: Vec<(Tick, Settled)> = (0..100).map(work).collect();
    works.sort_by_key(|(end, settled)| (*end, settled.row.seq));
    let mut recorder = Recorder::new(Tick::ZERO);
    let mut intervals = Vec::new();
    let mut from = Tick::ZERO;
    for second in 1..=6_u64 {
        let to = Tick((second * 1_000_000_000).min(5_500_000_000));
        let inside = |at: Option<Tick>| at.is_some_and(|at| from <= at && at < to);
        let mut gauges = Gauges::default();
        let mut area = Span::ZERO;
        for (end, settled) in &works {
            let row = &settled.row;
            record(&mut recorder, row, &inside, *end);
            let open = row.accepted.is_some_and(|at| at < to) && *end >= to;
            gauges.backlog += u64::from(open);
            if let Some(accepted) = row.accepted {
                let stay = (*end).clamp(from, to).since(accepted.clamp(from, to));
                area = Span(area.0 + stay.0);
            }
            let waits = row.sent.is_some_and(|at| at < to) && row.accepted.unwrap_or(*end) >= to;
            gauges.submitting += u64::from(waits);
            gauges.in_flight = gauges.submitting;
            gauges.queued += u64::from(row.intended < to && row.sent.is_none_or(|at| at >= to));
        }
        for (_, settled) in works.iter().filter(|_| second == 6) {
            if settled.row.outcome == Outcome::Unresolved {
                window(&mut recorder, &settled.row);
            }
        }
        let stage = (second <= 3).then_some(0);
        intervals.push(recorder.close(to, stage, gauges, area));
        from = to;
    }
    let mut snapshot = Snapshot::default();
    for interval in &intervals {
        snapshot.absorb(interval);
    }
    for (word, works) in [("running", 2), ("pending", 1), (Snapshot::NO_WORD, 1)] {
        snapshot.stuck.insert(word.into(), works);
    }
    Run {
        intervals,
        rows: works.into_iter().map(|(_, settled)| settled).collect(),
        snapshot,
    }
}

fn record(r: &mut Recorder, row: &WorkRow, inside: &impl Fn(Option<Tick>) -> bool, end: Tick) {
    if inside(Some(row.intended)) {
        r.count(Count::Scheduled);
    }
    if let Some(sent) = row.sent.filter(|at| inside(Some(*at))) {
        r.count(Count::Sent);
        r.count(Count::Submits);
        r.record(Metric::ScheduleLag, sent.since(row.intended));
        r.count(Count::Probes);
        r.record(Metric::StampDelay, Span(950_000));
        r.record(Metric::GeneratorLag, sent.since(row.intended));
    }
    if let Some(accepted) = row.accepted.filter(|at| inside(Some(*at))) {
        r.count(Count::Accepted);
        r.record(Metric::AcceptLatency, accepted.since(row.intended));
        let sent = row.sent.expect("accepted works were sent");
        r.record(Metric::AcceptServiceTime, accepted.since(sent));
        if row.seq.is_multiple_of(4) {
            r.count(Count::ClosedLoopAccepts);
            r.record(Metric::ClosedLoopLatency, accepted.since(sent));
        }
    }
    if !inside(Some(end)) {
        return;
    }
    let (count, metric) = match row.outcome {
        Outcome::Completed => (Count::Completed, Some(Metric::TimeToCompleted)),
        Outcome::Failed => (Count::Failed, Some(Metric::TimeToFailed)),
        Outcome::Expired => (Count::Expired, None),
        Outcome::Lost => (Count::Lost, None),
        Outcome::Rejected => (Count::Rejected, None),
        _ => (Count::IntakeFailed, None),
    };
    r.count(count);
    if row.maybe_accepted {
        r.count(Count::MaybeAccepted);
    }
    for _ in 0..row.polls {
        r.count(Count::Polls);
        r.count(Count::PollAnswers);
        r.record(Metric::PollRoundTrip, Span::from_millis(2));
        r.record(Metric::PollWait, Span::from_millis(row.seq % 3));
        r.record(Metric::PollWaitBudget, Span::from_millis(row.seq % 3));
        r.record(Metric::PollWaitGate, Span::ZERO);
        r.record(Metric::PollLag, Span(200_000));
    }
    if row.accepted.is_some() {
        window(r, row);
    }
    if let (Some(metric), Some(detected)) = (metric, row.detected) {
        r.count(Count::Terminal);
        r.record(metric, detected.since(row.intended));
        r.record(Metric::TimeToTerminal, detected.since(row.intended));
    }
}

/// What polls saw of the end of a work.
fn window(r: &mut Recorder, row: &WorkRow) {
    let sent = row.sent.expect("accepted works were sent");
    let age = |at: Tick| at.since(sent);
    let open = row.last_open.map_or(Span::ZERO, age);
    let what = match row.outcome {
        Outcome::Failed => Happening::Failed,
        _ => Happening::Completed,
    };
    r.window(match row.detected {
        Some(at) => Window::seen(what, open, age(at)),
        None => Window::censored(Happening::Completed, open),
    });
    if let (Some(stamp), Some(open), Some(at)) = (row.finished, row.last_open, row.detected) {
        r.stamps().count(what, stamp, [sent, open, at]);
    }
}

fn work(seq: u64) -> (Tick, Settled) {
    let intended = Tick(seq * 30_000_000);
    let accepted = intended + Span::from_millis(seq + 1);
    let detected = intended + Span::from_millis(1_000 + 10 * seq);
    let never = Tick::NEVER;
    let (outcome, end) = match seq {
        50 => (Outcome::Expired, Tick(5_200_000_000)),
        51 => (Outcome::Lost, Tick(4_000_000_000)),
        52 | 53 => (Outcome::Unresolved, never),
        54 => (Outcome::IntakeFailed, intended + Span::from_secs(1)),
        55 => (Outcome::Rejected, accepted),
        _ if seq.is_multiple_of(10) => (Outcome::Failed, detected),
        _ => (Outcome::Completed, detected),
    };
    let told = matches!(outcome, Outcome::Completed | Outcome::Failed);
    let taken = !matches!(outcome, Outcome::IntakeFailed | Outcome::Rejected);
    let status = match seq {
        _ if !taken => None,
        50 | 52 => Some("running"),
        51 => Some("pending"),
        53 => None,
        _ => Some(outcome.word()),
    };
    let row = WorkRow {
        seq,
        stage: 0,
        intended,
        sent: Some(intended + Span(100_000)),
        accepted: taken.then_some(accepted),
        http_status: match outcome {
            Outcome::IntakeFailed => None,
            Outcome::Rejected => Some(429),
            _ => Some(202),
        },
        work_id: taken.then(|| WorkId(format!("work,\"{seq}\"\n").into())),
        last_open: taken.then(|| accepted + Span::from_millis(500)),
        detected: told.then_some(detected),
        source: told.then_some(Source::Poll),
        outcome,
        polls: u32::from(taken) * 2,
        rate_limited: u32::from(outcome == Outcome::Rejected),
        fault: (outcome == Outcome::IntakeFailed).then_some(Fault::Timeout),
        maybe_accepted: outcome == Outcome::IntakeFailed,
        last_status: status.map(Into::into),
        finished: told.then_some(ServiceTime(1_750_000_001_000_001)),
        settled: (taken && end != never).then_some(end),
    };
    let body = (outcome != Outcome::Completed).then(|| format!("{{\"seq\":{seq}}}").into());
    (end, Settled { row, body })
}
