//! Bad input and trouble, as a user meets them: an exit code, a sentence, and files that can be
//! read.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::binary::{Folder, KEY, KEY_NAME, head, said};
use crate::support::host::{Host, Request, Speech, answer};
use crate::support::intake::{Faults, Intake};
use crate::support::run::{Run, run_in};

const LOAD: &str = "[[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"1s\"\n\
                    [poll]\ninterval = \"100ms\"\n[drain]\nlimit = \"2s\"\n";

fn scenario(url: &str, more: &str) -> String {
    format!("{}{more}{LOAD}", head(url))
}

/// An address at which nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn five_mistakes_are_shown_at_once() {
    let text = "name = \"five\"\n\
                [target]\nbase_url = \"ftp://example.com\"\napi_key = \"env:KEY\"\n\
                [[load]]\nrate = \"20 per second\"\nduration = \"0s\"\n\
                [poll]\nintervall = \"1s\"\npolicy = \"sometimes\"\n";
    let folder = Folder::new(text);
    let said = said(&mut folder.run());
    said.check(2, &["5 mistakes in the scenario scenario.toml"]);
    for (line, found, expected) in [
        (3, "ftp://example.com", "http"),
        (6, "20 per second", "20/s"),
        (7, "0s", "above zero"),
        (9, "intervall", "interval"),
        (10, "sometimes", "fixed"),
    ] {
        said.check(2, &[&format!("scenario.toml:{line}:"), found, expected]);
    }
    assert!(
        said.stderr.contains("help") || said.stderr.contains("hint"),
        "{}",
        said.stderr
    );
    assert!(!folder.out().exists());
}

#[test]
fn a_scenario_in_another_encoding_is_told_with_its_line() {
    let folder = Folder::new("");
    fs::write(folder.path("scenario.toml"), b"name = \"x\"\n# caf\xe9\n").unwrap();
    let said = said(&mut folder.run());
    said.check(2, &["scenario.toml:2:", "not UTF-8", "hint:"]);
}

#[test]
fn an_unreachable_target_is_told_before_any_load() {
    let url = closed();
    let folder = Folder::new(&scenario(&url, ""));
    let said = said(&mut folder.run());
    said.check(2, &[&format!("cannot reach {url}"), "refused", "hint:"]);
    assert!(!folder.out().exists());
}

#[test]
fn a_refused_first_submit_ends_the_run() {
    let check = |status: u16, texts: &[&str]| {
        let host = Host::start(move |_: &Request| answer(status, &[], "\"because\""));
        let folder = Folder::new(&scenario(&host.url(), ""));
        let (said, run) = run_in(&folder);
        said.check(2, texts);
        said.check(2, &["it said: \"because\"", "hint:"]);
        assert_eq!(said.stdout, "", "a summary of nothing");
        assert!(!said.stderr.contains(KEY));
        assert_eq!(run.summary["ended_by"], "abort");
        assert_eq!(run.summary["verdict"], "undecided");
        run.check_rows();
        assert_eq!(run.ledger("accepted"), 0);
        let requests = host.stop().1.len();
        assert!(requests < 5, "{requests} requests after a {status}");
    };
    let name = format!("env:{KEY_NAME}");
    check(401, &["401", &name]);
    check(403, &["403", &name, "demo"]);
    check(404, &["404", "\"demo\"", "target.intake_id"]);
}

#[test]
fn a_key_that_is_not_there_is_named() {
    let folder = Folder::new(&scenario(&closed(), ""));
    let ran = said(folder.run().env_remove(KEY_NAME));
    ran.check(
        2,
        &[
            &format!("env:{KEY_NAME}"),
            "not set",
            &format!("export {KEY_NAME}"),
        ],
    );
    // A check needs no key, and says that a run would.
    let checked = said(&mut folder.command(&["check", "scenario.toml"]));
    checked.check(0, &[]);
    let warning = format!("warning: no key at target.api_key = \"env:{KEY_NAME}\"");
    assert!(checked.stdout.contains(&warning), "{}", checked.stdout);
}

/// A service with a certificate of an authority that nobody knows, and that authority as PEM.
fn over_tls() -> (Host<Intake>, String) {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            PrivateKeyDer::Pkcs8(key),
        )
        .unwrap();
    let speech = Speech {
        http2: false,
        tls: Some(Arc::new(config)),
    };
    let host = Host::speaking(speech, |_| Intake::new(Faults::default()));
    (host, certified.cert.pem())
}

#[test]
fn an_unknown_authority_is_refused_unless_it_is_named_or_all_are_trusted() {
    let start = |more: &str| {
        let (host, authority) = over_tls();
        let url = host.url().replace("http:", "https:");
        let folder = Folder::new(&scenario(&url, more));
        fs::write(folder.path("authority.pem"), &authority).unwrap();
        (folder, host)
    };
    let (folder, _host) = start("");
    let refused = said(&mut folder.run());
    refused.check(
        2,
        &[
            "cannot reach https://",
            "certificate",
            "http.ca",
            "http.insecure",
        ],
    );
    assert!(!folder.out().exists());

    let (folder, _host) = start("[http]\nca = \"authority.pem\"\n");
    let (said_by_run, run) = run_in(&folder);
    said_by_run.check(0, &[]);
    run.check_rows();
    assert_eq!(run.ledger("completed"), 20);
    assert_eq!(run.summary["insecure"], false);
    said(&mut folder.command(&["report", "out"])).check(0, &[]);

    let (folder, _host) = start("[http]\ninsecure = true\n");
    let (said_by_run, run) = run_in(&folder);
    said_by_run.check(0, &[]);
    assert_eq!(run.ledger("completed"), 20);
    assert_eq!(run.summary["insecure"], true);
    assert!(
        said_by_run.stdout.contains("certificates were not checked"),
        "{}",
        said_by_run.stdout
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_told_before_any_load() {
    let host = Host::start(Intake::new(Faults::default()));
    let folder = Folder::new(&scenario(&host.url(), ""));
    // A file where the directory should be stops even a user who may write everywhere.
    fs::write(folder.path("out"), "in the way").unwrap();
    said(&mut folder.run()).check(2, &["cannot write out", "hint: --out"]);
    fs::remove_file(folder.path("out")).unwrap();
    fs::create_dir(folder.path("out")).unwrap();
    fs::write(folder.path("out/works.csv"), "a run").unwrap();
    said(&mut folder.run()).check(2, &["cannot write out", "holds a run already"]);
    assert_eq!(
        fs::read_to_string(folder.path("out/works.csv")).unwrap(),
        "a run"
    );
    assert!(host.stop().1.is_empty());
}

#[test]
fn a_disk_that_fills_up_ends_the_run() {
    let host = Host::start(Intake::new(Faults::default()));
    let text = scenario(&host.url(), "")
        .replace("20/s", "200/s")
        .replace("1s", "30s");
    let folder = Folder::new(&text);
    // No file may grow beyond 32 KiB: works.csv wants to within two seconds.
    let limited = "ulimit -f 64; trap '' XFSZ; exec \"$0\" run scenario.toml --out out";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", limited, env!("CARGO_BIN_EXE_plimsoll")])
        .env(KEY_NAME, KEY)
        .current_dir(folder.path("."));
    let stopped = said(&mut shell);
    stopped.check(
        2,
        &["the run was stopped: cannot write", "works.csv", "hint:"],
    );
    drop(host.stop());
    let run = Run::read(&folder.out());
    run.check_books();
    assert_eq!(run.summary["ended_by"], "error");
    assert_eq!(run.summary["verdict"], "invalid");
    assert_eq!(
        run.summary["validity"]["reasons"][0]["code"],
        "journal_lost"
    );
    assert!(run.summary["duration_s"].as_f64().unwrap() < 15.0);
    said(&mut folder.command(&["report", "out"])).check(3, &[]);
}

#[test]
fn a_finished_run_is_reported_again_byte_for_byte() {
    let host = Host::start(Intake::new(Faults {
        fails: 0.2,
        endless: 0.2,
        reset_after: 0.1,
        garbage: 0.1,
        bucket: Some((120.0, 5.0)),
        ..Faults::default()
    }));
    let more = "[[slo]]\nthat = \"accept_latency.p50 < 10s\"\njudge = \"point\"\n\
                [[slo]]\nthat = \"work_failure_ratio < 1%\"\n";
    let folder = Folder::new(&scenario(&host.url(), more));
    let first = said(&mut folder.run());
    drop(host.stop());
    let summary = fs::read(folder.out().join("summary.json")).unwrap();
    let again = said(&mut folder.command(&["report", "out", "--json"]));
    assert_eq!(again.stdout.as_bytes(), summary, "{}", again.stdout);
    assert_eq!(again.code, first.code);
    let text = said(&mut folder.command(&["report", "out"]));
    assert_eq!(text.stdout, first.stdout);
}

/// The files that a scenario names lie beside it, not in the run directory.
#[test]
fn a_run_whose_scenario_names_files_can_be_reported_from_anywhere() {
    let host = Host::start(Intake::new(Faults::default()));
    let corpus = "[submit]\nbody = '{\"seq\": {{seq}}, \"name\": \"{{corpus.name}}\"}'\n\
                  [submit.corpus]\nfile = \"rows.csv\"\n";
    let folder = Folder::new(&scenario(&host.url(), corpus));
    fs::write(folder.path("rows.csv"), "name\nanna\nbob\n").unwrap();
    let (first, _) = run_in(&folder);
    first.check(0, &[]);
    let names = ["anna", "bob"].map(|name| format!("\"name\": \"{name}\""));
    for submit in host
        .stop()
        .1
        .iter()
        .filter(|request| request.method == "POST")
    {
        let body = String::from_utf8_lossy(&submit.body).into_owned();
        assert!(names.iter().any(|name| body.contains(name)), "{body}");
    }
    let mut report = folder.command(&["report", ".", "--json"]);
    let again = said(report.current_dir(folder.out()));
    again.check(0, &[]);
    let summary: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(summary["ledger"]["completed"], 20);
}

#[test]
fn what_is_no_run_directory_is_told() {
    let folder = Folder::new("");
    said(&mut folder.command(&["report", "nowhere"])).check(2, &["nowhere", "hint:"]);
    let mut missing = folder.command(&["run", "nothing.toml"]);
    said(missing.stdout(Stdio::null())).check(2, &["nothing.toml", "hint:"]);
}
