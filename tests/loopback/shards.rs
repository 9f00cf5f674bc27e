//! Runs of several shards: the same load, limits that sum, and one report.

use std::collections::BTreeMap;
use std::process::Stdio;

use bytes::Bytes;
use rustix::process::Signal;

use crate::agreement::{check_maybe_accepted, check_outcomes, scenario};
use crate::limits::{check_windows, largest_delay, times};
use crate::support::binary::{Folder, Running, head, said};
use crate::support::host::{Host, Request, answer};
use crate::support::intake::{Faults, Intake};
use crate::support::run::Run;

/// Runs a scenario as so many shards; it must be a valid measurement.
fn run(scenario: &str, shards: u64) -> Run {
    let folder = Folder::new(scenario);
    said(folder.run().args(["--shards", &shards.to_string()])).check(0, &[]);
    let run = Run::read(&folder.out());
    let told = run
        .summary
        .get("shards")
        .and_then(serde_json::Value::as_u64);
    assert_eq!(told, (shards > 1).then_some(shards));
    check_intervals(&folder);
    run
}

/// One row follows another, and none is of one shard alone.
fn check_intervals(folder: &Folder) {
    let mut rows = csv::Reader::from_path(folder.out().join("intervals.csv")).unwrap();
    let mut until = 0.0;
    for row in rows.records() {
        let row = row.unwrap();
        let number = |at: usize| row[at].parse::<f64>().unwrap();
        assert!((number(0) - until).abs() < 1e-9, "{row:?} after {until}");
        until = number(0) + number(1);
    }
    assert!(until > 1.0);
}

#[test]
fn the_counts_of_two_shards_are_those_of_a_faulty_service() {
    let host = Host::start(Intake::new(Faults {
        error: 0.05,
        reset_before: 0.05,
        reset_after: 0.05,
        garbage: 0.05,
        late: 0.03,
        fails: 0.2,
        endless: 0.05,
        lost: 0.1,
        repeats: 0.15,
        invisible: 0.15,
        bucket: None,
    }));
    let run = run(&scenario(&host.url(), "[submit]\ntimeout = \"400ms\"\n"), 2);
    let (service, log) = host.stop();
    run.check_rows();
    check_outcomes(&run, &service);
    check_maybe_accepted(&run, &service);
    let asked = |method| times(&log, |request| request.method == method).len() as u64;
    assert_eq!(run.request("submits"), asked("POST"));
    assert_eq!(run.request("polls"), asked("GET"));
    // Most of the repeated ids were given to the two shards in turn.
    let mut ids = BTreeMap::new();
    let accepted = run.works.iter().filter(|work| work.accepted_s.is_some());
    accepted.for_each(|work| *ids.entry(&work.id).or_insert(0_u64) += 1);
    let repeated = ids.values().map(|works| works - 1).sum::<u64>();
    assert!(repeated > 5);
    assert_eq!(run.anomaly("duplicate_id"), repeated);
}

#[test]
fn one_shard_and_two_offer_the_same_load() {
    let offered = |shards| {
        let host = Host::start(Intake::new(Faults::default()));
        let head = head(&host.url());
        let text = format!(
            "{head}[submit]\nbody = '{{\"seq\": {{{{seq}}}}, \"of\": \"{{{{uuid}}}}\"}}'\n\
             [[load]]\narrivals = \"poisson\"\nrate = \"80/s\"\nduration = \"1500ms\"\n\
             [poll]\ninterval = \"200ms\"\n"
        );
        let run = run(&text, shards);
        let (_, log) = host.stop();
        run.check_rows();
        let intended: BTreeMap<u64, String> = run
            .works
            .iter()
            .map(|work| (work.seq, format!("{:.6}", work.intended_s)))
            .collect();
        let submits = log.iter().filter(|request| request.method == "POST");
        let bodies: BTreeMap<u64, Bytes> = submits
            .map(|submit| (submit.seq(), submit.body.clone()))
            .collect();
        (intended, bodies)
    };
    let (one, two) = (offered(1), offered(2));
    assert!(one.0.len() > 60);
    assert_eq!(one, two);
}

#[test]
fn the_limits_of_two_shards_sum_to_those_of_the_scenario() {
    let host = Host::start(Intake::new(Faults::default()));
    let head = head(&host.url());
    let text = format!(
        "{head}[limits]\nrate = \"60/s\"\nburst = 5\n\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"1s\"\n\
         [poll]\ninterval = \"50ms\"\nbudget = \"40/s\"\nburst = 3\n\
         [drain]\nlimit = \"3s\"\n"
    );
    let run = run(&text, 2);
    let (_, log) = host.stop();
    run.check_rows();
    let sent: BTreeMap<u64, f64> = run
        .works
        .iter()
        .filter_map(|work| Some((work.seq, work.sent_s?)))
        .collect();
    let generous = 2.0 * largest_delay(&run, &log, |seq| sent[&seq]) + 0.05;
    check_windows("all", &times(&log, |_| true), 60.0, 5.0, generous);
    let polls = times(&log, |request| request.method == "GET");
    check_windows("polls", &polls, 40.0, 3.0, generous);
}

#[test]
fn a_refused_first_submit_ends_the_run_of_all_shards() {
    let host = Host::start(|_: &Request| answer(401, &[], r#"{"error": "bad key"}"#));
    let head = head(&host.url());
    let folder = Folder::new(&format!(
        "{head}[[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"10m\"\n"
    ));
    let said = said(folder.run().args(["--shards", "3"]));
    drop(host.stop());
    said.check(2, &["the service answered the first submit 401"]);
    let run = Run::read(&folder.out());
    run.check_rows();
    assert_eq!(run.summary["ended_by"], "abort");
}

#[test]
fn a_stop_is_one_instant_for_all_shards() {
    let host = Host::start(Intake::new(Faults::default()));
    let head = head(&host.url());
    let folder = Folder::new(&format!(
        "{head}[[load]]\narrivals = \"constant\"\nrate = \"60/s\"\nduration = \"10m\"\n\
         [poll]\ninterval = \"100ms\"\n"
    ));
    let mut command = folder.run();
    command.args(["--shards", "3"]).stdout(Stdio::null());
    let mut running = Running::start(&mut command);
    running.wait_for("load  0:01");
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(130));
    let (service, _) = host.stop();
    let run = Run::read(&folder.out());
    // The rows are those of the whole schedule up to one instant, without a gap.
    run.check_rows();
    check_intervals(&folder);
    assert!(run.ledger("scheduled") >= 60);
    assert_eq!(run.ledger("completed"), service.ids.len() as u64);
    assert_eq!(run.ledger("completed"), run.ledger("sent"));
}

#[test]
fn what_cannot_be_shared_is_told_before_any_load() {
    let folder = Folder::new(&format!(
        "{}[[load]]\nrate = \"20/s\"\nduration = \"1s\"\n\
         [poll]\nbudget = \"80/s\"\nburst = 2\n",
        head("simulator")
    ));
    let said = said(folder.run().args(["--shards", "3"]));
    said.check(
        2,
        &[
            "found poll.burst of 2",
            "expected 1 for each",
            "hint: --shards 2",
        ],
    );
    assert!(!folder.out().exists());
}
