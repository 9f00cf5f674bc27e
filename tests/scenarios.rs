//! Every scenario that comes with the program reads, agrees with the schema, and the generated
//! files are those of the catalogue. `UPDATE=1` rewrites them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its files fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::scenario::{mistake, resolve, schema};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn scenarios() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    found
}

fn held_equal(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is stale: run with UPDATE=1",
        path.display()
    );
}

fn json(text: &str) -> serde_json::Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[test]
fn the_schema_and_the_reference_are_those_of_the_catalogue() {
    held_equal(
        &root().join("scenarios/scenario.schema.json"),
        &schema::schema_text(),
    );
    held_equal(&root().join("docs/scenario.md"), &schema::reference());
}

#[test]
fn every_scenario_reads_and_agrees_with_the_schema() {
    let validator = jsonschema::draft202012::new(&schema::schema()).unwrap();
    for (name, text) in scenarios() {
        assert!(
            text.starts_with("#:schema ./scenario.schema.json\n"),
            "{name}"
        );
        let read = |file: &str| {
            fs::read(root().join("scenarios").join(file)).map_err(|why| why.to_string())
        };
        if let Err(mistakes) = resolve::read(&text, &[], &read) {
            panic!("{}", mistake::picture(&name, &text, &mistakes, false));
        }
        let faults: Vec<String> = validator
            .iter_errors(&json(&text))
            .map(|fault| format!("{name} {}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

#[test]
fn the_effective_scenario_agrees_with_the_schema_too() {
    let validator = jsonschema::draft202012::new(&schema::schema()).unwrap();
    for (name, text) in scenarios() {
        let effective = resolve::resolved_toml(&text, &[]).unwrap();
        assert!(
            validator.is_valid(&json(&effective)),
            "{name}:\n{effective}"
        );
    }
}

#[test]
fn what_the_reader_refuses_the_schema_refuses_too() {
    let validator = jsonschema::draft202012::new(&schema::schema()).unwrap();
    let good = "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
                duration = '1s'\n";
    assert!(validator.is_valid(&json(good)));
    for line in [
        "[poll]\nintervall = '1s'",
        "[poll]\ninterval = 1",
        "[poll]\npolicy = 'clever'",
        "[poll]\nbudget = '80'",
        "[submit]\nmax_in_flight = -1",
        "[simulator]\nfail_ratio = 1.5",
        "[simulator]\nservice_time = 'pareto(1s)'",
        "[simulator]\nstalls = [{ at = '1s' }]",
        "[http]\nmax_body = '1 apple'",
        "[api.submit]\nid = 'server'",
        "[api.submit]\naccept = [99]",
        "[api.terminal]\npointer = 'status'",
        "[[slo]]\njudge = 'point'",
    ] {
        let text = format!("{good}{line}\n");
        assert!(!validator.is_valid(&json(&text)), "{line}");
        assert!(
            resolve::read(&text, &[], &|_| Err(String::new())).is_err(),
            "{line}"
        );
    }
}
