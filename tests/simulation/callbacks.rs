//! Callbacks in virtual time: every count of ours against the service's own log of its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll::record::area::AreaBooks;
use plimsoll::record::interval::Interval;
use plimsoll::record::ledger::Count;
use plimsoll::record::row::{Settled, WorkRow};
use plimsoll::report::call_lags::CallLags;
use plimsoll::scenario::{Law, Mode, Plan, resolve};
use plimsoll::sim::world::{self, Network, VirtualRun, Watch};
use plimsoll::sim::{Made, Received};
use plimsoll::time::{Span, Tick};
use plimsoll::work::{Outcome, Source};

use crate::from_environment;

const MODES: [&str; 3] = ["both", "hybrid", "callback"];

/// Late, repeated, overtaking and missing callbacks; some refused, and told again.
fn plan(mode: &str, find: &str, seed: u64, load: &str) -> Arc<Plan> {
    let text = format!(
        "name = 'x'\nseed = {seed}\n[target]\nbase_url = 'simulator'\n\
         [simulator]\nservice_time = 'mix(0.8 exp(1s), 0.2 fixed(0s))'\nfail_ratio = 0.1\n\
         accept_delay = 'uniform(0s, 100ms)'\nreset_after_ratio = 0.02\n\
         callback = {{ delay = 'exp(50ms)', duplicate_ratio = 0.1, drop_ratio = 0.05, \
         reorder_ratio = 0.1, reorder_delay = 'exp(5s)', retries = ['2s', '20s'] }}\n\
         {load}\n\
         [poll]\ninterval = '1s'\nremember = '1h'\n\
         [observe]\nmode = '{mode}'\ndeadline = '10s'\n\
         [observe.callback]\nfind = '{find}'\nlinger = '5m'\npark_for = '1h'\n\
         [[observe.callback.faults]]\nkind = 'status'\nstatus = 503\nratio = 0.1\n\
         [[observe.callback.faults]]\nkind = 'slow'\ndelay = '1s'\nratio = 0.1\n\
         [[observe.callback.faults]]\nkind = 'reset'\nratio = 0.02\n\
         [[observe.callback.faults]]\nkind = 'silent'\nratio = 0.02\n\
         [drain]\nlimit = '1h'\n"
    );
    Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap())
}

#[derive(Default)]
struct Rows {
    area: AreaBooks,
    rows: Vec<WorkRow>,
}

impl Watch for Rows {
    fn interval(&mut self, interval: &Interval) {
        self.area.interval(interval);
    }

    fn settled(&mut self, settled: Settled) {
        self.area.row(&settled.row);
        self.rows.push(settled.row);
    }
}

fn played(plan: &Arc<Plan>, shards: usize) -> (Rows, VirtualRun) {
    let network = Network {
        delay: Law::Exponential(Span::from_millis(10)),
        between_shards: Span::from_millis(1),
        ..Network::IDEAL
    };
    let mut rows = Rows::default();
    let run = world::run_sharded(plan, shards, &network, Vec::new(), &mut rows);
    run.snapshot.check_books(true).unwrap();
    assert_eq!(rows.area.clone().compare(Span::ZERO), Ok(()));
    (rows, run)
}

/// Whether the receiver took it in, as the service knows it.
fn is_taken(made: &Made) -> bool {
    match made.received.expect("the run waits for the last one") {
        Received::Answered(status, _) => (200..300).contains(&status),
        Received::TimedOut | Received::Broken => false,
    }
}

/// What the log of the service says of one work.
#[derive(Default)]
struct Calls {
    taken: u64,
    all: u64,
}

fn check(mode: &str, find: &str, seed: u64, shards: usize) {
    let load = "[[load]]\nrate = '40/s'\nduration = '20s'";
    let plan = plan(mode, find, seed, load);
    let (Rows { rows, .. }, run) = played(&plan, shards);
    let what = format!("{mode}, {find}, seed {seed}, {shards} shards");
    let count = |what: Count| run.snapshot.counts.get(what);

    let mut works: BTreeMap<u64, Calls> = BTreeMap::new();
    for made in run.truth.calls() {
        let work = works.entry(made.attempt.work).or_default();
        work.all += 1;
        work.taken += u64::from(is_taken(made));
    }
    // Works that the service took and whose 202 was never read: nobody knows their ids.
    let names: Vec<String> = run.truth.rows().map(|row| row.work_id).collect();
    let accepted: BTreeMap<&str, &WorkRow> = rows
        .iter()
        .filter_map(|row| row.work_id.as_ref().map(|id| (&*id.0, row)))
        .collect();
    let (mut first, mut duplicates, mut strange, mut refused, mut again) = (0, 0, 0, 0, 0);
    for (work, calls) in &works {
        let is_known = accepted.contains_key(&*names[usize::try_from(*work).unwrap()]);
        refused += calls.all - calls.taken;
        if is_known {
            first += u64::from(calls.taken > 0);
            duplicates += calls.taken.saturating_sub(1);
            again += calls.all.saturating_sub(1);
        } else {
            strange += calls.taken;
        }
    }
    assert!(strange > 0 && duplicates > 0 && refused > 0, "{what}");
    assert_eq!(
        count(Count::Callbacks),
        run.truth.calls().len() as u64,
        "{what}"
    );
    assert_eq!(count(Count::CallbacksFirst), first, "{what}");
    assert_eq!(count(Count::DuplicateCallback), duplicates, "{what}");
    assert_eq!(count(Count::CallbacksRefused), refused, "{what}");
    let (unknown, unaccepted) = (count(Count::UnknownWork), count(Count::CallbacksUnaccepted));
    // With a URL of its own even such a work is known.
    let expected = if find == "url" {
        (0, strange)
    } else {
        (strange, 0)
    };
    assert_eq!((unknown, unaccepted), expected, "{what}");
    assert_eq!(count(Count::Disagreement), 0, "{what}");
    // A refused one that overtakes its 202 is not parked, and not counted as one of a work.
    assert!(count(Count::CallbacksAgain) <= again, "{what}");
    assert!(count(Count::CallbackBeforeAccept) > 0, "{what}");
    check_rows(&plan, &rows, &what);
    if plan.observe.mode == Mode::Both {
        let pairs = count(Count::CallbackAhead) + count(Count::PollAhead);
        assert_eq!(pairs, first, "{what}");
        assert_eq!(count(Count::CallbackAfterSettlement), 0, "{what}");
    }
}

/// Every accepted work has one outcome, told by what its mode allows.
fn check_rows(plan: &Plan, rows: &[WorkRow], what: &str) {
    for row in rows {
        let Some(accepted) = row.accepted else {
            continue;
        };
        let deadline = accepted + plan.observe.deadline;
        match (row.source, plan.observe.mode) {
            (Some(Source::Callback), _) => {
                assert!(row.detected >= Some(accepted), "{what}: {row:?}");
            }
            (Some(Source::Poll), Mode::Both) => {}
            (Some(Source::Poll), Mode::Hybrid) => {
                assert!(row.detected >= Some(deadline), "{what}: {row:?}");
            }
            (None, Mode::Callback) => assert_eq!(row.outcome, Outcome::Expired, "{what}"),
            (source, _) => panic!("{what}: {source:?} of {row:?}"),
        }
        if plan.observe.mode == Mode::Callback {
            assert_eq!(row.polls, 0, "{what}: {row:?}");
        }
    }
}

#[test]
fn every_count_is_that_of_the_services_own_log() {
    for mode in MODES {
        for find in ["body", "url"] {
            for (seed, shards) in [(1, 1), (2, 2), (3, 3)] {
                check(mode, find, seed, shards);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_callbacks() {
    let load = "[[load]]\nrate = '40/s'\nduration = '5s'";
    let plan = plan("both", "body", 9, load);
    let [one, two] = [(); 2].map(|()| played(&plan, 2));
    assert!(one.0.rows == two.0.rows);
    assert_eq!(one.1.truth.calls(), two.1.truth.calls());
    assert_eq!(one.1.snapshot.counts, two.1.snapshot.counts);
}

/// A run in `hybrid` with these keys of the service's calls and of the receiver's one fault.
fn faulty(callback: &str, fault: &str) -> VirtualRun {
    let text = format!(
        "name = 'x'\nseed = 12\n[target]\nbase_url = 'simulator'\n\
         [simulator]\nservice_time = 'exp(1s)'\ncallback = {{ {callback} }}\n\
         [[load]]\nrate = '20/s'\nduration = '20s'\n\
         [poll]\ninterval = '1s'\n[observe]\nmode = 'hybrid'\ndeadline = '20s'\n\
         [observe.callback]\nlinger = '1m'\n[[observe.callback.faults]]\n{fault}\n"
    );
    let plan = Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap());
    let run = world::run_sharded(&plan, 1, &Network::IDEAL, Vec::new(), &mut Rows::default());
    run.snapshot.check_books(true).unwrap();
    run
}

/// What the receiver has taken in when the service has given the attempt up is told again: the
/// service cannot know, and the receiver must.
#[test]
fn an_answer_beyond_the_senders_patience_makes_duplicates() {
    let run = faulty(
        "timeout = '500ms', retries = ['2s', '5s']",
        "kind = 'slow'\ndelay = '1s'",
    );
    let calls = run.truth.calls();
    let works: BTreeSet<u64> = calls.iter().map(|made| made.attempt.work).collect();
    assert!(
        calls
            .iter()
            .all(|made| made.received == Some(Received::TimedOut))
    );
    assert_eq!(calls.len(), 3 * works.len());
    let count = |what: Count| run.snapshot.counts.get(what);
    assert_eq!(count(Count::CallbacksFirst), works.len() as u64);
    assert_eq!(count(Count::DuplicateCallback), 2 * works.len() as u64);
    assert_eq!(count(Count::CallbacksRepeated), 2 * works.len() as u64);
    assert_eq!(count(Count::CallbacksRefused) + count(Count::Polls), 0);
}

/// 410 asks the service to stop, and a sweep finds what it does not tell any more.
#[test]
fn after_410_nothing_is_told_again() {
    let run = faulty(
        "retries = ['2s', '5s']",
        "kind = 'status'\nstatus = 410\nratio = 0.3",
    );
    let mut told: BTreeMap<u64, Vec<Received>> = BTreeMap::new();
    for made in run.truth.calls() {
        let received = made.received.unwrap();
        told.entry(made.attempt.work).or_default().push(received);
    }
    assert!(told.values().all(|answers| answers.len() == 1), "{told:?}");
    let gone = told
        .values()
        .filter(|answers| answers[0] == Received::Answered(410, None));
    let gone = gone.count() as u64;
    // 400 works, of which 120 in the mean: six standard errors.
    assert!((65..=175).contains(&gone), "{gone}");
    let count = |what: Count| run.snapshot.counts.get(what);
    assert_eq!(count(Count::CallbacksRefused), gone);
    assert_eq!(count(Count::CallbacksSwept), gone);
    assert_eq!(count(Count::CallbacksFirst), told.len() as u64 - gone);
}

/// The service's stamps and its log tell the same of how late callbacks are.
#[test]
fn lags_are_those_of_the_services_own_log() {
    for (mode, unit) in MODES
        .into_iter()
        .flat_map(|mode| [(mode, "1us"), (mode, "10ms")])
    {
        let text = format!(
            "name = 'x'\nseed = 8\n[target]\nbase_url = 'simulator'\n\
             [api.terminal]\nfinished_at = '/finished_at'\n\
             [simulator]\nservice_time = 'exp(1s)'\nfinished_at = '{unit}'\n\
             callback = {{ delay = 'exp(200ms)', drop_ratio = 0.05, duplicate_ratio = 0.1 }}\n\
             [[load]]\nrate = '100/s'\nduration = '20s'\n\
             [poll]\ninterval = '1s'\n[observe]\nmode = '{mode}'\ndeadline = '10s'\n"
        );
        let plan = Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap());
        let mut rows = Rows::default();
        let run = world::run_sharded(&plan, 2, &Network::IDEAL, Vec::new(), &mut rows);
        let mut first: BTreeMap<u64, f64> = BTreeMap::new();
        for made in run.truth.calls().iter().filter(|made| is_taken(made)) {
            let lag = made.at.since(made.attempt.ended).seconds();
            first.entry(made.attempt.work).or_insert(lag);
        }
        let mut truth: Vec<f64> = first.into_values().collect();
        truth.sort_by(f64::total_cmp);
        let works = u32::try_from(truth.len()).unwrap();
        let lags = CallLags::of(&run.snapshot).unwrap();
        assert_eq!(lags.count(), u64::from(works), "{mode}");
        let close = |found: f64, expected: f64| {
            let off = (found - expected).abs();
            assert!(
                off <= lags.uncertainty + 2e-6,
                "{mode} {unit}: {found} {expected} {lags:?}"
            );
        };
        let figures = lags.figures();
        close(
            figures.mean.unwrap(),
            truth.iter().sum::<f64>() / f64::from(works),
        );
        for figure in figures.each() {
            // The least that so many are not above.
            let enough = (1..=works).find(|place| f64::from(*place) >= figure.q * f64::from(works));
            close(figure.value.unwrap(), truth[enough.unwrap() as usize - 1]);
        }
        // 2,000 works bound the clock closely: some end right after a look or before a call.
        let resolution = if unit == "1us" { 0.0 } else { 0.01 };
        assert!(
            lags.uncertainty < 0.02 + resolution,
            "{mode} {unit}: {lags:?}"
        );
    }
}

/// `WORKS=1000000` is the long form: three minutes.
#[test]
fn many_works_keep_exact_books() {
    let works = from_environment("WORKS").unwrap_or(40_000);
    for mode in MODES {
        let load = format!("[[load]]\nrate = '10000/s'\nduration = '{}ms'", works / 10);
        let plan = plan(mode, "url", 4, &load);
        let (Rows { rows, .. }, run) = played(&plan, 1);
        let count = |what: Count| run.snapshot.counts.get(what);
        assert!(rows.len() as u64 > works * 9 / 10, "{mode}");
        assert_eq!(
            count(Count::Callbacks),
            run.truth.calls().len() as u64,
            "{mode}"
        );
        let kinds = [
            Count::CallbacksFirst,
            Count::DuplicateCallback,
            Count::CallbacksOpen,
            Count::CallbacksUnreadable,
            Count::CallbacksRefused,
            Count::CallbacksUnaccepted,
            Count::UnknownWork,
        ];
        let booked: u64 = kinds.into_iter().map(count).sum();
        assert_eq!(booked, count(Count::Callbacks), "{mode}");
        let told = rows
            .iter()
            .filter(|row| row.source == Some(Source::Callback));
        assert!(
            told.count() as u64 <= count(Count::CallbacksFirst),
            "{mode}"
        );
        let last = rows.iter().filter_map(|row| row.detected).max();
        assert!(last < Some(Tick::ZERO + Span::from_secs(3_600)), "{mode}");
    }
}
