//! Limits, by the log of whoever is loaded: rates, gates and caps.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::engine::Effect;
use plimsoll::scenario::resolve;
use plimsoll::sim::world::{self, Network, Watch};
use plimsoll::time::Tick;

use crate::support::binary::head;
use crate::support::host::{Host, Reply, Request, Service, answer};
use crate::support::intake::{Faults, Intake, RETRY_AFTER};
use crate::support::run::{Run, run};

fn scenario(url: &str, rate: &str, more: &str) -> String {
    let head = head(url);
    format!(
        "{head}{more}\n\
         [[load]]\narrivals = \"constant\"\nrate = \"{rate}\"\nduration = \"1s\"\n"
    )
}

/// How late requests were read, at most: against the instant that `from` says of a work.
pub(crate) fn largest_delay(run: &Run, log: &[Request], from: impl Fn(u64) -> f64) -> f64 {
    let submits = log.iter().filter(|request| request.method != "GET");
    let late = submits.map(|submit| submit.at - run.wall(from(submit.seq())));
    late.fold(0.0, f64::max)
}

/// In no window of w seconds are there more than burst + rate x (w + delay) requests.
pub(crate) fn check_windows(what: &str, times: &[f64], rate: f64, burst: f64, delay: f64) {
    assert!(times.is_sorted());
    for (first, from) in times.iter().enumerate() {
        let mut count = 0.0;
        for until in &times[first..] {
            count += 1.0;
            let most = burst + rate * (until - from + delay);
            assert!(
                count <= most + 1e-6,
                "{what}: {count} requests in {} s, {most} may be (delay {delay} s)",
                until - from
            );
        }
    }
    assert!(times.len() > 20, "{what}: the test asks for too little");
}

pub(crate) fn times(log: &[Request], chosen: impl Fn(&Request) -> bool) -> Vec<f64> {
    log.iter()
        .filter(|request| chosen(request))
        .map(|request| request.at)
        .collect()
}

#[test]
fn no_budget_is_exceeded_by_the_log_of_the_service() {
    let host = Host::start(Intake::new(Faults::default()));
    let run = run(&scenario(
        &host.url(),
        "50/s",
        "[limits]\nrate = \"60/s\"\nburst = 6\n\
         [poll]\ninterval = \"50ms\"\nbudget = \"40/s\"\nburst = 3\n\
         [drain]\nlimit = \"3s\"\n",
    ));
    let (_, log) = host.stop();
    run.check_rows();
    let sent = |seq| {
        run.works
            .iter()
            .find(|work| work.seq == seq)
            .unwrap()
            .sent_s
            .unwrap()
    };
    let delay = largest_delay(&run, &log, sent);
    let submits = times(&log, |request| request.method == "POST");
    check_windows("submits", &submits, 60.0, 6.0, delay);
    // Of polls the send stamps are nowhere; they go the same way as submits.
    let generous = 2.0 * delay + 0.05;
    check_windows("all", &times(&log, |_| true), 60.0, 6.0, generous);
    let polls = times(&log, |request| request.method == "GET");
    check_windows("polls", &polls, 40.0, 3.0, generous);
}

#[test]
fn nothing_exceeds_the_hard_ceiling() {
    let host = Host::start(Intake::new(Faults::default()));
    let text = scenario(
        &host.url(),
        "30/s",
        "[poll]\ninterval = \"50ms\"\n[drain]\nlimit = \"2s\"\n",
    );
    let run = run(&text.replace("[target]", "[target]\nmax_rate = \"40/s\""));
    let (_, log) = host.stop();
    run.check_rows();
    let sent = |seq| {
        run.works
            .iter()
            .find(|work| work.seq == seq)
            .unwrap()
            .sent_s
            .unwrap()
    };
    let generous = 2.0 * largest_delay(&run, &log, sent) + 0.05;
    check_windows("all", &times(&log, |_| true), 40.0, 1.0, generous);
}

#[test]
fn a_429_closes_the_gate_for_polls() {
    let bucket = Some((40.0, 10.0));
    let host = Host::start(Intake::new(Faults {
        bucket,
        ..Faults::default()
    }));
    let run = run(&scenario(
        &host.url(),
        "25/s",
        "[poll]\ninterval = \"50ms\"\n[drain]\nlimit = \"3s\"\n",
    ));
    let (service, log) = host.stop();
    run.check_rows();
    // On the wire, or not read yet by a generator that was kept from its processor.
    let intended = |seq| {
        run.works
            .iter()
            .find(|work| work.seq == seq)
            .unwrap()
            .intended_s
    };
    let slack = largest_delay(&run, &log, intended) + 0.1;
    assert!(
        slack < RETRY_AFTER,
        "this machine stood still for {slack} s"
    );
    assert!(!service.refusals.is_empty());
    assert_eq!(run.request("rate_limited"), service.refusals.len() as u64);
    for refused in &service.refusals {
        let closed = refused + slack..refused + RETRY_AFTER - 0.005;
        let early = times(&log, |request| {
            request.method == "GET" && closed.contains(&request.at)
        });
        assert!(early.is_empty(), "429 at {refused}, polls at {early:?}");
    }
    let polls = times(&log, |request| request.method == "GET");
    let last = service.refusals.last().unwrap();
    assert!(
        polls.iter().any(|at| at > last),
        "the gate never opened again"
    );
}

/// Keeps the instants at which polls leave.
#[derive(Default)]
struct Polls(Vec<f64>);

impl Watch for Polls {
    fn effect(&mut self, _shard: usize, now: Tick, effect: Effect) {
        if matches!(effect, Effect::Poll { .. }) {
            self.0.push(now.since(Tick::ZERO).seconds());
        }
    }
}

/// Submits of an open loop, which the gate does not hold, once took the turns of the polls that it
/// does hold: after a 429 no poll left before the load was over, and long after.
#[test]
fn open_loop_submits_do_not_starve_the_polls_that_a_429_held_back() {
    let text = format!(
        "{}[simulator]\nservice_time = \"fixed(300ms)\"\nrefusals = [{{ at = \"1s\", for = \"50ms\" }}]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"5s\"\n\
         [poll]\ninterval = \"1s\"\n",
        head("simulator")
    );
    let plan = Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap());
    let mut polls = Polls::default();
    world::run(&plan, &Network::IDEAL, Vec::new(), &mut polls);
    let held = polls.0.windows(2).map(|two| two[1] - two[0]);
    let longest = held.fold(0.0, f64::max);
    // One Retry-After of a second, and one gap of the reduced pace.
    assert!((0.9..1.2).contains(&longest), "no poll for {longest} s");
    let while_loaded = polls.0.iter().filter(|at| (2.1..5.0).contains(*at)).count();
    assert!(while_loaded > 30, "{while_loaded} polls in three seconds");
}

#[test]
fn a_submit_that_got_429_is_sent_again_where_the_scenario_says_so() {
    let bucket = Some((40.0, 20.0));
    let host = Host::start(Intake::new(Faults {
        bucket,
        ..Faults::default()
    }));
    let run = run(&scenario(
        &host.url(),
        "60/s",
        "[submit]\non_429 = \"retry\"\nretries = 10\n\
         [poll]\ninterval = \"500ms\"\n[drain]\nlimit = \"10s\"\n",
    ));
    let (service, log) = host.stop();
    run.check_rows();
    assert_eq!(run.ledger("sent"), 60);
    assert_eq!(run.ledger("completed"), 60);
    assert_eq!(service.ids.len(), 60);
    let submits = times(&log, |request| request.method == "POST").len() as u64;
    assert_eq!(run.request("submits"), submits);
    assert!(submits > 60);
    assert_eq!(run.request("submit_retries"), submits - 60);
}

const SLOW: Duration = Duration::from_millis(200);

/// Each submit takes 200 ms.
fn slow() -> impl Service {
    |request: &Request| {
        if request.method == "GET" {
            return answer(200, &[], r#"{"status": "completed"}"#);
        }
        let seq = request.seq();
        match answer(202, &[], format!(r#"{{"work_id": "{seq}"}}"#)) {
            Reply::Now(response) => Reply::Later(SLOW, response),
            other => other,
        }
    }
}

fn capped(overload: &str) -> Run {
    let host = Host::start(slow());
    let run = run(&scenario(
        &host.url(),
        "40/s",
        &format!(
            "[submit]\nmax_in_flight = 4\noverload = \"{overload}\"\n\
             [poll]\ninterval = \"100ms\"\n[drain]\nlimit = \"5s\"\n"
        ),
    ));
    let (_, log) = host.stop();
    run.check_rows();
    assert_eq!(run.ledger("scheduled"), 40);
    assert_eq!(run.ledger("completed"), run.ledger("sent"));
    let submits = times(&log, |request| request.method == "POST");
    for five in submits.windows(5) {
        // The clock that stamps requests is not the one that delays answers.
        assert!(five[4] - five[0] >= SLOW.as_secs_f64() - 0.005, "{five:?}");
    }
    run
}

#[test]
fn a_cap_queues() {
    let run = capped("queue");
    assert_eq!(run.ledger("sent"), 40);
    let late = |work: &crate::support::run::Work| work.sent_s.unwrap() - work.intended_s;
    let latest = run.works.iter().map(late).fold(0.0, f64::max);
    // 40 of them at 20/s last two seconds, and were due within one.
    assert!(latest > 0.9, "{latest}");
}

#[test]
fn a_cap_drops() {
    let run = capped("drop");
    assert!(run.ledger("dropped") >= 15, "{}", run.ledger("dropped"));
    let mut dropped = run.works.iter().filter(|work| work.outcome == "dropped");
    assert!(dropped.all(|work| work.sent_s.is_none() && work.polls == 0));
}
