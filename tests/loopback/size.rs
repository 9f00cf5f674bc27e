//! `plimsoll size`, as a user starts it.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::support::binary::{Folder, KEY, KEY_NAME, Running, Said, head, said};
use super::support::run::Run;

/// Works of a second, and a limit that carries polls at the first peak and not at the second.
fn folder(more: &str) -> Folder {
    Folder::new(&format!(
        "{}[simulator]\nservice_time = \"exp(1s)\"\nrate_limit = \"100/s\"\nrate_burst = 50\n\
         [[load]]\nrate = \"20/s\"\nduration = \"20s\"\n\
         [size]\npeak = [\"600/min\", \"60/s\"]\nlag = \"1s\"\nintervals = [\"500ms\", \"2s\"]\n\
         {more}\n",
        head("simulator")
    ))
}

fn size(folder: &Folder, out: &str, flags: &[&str]) -> Said {
    let mut command = folder.command(&["size", "scenario.toml", "--virtual", "--out", out]);
    said(command.args(flags))
}

fn json(folder: &Folder, out: &str) -> Value {
    let bytes = fs::read(folder.path(out).join("size.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

const POLLS: [&str; 2] = ["--set", "size.modes=[\"poll\"]"];

#[test]
fn the_rate_decides_and_formulas_and_virtual_time_agree() {
    let folder = folder("");
    let result = size(&folder, "out", &POLLS);
    result.check(0, &["measuring: poll 500ms", "playing 60/s: poll 2s"]);
    let json = json(&folder, "out");
    assert_eq!(json["schema"], "plimsoll.size/1");
    assert_eq!(
        (&json["valid"], &json["simulated"]),
        (&true.into(), &true.into())
    );
    let sojourn = json["measured"]["sojourn_mean_s"].as_f64().unwrap();
    // 400 works of a mean of a second: four standard errors.
    assert!((sojourn - 1.0).abs() < 0.2, "{sojourn}");
    assert_eq!(json["agreement"]["agrees"], true, "{:#}", json["agreement"]);
    let peaks = json["peaks"].as_array().unwrap();
    // Every 2 s: half a poll and one more a work, 10 x 2.5 of 100. At 60/s 150 of 100, and no
    // interval fits, as a submit and a poll for each are 120.
    for (peak, works, verdict, share) in [(0, 10.0, "poll", 0.25), (1, 60.0, "hybrid", 1.5)] {
        let peak = &peaks[peak];
        assert_eq!(peak["works_per_s"], works);
        let recommended = &peak["recommendation"];
        assert_eq!(recommended["verdict"], verdict);
        let found = recommended["share_of_limit"].as_f64().unwrap();
        assert!((found / share - 1.0).abs() < 0.1, "{found}");
        for choice in peak["choices"].as_array().unwrap() {
            let of = |side: &str| choice[side]["requests_per_s"].as_f64().unwrap();
            let fits = choice["computed"]["share_of_limit"].as_f64().unwrap() < 1.0;
            assert_eq!(choice["difference"].is_object(), fits, "{choice:#}");
            if fits {
                let apart = of("virtual") / of("computed") - 1.0;
                assert!(apart.abs() < 0.035, "{choice:#}");
            }
        }
    }
    assert_eq!(peaks[0]["recommendation"]["choice"], "poll 2s");
    assert!(peaks[1]["recommendation"]["shortest_interval_s"].is_null());
    let curve = &json["curves"][0]["points"];
    let rates = curve
        .as_array()
        .unwrap()
        .iter()
        .map(|point| &point["works_per_s"]);
    assert!(rates.clone().is_sorted_by_key(Value::as_f64) && rates.count() > 20);
    let mut rows = csv::Reader::from_path(folder.path("out").join("size.csv")).unwrap();
    let names = rows.headers().unwrap().clone();
    assert_eq!(rows.records().count(), 4);
    assert!(names.iter().any(|name| name == "virtual_lag_mean_s"));
    // A person reads the same.
    for part in [
        "test: at 600/min poll every 2s; at 60/s be called back, and",
        "recommended\n",
        "if the limit halves:",
        "in virtual time",
        "formulas and virtual time agree",
    ] {
        assert!(
            result.stdout.contains(part),
            "no {part:?} in\n{}",
            result.stdout
        );
    }
}

/// Over real sockets polls and callbacks are measured alike, and the formulas are within the noise
/// that the output states.
#[test]
fn what_is_measured_over_sockets_is_what_is_computed() {
    let folder = folder(
        "[simulator.callback]\ndelay = \"exp(200ms)\"\n\
         [observe]\ndeadline = \"2s\"\n[observe.callback]\nlinger = \"1s\"\n",
    );
    let mut command = folder.command(&["size", "scenario.toml", "--out", "out"]);
    command.env(KEY_NAME, KEY);
    for set in [
        "simulator.service_time=exp(300ms)",
        "load.0.duration=4s",
        "load.0.rate=40/s",
        "size.peak=[\"600/min\"]",
        "size.intervals=[\"400ms\"]",
        "size.modes=[\"poll\", \"hybrid\"]",
    ] {
        command.args(["--set", set]);
    }
    let result = said(&mut command);
    result.check(0, &["measuring: poll 400ms", "measuring: hybrid"]);
    let json = json(&folder, "out");
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert!(run["works"].as_u64().unwrap() > 100, "{run}");
        assert!(run["measured"]["lag"].is_object(), "{run}");
    }
    // Callbacks ask the API for nothing but what is overdue.
    assert!(runs[1]["measured"]["polls_per_work"].as_f64().unwrap() < 0.1);
    let errors = json["farthest_run"]["standard_errors"].as_f64().unwrap();
    assert!(errors < 6.0, "{:#}", json["runs"]);
    for part in ["formulas and short runs", "standard errors"] {
        let text = result.stdout.replace("\n    ", " ");
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn an_earlier_run_tells_how_long_works_take() {
    let folder = folder("");
    let run = ["run", "scenario.toml", "--virtual", "--out", "run"];
    said(&mut folder.command(&run)).check(0, &[]);
    let from = ["--from", "run", "--json"];
    let result = size(&folder, "out", &[&POLLS[..], &from].concat());
    result.check(0, &[]);
    assert!(!result.stderr.contains("measuring"), "{result:#?}");
    let written = fs::read_to_string(folder.path("out").join("size.json")).unwrap();
    assert_eq!(result.stdout, written);
    let json = json(&folder, "out");
    assert_eq!(json["measured"]["from"], "run");
    let run = Run::read(&folder.path("run"));
    assert_eq!(json["measured"]["works"], run.summary["sojourn_time"]["n"]);
    assert_eq!(run.ledger("accepted"), run.ledger("scheduled"));
    let line = size(
        &folder,
        "line",
        &[&POLLS[..], &["--from", "run", "--quiet"]].concat(),
    );
    let expected =
        "test: at 600/min poll every 2s; at 60/s be called back, and poll what is overdue\n";
    assert_eq!((line.code, line.stdout.as_str()), (Some(0), expected));
}

#[test]
fn mistakes_have_hints() {
    let folder = folder("");
    let bare = Folder::new(&format!(
        "{}[[load]]\nrate = \"1/s\"\nduration = \"1s\"\n",
        head("simulator")
    ));
    size(&bare, "out", &[]).check(2, &["found no [size]", "hint: add [size] with peak"]);
    let peakless = Folder::new(&format!(
        "{}[[load]]\nrate = \"1/s\"\nduration = \"1s\"\n[size]\nlag = \"1s\"\n",
        head("simulator")
    ));
    size(&peakless, "out", &[]).check(2, &["size.peak", "found nothing", "600/min"]);
    let check = |flags: &[&str], texts: &[&str]| size(&folder, "out", flags).check(2, texts);
    check(
        &["--set", "size.peak=[\"fast\"]"],
        &["found \"fast\" in the list", "rates such as"],
    );
    check(
        &["--set", "size.modes=[\"callback\"]"],
        &["found no polls among the choices", "hint: add \"poll\""],
    );
    check(
        &[&POLLS[..], &["--from", "nowhere"]].concat(),
        &["cannot read nowhere", "hint: --from names"],
    );
    size(&folder, "out", &POLLS).check(0, &[]);
    check(&POLLS, &["holds a result already", "hint: --out"]);
}

#[test]
fn nothing_is_built_on_a_run_that_is_not_to_be_trusted() {
    let folder = folder("");
    let flags = [
        "--set",
        "validity.schedule_lag_p99=1ns",
        "--set",
        "load.0.duration=1s",
        "--set",
        "size.intervals=[\"500ms\"]",
    ];
    let mut command = folder.command(&["size", "scenario.toml", "--out", "out"]);
    command.env(KEY_NAME, KEY);
    let result = said(command.args(flags).args(POLLS));
    result.check(3, &[]);
    let json = json(&folder, "out");
    assert_eq!(json["valid"], false);
    assert_eq!(
        json["invalid"][0],
        "late_generator in the run of poll 500ms"
    );
    assert!(json["peaks"][0]["recommendation"].is_null());
    assert!(
        result.stdout.contains("a run is not to be trusted"),
        "{result:#?}"
    );
}

#[test]
fn ctrl_c_ends_it_and_recommends_nothing() {
    let folder = folder("");
    let mut command = folder.command(&["size", "scenario.toml", "--plain", "--out", "out"]);
    command.env(KEY_NAME, KEY);
    let mut running = Running::start(&mut command);
    running.wait_for("load  ");
    running.signal(Signal::INT);
    assert_eq!(running.code(), Some(130));
    assert!(!folder.path("out").join("size.json").exists());
}
