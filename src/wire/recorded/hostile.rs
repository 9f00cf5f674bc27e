//! Answers that mean harm, or that a broken service or proxy makes.

use super::{check_intake, check_poll, headers, ready};
use crate::scenario::Profile;
use crate::wire::shapes;
use crate::work::{IntakeReply, PollReply, WorkId};

#[test]
fn hostile_tickets_are_refused_or_harmless() {
    let long = format!(r#"{{"work_id":"{}"}}"#, "w".repeat(WorkId::MAX_BYTES + 1));
    let longest = "w".repeat(WorkId::MAX_BYTES);
    let longest_body = format!(r#"{{"work_id":"{longest}"}}"#);
    check_intake(
        &Profile::default(),
        &[
            (202, "", &long, "fault body"),
            (202, "", &longest_body, &format!("accepted {longest}")),
            (202, "", r#"{"work_id":"a\r\nHost: evil"}"#, "fault body"),
            (202, "", r#"{"work_id":"a\u0000"}"#, "fault body"),
            (202, "", r#"{"work_id":"\u0085"}"#, "fault body"),
            (202, "", r#"{"work_id":"\ud800"}"#, "fault body"),
            (202, "", r#"{"work_id":".."}"#, "fault body"),
            (202, "", r#"{"work_id":"."}"#, "fault body"),
            (202, "", r#"{"work_id":["a"]}"#, "fault body"),
            (202, "", r#"{"work_id":true}"#, "fault body"),
            (
                202,
                "",
                r#"{"work_id":"../../admin?x#y"}"#,
                "accepted ../../admin?x#y",
            ),
            (202, "", r#"{"work_id":"<script>"}"#, "accepted <script>"),
            (202, "", r#"{"work_id":"a"}{"work_id":"b"}"#, "fault body"),
        ],
    );
    let url = ready(&Profile::default()).poll_url("../../admin?x#y", None);
    let expected = "https://api.example.com/base/v1/intake/demo/work/..%2F..%2Fadmin%3Fx%23y";
    assert_eq!(url.as_deref(), Some(expected));
}

#[test]
fn hostile_poll_urls_get_no_key() {
    let foreign = [
        ("//evil.example/7", "https://evil.example/7"),
        (
            "https://api.example.com@evil.example/7",
            "https://api.example.com@evil.example/7",
        ),
        (
            "https://u:p@api.example.com/7",
            "https://u:p@api.example.com/7",
        ),
        (
            "https://api.example.com:8443/7",
            "https://api.example.com:8443/7",
        ),
        ("file:///etc/passwd/7", "file:///etc/passwd/7"),
    ];
    for (given, seen) in foreign {
        let line = format!("Location: {given}");
        let body = r#"{"jobID":"7"}"#;
        check_intake(
            &shapes::ogc(),
            &[(201, &line, body, &format!("accepted 7 foreign {seen}"))],
        );
    }
}

#[test]
fn hostile_words_are_cut_and_bodies_stay_text() {
    let word = "é".repeat(10_000);
    let body = format!(r#"{{"status":"{word}"}}"#);
    check_poll(
        &Profile::default(),
        "7",
        &[(200, "", &body, &format!("open? {}", "é".repeat(64)))],
    );

    let deep = format!(
        r#"{{"status":{}{}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    check_poll(
        &Profile::default(),
        "7",
        &[(200, "", &deep, &format!("open? {}", "[".repeat(64)))],
    );

    let wire = ready(&Profile::default());
    let reply = wire.poll(&WorkId("7".into()), 500, &*headers(""), b"\xff\x00ok");
    let body = "\u{fffd}\0ok".into();
    assert_eq!(reply, PollReply::Error { status: 500, body });
}

#[test]
fn statuses_at_the_edge() {
    check_poll(
        &Profile::default(),
        "7",
        &[
            (0, "", r#"{"status":"completed"}"#, "error 0"),
            (199, "", r#"{"status":"completed"}"#, "error 199"),
            (299, "", r#"{"status":"completed"}"#, "completed completed"),
            (300, "", r#"{"status":"completed"}"#, "error 300"),
            (65_535, "", "", "error 65535"),
        ],
    );
}

#[test]
fn what_cannot_be_read_is_shown() {
    let wire = ready(&Profile::default());
    let detail = |body: &[u8]| match wire.intake(202, &*headers(""), body, None) {
        IntakeReply::Failed { detail, status, .. } => (status, detail.into_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(detail(b"<html>"), (Some(202), "<html>".into()));
    assert_eq!(detail(b""), (Some(202), "no id".into()));
}
