//! Runs that are interrupted, and runs that are killed.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;

use crate::support::binary::{Folder, Running, head, said};
use crate::support::host::{Host, Request, Service, answer};
use crate::support::intake::{Faults, Intake};
use crate::support::run::Run;

/// More load than anybody waits for, of works that end within half a second.
fn folder<S>(host: &Host<S>) -> Folder
where
    S: Service,
{
    let head = head(&host.url());
    Folder::new(&format!(
        "{head}[[load]]\narrivals = \"constant\"\nrate = \"30/s\"\nduration = \"10m\"\n\
         [poll]\ninterval = \"100ms\"\n[drain]\nlimit = \"10m\"\n"
    ))
}

fn quick() -> Host<Intake> {
    Host::start(Intake::new(Faults::default()))
}

/// A service whose works never end.
fn endless() -> Host<impl Service> {
    Host::start(|request: &Request| match &*request.method.to_string() {
        "POST" => answer(202, &[], format!(r#"{{"work_id": "w{}"}}"#, request.seq())),
        _ => answer(200, &[], r#"{"status": "running"}"#),
    })
}

/// The line that is written once the first second is in the files.
const FIRST_SECOND: &str = "load  0:01";

fn one_signal_drains(signal: Signal) {
    let host = quick();
    let folder = folder(&host);
    let mut running = Running::start(folder.run().stdout(Stdio::null()));
    running.wait_for(FIRST_SECOND);
    running.signal(signal);
    running.wait_for("interrupted: no more submits");
    assert_eq!(running.code(), Some(130));
    let (service, _) = host.stop();
    let run = Run::read(&folder.out());
    run.check_rows();
    assert_eq!(run.summary["ended_by"], "interrupt");
    assert!(run.ledger("scheduled") >= 30);
    // Everything that was sent was followed to its end.
    assert_eq!(run.ledger("completed"), service.ids.len() as u64);
    assert_eq!(run.ledger("completed"), run.ledger("sent"));
}

#[test]
fn ctrl_c_drains_and_reports() {
    one_signal_drains(Signal::INT);
}

#[test]
fn sigterm_drains_and_reports() {
    one_signal_drains(Signal::TERM);
}

#[test]
fn the_second_signal_reports_at_once() {
    let host = endless();
    let folder = folder(&host);
    let mut running = Running::start(folder.run().stdout(Stdio::null()));
    running.wait_for(FIRST_SECOND);
    // Two kinds: two of one kind may melt into one.
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    assert_eq!(running.code(), Some(130));
    drop(host.stop());
    let run = Run::read(&folder.out());
    run.check_rows();
    assert_eq!(run.summary["ended_by"], "interrupt");
    assert_eq!(run.ledger("unresolved"), run.ledger("accepted"));
    assert!(run.ledger("unresolved") >= 29);
}

/// The report is held up by a screen that takes nothing more.
#[test]
fn the_third_signal_quits() {
    let host = endless();
    let folder = folder(&host);
    let (screen, mut full) = std::io::pipe().unwrap();
    let child_out = full.try_clone().unwrap();
    let filling = thread::spawn(move || while full.write_all(&[0; 4_096]).is_ok() {});
    // The summary is a pipe too: that it can be read to its end says how far the report is.
    fs::create_dir(folder.out()).unwrap();
    let summary = folder.out().join("summary.json");
    assert!(
        Command::new("mkfifo")
            .arg(&summary)
            .status()
            .unwrap()
            .success()
    );
    let mut running = Running::start(folder.run().stdout(child_out));
    running.wait_for(FIRST_SECOND);
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let mut text = Vec::new();
    fs::File::open(&summary)
        .unwrap()
        .read_to_end(&mut text)
        .unwrap();
    Run::with_summary(&folder.out(), &text).check_rows();
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(130));
    drop(screen);
    filling.join().unwrap();
    drop(host.stop());
}

#[test]
fn a_killed_run_can_be_reported() {
    let host = quick();
    let folder = folder(&host);
    let mut running = Running::start(folder.run().stdout(Stdio::null()));
    running.wait_for(FIRST_SECOND);
    running.child.kill().unwrap();
    assert_eq!(running.code(), None);
    drop(host.stop());
    assert!(!folder.out().join("summary.json").exists());
    let reported = said(&mut folder.command(&["report", "out", "--json"]));
    reported.check(0, &[]);
    let run = Run::with_summary(&folder.out(), reported.stdout.as_bytes());
    run.check_books();
    assert_eq!(run.summary["ended_by"], "killed");
    assert!(run.ledger("scheduled") >= 30);
    assert!(run.ledger("completed") > 0);
    said(&mut folder.command(&["report", "out"])).check(0, &[]);
}
