//! Requests as they arrive, and answers that are no answers.

use std::collections::BTreeSet;

use hyper::Version;
use plimsoll::scenario::payload::Item;
use plimsoll::scenario::resolve;

use crate::support::binary::head;
use crate::support::host::{Host, Request, Speech, answer};
use crate::support::intake::{Faults, Intake};
use crate::support::run::run;

const LOAD: &str = "[[load]]\narrivals = \"constant\"\nrate = \"40/s\"\nduration = \"1s\"\n\
                    [poll]\ninterval = \"100ms\"\ngive_up_after = \"1s\"\n\
                    [drain]\nlimit = \"3s\"\n";

fn submits(log: &[Request]) -> Vec<&Request> {
    log.iter()
        .filter(|request| request.method == "POST")
        .collect()
}

fn connections_are_kept(http2: bool) {
    let speech = Speech { http2, tls: None };
    let host = Host::speaking(speech, |_| Intake::new(Faults::default()));
    let version = if http2 { "2" } else { "1.1" };
    let head = head(&host.url());
    let run = run(&format!("{head}[http]\nversion = \"{version}\"\n{LOAD}"));
    let (_, log) = host.stop();
    run.check_rows();
    assert_eq!(run.ledger("completed"), 40);
    let spoken = if http2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    assert!(log.iter().all(|request| request.version == spoken));
    let requests = run.request("submits") + run.request("polls");
    assert_eq!(requests, log.len() as u64);
    assert!(requests > 80);
    let opened = run.request("new_connections");
    let most = if http2 { 1 } else { requests / 4 };
    assert!((1..=most).contains(&opened), "{opened} of {requests}");
}

#[test]
fn http1_keeps_its_connections() {
    connections_are_kept(false);
}

#[test]
fn http2_needs_one() {
    connections_are_kept(true);
}

#[test]
fn warm_connections_stand_before_the_load_and_carry_it() {
    let host = Host::start(Intake::new(Faults::default()));
    let head = head(&host.url());
    let run = run(&format!("{head}[http]\nwarm_up = 12\n{LOAD}"));
    host.stop();
    let notes = run.summary["notes"].as_array().unwrap();
    let told = "12 connections stood at the first instant, of 12 that http.warm_up asks for";
    assert!(notes.iter().any(|note| note == told), "{notes:?}");
    // 40 submits and their polls need few at once, so the load opens hardly any of its own.
    let opened = run.request("new_connections");
    assert!((12..24).contains(&opened), "{opened}");
}

#[test]
fn each_submit_arrives_once_as_it_was_rendered() {
    let check = |form: &str, quote: &str| {
        let host = Host::start(Intake::new(Faults::default()));
        let head = head(&host.url());
        let text = format!(
            "{head}[submit]\nidempotency_key = \"{form}\"\nheaders = {{ X-Seq = \"n{{{{seq}}}}\" }}\n\
             body = '{{\"seq\": {{{{seq}}}}, \"id\": \"{{{{uuid}}}}\", \"n\": {{{{int 1 9}}}}, \"s\": \"{{{{string 9}}}}\"}}'\n{LOAD}"
        );
        let run = run(&text);
        let (_, log) = host.stop();
        let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
        let mut keys = BTreeSet::new();
        let mut seqs = BTreeSet::new();
        for submit in submits(&log) {
            let seq = submit.seq();
            let mut body = Vec::new();
            let item = Item {
                seed: 11,
                seq,
                corpus: None,
            };
            plan.submit.body.render(&item, &mut body);
            assert_eq!(submit.body, body);
            assert!(seqs.insert(seq), "{seq} came twice");
            assert_eq!(submit.header("x-seq"), format!("n{seq}"));
            let key = submit.header("idempotency-key");
            let bare = key
                .strip_prefix(quote)
                .and_then(|key| key.strip_suffix(quote));
            assert!(
                bare.is_some_and(|key| key.len() == 36 && !key.contains('"')),
                "{key}"
            );
            assert!(keys.insert(key.to_owned()), "{key} came twice");
            assert_eq!(submit.header("content-type"), "application/json");
        }
        let sent: BTreeSet<u64> = run.works.iter().map(|work| work.seq).collect();
        assert_eq!(seqs, sent);
        let agent = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));
        assert!(
            log.iter()
                .all(|request| request.header("user-agent") == agent)
        );
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check("bare", ""));
        scope.spawn(|| check("quoted", "\""));
    });
}

#[test]
fn a_body_that_is_too_long_is_a_fault() {
    let host = Host::start(|request: &Request| {
        let padding = "x".repeat(5_000);
        if request.method == "GET" {
            return answer(
                200,
                &[],
                format!(r#"{{"status": "completed", "pad": "{padding}"}}"#),
            );
        }
        match request.seq() % 2 {
            0 => answer(202, &[], r#"{"work_id": "short"}"#),
            _ => answer(
                202,
                &[],
                format!(r#"{{"work_id": "long", "pad": "{padding}"}}"#),
            ),
        }
    });
    let head = head(&host.url());
    let run = run(&format!("{head}[http]\nmax_body = \"2KiB\"\n{LOAD}"));
    drop(host.stop());
    run.check_rows();
    for work in &run.works {
        let found = (
            &*work.outcome,
            &*work.fault,
            work.maybe_accepted,
            work.http_status,
        );
        match work.seq % 2 {
            0 => assert_eq!(found, ("expired", "", 0, Some(202))),
            _ => assert_eq!(found, ("intake_failed", "body", 1, Some(202))),
        }
    }
    assert_eq!(run.request("poll_errors"), run.request("polls"));
}

#[test]
fn garbage_is_a_finding() {
    let deep = "[".repeat(50_000);
    let garbage: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        br#"{"work_id": {}, "status": 1e999}"#.to_vec(),
        br#"{"work_id": "", "status": "\ud800"}"#.to_vec(),
        deep.into_bytes(),
        b"<html>".to_vec(),
    ];
    let mut turn = 0;
    let host = Host::start(move |request: &Request| {
        turn += 1;
        let body = garbage[turn % garbage.len()].clone();
        match &*request.method.to_string() {
            "POST" if request.seq().is_multiple_of(2) => answer(202, &[], r#"{"work_id": "w"}"#),
            "POST" => answer(202, &[], body),
            _ => answer(200, &[("RateLimit", "((;"), ("Retry-After", "soon")], body),
        }
    });
    let run = run(&format!("{}{LOAD}", head(&host.url())));
    let (_, log) = host.stop();
    run.check_rows();
    assert_eq!(run.ledger("intake_failed"), 20);
    assert_eq!(run.ledger("maybe_accepted"), 20);
    assert_eq!(run.ledger("expired"), 20);
    assert_eq!(submits(&log).len(), 40);
}
