//! What a run says of itself: how late it stamps, and when it did not run at all.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use crate::agreement::scenario;
use crate::support::binary::{Folder, Running, said};
use crate::support::host::{Host, Reply, Request, answer};
use crate::support::intake::{Faults, Intake, LATE};
use crate::support::run::{Run, run};

fn seconds(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn probes_show_how_late_answers_are_stamped() {
    let host = Host::start(Intake::new(Faults::default()));
    let run = run(&scenario(&host.url(), ""));
    drop(host.stop());
    run.check_rows();
    let metrics = &run.summary["metrics"];
    // 20 a second for at least two seconds: fewer than 10 are one in 10^8.
    let probes = metrics["stamp_delay"]["count"].as_u64().unwrap();
    assert!(probes > 10, "{probes}");
    let late = |metric: &str| seconds(&metrics[metric]["p99"]);
    for (metric, parts) in [
        ("accept_latency", &["generator_lag", "stamp_delay"][..]),
        ("accept_service_time", &["stamp_delay"]),
        ("closed_loop_latency", &["stamp_delay"]),
        ("poll_round_trip", &["stamp_delay"]),
        (
            "time_to_terminal",
            &["generator_lag", "poll_lag", "stamp_delay"],
        ),
    ] {
        let error = seconds(&metrics[metric]["own_error"]);
        let sum: f64 = parts.iter().map(|part| late(part)).sum();
        assert!((error - sum).abs() < 2e-6, "{metric}: {error} and {sum}");
        let below: Vec<&str> = metrics[metric]["below_own_error"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        for name in ["min", "p50", "p90", "p95", "p99"] {
            let figure = seconds(&metrics[metric][name]);
            assert_eq!(below.contains(&name), figure < error, "{metric}.{name}");
        }
    }
    assert!(run.summary["disturbances"]["count"].is_u64());
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a test does to a process is dated by the wall clock"
)]
fn wall() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// Asks a service that takes its time, and reads its answer.
fn ask(addr: SocketAddr) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_process_that_is_stopped_is_found_dated_and_reported() {
    let host = Host::start(Intake::new(Faults::default()));
    let slow = Host::start(|_: &Request| match answer(200, &[], "") {
        Reply::Now(response) => Reply::Later(LATE, response),
        reply => reply,
    });
    let folder = Folder::new(&scenario(&host.url(), "").replace("\"2s\"", "\"10m\""));
    let mut running = Running::start(folder.run().stdout(Stdio::null()));
    running.wait_for("load  0:01");
    let before = wall();
    running.signal(Signal::STOP);
    // It is stopped for as long as somebody else takes to answer.
    ask(slow.addr);
    let after = wall();
    running.signal(Signal::CONT);
    running.wait_for("load  ");
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(130));
    drop((host.stop(), slow.stop()));
    let run = Run::read(&folder.out());
    run.check_rows();
    let longest = run.summary["disturbances"]["longest"].as_array().unwrap();
    let starved = longest.iter().filter(|one| one["kind"] == "starved");
    // A machine that is busy may have starved it at other times as well.
    let found = starved
        .max_by(|a, b| seconds(&a["length_s"]).total_cmp(&seconds(&b["length_s"])))
        .unwrap_or_else(|| panic!("nothing was found: {longest:?}"));
    let (at, length) = (
        run.wall(seconds(&found["at_s"])),
        seconds(&found["length_s"]),
    );
    // It counts from the first probe that was due: 20 a second, so within a second all but surely.
    // The wall clock is read once at the origin, so what it is steered by since then is added.
    let slack = 0.1;
    assert!(
        before - slack <= at && at <= after + slack,
        "{before} {at} {after}"
    );
    assert!(at + length >= after - slack, "{at} {length} {after}");
    // Whoever would have answered then would have been heard late: the probes say so.
    let late = seconds(&run.summary["metrics"]["stamp_delay"]["max"]);
    assert!(
        (late - length).abs() < slack + 0.5 * length,
        "{late} {length}"
    );
    assert!(late > 0.5 * (after - before), "{late}");
    let text = said(&mut folder.command(&["report", "out"])).stdout;
    assert!(
        text.contains("the generator was stopped, or had no processor, for"),
        "{text}"
    );
    let json = said(&mut folder.command(&["report", "out", "--json"])).stdout;
    let again: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(again["disturbances"], run.summary["disturbances"]);
}
