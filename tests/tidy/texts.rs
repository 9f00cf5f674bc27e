//! Texts: sizes, words, and documents that must agree with the program.

use plimsoll::record::CATALOGUE;

use super::rust::{code, without_words};
use super::{Text, finds, none, repository};

/// The longest file of Rust, tests included.
const LINES: usize = 600;
/// The longest line of Rust. A string may be longer, and a table: in a comment, or one that rustfmt
/// is told to skip.
const WIDTH: usize = 100;
/// The longest `ARCHITECTURE.md`.
const ARCHITECTURE_LINES: usize = 200;
/// What each page of `docs/decisions` has, in this order.
const SECTIONS: [&str; 4] = [
    "## Context",
    "## Decision",
    "## Costs",
    "## Refused alternatives",
];

fn file<'a>(texts: &'a [Text], path: &str) -> &'a str {
    let found = texts.iter().find(|file| file.path == path);
    &found.unwrap_or_else(|| panic!("{path} is missing")).text
}

fn has_end(file: &Text, end: &str) -> bool {
    file.path
        .rsplit_once('.')
        .is_some_and(|(_, found)| found == end)
}

fn is_rust(file: &Text) -> bool {
    has_end(file, "rs")
}

fn sizes(texts: &[Text]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in texts.iter().filter(|file| is_rust(file)) {
        let path = &file.path;
        if path.ends_with("/mod.rs") {
            findings.push(format!(
                "{path}: a module is named by its file, never mod.rs"
            ));
        }
        let lines = file.text.lines().count();
        if lines > LINES {
            findings.push(format!("{path}: {lines} lines, {LINES} is the most"));
        }
        if file.text.contains("#[rustfmt::skip]") {
            continue;
        }
        let blank = without_words(&file.text);
        for (number, (line, blank)) in (1..).zip(file.text.lines().zip(blank.lines())) {
            let width = line.chars().count();
            let words = line.trim_start();
            let is_table = words.trim_start_matches(['/', '!', ' ']).starts_with('|');
            let is_comment = words.starts_with("//") && !is_table;
            if width > WIDTH && (is_comment || blank == line) {
                findings.push(format!(
                    "{path}:{number}: {width} columns, {WIDTH} is the most"
                ));
            }
        }
    }
    findings
}

/// Words that no text of the repository has: marks of unfinished work, and places on one machine.
fn words(texts: &[Text]) -> Vec<String> {
    let unfinished = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
    ];
    let places = ["work", "root", "tmp", "home"].map(|name| format!("/{name}/"));
    let mut findings = Vec::new();
    for file in texts {
        for (number, line) in (1..).zip(file.text.lines()) {
            let at = format!("{}:{number}", file.path);
            let has = |word: &&&str| {
                line.split(|c: char| !c.is_alphanumeric())
                    .any(|w| w == **word)
            };
            if let Some(word) = unfinished.iter().find(has) {
                findings.push(format!("{at}: {word}"));
            }
            for place in &places {
                // `/v1/work/7` is a path of a service.
                let begins = |start: usize| {
                    let before = line[..start].chars().next_back();
                    before.is_none_or(|c| !c.is_alphanumeric() && !"}]>_.-".contains(c))
                };
                if line
                    .match_indices(place.as_str())
                    .any(|(start, _)| begins(start))
                {
                    findings.push(format!("{at}: a place on one machine, {place}"));
                }
            }
        }
    }
    findings
}

/// The table of metrics in the README, against the catalogue.
fn metric_table(readme: &str) -> Vec<String> {
    let table: Vec<&str> = (readme.lines())
        .skip_while(|line| !line.starts_with("| metric |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let mut findings = Vec::new();
    for (index, row) in CATALOGUE.iter().enumerate() {
        let expected = format!("| `{}` | {} | {} |", row.name, row.from, row.to);
        let found = table.get(index).copied().unwrap_or("nothing");
        if found != expected {
            findings.push(format!("README.md: {expected} is wanted, {found} is there"));
        }
    }
    let more = table.iter().skip(CATALOGUE.len());
    findings.extend(more.map(|row| format!("README.md: {row} is no metric")));
    findings
}

fn changelog(text: &str, version: &str) -> Vec<String> {
    let heads = ["## [Unreleased]".to_owned(), format!("## [{version}]")];
    let is_there = text
        .lines()
        .any(|line| heads.iter().any(|head| line.starts_with(head)));
    let finding = format!("CHANGELOG.md: neither [Unreleased] nor [{version}]");
    if is_there { Vec::new() } else { vec![finding] }
}

fn decisions(texts: &[Text]) -> Vec<String> {
    let mut findings = Vec::new();
    let pages = texts
        .iter()
        .filter(|file| file.path.starts_with("docs/decisions/"));
    for (number, page) in (1..).zip(pages) {
        let path = &page.path;
        if !path.starts_with(&format!("docs/decisions/{number:03}-")) {
            findings.push(format!(
                "{path}: number {number:03} is missing, or twice there"
            ));
        }
        if !page.text.starts_with(&format!("# {number:03} ")) {
            findings.push(format!("{path}: does not begin with its number"));
        }
        let sections: Vec<&str> = (page.text.lines())
            .filter(|line| line.starts_with("## "))
            .collect();
        if sections != SECTIONS {
            findings.push(format!("{path}: has {sections:?}"));
        }
    }
    findings
}

fn documents(texts: &[Text]) -> impl Iterator<Item = &Text> {
    texts.iter().filter(|file| has_end(file, "md"))
}

/// Links of documents into the repository that lead nowhere.
fn links(texts: &[Text]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in documents(texts) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in file.text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in target.split('/') {
                match part {
                    ".." => drop(parts.pop()),
                    "." | "" => {}
                    part => parts.push(part),
                }
            }
            let whole = parts.join("/");
            let is_there = (texts.iter())
                .any(|file| file.path == whole || file.path.starts_with(&format!("{whole}/")));
            if !is_there {
                findings.push(format!(
                    "{}: links to {target}, which is not there",
                    file.path
                ));
            }
        }
    }
    findings
}

/// Types and files that the documents name and the program does not have.
fn names(texts: &[Text]) -> Vec<String> {
    let code: String = (texts.iter())
        .filter(|file| is_rust(file) && file.path.starts_with("src/"))
        .map(|file| code(&file.text) + "\n")
        .collect();
    let is_code = |name: &str| {
        code.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == name)
    };
    let mut findings = Vec::new();
    let pages = documents(texts)
        .filter(|file| file.path == "ARCHITECTURE.md" || file.path.starts_with("docs/decisions/"));
    for file in pages {
        for quoted in file.text.split('`').skip(1).step_by(2) {
            let is_file = [".rs", ".toml", ".md"]
                .iter()
                .any(|end| quoted.ends_with(end));
            let has_file = |quoted: &str| {
                (texts.iter()).any(|file| {
                    file.path == quoted
                        || file.path.ends_with(&format!("/{quoted}"))
                        || file.path == format!("src/{quoted}")
                })
            };
            let is_type = quoted.starts_with(char::is_uppercase)
                && quoted.contains(char::is_lowercase)
                && quoted.chars().all(|c| c.is_alphanumeric() || c == ':');
            let mut parts = quoted.split("::");
            let wrong =
                (is_file && quoted.chars().all(|c| c.is_ascii_graphic()) && !has_file(quoted))
                    || (is_type && !parts.all(is_code));
            if wrong {
                findings.push(format!("{}: names {quoted}, which is not there", file.path));
            }
        }
    }
    findings
}

fn planted(path: &str, text: &str) -> Vec<Text> {
    vec![Text {
        path: path.to_owned(),
        text: text.to_owned(),
    }]
}

#[test]
fn files_and_lines_are_short() {
    none(&sizes(&repository()));
    let long = "x".repeat(WIDTH + 1);
    finds(
        &sizes(&planted(
            "src/a/mod.rs",
            &format!("{long}\n// \"{long}\n\"{long}\"\n"),
        )),
        &["never mod.rs", "mod.rs:1: 101", "mod.rs:2: 105"],
    );
    finds(
        &sizes(&planted("tests/a.rs", &"\n".repeat(LINES + 1))),
        &["601 lines"],
    );
    finds(&sizes(&planted("README.md", &long)), &[]);
}

#[test]
fn no_text_has_a_forbidden_word() {
    none(&words(&repository()));
    let text = format!(
        "a {} b\nMASTODON\nlet p = \"{}x\";\n/v1/work/7 {{id}}/root/ ../tmp/\n",
        concat!("TO", "DO"),
        concat!("/ro", "ot/")
    );
    finds(
        &words(&planted("a.sh", &text)),
        &["a.sh:1", "a.sh:3: a place"],
    );
}

#[test]
fn the_readme_has_the_catalogue_of_metrics() {
    none(&metric_table(file(&repository(), "README.md")));
    let rows = CATALOGUE.map(|row| format!("| `{}` | {} | {} |", row.name, row.from, row.to));
    let table = |rows: &[String]| {
        format!(
            "| metric | from | to |\n|---|---|---|\n{}\n",
            rows.join("\n")
        )
    };
    finds(&metric_table(&table(&rows)), &[]);
    finds(
        &metric_table(&table(&rows[..CATALOGUE.len() - 1])),
        &["callback_gap"],
    );
    finds(
        &metric_table(&table(&[&rows[..], &rows[..1]].concat())),
        &["is no metric"],
    );
    assert_eq!(metric_table("").len(), CATALOGUE.len());
}

#[test]
fn the_changelog_tells_of_this_version() {
    none(&changelog(
        file(&repository(), "CHANGELOG.md"),
        env!("CARGO_PKG_VERSION"),
    ));
    finds(
        &changelog("## [0.0.9] - 2026-01-01\n", "0.1.0"),
        &["neither"],
    );
}

#[test]
fn every_decision_says_what_it_costs_and_what_was_refused() {
    let texts = repository();
    none(&decisions(&texts));
    assert!(
        texts
            .iter()
            .filter(|file| file.path.starts_with("docs/decisions/"))
            .count()
            >= 8
    );
    let page = format!("# 001 A\n{}\n", SECTIONS.join("\n\ntext\n"));
    finds(&decisions(&planted("docs/decisions/001-a.md", &page)), &[]);
    finds(
        &decisions(&planted("docs/decisions/002-a.md", &page)),
        &["number 001"],
    );
    let page = page.replace("## Costs", "## Cost").replace("# 001", "#");
    finds(
        &decisions(&planted("docs/decisions/001-a.md", &page)),
        &["its number", "## Cost\""],
    );
}

#[test]
fn the_map_is_short_and_names_what_is_there() {
    let texts = repository();
    let lines = file(&texts, "ARCHITECTURE.md").lines().count();
    assert!(
        lines < ARCHITECTURE_LINES,
        "ARCHITECTURE.md has {lines} lines"
    );
    none(&names(&texts));
    let mut planted_texts = planted(
        "ARCHITECTURE.md",
        "`Engine::handle` `engine.rs` `Plan` `gone.rs` `Gone`",
    );
    let code = planted("src/engine.rs", "struct Engine; fn handle() {} // Gone").remove(0);
    planted_texts.push(code);
    finds(
        &names(&planted_texts),
        &["names Plan", "names gone.rs", "names Gone"],
    );
}

#[test]
fn links_lead_somewhere() {
    none(&links(&repository()));
    let mut texts = planted(
        "docs/a.md",
        "[x](../b.md#part) [y](c.md) [z](https://x.y) [s](#here)",
    );
    texts.extend(planted("b.md", ""));
    finds(&links(&texts), &["links to c.md"]);
}
