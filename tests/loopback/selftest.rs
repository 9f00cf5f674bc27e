//! `plimsoll selftest`, and what reports of runs say of the last one.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::binary::{Folder, Running, Said, head, said};

/// The shortest there is.
const SHORT: [&str; 4] = ["selftest", "--duration", "5s", "--json"];

/// A short run against the built-in service.
fn folder() -> Folder {
    Folder::new(&format!(
        "{}[simulator]\nservice_time = \"fixed(100ms)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"1500ms\"\n\
         [poll]\ninterval = \"100ms\"\n",
        head("simulator")
    ))
}

/// A command with the state of the machine kept in this folder.
fn with_state(command: &mut Command, state: &Path) -> Said {
    said(command.env("XDG_STATE_HOME", state))
}

#[test]
fn the_command_measures_writes_and_is_of_one_mind() {
    let folder = folder();
    let state = folder.path("state");
    let result = with_state(&mut folder.command(&SHORT), &state);
    let file = fs::read_to_string(state.join("plimsoll/selftest.json")).unwrap();
    assert_eq!(result.stdout, file);
    let json: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(json["schema"], "plimsoll.selftest/1");
    let checks = json["checks"].as_array().unwrap();
    let mut within = true;
    for check in checks {
        let found = match (check["error"].as_f64(), check["allowed"].as_f64()) {
            (_, None) => true,
            (Some(error), Some(allowed)) => error.abs() <= allowed,
            (None, Some(_)) => false,
        };
        assert_eq!(check["within"], found, "{check}");
        within &= found;
        // However slow the machine is, nothing is lost, told twice, or sent above a budget.
        let what = check["what"].as_str().unwrap();
        if check["unit"] == "count" && !what.contains("came above") {
            assert_eq!(check["within"], true, "{check}");
        }
    }
    let passed = within && json["invalid"].as_array().unwrap().is_empty();
    assert_eq!(json["passed"], passed, "{json:#}");
    assert_eq!(result.code, Some(if passed { 0 } else { 3 }), "{result:#?}");
    for what in [
        "submits that the service saw",
        "spacing of arrivals (KS distance)",
        "accept latency, p99",
        "time to terminal, p99",
        "works lost",
        "poll.budget: sent above it",
    ] {
        assert!(checks.iter().any(|check| check["what"] == what), "{what}");
    }
    assert!(!json["ladder"].as_array().unwrap().is_empty());
}

#[test]
fn a_result_that_cannot_be_kept_is_shown_all_the_same() {
    let folder = folder();
    let out = ["--out", "scenario.toml/below.json"];
    let result = said(folder.command(&SHORT).args(out));
    result.check(
        2,
        &[
            "cannot write the result to scenario.toml/below.json",
            "hint: --out",
        ],
    );
    let json: Value = serde_json::from_str(&result.stdout).unwrap();
    assert_eq!(json["schema"], "plimsoll.selftest/1");
}

#[test]
fn ctrl_c_ends_it_and_leaves_nothing_behind() {
    let folder = folder();
    let places = folder.path("places");
    fs::create_dir(&places).unwrap();
    let mut command = folder.command(&["selftest", "--plain"]);
    let mut running = Running::start(command.env("TMPDIR", &places));
    running.wait_for("comparing");
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(130));
    assert_eq!(fs::read_dir(&places).unwrap().count(), 0);
}

#[test]
fn a_duration_without_sense_is_refused() {
    for duration in ["1s", "2h", "soon"] {
        let folder = folder();
        let result = said(&mut folder.command(&["selftest", "--duration", duration]));
        result.check(2, &["expected a duration from 5s to 1h"]);
    }
}

/// A selftest that found this rate, kept as that of the machine.
fn keep(state: &Path, requests_per_s: f64) -> Value {
    let head = json!({
        "started_at": "2026-05-01T02:03:04.000005Z",
        "version": "0.0.7",
        "passed": true,
        "highest_requests_per_s": requests_per_s,
        "stopped_by": "cpu",
        "worst": {
            "what": "accept latency, p99",
            "unit": "s",
            "error": 0.000_412,
            "allowed": 0.001_2,
        },
    });
    let mut file = head.clone();
    file["schema"] = json!("plimsoll.selftest/1");
    write(state, &file.to_string());
    head
}

fn write(state: &Path, text: &str) {
    fs::create_dir_all(state.join("plimsoll")).unwrap();
    fs::write(state.join("plimsoll/selftest.json"), text).unwrap();
}

/// What a run says of the selftest, and what a report that is made again says, on a machine that
/// has none.
fn told(folder: &Folder, state: &Path) -> (Value, String) {
    let run = with_state(&mut folder.run(), state);
    run.check(0, &[]);
    let summary = fs::read_to_string(folder.out().join("summary.json")).unwrap();
    let again = |flag| {
        let again = said(&mut folder.command(&["report", "out", flag]));
        again.check(0, &[]);
        again.stdout
    };
    assert_eq!(again("--json"), summary);
    assert_eq!(again("--plain"), run.stdout);
    (serde_json::from_str(&summary).unwrap(), run.stdout)
}

#[test]
fn a_report_quotes_the_last_selftest() {
    let folder = folder();
    let state = folder.path("state");
    let head = keep(&state, 9_000.0);
    let (summary, text) = told(&folder, &state);
    assert_eq!(summary["selftest"], head);
    assert_eq!(summary["notes"], json!([]));
    let words: Vec<&str> = text.split_whitespace().collect();
    let sentence = "selftest of this machine (2026-05-01, version 0.0.7): accurate up to 9,000 \
                    requests a second, then cpu; its worst error was 412 us of 1.2 ms allowed, in \
                    accept latency, p99";
    assert!(words.join(" ").contains(sentence), "{text}");
}

#[test]
fn a_run_above_what_the_machine_is_accurate_for_is_noted() {
    let folder = folder();
    let state = folder.path("state");
    keep(&state, 30.0);
    let check = with_state(&mut folder.command(&["check", "scenario.toml"]), &state);
    check.check(0, &[]);
    let warning = "selftest: 60/s are expected at the peak; this machine is accurate up to 30/s";
    let words: Vec<&str> = check.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains(warning), "{check:#?}");
    let (summary, _) = told(&folder, &state);
    let note = summary["notes"][0].as_str().unwrap();
    assert!(note.starts_with("the busiest second had "), "{note}");
    assert!(
        note.ends_with("this machine is accurate up to 30/s"),
        "{note}"
    );
}

#[test]
fn a_report_says_that_there_is_no_selftest() {
    let folder = folder();
    let (summary, text) = told(&folder, &folder.path("state"));
    assert_eq!(summary.get("selftest"), Some(&Value::Null));
    assert!(text.contains("no selftest of this machine"), "{text}");
}

#[test]
fn a_damaged_selftest_is_said_and_harms_nobody() {
    let folder = folder();
    let state = folder.path("state");
    write(&state, "{\"schema\": \"plimsoll.self");
    let (summary, text) = told(&folder, &state);
    assert_eq!(summary.get("selftest"), Some(&Value::Null));
    let note = summary["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("the last selftest cannot be read from "),
        "{note}"
    );
    assert!(text.contains("no selftest of this machine"), "{text}");
}

#[test]
fn a_run_in_virtual_time_quotes_none() {
    let folder = folder();
    let state = folder.path("state");
    keep(&state, 1.0);
    let run = with_state(folder.run().arg("--virtual"), &state);
    run.check(0, &[]);
    assert!(!run.stdout.contains("selftest"), "{run:#?}");
    let summary = fs::read_to_string(folder.out().join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary.get("selftest"), None);
}
