//! The service calls back: the log of an independent receiver and the truth are the same.

use super::receiver::{Call, Receiver, Reply};
use super::{Client, OBJECT, any_port, now, quiet_plan, start};
use plimsoll::scenario::{Find, Law, SignatureScheme, SimCallback, SimPlan};
use plimsoll::shell::sim_command::{SimCommand, serve_until};
use plimsoll::shell::sim_server::{SimSecrets, SimServer};
use plimsoll::sim::{Received, Service, Truth};
use plimsoll::time::{Span, Tick};
use plimsoll::wire::signature::Keyring;
use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// A service that calls `url`, and again after 20 ms, twice.
fn calling(url: String) -> SimPlan {
    SimPlan {
        callback: SimCallback {
            url: Some(url),
            retries: vec![Span::from_millis(20); 2],
            ..SimCallback::faultless()
        },
        ..quiet_plan()
    }
}

fn submit(server: &SimServer, works: usize) -> Vec<String> {
    let mut client = Client::new(server.addr());
    let id = |_| client.submit().unwrap().field("work_id").unwrap();
    (0..works).map(id).collect()
}

/// Work, attempt and what it got, of each call that the service made.
fn made(truth: &Truth) -> Vec<(String, usize, String)> {
    let ids: Vec<String> = truth.rows().map(|row| row.work_id).collect();
    let calls = truth.calls().iter().map(|made| {
        let work = usize::try_from(made.attempt.work).unwrap();
        let received = made.received.map_or_else(|| "?".to_owned(), Received::word);
        (ids[work].clone(), made.attempt.number as usize, received)
    });
    sorted(calls.collect())
}

/// The same by the log of the receiver.
fn logged(log: &[(Call, Reply)]) -> Vec<(String, usize, String)> {
    let calls = log.iter();
    let calls = calls.map(|(call, reply)| (call.work_id(), call.attempt(), reply.word()));
    sorted(calls.collect())
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

fn ok(_: &Call) -> Reply {
    Reply::Status(200, "")
}

#[test]
fn each_answer_has_its_consequence() {
    const WORKS: usize = 3;
    let check = |timeout: Span, replies: &[Reply]| {
        let receiver = Receiver::start();
        let mut plan = calling(receiver.url("/hook"));
        plan.callback.timeout = timeout;
        let server = start(&plan);
        let ids = submit(&server, WORKS);
        let log = receiver.answer(WORKS * replies.len(), |call| replies[call.attempt() - 1]);
        let truth = server.stop().unwrap();
        assert!(receiver.waiting().is_none(), "{replies:?}");
        assert_eq!(made(&truth), logged(&log), "{replies:?}");
        assert!(log.iter().all(|(call, _)| call.path == "/hook"), "{log:?}");
        for id in ids {
            let of_it = log.iter().filter(|(call, _)| call.work_id() == id);
            let attempts: Vec<usize> = of_it.map(|(call, _)| call.attempt()).collect();
            let expected: Vec<usize> = (1..=replies.len()).collect();
            assert_eq!(attempts, expected, "{replies:?}");
        }
    };
    let status = |status| Reply::Status(status, "");
    let patient = Span::from_secs(60);
    check(patient, &[status(200)]);
    check(patient, &[status(503), status(204)]);
    check(patient, &[status(500); 3]);
    check(patient, &[status(500), status(410)]);
    check(
        patient,
        &[Reply::Status(302, "Location: /elsewhere\r\n"); 3],
    );
    check(
        patient,
        &[Reply::Status(429, "Retry-After: 0\r\n"), status(200)],
    );
    check(
        patient,
        &[Reply::Status(503, "Connection: close\r\n"), status(200)],
    );
    check(patient, &[Reply::Close, status(200)]);
    check(patient, &[Reply::Close; 3]);
    check(Span::from_millis(50), &[Reply::Silence; 3]);
}

#[test]
fn who_asks_for_time_gets_it() {
    let receiver = Receiver::start();
    let server = start(&calling(receiver.url("/hook")));
    submit(&server, 1);
    let log = receiver.answer(2, |call| match call.attempt() {
        1 => Reply::Status(503, "Retry-After: 1\r\n"),
        _ => Reply::Status(200, ""),
    });
    let truth = server.stop().unwrap();
    assert_eq!(made(&truth), logged(&log));
    let [first, second] = truth.calls() else {
        panic!("two calls: {truth:?}")
    };
    assert_eq!(first.received, Some(Received::Answered(503, Some(1))));
    assert!(second.at >= first.at + Span::from_secs(1), "{truth:?}");
}

#[test]
fn what_is_dropped_and_made_twice_is_so_in_truth_too() {
    const WORKS: usize = 200;
    let receiver = Receiver::start();
    let mut plan = calling(receiver.url("/hook"));
    plan.callback.drop_ratio = 0.2;
    plan.callback.duplicate_ratio = 0.3;
    plan.callback.reorder_ratio = 0.5;
    plan.callback.reorder_delay = Law::Exponential(Span::from_millis(20));
    plan.fail_ratio = 0.3;
    // What a service of this seed will do, without sockets.
    let mut alike = Service::new(&plan, 7, None).calling();
    for _ in 0..WORKS {
        alike.submit_for(Tick::ZERO, Some(0));
    }
    let expected = std::iter::from_fn(|| alike.take_call(alike.next_call())).count();

    let server = start(&plan);
    let ids = submit(&server, WORKS);
    let log = receiver.answer(expected, ok);
    let truth = server.stop().unwrap();
    assert!(receiver.waiting().is_none());
    assert_eq!(made(&truth), logged(&log));
    let states = truth.rows().map(|row| (row.work_id, row.state.word()));
    let states: BTreeMap<String, &str> = states.collect();
    let mut deliveries: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (call, _) in &log {
        assert_eq!(call.said("status"), states[&call.work_id()]);
        let failed = !call.said("error").is_empty();
        assert_eq!(failed, call.said("status") == "failed");
        let delivery = &call.headers["webhook-id"];
        deliveries.entry(call.work_id()).or_default().push(delivery);
    }
    let (dropped, twice) = (
        ids.iter()
            .filter(|id| !deliveries.contains_key(*id))
            .count(),
        deliveries.values().filter(|calls| calls.len() == 2).count(),
    );
    // Four standard deviations of 200 draws.
    assert!((17..63).contains(&dropped), "{dropped}");
    assert!((24..72).contains(&twice), "{twice}");
    let first: Vec<&str> = deliveries.values().map(|calls| calls[0]).collect();
    let all_alike = deliveries
        .values()
        .all(|calls| calls.iter().all(|id| *id == calls[0]));
    assert!(all_alike, "both copies of a delivery have its id");
    let mut different = sorted(first.clone());
    different.dedup();
    assert_eq!(different.len(), first.len());
}

#[test]
fn the_body_the_header_and_the_plan_say_whereto() {
    let receiver = Receiver::start();
    let check = |fixed: bool, header: Option<&str>, body: Option<&str>, path: Option<&str>| {
        let mut plan = calling(receiver.url("/plan"));
        if !fixed {
            plan.callback.url = None;
        }
        let server = start(&plan);
        let header = header.map_or(String::new(), |path| {
            format!("X-Callback-URL: {}\r\n", receiver.url(path))
        });
        let body = body.map_or(OBJECT.to_owned(), |path| {
            format!(r#"{{"callback_url": "{}"}}"#, receiver.url(path))
        });
        let reply = Client::new(server.addr())
            .submit_as(&header, &body)
            .unwrap();
        assert_eq!(reply.status, 202);
        let log = receiver.answer(usize::from(path.is_some()), ok);
        let truth = server.stop().unwrap();
        assert_eq!(made(&truth), logged(&log));
        assert_eq!(log.first().map(|(call, _)| call.path.as_str()), path);
        for (call, _) in &log {
            assert_eq!(call.work_id(), reply.field("work_id").unwrap());
            assert_eq!(call.headers["content-type"], "application/json");
            assert_eq!(call.headers["host"], receiver.addr.to_string());
        }
    };
    check(true, Some("/header"), Some("/body"), Some("/body"));
    check(true, Some("/header"), None, Some("/header"));
    check(true, None, None, Some("/plan"));
    check(false, Some("/header?a=b"), None, Some("/header?a=b"));
    check(false, None, Some("/body"), Some("/body"));
    check(false, None, None, None);
    assert!(receiver.waiting().is_none());
}

#[test]
fn a_submit_that_names_no_url_of_http_is_refused() {
    let server = start(&quiet_plan());
    let mut client = Client::new(server.addr());
    let mut check = |url: &str| {
        let body = format!(r#"{{"callback_url": "{url}"}}"#);
        assert_eq!(client.submit_as("", &body).unwrap().status, 400, "{url}");
    };
    check("https://127.0.0.1/");
    check("/path");
    check(&format!("http://127.0.0.1/{}", "x".repeat(2_000)));
    let header = "X-Callback-URL: ftp://127.0.0.1/\r\n";
    assert_eq!(client.submit_as(header, OBJECT).unwrap().status, 400);
    let truth = server.stop().unwrap();
    assert_eq!((truth.rows().count(), truth.calls().len()), (0, 0));
}

#[test]
fn each_work_may_have_a_url_of_its_own() {
    const WORKS: usize = 20;
    let receiver = Receiver::start();
    let server = start(&quiet_plan());
    let mut client = Client::new(server.addr());
    let ids: BTreeMap<String, String> = (0..WORKS)
        .map(|n| {
            let path = format!("/of/{n}");
            let body = format!(r#"{{"callback_url": "{}"}}"#, receiver.url(&path));
            let reply = client.submit_as("", &body).unwrap();
            (path, reply.field("work_id").unwrap())
        })
        .collect();
    let log = receiver.answer(WORKS, ok);
    assert_eq!(made(&server.stop().unwrap()), logged(&log));
    let called = log
        .iter()
        .map(|(call, _)| (call.path.clone(), call.work_id()));
    assert_eq!(called.collect::<BTreeMap<_, _>>(), ids);
}

#[test]
fn path_and_query_name_the_work_where_the_receiver_looks_there() {
    let receiver = Receiver::start();
    let check = |url: &str, find: Find, before: &str| {
        let mut plan = calling(receiver.url(url));
        plan.callback.find = find;
        let server = start(&plan);
        let ids = submit(&server, 1);
        let log = receiver.answer(1, ok);
        assert_eq!(made(&server.stop().unwrap()), logged(&log));
        assert_eq!(log[0].0.path, format!("{before}{}", ids[0]));
    };
    check("/hook", Find::Path, "/hook/");
    check("", Find::Path, "/");
    check("/hook", Find::Query("id".to_owned()), "/hook?id=");
    check("/hook?a=b", Find::Query("id".to_owned()), "/hook?a=b&id=");
}

const SECRETS: [&str; 2] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
];

/// The calls of a service that signs so.
fn signed(scheme: &SignatureScheme, secrets: &[&str]) -> Vec<Call> {
    let receiver = Receiver::start();
    let keyring = Keyring::new(scheme, secrets, Span::from_secs(300)).unwrap();
    let secrets = SimSecrets {
        key: None,
        keyring: Some(keyring),
    };
    let plan = calling(receiver.url("/hook"));
    let server = SimServer::start(&plan, secrets, 7, now(), any_port()).unwrap();
    submit(&server, 1);
    let log = receiver.answer(2, |call| match call.attempt() {
        1 => Reply::Status(500, ""),
        _ => Reply::Status(200, ""),
    });
    assert_eq!(made(&server.stop().unwrap()), logged(&log));
    log.into_iter().map(|(call, _)| call).collect()
}

#[test]
fn the_reference_library_verifies_each_attempt() {
    for call in signed(&SignatureScheme::Standard, &SECRETS) {
        for secret in SECRETS {
            let webhook = standardwebhooks::Webhook::new(secret).unwrap();
            let headers = (call.headers.iter())
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            webhook.verify(call.body.as_bytes(), &headers).unwrap();
        }
    }
}

#[test]
fn every_scheme_is_verified_by_who_has_the_secret() {
    let hmac = SignatureScheme::Hmac {
        header: "X-Signed".to_owned(),
        prefix: "v0=".to_owned(),
        base64: true,
    };
    let schemes = [
        SignatureScheme::Standard,
        SignatureScheme::Github,
        SignatureScheme::Bearer,
        hmac,
    ];
    for scheme in schemes {
        for call in signed(&scheme, &SECRETS[..1]) {
            // Its age is the business of another test.
            let check = |secret, fits: bool| {
                let ages = Span::from_secs(u64::from(u32::MAX));
                let keyring = Keyring::new(&scheme, &[secret], ages).unwrap();
                let headers: Vec<(&String, &String)> = call.headers.iter().collect();
                let verified = keyring.verify(&headers[..], call.body.as_bytes(), 1_780_000_000);
                assert_eq!(verified.is_ok(), fits, "{scheme:?}: {verified:?}");
            };
            check(SECRETS[0], true);
            check(SECRETS[1], false);
            assert_eq!(call.headers["webhook-id"], "msg_0");
        }
    }
}

#[test]
fn no_more_calls_are_on_the_wire_than_the_sender_has_places() {
    const WORKS: usize = 6;
    let receiver = Receiver::start();
    let mut plan = calling(receiver.url("/hook"));
    plan.callback.concurrency = 2;
    let server = start(&plan);
    submit(&server, WORKS);
    let mut open = vec![receiver.next(), receiver.next()];
    let mut log = Vec::new();
    while let Some((call, answer)) = open.pop() {
        assert!(receiver.waiting().is_none(), "a third call is on the wire");
        answer.send(Reply::Status(200, "")).unwrap();
        log.push((call, Reply::Status(200, "")));
        if log.len() + open.len() < WORKS {
            open.push(receiver.next());
        }
    }
    assert_eq!(made(&server.stop().unwrap()), logged(&log));
}

#[test]
fn a_connection_is_used_again() {
    const WORKS: usize = 20;
    let receiver = Receiver::start();
    let mut plan = calling(receiver.url("/hook"));
    plan.callback.concurrency = 1;
    let server = start(&plan);
    submit(&server, WORKS);
    let log = receiver.answer(WORKS, ok);
    assert_eq!(made(&server.stop().unwrap()), logged(&log));
    assert!(log.iter().all(|(call, _)| call.connection == 0), "{log:?}");
}

#[test]
fn a_service_that_stops_calls_nobody_and_says_what_had_no_answer() {
    let receiver = Receiver::start();
    let mut plan = calling(receiver.url("/hook"));
    let server = start(&plan);
    let ids = submit(&server, 1);
    let (call, answer) = receiver.next();
    let truth = server.stop().unwrap();
    assert_eq!(made(&truth), [(call.work_id(), 1, "?".to_owned())]);
    let mut csv = Vec::new();
    truth.write_csv(&mut csv, Span::ZERO).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.contains(&ids[0]) && csv.ends_with(":?\n"), "{csv}");
    drop(answer);

    // One that is under way is heard.
    let server = start(&plan);
    submit(&server, 1);
    let (call, answer) = receiver.next();
    let stopping = std::thread::spawn(move || server.stop().unwrap());
    answer.send(Reply::Status(202, "")).unwrap();
    let truth = stopping.join().unwrap();
    assert_eq!(made(&truth), [(call.work_id(), 1, "202".to_owned())]);

    plan.callback.delay = Law::Fixed(Span::from_secs(3_600));
    let server = start(&plan);
    submit(&server, 1);
    assert_eq!(server.stop().unwrap().calls().len(), 0);
    assert!(receiver.waiting().is_none());
}

#[test]
fn nobody_listens_there() {
    // Bound, so that nobody else gets the port, but not listening.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind(any_port()).unwrap();
    let addr = held.local_addr().unwrap();
    let receiver = Receiver::start();
    let server = start(&calling(format!("http://{addr}/")));
    let mut client = Client::new(server.addr());
    client.submit_as("", OBJECT).unwrap();
    // Others are called all the same.
    let body = format!(r#"{{"callback_url": "{}"}}"#, receiver.url("/"));
    client.submit_as("", &body).unwrap();
    receiver.answer(1, ok);
    let truth = server.stop().unwrap();
    let first = truth.calls().first().unwrap();
    assert_eq!(first.received, Some(Received::Broken));
}

#[test]
fn the_command_says_how_often_it_called() {
    let receiver = Receiver::start();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (lines, heard) = mpsc::channel();
    let asked = SimCommand {
        plan: calling(receiver.url("/hook")),
        seed: 7,
        listen: any_port(),
        truth: None,
    };
    let serving = std::thread::spawn(move || {
        let stop = async { stopped.await.map_err(io::Error::other) };
        let secrets = SimSecrets::default();
        serve_until(asked, secrets, &mut super::Lines(Vec::new(), lines), stop)
    });
    let greeting = heard.recv().unwrap();
    assert!(greeting.contains(&receiver.url("/hook")), "{greeting}");
    Client::new(super::address_in(&greeting)).submit().unwrap();
    receiver.answer(2, |call| match call.attempt() {
        1 => Reply::Status(500, ""),
        _ => Reply::Status(200, ""),
    });
    stop.send(()).unwrap();
    serving.join().unwrap().unwrap();
    let farewell = heard.recv().unwrap();
    let expected = "called back 2 times, 1 of them answered 2xx";
    assert!(farewell.contains(expected), "{farewell}");
}

#[test]
fn a_url_that_cannot_be_called_is_a_mistake() {
    let check = |url: &str, word: &str| {
        let ended = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["sim", "--listen", "127.0.0.1:0", "--callback-url", url])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(
            said.contains("simulator.callback.url") && said.contains(word),
            "{said}"
        );
    };
    check("https://hooks.example.com", "no TLS");
    check("hooks.example.com", "no URL");
    check("ftp://hooks.example.com", "ftp");
}
