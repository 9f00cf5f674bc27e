//! Layers: who may import whom, who touches the world, and who may use which dependency.

use std::collections::BTreeSet;

use super::rust::{Path, code, paths, test_files};
use super::{Text, finds, none, repository, root};

/// A module of the crate, its row, and the dependencies that it may use.
struct Module(&'static str, u8, &'static [&'static str]);

/// The map of `src/lib.rs`. A file imports its own row and rows above it.
const MODULES: &[Module] = &[
    Module("random", 0, &["rand_chacha"]),
    Module("time", 0, &[]),
    Module("work", 0, &[]),
    Module(
        "scenario",
        1,
        &[
            "annotate_snippets",
            "csv",
            "jiff",
            "libm",
            "rand_chacha",
            "serde_json",
            "toml",
            "url",
            "uuid",
        ],
    ),
    Module(
        "wire",
        1,
        &[
            "base64",
            "hmac",
            "httpdate",
            "jiff",
            "percent_encoding",
            "serde",
            "serde_json",
            "sfv",
            "sha2",
            "url",
        ],
    ),
    Module("arrival", 2, &["libm", "rand_chacha", "rand_distr"]),
    Module("record", 3, &["hdrhistogram"]),
    Module("estimate", 3, &["libm"]),
    Module("engine", 4, &["governor", "hashbrown", "libm"]),
    Module("check", 5, &["libm", "url"]),
    Module(
        "report",
        5,
        &[
            "anstyle",
            "base64",
            "csv",
            "hdrhistogram",
            "jiff",
            "serde",
            "serde_json",
        ],
    ),
    Module(
        "selftest",
        5,
        &["anstyle", "csv", "libm", "serde", "serde_json"],
    ),
    Module(
        "sim",
        5,
        &["csv", "libm", "rand_chacha", "serde_json", "sfv"],
    ),
    Module(
        "sizing",
        5,
        &["anstyle", "csv", "libm", "serde", "serde_json"],
    ),
    Module(
        "shell",
        6,
        &[
            "anstream",
            "bytes",
            "csv",
            "http_body_util",
            "httparse",
            "hyper",
            "hyper_util",
            "indicatif",
            "memchr",
            "reqwest",
            "rustix",
            "rustls",
            "rustls_platform_verifier",
            "serde",
            "serde_json",
            "tokio",
            "tokio_rustls",
            "tokio_util",
            "tower_layer",
            "tower_service",
            "url",
        ],
    ),
    Module("run", 7, &["jiff", "tokio"]),
    Module("cli", 8, &["clap", "clap_complete"]),
    Module(
        "commands",
        8,
        &[
            "anstream",
            "anstyle",
            "clap",
            "clap_complete",
            "clap_mangen",
        ],
    ),
    Module("main", 8, &[]),
];

/// Imports that the rows allow and the design does not.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "engine",
        "wire",
        "the engine decides on nouns, never on HTTP",
    ),
    ("engine", "report", "the engine measures, it does not judge"),
    (
        "wire",
        "scenario::file",
        "the wire reads answers, not scenarios",
    ),
];

/// Rows up to this one are pure: values in, values out.
const PURE: u8 = 5;

/// What no pure row may name.
const WORLD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
];

fn module(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.0 == name)
}

/// `engine` of `src/engine/gate.rs`, and how deep the file is.
fn place(path: &str) -> Option<(&str, usize)> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let depth = inside.split('/').count();
    inside.split('/').next().map(|name| (name, depth))
}

/// The path from the root of the crate, if that is where this path leads.
fn in_crate<'a>(path: &'a Path<'a>, depth: usize) -> Option<&'a [&'a str]> {
    let segments = &path.segments[..];
    let ups = segments.iter().take_while(|part| **part == "super").count();
    match segments.first() {
        Some(&"crate" | &"plimsoll") => Some(&segments[1..]),
        // Deeper inside the file a `super` more leads no higher; such a path names no module.
        Some(&"super") if ups >= depth => Some(&segments[ups..]),
        _ => None,
    }
}

fn sources(texts: &[Text]) -> impl Iterator<Item = (&Text, String)> {
    let tests = test_files(texts);
    let is_source = move |path: &str| {
        let is_test = |test: &String| {
            path == test || path.starts_with(&format!("{}/", test.trim_end_matches(".rs")))
        };
        place(path).is_some() && path != "src/lib.rs" && !tests.iter().any(is_test)
    };
    (texts.iter())
        .filter(move |file| is_source(&file.path))
        .map(|file| (file, code(&file.text)))
}

fn imports(texts: &[Text]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, code) in sources(texts) {
        let Some((name, depth)) = place(&file.path) else {
            continue;
        };
        let Some(own) = module(name) else {
            findings.push(format!("{}: {name} has no row in tests/tidy", file.path));
            continue;
        };
        for path in paths(&code) {
            let Some([target, rest @ ..]) = in_crate(&path, depth) else {
                continue;
            };
            let at = format!("{}:{}", file.path, path.line);
            match module(target) {
                Some(other) if other.1 > own.1 => findings.push(format!(
                    "{at}: row {} ({name}) imports row {} ({target})",
                    own.1, other.1
                )),
                None if path.segments[0] != "super" => {
                    findings.push(format!("{at}: {target} has no row in tests/tidy"));
                }
                _ => {}
            }
            let whole = rest
                .iter()
                .fold((*target).to_owned(), |all, part| format!("{all}::{part}"));
            for (from, to, reason) in REFUSED {
                let hits = whole == *to || whole.starts_with(&format!("{to}::"));
                if *from == name && hits {
                    findings.push(format!("{at}: {from} imports {to}: {reason}"));
                }
            }
        }
    }
    findings
}

fn impurities(texts: &[Text]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, code) in sources(texts) {
        let row = place(&file.path).and_then(|(name, _)| module(name));
        if row.is_none_or(|module| module.1 > PURE) {
            continue;
        }
        for path in paths(&code) {
            let whole = path.segments.join("::");
            let short = whole.strip_prefix("std::").unwrap_or(&whole);
            let hit = WORLD.iter().find(|world| {
                let bare = world.rsplit("::").next().unwrap_or(world);
                // `use std::time; time::Instant::now()` is found by its end.
                whole == **world
                    || whole.starts_with(&format!("{world}::"))
                    || (world.contains("time::") && path.segments.contains(&bare))
                    || (world.contains("io::std") && short.starts_with(&world[5..]))
            });
            if let Some(hit) = hit {
                findings.push(format!(
                    "{}:{}: a pure row names {hit}",
                    file.path, path.line
                ));
            }
        }
    }
    findings
}

/// The names in `[dependencies]`, as code writes them.
fn dependencies(manifest: &str) -> Vec<String> {
    let table: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let names = table["dependencies"].as_table().expect("a table").keys();
    names.map(|name| name.replace('-', "_")).collect()
}

fn strangers(texts: &[Text], dependencies: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for (file, code) in sources(texts) {
        let Some(own) = place(&file.path).and_then(|(name, _)| module(name)) else {
            continue;
        };
        let found = paths(&code);
        // A name that the file declares or imports from the crate itself is no dependency.
        let is_own = |name: &str| {
            code.contains(&format!("mod {name};"))
                || found.iter().any(|path| {
                    matches!(path.segments[0], "crate" | "super" | "self")
                        && path.segments.iter().rev().find(|part| **part != "self") == Some(&name)
                })
        };
        for path in &found {
            let name = path.segments[0];
            if !dependencies.iter().any(|known| known == name) || is_own(name) {
                continue;
            }
            used.insert(name.to_owned());
            if !own.2.contains(&name) {
                let (at, line) = (&file.path, path.line);
                findings.push(format!("{at}:{line}: {} may not use {name}", own.0));
            }
        }
    }
    let unused = dependencies.iter().filter(|name| !used.contains(*name));
    findings.extend(unused.map(|name| format!("Cargo.toml: nothing uses {name}")));
    findings
}

fn planted(path: &str, text: &str) -> Vec<Text> {
    vec![Text {
        path: path.to_owned(),
        text: text.to_owned(),
    }]
}

#[test]
fn a_file_imports_its_own_row_and_rows_above() {
    none(&imports(&repository()));
    let text = "use crate::time::Span;\nuse crate::{work, report::{self, csv}};\n\
                fn f() { crate::shell::now(); }\n#[cfg(test)]\nmod t { use crate::run::run; }";
    finds(
        &imports(&planted("src/record/row.rs", text)),
        &[
            "row.rs:2: row 3 (record) imports row 5 (report)",
            ":2: ",
            "imports row 6 (shell)",
        ],
    );
    finds(
        &imports(&planted(
            "src/engine/gate.rs",
            "use super::works::Work;\nuse super::super::wire;",
        )),
        &["gate.rs:2: engine imports wire"],
    );
    finds(
        &imports(&planted("src/time.rs", "use super::work::Slot;")),
        &[],
    );
    finds(
        &imports(&planted("src/work.rs", "use super::scenario::Plan;")),
        &["row 1 (scenario)"],
    );
    finds(
        &imports(&planted("src/new.rs", "fn f() {}")),
        &["new has no row"],
    );
    finds(
        &imports(&planted("src/cli.rs", "use crate::new::Thing;")),
        &["new has no row"],
    );
}

#[test]
fn pure_rows_never_touch_the_world() {
    none(&impurities(&repository()));
    let text = "use std::{fs, io::{self, Read}};\nuse std::time;\nfn f() -> time::Instant {\n\
                println!(); io::stderr(); std::thread::yield_now() }\n\
                #[cfg(test)]\nmod tests { use std::fs; }";
    finds(
        &impurities(&planted("src/report/text.rs", text)),
        &[
            "std::fs",
            "time::Instant",
            "println",
            "std::io::stderr",
            "std::thread",
        ],
    );
    finds(&impurities(&planted("src/shell/clock.rs", text)), &[]);
}

#[test]
fn a_row_uses_the_dependencies_that_it_is_given() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let known = dependencies(&manifest);
    none(&strangers(&repository(), &known));
    let text = "use tokio::time::Sleep;\nuse super::csv;\nfn f() { csv::cut(); url.len(); }\n\
                use governor::Quota;";
    let known = ["csv", "governor", "tokio", "url"].map(str::to_owned);
    finds(
        &strangers(&planted("src/engine/gate.rs", text), &known),
        &[
            "gate.rs:1: engine may not use tokio",
            "nothing uses csv",
            "nothing uses url",
        ],
    );
}
