//! Runs in virtual time, as a user starts them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde::Deserialize;

use crate::support::binary::{Folder, Running, head, said};
use crate::support::run::Run;

/// Every kind of end, within seconds of virtual time.
const EVERY_END: &str = "[simulator]\nservice_time = \"lognormal(2s, 0.6)\"\nfail_ratio = 0.1\n\
    endless_ratio = 0.05\nlose_ratio = 0.05\nerror_ratio = 0.02\nreset_after_ratio = 0.02\n\
    network_delay = \"fixed(30ms)\"\n\
    [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"20s\"\n\
    [poll]\ngive_up_after = \"12s\"\n[drain]\nlimit = \"15s\"\n";

fn every_end() -> Folder {
    Folder::new(&format!("{}{EVERY_END}", head("simulator")))
}

/// Runs it in virtual time into a directory of this name.
fn run(folder: &Folder, out: &str, flags: &[&str]) -> Run {
    let mut command = folder.command(&["run", "scenario.toml", "--virtual", "--out", out]);
    said(command.args(flags)).check(0, &[]);
    Run::read(&folder.path(out))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn it_is_marked_wherever_it_is_read_and_its_report_can_be_made_again() {
    let folder = every_end();
    for works in ["all", "none"] {
        let out = format!("out-{works}");
        let mut command = folder.command(&["run", "scenario.toml", "--virtual", "--out", &out]);
        let set = format!("report.works={works}");
        let first = said(command.args(["--set", &set]));
        first.check(0, &["in virtual time, into"]);
        let run = Run::read(&folder.path(&out));
        run.check_books();
        assert_eq!(run.summary["simulated"], true);
        for name in ["client", "cost", "disturbances"] {
            assert!(run.summary.get(name).is_none(), "{name}");
        }
        // Nothing of ours is in any figure: there is no error, not one of zero.
        for (name, figures) in run.summary["metrics"].as_object().unwrap() {
            assert!(figures.get("own_error").is_none(), "{name}");
        }
        assert_eq!(run.summary["metrics"]["stamp_delay"]["count"], 0);
        let notes = run.summary["notes"].as_array().unwrap();
        let has = |part: &str| {
            notes
                .iter()
                .any(|note| note.as_str().unwrap().contains(part))
        };
        assert!(has("simulated: nothing was sent") && has("network delay fixed(30ms)"));
        let was_compared = !has("the backlog was not compared with the rows");
        assert_eq!(was_compared, works == "all");
        if works == "all" {
            run.check_rows();
        } else {
            assert!(run.works.is_empty() && has("works.csv has no rows"));
        }
        let again = said(&mut folder.command(&["report", &out]));
        again.check(0, &[]);
        assert_eq!(again.stdout, first.stdout);
        assert!(
            first.stdout.starts_with("PASS  test (simulated): "),
            "{first:#?}"
        );
        let line = said(&mut folder.command(&["report", &out, "--quiet"]));
        assert!(
            line.stdout.starts_with("pass test (simulated): "),
            "{line:#?}"
        );
        let json = said(&mut folder.command(&["report", &out, "--json"]));
        assert_eq!(json.stdout, text(&folder.path(&out).join("summary.json")));
    }
}

#[test]
fn a_seed_means_the_same_files() {
    let folder = every_end();
    run(&folder, "one", &[]);
    run(&folder, "two", &["--quiet", "--seed", "11"]);
    for name in ["works.csv", "intervals.csv", "failures.jsonl"] {
        let of = |out: &str| text(&folder.path(out).join(name));
        assert!(of("one").lines().count() > 20, "{name}");
        assert!(of("one") == of("two"), "{name} differs");
    }
    let other = run(&folder, "three", &["--seed", "12"]);
    assert_eq!(other.summary["seed"], 12);
    let split = run(&folder, "shards", &["--shards", "3"]);
    split.check_rows();
    assert_eq!(split.summary["shards"], 3);
    assert_eq!(split.ledger("scheduled"), 1_000);
}

#[test]
fn a_row_that_is_gone_is_missed_under_the_backlog() {
    let folder = every_end();
    run(&folder, "out", &[]);
    let path = folder.path("out").join("works.csv");
    let rows = text(&path);
    let gone = rows.lines().find(|row| row.contains(",completed,"));
    fs::write(&path, rows.replace(&format!("{}\n", gone.unwrap()), "")).unwrap();
    said(&mut folder.command(&["report", "out"])).check(3, &[]);
    let json = said(&mut folder.command(&["report", "out", "--json"]));
    let again = Run::with_summary(&folder.path("out"), json.stdout.as_bytes());
    let reason = &again.summary["validity"]["reasons"][0];
    assert_eq!(reason["code"], "books");
    let why = reason["text"].as_str().unwrap();
    assert!(why.contains("s of work by the gauge"), "{why}");
}

/// A row of the truth, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Truth {
    work_id: String,
    accepted_s: f64,
    terminal_s: Option<f64>,
    status: String,
    polls: u64,
}

#[test]
fn its_rows_are_what_the_service_says_that_it_did() {
    let folder = every_end();
    let run = run(&folder, "out", &["--truth", "truth.csv"]);
    let mut truth = csv::Reader::from_path(folder.path("truth.csv")).unwrap();
    let truth: BTreeMap<String, Truth> = truth
        .deserialize()
        .map(|row| {
            let row: Truth = row.unwrap();
            (row.work_id.clone(), row)
        })
        .collect();
    let accepted = run.works.iter().filter(|work| work.accepted_s.is_some());
    for work in accepted {
        let truth = &truth[&work.id];
        // One way takes 30 ms.
        assert!(
            (truth.accepted_s - work.intended_s - 0.03).abs() < 2e-6,
            "{work:?}"
        );
        assert!(
            (work.accepted_s.unwrap() - work.intended_s - 0.06).abs() < 2e-6,
            "{work:?}"
        );
        match &*work.outcome {
            word @ ("completed" | "failed" | "lost") => assert_eq!(truth.status, word, "{work:?}"),
            // It went on for longer than anybody followed it.
            "expired" => assert!(
                truth
                    .terminal_s
                    .is_none_or(|end| end > work.intended_s + 11.0),
                "{work:?} {truth:?}"
            ),
            other => panic!("{other}: {work:?}"),
        }
        // An answer 500 is a poll of which the work knows nothing.
        assert!(truth.polls <= work.polls, "{work:?} {truth:?}");
    }
    for outcome in [
        "completed",
        "failed",
        "lost",
        "expired",
        "intake_failed",
        "rejected",
    ] {
        assert!(run.ledger(outcome) > 0, "{outcome}");
    }
    let p50 = run.summary["metrics"]["accept_latency"]["p50"].as_f64();
    assert!((p50.unwrap() - 0.06).abs() < 1e-4, "{p50:?}");
}

#[test]
fn nothing_is_sent_to_a_real_target_and_no_key_is_needed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = Folder::new(&format!("{}{EVERY_END}", head(&url)));
    let run = run(&folder, "out", &[]);
    run.check_rows();
    let target = format!("the built-in simulator in place of {url}");
    assert_eq!(run.summary["target"], target);
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_it_cannot_mean_is_refused_with_a_hint() {
    let folder = every_end();
    let check = |flags: &[&str], texts: &[&str]| {
        let mut command = folder.command(&["run", "scenario.toml", "--virtual", "--out", "no"]);
        said(command.args(flags)).check(2, texts);
        assert!(!folder.path("no").exists(), "{flags:?}");
    };
    check(
        &["--set", "simulator.intake_id=other"],
        &["every submit 404", "hint: --set target.intake_id=other"],
    );
    check(
        &["--set", "poll.budget=80/s", "--shards", "9"],
        &["cannot be shared by 9 shards", "hint: "],
    );
    check(&["--truth", "nowhere/truth.csv"], &["nowhere/truth.csv"]);
}

/// The curve of a run in which 6 of 10 works completed after 1 s, and 3 failed after 2 s.
const CURVE: &str = "t_s,cdf,low,high,completed,failed\n0.000000,0,0,0,0,0\n\
    1.000000,0,0,0,0,0\n1.000000,0.6,0,1,0.6,0\n2.000000,0.6,0,1,0.6,0\n\
    2.000000,0.9,0,1,0.6,0.3\n";

/// Makes the directory of an earlier run, with this curve.
fn earlier(folder: &Folder, name: &str, curve: &str) {
    fs::create_dir(folder.path(name)).unwrap();
    fs::write(folder.path(name).join("sojourn_time.csv"), curve).unwrap();
}

#[test]
fn works_end_like_those_of_an_earlier_run() {
    let folder = Folder::new(&format!(
        "{}[simulator]\nworkers = 1\nservice_time = \"fixed(1h)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"100/s\"\nduration = \"10s\"\n\
         [poll]\ninterval = \"100ms\"\ngive_up_after = \"5s\"\n",
        head("simulator")
    ));
    earlier(&folder, "before", CURVE);
    let run = run(&folder, "out", &["--like", "before"]);
    run.check_rows();
    for (outcome, share) in [("completed", 0.6), ("failed", 0.3), ("expired", 0.1)] {
        // Binomial: four deviations.
        let most = 4.0 * f64::sqrt(1_000.0 * share * (1.0 - share));
        let found = u32::try_from(run.ledger(outcome)).unwrap();
        assert!(
            (f64::from(found) - 1_000.0 * share).abs() < most,
            "{found} {outcome}"
        );
    }
    for (metric, seconds) in [("time_to_completed", 1.0), ("time_to_failed", 2.0)] {
        let min = run.summary["metrics"][metric]["min"].as_f64().unwrap();
        assert!((min / seconds - 1.0).abs() < 0.1, "{metric}: {min}");
    }
    let note = run.summary["notes"][0].as_str().unwrap();
    for part in [
        "works end as those of before did (sojourn_time.csv, 5 points)",
        "60 % complete and 30 % fail, the last after 2 s; the other 10 %",
    ] {
        assert!(note.contains(part), "{note}");
    }
    let json = said(&mut folder.command(&["report", "out", "--json"]));
    assert_eq!(json.stdout, text(&folder.path("out").join("summary.json")));
}

#[test]
fn a_directory_that_no_run_can_be_like_is_refused_with_a_hint() {
    let folder = every_end();
    let check = |like: &str, texts: &[&str]| {
        let flags = [
            "run",
            "scenario.toml",
            "--virtual",
            "--out",
            "no",
            "--like",
            like,
        ];
        said(&mut folder.command(&flags)).check(2, texts);
        assert!(!folder.path("no").exists(), "{like}");
    };
    check("nowhere", &["nowhere", "hint: --like names the directory"]);
    fs::create_dir(folder.path("old")).unwrap();
    check(
        "old",
        &["sojourn_time.csv", "hint: a run of this version writes it"],
    );
    earlier(&folder, "blind", CURVE.lines().next().unwrap());
    check("blind", &["found no point", "its summary.json says why"]);
    earlier(&folder, "damaged", &CURVE.replace("0.3\n", "x\n"));
    check(
        "damaged",
        &[
            "line 6: found `x` in `failed`",
            "hint: was the file edited?",
        ],
    );
    let flags = ["run", "scenario.toml", "--out", "no", "--like", "damaged"];
    said(&mut folder.command(&flags))
        .check(2, &["--like is for virtual time", "hint: add --virtual"]);
    assert!(!folder.path("no").exists());
}

/// A load that nobody waits for, of works that end soon.
fn long(more: &str) -> Folder {
    Folder::new(&format!(
        "{}[simulator]\nservice_time = \"exp(1s)\"\n{more}\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"3000d\"\n\
         [poll]\ngive_up_after = \"3000d\"\n[drain]\nlimit = \"3000d\"\n",
        head("simulator")
    ))
}

/// Starts it, and waits until it shows how it stands.
fn start(folder: &Folder) -> Running {
    let mut command = folder.command(&["run", "scenario.toml", "--virtual", "--out", "out"]);
    let mut running = Running::start(command.stdout(Stdio::null()));
    running.wait_for("simulated: load  ");
    running
}

#[test]
fn ctrl_c_ends_the_load_and_every_work_is_followed() {
    let folder = long("");
    let mut running = start(&folder);
    running.signal(Signal::INT);
    running.wait_for("interrupted: no more submits");
    assert_eq!(running.code(), Some(130));
    let run = Run::read(&folder.out());
    run.check_rows();
    assert_eq!(run.summary["ended_by"], "interrupt");
    assert!(run.ledger("sent") > 50);
    assert_eq!(run.ledger("completed"), run.ledger("sent"));
}

#[test]
fn the_second_signal_reports_at_once() {
    let folder = long("endless_ratio = 1\n");
    let running = start(&folder);
    // Two kinds: two of one kind may melt into one.
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    assert_eq!(running.code(), Some(130));
    let run = Run::read(&folder.out());
    run.check_rows();
    assert_eq!(run.summary["ended_by"], "interrupt");
    assert_eq!(run.ledger("unresolved"), run.ledger("accepted"));
}

#[test]
fn a_killed_one_is_still_marked() {
    let folder = long("");
    let mut running = start(&folder);
    running.child.kill().unwrap();
    assert_eq!(running.code(), None);
    assert!(!folder.out().join("summary.json").exists());
    let reported = said(&mut folder.command(&["report", "out", "--json"]));
    reported.check(0, &[]);
    let run = Run::with_summary(&folder.out(), reported.stdout.as_bytes());
    run.check_books();
    assert_eq!(run.summary["ended_by"], "killed");
    assert_eq!(run.summary["simulated"], true);
    let note = run.summary["notes"][0].as_str().unwrap();
    assert!(note.starts_with("simulated: nothing was sent"), "{note}");
}
