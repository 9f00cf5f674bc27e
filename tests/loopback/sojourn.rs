//! The time in the service, over real HTTP: what the simulator did, and what a run says of it.

use std::fs;

use serde_json::Value;

use crate::support::binary::{Folder, head, said};
use crate::support::run::Run;

/// Every work takes 300 ms, and is asked for once a second.
const SCENARIO: &str = "[simulator]\nservice_time = \"fixed(300ms)\"\nfail_ratio = 0.25\n\
    finished_at = \"1ms\"\n\
    [[load]]\narrivals = \"constant\"\nrate = \"100/s\"\nduration = \"2s\"\n\
    [poll]\ninterval = \"1s\"\n";

fn run(more: &str) -> (Folder, Run, String) {
    let folder = Folder::new(&format!("{}{SCENARIO}{more}", head("simulator")));
    let text = said(&mut folder.command(&["run", "scenario.toml", "--out", "out", "--plain"]));
    let run = Run::read(&folder.path("out"));
    run.check_books();
    (folder, run, text.stdout)
}

fn seconds(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn stamps_show_the_time_that_the_service_took() {
    let (folder, run, text) = run("[api.terminal]\nfinished_at = \"/finished_at\"\n");
    let sojourn = &run.summary["sojourn_time"];
    assert_eq!(sojourn["method"], "timestamps", "{sojourn:#}");
    assert_eq!(
        (&sojourn["n"], &sojourn["censored"]),
        (&200.into(), &0.into())
    );
    // The service had each work for 300 ms exactly. The middle of them was not long on its way.
    let middle = seconds(&sojourn["p50"]["value"]);
    assert!((0.2..0.4).contains(&middle), "{middle}");
    // A caller who asks once a second sees it half a second later.
    let seen = seconds(&run.summary["metrics"]["time_to_terminal"]["p50"]);
    assert!(seen > middle + 0.2, "{seen}");
    assert!(
        text.contains("the service's own stamps tell each end"),
        "{text}"
    );
    for name in ["completed", "failed"] {
        let works = u32::try_from(run.ledger(name)).unwrap();
        let share = f64::from(works) / 200.0;
        assert!((seconds(&sojourn[name]) - share).abs() < 1e-9);
    }
    // The report that is made again from the files is the same, and the curve ends at 1.
    let again = said(&mut folder.command(&["report", "out", "--plain"]));
    assert_eq!(again.stdout, text);
    let curve = fs::read_to_string(folder.path("out").join("sojourn_time.csv")).unwrap();
    let last = curve.lines().last().unwrap().split(',').nth(1).unwrap();
    assert_eq!(last, "1.000000000");
}

#[test]
fn without_stamps_polls_bound_it() {
    let (folder, run, text) = run("");
    let sojourn = &run.summary["sojourn_time"];
    assert_eq!(sojourn["method"], "npmle", "{sojourn:#}");
    let middle = seconds(&sojourn["p50"]["value"]);
    assert!((0.2..0.4).contains(&middle), "{middle}");
    assert!(text.contains("from the windows that polls left"), "{text}");
    // A run that is like it ends its works alike.
    let flags = [
        "run",
        "scenario.toml",
        "--virtual",
        "--like",
        "out",
        "--out",
        "like",
    ];
    said(&mut folder.command(&flags)).check(0, &[]);
    let like = Run::read(&folder.path("like"));
    let again = seconds(&like.summary["sojourn_time"]["p50"]["value"]);
    assert!((again - middle).abs() < 0.1, "{again} and {middle}");
}

#[test]
fn of_a_run_that_was_killed_nothing_is_said() {
    let (folder, ..) = run("");
    fs::remove_file(folder.path("out").join("summary.json")).unwrap();
    let json = said(&mut folder.command(&["report", "out", "--json"]));
    let summary: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(summary["sojourn_time"]["method"], Value::Null);
    let reason = summary["sojourn_time"]["reason"].as_str().unwrap();
    assert!(reason.contains("was killed"), "{reason}");
    assert_eq!(summary["sojourn_time"]["p50"], Value::Null);
}
