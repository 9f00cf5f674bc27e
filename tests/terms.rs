//! `docs/terms.md` names what the program measures, counts and writes; here it is held to the code.

use plimsoll::record::disturbance::Kind;
use plimsoll::record::ledger::Count;
use plimsoll::record::{CATALOGUE, Metric};
use plimsoll::report::csv::WORKS;
use plimsoll::report::{Code, EndedBy, Verdict};
use plimsoll::work::{Anomaly, Fault, Outcome, Source};

const TERMS: &str = include_str!("../docs/terms.md");

#[test]
fn the_table_of_metrics_is_the_catalogue() {
    let table: Vec<&str> = TERMS
        .lines()
        .skip_while(|line| !line.starts_with("| metric |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let catalogue: Vec<String> = CATALOGUE
        .iter()
        .map(|row| {
            let (name, ends) = (row.name, row.ends.name());
            format!("| `{name}` | {} | {} | `{ends}` |", row.from, row.to)
        })
        .collect();
    assert_eq!(table, catalogue);
    assert_eq!(table.len(), Metric::COUNT);
}

#[test]
fn every_word_of_the_files_is_explained() {
    let words = (Count::ALL.iter().map(|count| count.name()))
        .chain(Outcome::ALL.map(Outcome::word))
        .chain(Anomaly::ALL.map(Anomaly::word))
        .chain(Code::ALL.map(Code::word))
        .chain(EndedBy::ALL.map(EndedBy::word))
        .chain(Kind::ALL.map(Kind::word))
        .chain(WORKS)
        .chain([Source::Poll, Source::Callback, Source::Sync].map(Source::word))
        .chain([Fault::Connect, Fault::Timeout, Fault::Reset, Fault::Body].map(Fault::word));
    let known: Vec<&str> = TERMS
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for word in words {
        assert!(
            known.contains(&word),
            "docs/terms.md does not explain {word}"
        );
    }
}

#[test]
fn every_exit_code_of_a_verdict_is_in_the_table() {
    for verdict in [
        Verdict::Pass,
        Verdict::Undecided,
        Verdict::Fail,
        Verdict::Invalid,
    ] {
        let row = format!("\n| {} | ", verdict.exit_code());
        assert!(TERMS.contains(&row), "{}", verdict.word());
        assert!(TERMS.contains(&format!("`{}`", verdict.word())));
    }
}
