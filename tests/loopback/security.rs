//! The key goes where it belongs and nowhere else, and hostile text does no harm.

use std::fs;
use std::process::Command;

use crate::support::binary::{Folder, KEY, KEY_NAME, Said, head, said};
use crate::support::host::{Host, Reply, Request, answer};
use crate::support::intake::{Faults, Intake};
use crate::support::run::{Run, run, run_in};

const LOAD: &str = "[[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"1s\"\n\
                    [poll]\ninterval = \"100ms\"\ngive_up_after = \"800ms\"\n\
                    [drain]\nlimit = \"2s\"\n";

fn scenario(url: &str, more: &str) -> String {
    format!("{}{more}{LOAD}", head(url))
}

fn check_no_key(folder: &Folder, said: &Said) {
    folder.check_shows_nowhere(KEY, said);
}

#[test]
fn the_key_is_in_no_file_and_on_no_screen() {
    let host = Host::start(Intake::new(Faults {
        fails: 0.3,
        error: 0.1,
        reset_after: 0.1,
        garbage: 0.1,
        ..Faults::default()
    }));
    let folder = Folder::new(&scenario(&host.url(), ""));
    let (said_by_run, run) = run_in(&folder);
    said_by_run.check(0, &[]);
    check_no_key(&folder, &said_by_run);
    assert!(run.ledger("failed") > 0);
    let resolved = fs::read_to_string(folder.out().join("scenario.toml")).unwrap();
    assert!(resolved.contains(&format!("env:{KEY_NAME}")), "{resolved}");
    for flag in ["--json", "--quiet", "--plain"] {
        let again = said(&mut folder.command(&["report", "out", flag]));
        again.check(0, &[]);
        check_no_key(&folder, &again);
    }
    let (_, log) = host.stop();
    let bearer = format!("Bearer {KEY}");
    assert!(
        log.iter()
            .all(|request| request.header("authorization") == bearer)
    );
    let from_file =
        scenario("http://127.0.0.1:1", "").replace(&format!("env:{KEY_NAME}"), "file:key");
    let folder = Folder::new(&from_file);
    let unread = said(&mut folder.run());
    unread.check(2, &["file:key"]);
    check_no_key(&folder, &unread);
}

/// A service that says the key again wherever it can.
fn echo(request: &Request) -> Reply {
    let key = request.header("authorization");
    let words = format!(r#"{{"status": "{key}", "error": "bad key {key}", "work_id": "{key}"}}"#);
    let more = [("Echo", key), ("Location", key)];
    match (&*request.method.to_string(), request.body.is_empty()) {
        ("POST", false) => match request.seq() % 4 {
            0 => answer(400, &more, words),
            1 => answer(202, &more, words),
            _ => answer(
                202,
                &more,
                format!(r#"{{"work_id": "w{}"}}"#, request.seq()),
            ),
        },
        _ if request.target.ends_with('2') => answer(
            200,
            &more,
            format!(r#"{{"status": "failed", "because": "{key}"}}"#),
        ),
        _ => answer(200, &more, words),
    }
}

#[test]
fn a_key_that_the_service_echoes_is_covered() {
    let check = |more: &str| {
        let host = Host::start(echo);
        let folder = Folder::new(&scenario(&host.url(), more));
        let (said, run) = run_in(&folder);
        check_no_key(&folder, &said);
        assert!(run.ledger("rejected") > 0 && run.ledger("failed") + run.ledger("expired") > 0);
        let failures = fs::read_to_string(folder.out().join("failures.jsonl")).unwrap();
        assert!(failures.contains("bad key"), "{failures}");
    };
    check("");
    check("[api.submit]\nid = { header = \"Location\" }\n");
}

#[test]
fn a_refused_key_is_not_shown() {
    for status in [401, 403] {
        let host = Host::start(move |request: &Request| {
            let key = request.header("authorization");
            answer(
                status,
                &[],
                format!("\u{1b}[31mno such key: {key}\r\n\u{7}"),
            )
        });
        let folder = Folder::new(&scenario(&host.url(), ""));
        let said = said(&mut folder.run());
        said.check(
            2,
            &[
                &format!("{status}"),
                &format!("env:{KEY_NAME}"),
                "no such key",
            ],
        );
        check_no_key(&folder, &said);
        check_calm(&said);
    }
}

#[test]
fn mistakes_do_not_show_secrets() {
    let check = |text: &str, secrets: &[&str], prepare: fn(&mut Command)| {
        let folder = Folder::new(text);
        let mut command = folder.run();
        prepare(&mut command);
        let said = said(&mut command);
        said.check(2, &["error"]);
        for secret in secrets {
            let shown = format!("{}{}", said.stdout, said.stderr);
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    };
    let nothing = |_: &mut Command| {};
    let closed = scenario("http://127.0.0.1:1", "");
    check(&closed, &[KEY], nothing);
    check(&closed, &["canary"], |command| {
        command.env(KEY_NAME, "user.canary\nsecond line");
    });
    check(
        &closed.replace(&format!("env:{KEY_NAME}"), KEY),
        &[KEY],
        nothing,
    );
    let with_user = scenario("http://someone:hunter2@127.0.0.1:1", "");
    check(&with_user, &["hunter2"], nothing);
    let trusted = closed.replace(
        "[target]",
        "[target]\ntrusted_origins = [\"http://someone:hunter2@127.0.0.1\"]",
    );
    check(&trusted, &["hunter2"], nothing);
    check(&closed, &[KEY, "hunter2"], |command| {
        command.args([
            "--set",
            "target.base_url=http://someone:hunter2@127.0.0.1:1",
        ]);
    });
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Host::start(|_: &Request| answer(200, &[], r#"{"status": "completed"}"#));
    let away = elsewhere.url();
    let host = Host::start(move |request: &Request| {
        let location = [("Location", away.as_str())];
        let id = request.target.rsplit('/').next().unwrap();
        let number: u64 = if request.method == "POST" {
            request.seq()
        } else {
            id.parse().unwrap()
        };
        let status = [301, 302, 307, 308][usize::try_from(number % 4).unwrap()];
        if request.method == "POST" && number >= 8 {
            return answer(202, &[], format!(r#"{{"work_id": "{number}"}}"#));
        }
        answer(status, &location, "")
    });
    let run = run(&scenario(&host.url(), ""));
    drop(host.stop());
    run.check_rows();
    assert_eq!(run.ledger("rejected"), 8);
    assert_eq!(run.ledger("expired"), 12);
    assert_eq!(run.request("poll_errors"), run.request("polls"));
    let (_, log) = elsewhere.stop();
    assert!(log.is_empty(), "{log:?}");
}

/// A service that says to poll at another origin.
fn poll_elsewhere(trusted: bool) -> (Run, Vec<Request>) {
    let elsewhere = Host::start(|_: &Request| answer(200, &[], r#"{"status": "completed"}"#));
    let away = elsewhere.url();
    let trust = format!("[target]\ntrusted_origins = [\"{away}\"]");
    let host = Host::start(move |request: &Request| {
        assert_eq!(request.method, "POST");
        let at = format!("{away}/works/{}", request.seq());
        answer(202, &[("Location", &at)], "")
    });
    let text = scenario(
        &host.url(),
        "[api.submit]\nid = { header = \"Location\" }\npoll_url = { header = \"Location\" }\n[api.poll]\nby = \"url\"\n",
    );
    let text = if trusted {
        text.replace("[target]", &trust)
    } else {
        text
    };
    let run = run(&text);
    run.check_rows();
    assert_eq!(run.ledger("accepted"), 20);
    drop(host.stop());
    (run, elsewhere.stop().1)
}

#[test]
fn a_foreign_poll_url_is_an_anomaly_and_never_asked() {
    let (run, log) = poll_elsewhere(false);
    assert!(log.is_empty(), "{log:?}");
    assert_eq!(run.anomaly("foreign_poll_url"), 20);
    assert_eq!(run.ledger("expired"), 20);
    assert_eq!(run.request("polls"), 0);
}

#[test]
fn a_trusted_poll_url_is_asked_with_the_key() {
    let (run, log) = poll_elsewhere(true);
    assert_eq!(run.anomaly("foreign_poll_url"), 0);
    assert_eq!(run.ledger("completed"), 20);
    assert_eq!(log.len(), 20);
    let bearer = format!("Bearer {KEY}");
    assert!(
        log.iter()
            .all(|request| request.header("authorization") == bearer)
    );
}

#[test]
fn a_poll_url_with_a_user_in_it_is_foreign() {
    let host = Host::start(move |request: &Request| {
        let at = format!("http://someone:hunter2@{}/works/1", request.header("host"));
        answer(202, &[("Location", &at)], "")
    });
    let folder = Folder::new(&scenario(
        &host.url(),
        "[api.submit]\nid = { header = \"Location\" }\npoll_url = { header = \"Location\" }\n[api.poll]\nby = \"url\"\n",
    ));
    let (said, run) = run_in(&folder);
    assert_eq!(run.anomaly("foreign_poll_url"), 20);
    assert!(!said.stdout.contains("hunter2"));
    assert_eq!(host.stop().1.len(), 20);
}

/// Nothing that a terminal would obey, but the ends of lines.
fn check_calm(said: &Said) {
    for text in [&said.stdout, &said.stderr] {
        let wild = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(wild, None, "{text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest < Some(1_000), "{text}");
    }
}

/// Ids that break tables, paths and shells, and words that repaint screens.
const IDS: [&str; 6] = ["a/b", "a,b", "a\\\"b", "../../x", "=1+1;'", "?x=1#y%2F"];
const WORDS: [&str; 4] = [
    "\\u001b[2J\\u001b[31mgone\\u0007",
    "two\\nlines\\r\\nof it",
    "\\u202eright to left\\u0085",
    "HUGE",
];

#[test]
fn hostile_text_reaches_no_terminal_and_breaks_no_file() {
    let host = Host::start(|request: &Request| {
        if request.method == "POST" {
            let seq = usize::try_from(request.seq()).unwrap();
            let id = match seq {
                0 => "\\u001b[2J".to_owned(),
                _ => format!("{}{seq}", IDS[seq % IDS.len()]),
            };
            return answer(202, &[], format!(r#"{{"work_id": "{id}"}}"#));
        }
        let word = WORDS[request.target.len() % WORDS.len()];
        let word = word.replace("HUGE", &"x".repeat(20_000));
        answer(200, &[], format!(r#"{{"status": "{word}"}}"#))
    });
    let folder = Folder::new(&scenario(&host.url(), ""));
    let (said_by_run, run) = run_in(&folder);
    said_by_run.check(0, &[]);
    check_calm(&said_by_run);
    run.check_rows();
    // An id with a control character is refused: it is no id that could be asked for.
    assert_eq!(run.ledger("intake_failed"), 1);
    assert_eq!(run.ledger("expired"), 19);
    for work in run.works.iter().filter(|work| work.accepted_s.is_some()) {
        let place = usize::try_from(work.seq).unwrap() % IDS.len();
        let id = IDS[place].replace("\\\"", "\"");
        assert_eq!(work.id, format!("{id}{}", work.seq));
    }
    let again = said(&mut folder.command(&["report", "out"]));
    check_calm(&again);
    let (_, log) = host.stop();
    for poll in log.iter().filter(|request| request.method == "GET") {
        let id = poll.target.strip_prefix("/v1/intake/demo/work/").unwrap();
        assert!(!id.contains(['/', '?', '#']), "{id}");
    }
}
