//! What is checked when a run has ended: our books against the service's.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::arrival::{Arrival, ArrivalSchedule, Segment};
use plimsoll::engine::Input;
use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::record::row::WorkRow;
use plimsoll::scenario::{Bucket, Law, Plan};
use plimsoll::sim::world::VirtualRun;
use plimsoll::sim::{Answered, Kind, LastAnswer, TruthRow, Word};
use plimsoll::time::{Span, Tick};
use plimsoll::work::Outcome;

use crate::dice::Case;
use crate::watch::Checks;
use crate::windows;

/// Checks all of it.
pub(crate) fn check(case: &Case, checks: &Checks<'_>, run: &VirtualRun) {
    run.snapshot.check_books(true).unwrap();
    // In virtual time nothing is rounded: the gauge and the rows agree to the last nanosecond.
    assert_eq!(checks.area.clone().compare(Span::ZERO), Ok(()));
    check_end(case, run);
    check_rows(case, checks, run);
    check_counts(checks, run);
    check_duplicates(&case.plan, &checks.rows, run);
    check_budgets(&case.plan, checks);
    windows::check_rows(checks, run);
    // Ages count from the first sending of a submit, the service's books from the one it took.
    if is_exact(case) && run.snapshot.counts.get(Count::SubmitRetries) == 0 {
        windows::check_truth(&checks.rows, run, slack(case));
    }
    check_cap(&case.plan, &checks.rows);
    if case.network.late_ratio <= 0.0 {
        check_promptness(&case.plan, run);
    }
    let nature = Nature::of(case);
    check_works(case, checks, run, nature);
    if !nature.late && !nature.cut {
        check_requests(checks, run);
    }
}

/// Whether both sides must agree on every work and every request.
pub(crate) fn is_exact(case: &Case) -> bool {
    let Nature {
        late,
        cut,
        repeated,
    } = Nature::of(case);
    !late && !cut && !repeated
}

/// How much longer one request may be on its way to the service than another.
fn slack(case: &Case) -> Span {
    let stalls: u64 = case
        .plan
        .simulator
        .stalls
        .iter()
        .map(|stall| stall.length.0)
        .sum();
    let way = most(&case.network.delay).expect("an exact case has bounded delays");
    Span(way.0 + stalls)
}

/// What a scenario makes uncertain between the service and us.
#[derive(Clone, Copy)]
struct Nature {
    /// Answers may come after their timeouts.
    late: bool,
    /// The run may end with requests on the wire.
    cut: bool,
    /// A terminal answer may be followed by another answer about the same id.
    repeated: bool,
}

impl Nature {
    fn of(case: &Case) -> Self {
        let plan = &case.plan;
        let sim = &plan.simulator;
        let stalls: u64 = sim.stalls.iter().map(|window| window.length.0).sum();
        let longest =
            |delay: &Law| Some(most(delay)?.0 + 2 * most(&case.network.delay)?.0 + stalls);
        let is_late = |delay, timeout: Span| longest(delay).is_none_or(|most| most > timeout.0);
        Self {
            late: is_late(&sim.accept_delay, plan.submit.timeout)
                || is_late(&sim.poll_delay, plan.poll.timeout),
            cut: case
                .told
                .iter()
                .any(|(_, input)| matches!(input, Input::StopRun { .. })),
            repeated: sim.repeat_id_ratio > 0.0 || plan.poll.recheck > 0.0,
        }
    }
}

fn most(law: &Law) -> Option<Span> {
    match law {
        Law::Fixed(length) | Law::Uniform(_, length) => Some(*length),
        _ => None,
    }
}

/// The end of the load: by the stages, or where it was stopped.
fn load_end(case: &Case) -> Tick {
    let stops = case.told.iter().filter_map(|(_, input)| match input {
        Input::StopLoad { at } | Input::StopRun { at } => Some(*at),
        _ => None,
    });
    let whole = Tick::ZERO + plimsoll::arrival::length(&case.plan.load);
    stops.fold(whole, Tick::min)
}

fn check_end(case: &Case, run: &VirtualRun) {
    let plan = &case.plan;
    let timeout = plan.submit.timeout.max(plan.poll.timeout);
    let late = if case.network.late_ratio > 0.0 {
        // The shard may sleep again when it has just woken.
        Span(case.network.late_most.0 * 4)
    } else {
        Span::ZERO
    };
    let most = load_end(case) + plan.drain_limit + timeout + late;
    assert!(run.end <= most, "ended at {} and not by {most}", run.end);
}

/// One row for each arrival that was due, and none besides.
fn check_rows(case: &Case, checks: &Checks<'_>, run: &VirtualRun) {
    let plan = &case.plan;
    let schedule = ArrivalSchedule::new(&plan.load, plan.seed, Segment::WHOLE);
    let arrivals: Vec<Arrival> = schedule.collect();
    let end = load_end(case);
    let due = arrivals
        .iter()
        .filter(|arrival| arrival.intended < end)
        .count();
    let at_the_end = arrivals
        .iter()
        .filter(|arrival| arrival.intended <= end)
        .count();
    let mut rows: Vec<&WorkRow> = checks.rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.seq);
    assert!(
        (due..=at_the_end).contains(&rows.len()),
        "{} rows of {due} arrivals",
        rows.len()
    );
    for (row, arrival) in rows.iter().zip(&arrivals) {
        let found = (row.seq, row.stage, row.intended);
        assert_eq!(found, (arrival.seq, arrival.stage, arrival.intended));
    }
    assert_eq!(rows.len() as u64, run.snapshot.counts.get(Count::Scheduled));
}

/// The rows say what the counts say.
fn check_counts(checks: &Checks<'_>, run: &VirtualRun) {
    let (counts, gauges) = (&run.snapshot.counts, run.snapshot.gauges);
    let books = [
        (Outcome::Completed, counts.get(Count::Completed)),
        (Outcome::Failed, counts.get(Count::Failed)),
        (Outcome::Expired, counts.get(Count::Expired)),
        (Outcome::Lost, counts.get(Count::Lost)),
        (Outcome::Unresolved, gauges.backlog),
        (Outcome::Rejected, counts.get(Count::Rejected)),
        (Outcome::IntakeFailed, counts.get(Count::IntakeFailed)),
        (Outcome::Dropped, counts.get(Count::Dropped)),
        (Outcome::Queued, gauges.queued),
        (Outcome::Submitting, gauges.submitting),
    ];
    for (outcome, counted) in books {
        let rows = checks.rows.iter().filter(|row| row.outcome == outcome);
        assert_eq!(rows.count() as u64, counted, "{outcome:?}");
    }
    let maybe = checks.rows.iter().filter(|row| row.maybe_accepted);
    assert_eq!(maybe.count() as u64, counts.get(Count::MaybeAccepted));
    let polls: u64 = checks.rows.iter().map(|row| u64::from(row.polls)).sum();
    assert_eq!(polls, counts.get(Count::Polls));
    assert_eq!(checks.rechecks() as u64, counts.get(Count::Rechecks));
    assert_eq!(checks.submits, counts.get(Count::Submits));
    let stuck: u64 = run.snapshot.stuck.values().sum();
    let open = [Outcome::Expired, Outcome::Lost, Outcome::Unresolved];
    let rows = checks.rows.iter().filter(|row| open.contains(&row.outcome));
    assert_eq!(rows.count() as u64, stuck);
}

/// Where no id is forgotten before the end, each that a work was given again is counted, whichever
/// shards were given it.
fn check_duplicates(plan: &Plan, rows: &[WorkRow], run: &VirtualRun) {
    if Tick::ZERO + plan.poll.remember < run.end {
        return;
    }
    let ids: Vec<&str> = rows
        .iter()
        .filter(|row| row.accepted.is_some())
        .filter_map(|row| row.work_id.as_ref())
        .map(|id| &*id.0)
        .collect();
    let distinct = ids.iter().collect::<BTreeSet<_>>().len();
    let duplicates = run.snapshot.counts.get(Count::DuplicateId);
    assert_eq!(duplicates, (ids.len() - distinct) as u64);
}

/// No window of our own send stamps holds more than its bucket allows.
fn check_budgets(plan: &Plan, checks: &Checks<'_>) {
    let buckets = [
        ("poll.budget", plan.poll.budget, &checks.polled),
        (
            "limits",
            plan.limits.and_then(|limits| limits.bucket),
            &checks.sent,
        ),
        (
            "target.max_rate",
            plan.target.max_rate.map(|rate| Bucket { rate, burst: 1 }),
            &checks.sent,
        ),
    ];
    for (name, bucket, stamps) in buckets {
        let Some(bucket) = bucket else { continue };
        assert!(is_within(stamps, bucket), "{name} was exceeded");
    }
}

/// Whether in every window at most `burst + rate x w` stamps lie, in whole numbers.
///
/// From the stamp i to the stamp j there are `j - i + 1`; with `count` each `per` that must be at
/// most `burst + count (t_j - t_i) / per`. With `f(i) = i per - count t_i` this is
/// `f(j) - f(i) <= (burst - 1) per` for all `i <= j`: the least `f` so far is all that is needed.
pub(crate) fn is_within(stamps: &[Tick], bucket: Bucket) -> bool {
    let (count, per) = (i128::from(bucket.rate.count), i128::from(bucket.rate.per.0));
    let most = (i128::from(bucket.burst) - 1) * per;
    let mut least = i128::MAX;
    (0..).zip(stamps).all(|(index, stamp): (i128, _)| {
        let f = index * per - count * i128::from(stamp.0);
        least = least.min(f);
        f - least <= most
    })
}

/// A shard that is never late sends as soon as nothing holds it back.
fn check_promptness(plan: &Plan, run: &VirtualRun) {
    let longest = |metric| {
        let samples = run.snapshot.histograms.get(metric);
        samples.map_or(0, hdrhistogram::Histogram::max)
    };
    assert_eq!(longest(Metric::GeneratorLag), 0, "late for no reason");
    assert_eq!(longest(Metric::PollLag), 0, "a poll late for no reason");
    let no_ceiling = plan.poll.budget.is_none()
        && plan.limits.is_none()
        && plan.target.max_rate.is_none()
        && plan.http.max_in_flight == 0
        && run.snapshot.counts.get(Count::RateLimited) == 0;
    if no_ceiling {
        assert_eq!(longest(Metric::PollWait), 0, "polls waited for nothing");
    }
}

/// Never more accepted submits on the wire at once than the cap; retries have no stamps in a row.
fn check_cap(plan: &Plan, rows: &[WorkRow]) {
    let cap = i64::from(plan.submit.max_in_flight);
    if cap == 0 || plan.submit.retries > 0 {
        return;
    }
    let spans = rows
        .iter()
        .filter_map(|row| Some((row.sent?, row.accepted?)));
    // An answer frees its place before the submit of the same instant takes it.
    let mut steps: Vec<(Tick, i64)> = spans
        .filter(|(sent, accepted)| sent < accepted)
        .flat_map(|(sent, accepted)| [(sent, 1), (accepted, -1)])
        .collect();
    steps.sort_unstable();
    let mut on_the_wire = 0;
    for (at, step) in steps {
        on_the_wire += step;
        assert!(
            on_the_wire <= cap,
            "{on_the_wire} submits on the wire at {at}"
        );
    }
}

/// Every id and outcome is what the service last answered; what it took and we do not have is
/// among what we say it may have.
fn check_works(case: &Case, checks: &Checks<'_>, run: &VirtualRun, nature: Nature) {
    let mut taken: BTreeMap<String, Vec<TruthRow>> = BTreeMap::new();
    for row in run.truth.rows() {
        taken.entry(row.work_id.clone()).or_default().push(row);
    }
    let mut taken_works: usize = taken.values().map(Vec::len).sum();
    let mut ours: BTreeMap<&str, Vec<&WorkRow>> = BTreeMap::new();
    for row in checks.rows.iter().filter(|row| row.accepted.is_some()) {
        let id = row.work_id.as_ref().expect("an accepted work has an id");
        ours.entry(&id.0).or_default().push(row);
        taken_works -= 1;
    }
    for (id, rows) in &ours {
        let truth = taken
            .get(*id)
            .unwrap_or_else(|| panic!("{id} was never given"));
        assert!(rows.len() <= truth.len(), "{id} is had too often");
        if let ([row], [truth]) = (&rows[..], &truth[..]) {
            check_times(case, row, truth);
            check_outcome(row, truth, nature);
        }
    }
    let missed = usize::try_from(run.snapshot.counts.get(Count::MaybeAccepted)).unwrap();
    let submitting = usize::try_from(run.snapshot.gauges.submitting).unwrap();
    assert!(
        taken_works <= missed + submitting,
        "{taken_works} works are missed"
    );
    if !nature.late && !nature.cut {
        let books = run.truth.books();
        let unanswered: u64 = [Answered::ResetAfter, Answered::Garbage]
            .map(|answered| books.answered(Kind::Submit, answered))
            .iter()
            .sum();
        let untaken = books.answered(Kind::Submit, Answered::ResetBefore);
        assert_eq!(taken_works as u64, unanswered);
        assert_eq!(missed as u64, unanswered + untaken);
    }
}

fn check_times(case: &Case, row: &WorkRow, truth: &TruthRow) {
    let plan = &case.plan;
    let (sent, accepted) = (row.sent.unwrap(), row.accepted.unwrap());
    assert!(row.intended <= sent && sent <= truth.accepted && truth.accepted <= accepted);
    if plan.submit.retries == 0 {
        assert!(accepted <= sent + plan.submit.timeout);
    }
    if let Some(last_open) = row.last_open {
        assert!(accepted <= last_open);
    }
    let (Some(detected), Some(terminal)) = (row.detected, truth.terminal) else {
        return;
    };
    assert!(
        terminal <= detected,
        "{} ended before it did",
        truth.work_id
    );
    // The poll that was answered "not yet" left before the end, unless the end was taken back.
    if plan.simulator.revert_ratio <= 0.0 {
        assert!(row.last_open.is_none_or(|open| open < terminal));
    }
}

fn check_outcome(row: &WorkRow, truth: &TruthRow, nature: Nature) {
    let last = truth.last_answer;
    let terminal = match last {
        LastAnswer::Word(Word::Completed) => Some(Outcome::Completed),
        LastAnswer::Word(Word::Failed) => Some(Outcome::Failed),
        LastAnswer::NotFound => Some(Outcome::Lost),
        LastAnswer::Nothing | LastAnswer::Word(Word::Pending | Word::Running) => None,
    };
    let is_ended = matches!(row.outcome, Outcome::Completed | Outcome::Failed);
    if nature.late || nature.cut || nature.repeated {
        // An answer may have come too late, and another may have followed the one that counts.
        assert!(!is_ended || truth.terminal.is_some(), "{row:?} {truth:?}");
        return;
    }
    match row.outcome {
        Outcome::Completed | Outcome::Failed | Outcome::Lost => {
            assert_eq!(terminal, Some(row.outcome), "{row:?} {truth:?}");
        }
        // Not found, but not for so long that it is lost.
        _ => assert!(
            matches!(terminal, None | Some(Outcome::Lost)),
            "{row:?} {truth:?}"
        ),
    }
    assert!(truth.polls <= row.polls);
}

/// Where nothing is late and nothing cut off, both sides count the same requests.
fn check_requests(checks: &Checks<'_>, run: &VirtualRun) {
    let (books, counts) = (run.truth.books(), &run.snapshot.counts);
    assert_eq!(books.requests(Kind::Submit), checks.submits);
    assert_eq!(books.requests(Kind::Poll), checks.polled.len() as u64);
    for (kind, count) in [
        (Kind::Submit, Count::RateLimitedSubmits),
        (Kind::Poll, Count::RateLimitedPolls),
    ] {
        assert_eq!(books.answered(kind, Answered::Throttled), counts.get(count));
    }
    let granted = books.answered(Kind::Submit, Answered::Granted);
    assert_eq!(granted, counts.get(Count::Accepted));
}
