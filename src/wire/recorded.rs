//! Answers as the services' own documents show them, and hostile ones, in tables.

use std::fmt::Write as _;

use crate::scenario::Profile;
use crate::wire::{Wire, shapes};
use crate::work::{Ending, IntakeReply, PollReply, PollUrl, RateHint, Terminal, WorkId};

mod families;
mod hostile;

/// Status, header lines parted by `|`, body, and what it means as a short sentence.
type Row<'a> = (u16, &'a str, &'a str, &'a str);

fn ready(profile: &Profile) -> Wire {
    let trusted = ["https://eu.example.com".to_owned()];
    Wire::new(profile, "https://api.example.com/base", &trusted, "demo").unwrap()
}

fn headers(lines: &str) -> Vec<(&str, &str)> {
    let lines = lines.split('|').filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

fn check_intake(profile: &Profile, rows: &[Row]) {
    for &(status, lines, body, meaning) in rows {
        let reply = ready(profile).intake(status, &*headers(lines), body.as_bytes(), Some("u-1"));
        assert_eq!(intake_says(&reply), meaning, "{status} {lines} {body}");
    }
}

/// All polls ask for the work `id`.
fn check_poll(profile: &Profile, id: &str, rows: &[Row]) {
    for &(status, lines, body, meaning) in rows {
        let id = WorkId(id.into());
        let reply = ready(profile).poll(&id, status, &*headers(lines), body.as_bytes());
        assert_eq!(poll_says(&reply), meaning, "{status} {lines} {body}");
    }
}

fn intake_says(reply: &IntakeReply) -> String {
    match reply {
        IntakeReply::Accepted {
            id,
            poll_url,
            at_once,
            hint,
            ..
        } => {
            let mut said = format!("accepted {}", id.0);
            match poll_url {
                PollUrl::FromProfile => {}
                PollUrl::Given(url) => write!(said, " given {url}").unwrap(),
                PollUrl::Foreign(url) => write!(said, " foreign {url}").unwrap(),
            }
            if let Some(terminal) = at_once {
                write!(said, " at once {}", terminal_says(terminal)).unwrap();
            }
            said + &hint_says(hint)
        }
        IntakeReply::Rejected { status, hint, .. } => {
            format!("rejected {status}{}", hint_says(hint))
        }
        IntakeReply::Failed {
            fault,
            maybe_accepted,
            ..
        } => {
            assert!(maybe_accepted, "the request had been written");
            format!("fault {}", fault.word())
        }
    }
}

fn poll_says(reply: &PollReply) -> String {
    match reply {
        PollReply::Open {
            status,
            known,
            hint,
            ..
        } => {
            let unknown = if *known { "" } else { "?" };
            format!("open{unknown} {status}{}", hint_says(hint))
        }
        PollReply::Terminal(terminal, hint) => terminal_says(terminal) + &hint_says(hint),
        PollReply::Denied { gone: false, .. } => "denied".into(),
        PollReply::Denied { gone: true, .. } => "gone".into(),
        PollReply::Throttled { status, hint } => format!("throttled {status}{}", hint_says(hint)),
        PollReply::Error { status, .. } => format!("error {status}"),
        PollReply::Fault(fault) => format!("fault {}", fault.word()),
    }
}

fn terminal_says(terminal: &Terminal) -> String {
    let mut said = match terminal.ending {
        Ending::Completed => "completed ".to_owned(),
        Ending::Failed => "failed ".to_owned(),
    };
    said += &terminal.status;
    if let Some(finished) = terminal.finished {
        write!(said, " at {}", finished.0).unwrap();
    }
    said
}

fn hint_says(hint: &RateHint) -> String {
    let wait = hint.retry_after.map(|wait| format!(" retry {wait}"));
    wait.unwrap_or_default()
}

#[test]
fn auxot_tickets() {
    check_intake(
        &Profile::default(),
        &[
            (
                202,
                "",
                r#"{"work_id": "work_abc123"}"#,
                "accepted work_abc123",
            ),
            (
                202,
                "",
                r#"{"work_id": 12345678901234567890123}"#,
                "accepted 12345678901234567890123",
            ),
            (202, "", r#"{"id": "work_abc123"}"#, "fault body"),
            (202, "", r#"{"work_id": null}"#, "fault body"),
            (202, "", r#"{"work_id": ""}"#, "fault body"),
            (202, "", "<html>", "fault body"),
            (202, "", "", "fault body"),
            (200, "", r#"{"work_id": "work_abc123"}"#, "rejected 200"),
            (401, "", "", "rejected 401"),
            (429, "Retry-After: 7", "", "rejected 429 retry 7s"),
            (500, "", "oops", "rejected 500"),
        ],
    );
}

#[test]
fn auxot_polls() {
    check_poll(
        &Profile::default(),
        "work_abc123",
        &[
            (200, "", r#"{"status": "pending"}"#, "open pending"),
            (
                200,
                "Retry-After: 2",
                r#"{"status": "running"}"#,
                "open running retry 2s",
            ),
            (
                200,
                "",
                r#"{"status": "waiting_for_approval"}"#,
                "open? waiting_for_approval",
            ),
            (
                200,
                "",
                r#"{"status": "completed", "result": {"status": "failed"}}"#,
                "completed completed",
            ),
            (200, "", r#"{"status": "failed"}"#, "failed failed"),
            (
                200,
                "",
                r#"{"status": "failed", "status": "running"}"#,
                "open running",
            ),
            (200, "", r#"{"status": null}"#, "open? null"),
            (200, "", "[]", "open? "),
            (200, "", r#"{"status": "#, "fault body"),
            (204, "", "", "fault body"),
            (404, "", r#"{"status": "completed"}"#, "denied"),
            (410, "", "", "gone"),
            (429, "", "", "throttled 429"),
            (503, "Retry-After: 30", "", "throttled 503 retry 30s"),
            (503, "", "", "error 503"),
            (500, "Retry-After: 30", "", "error 500"),
            (302, "Location: /", "", "error 302"),
            (401, "", r#"{"status": "completed"}"#, "error 401"),
        ],
    );
}

#[test]
fn azure_with_a_status_monitor() {
    let monitor = "Operation-Location: https://api.example.com/operations/22?api-version=7";
    check_intake(
        &shapes::azure(),
        &[
            (
                202,
                monitor,
                "",
                "accepted 22 given https://api.example.com/operations/22?api-version=7",
            ),
            (
                202,
                "operation-location: /operations/22",
                "",
                "accepted 22 given https://api.example.com/operations/22",
            ),
            (
                202,
                "Operation-Location: https://eu.example.com/op/22",
                "",
                "accepted 22 given https://eu.example.com/op/22",
            ),
            (
                202,
                "Operation-Location: https://evil.example/op/22",
                "",
                "accepted 22 foreign https://evil.example/op/22",
            ),
            (
                202,
                "Operation-Location: http://api.example.com/op/22",
                "",
                "accepted 22 foreign http://api.example.com/op/22",
            ),
            (202, "Location: /operations/22", "", "fault body"),
            (202, "Operation-Location: https://[/22", "", "fault body"),
        ],
    );
    check_poll(
        &shapes::azure(),
        "22",
        &[
            (
                200,
                "Retry-After: 5",
                r#"{"id":"22","status":"NotStarted"}"#,
                "open NotStarted retry 5s",
            ),
            (
                202,
                "retry-after-ms: 1500",
                r#"{"id":"22","status":"Running"}"#,
                "open Running retry 1.5s",
            ),
            (
                200,
                "",
                r#"{"id":"22","status":"Succeeded"}"#,
                "completed Succeeded",
            ),
            (
                200,
                "",
                r#"{"id":"22","status":"Canceled"}"#,
                "failed Canceled",
            ),
        ],
    );
}

#[test]
fn azure_by_status() {
    let profile = shapes::azure_location();
    check_intake(
        &profile,
        &[
            (
                202,
                "Location: /op/a%2Fb?x=1|Retry-After: 10",
                "",
                "accepted a/b given https://api.example.com/op/a%2Fb?x=1 retry 10s",
            ),
            (
                200,
                "",
                r#"{"result": 1}"#,
                "accepted  at once completed 200",
            ),
            (201, "Location: /op/1", "", "rejected 201"),
        ],
    );
    check_poll(
        &profile,
        "1",
        &[
            (
                202,
                "Location: /op/1|Retry-After: 10",
                "",
                "open 202 retry 10s",
            ),
            (200, "", "not JSON at all", "completed 200"),
            (204, "", "", "completed 204"),
            (
                302,
                "Location: https://storage.example/result",
                "",
                "completed 302",
            ),
            (409, "", "", "failed 409"),
            (404, "", "", "denied"),
            (429, "", "", "throttled 429"),
            (500, "x-ms-operation-state: Succeeded", "", "error 500"),
            (200, "x-ms-operation-state: Failed", "", "failed Failed"),
            (
                200,
                "x-ms-operation-state: InProgress",
                "",
                "open InProgress",
            ),
            (
                202,
                "x-ms-operation-state: Succeeded",
                "",
                "completed Succeeded",
            ),
            (200, "x-ms-operation-state: Paused", "", "open? Paused"),
        ],
    );
}
