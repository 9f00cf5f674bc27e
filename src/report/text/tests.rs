use super::super::fixture::{at_most, facts, limits, promise, run};
use super::super::{Code, Facts, Reason};
use super::*;
use crate::record::snapshot::Snapshot;
use crate::scenario::Relation;

/// Without styles, as a pipe gets it.
fn plain(styled: &str) -> String {
    anstream::adapter::strip_str(styled).to_string()
}

fn report() -> Report {
    let slo = [
        at_most("accept_latency", 0.99, 0.25),
        at_most("time_to_terminal", 0.5, 30.0),
        promise("work_failure_ratio", None, Relation::Less, 0.05),
        promise("unknown_status", None, Relation::Equal, 0.0),
    ];
    Report::judge(&slo, limits(), facts(), run().snapshot, Vec::new())
}

#[test]
fn the_summary_reads_as_it_should() {
    let (found, expected) = (
        plain(&summary(&report(), COLUMNS)),
        include_str!("../../../tests/golden/summary.txt"),
    );
    assert!(found == expected, "found:\n{found}\nexpected:\n{expected}");
}

#[test]
fn nothing_is_wider_than_a_terminal_and_no_word_depends_on_colour() {
    let mut report = report();
    report.facts.insecure = true;
    report.facts.notes.push("the run was killed: ".repeat(9));
    report.reasons.push(Reason {
        code: Code::Descriptors,
        value: None,
        limit: None,
        text: "file descriptors ran out at 1,024; raise the limit with ulimit -n ".repeat(3),
    });
    for status in 0..9 {
        let status = format!("\u{1b}[31m{status}{}", "x".repeat(90));
        report.snapshot.stuck.insert(status.into(), 1_000_000);
    }
    for columns in [60, COLUMNS, 100] {
        let styled = summary(&report, columns);
        assert!(styled.contains("\u{1b}[1m"));
        let text = plain(&styled);
        assert!(!text.contains('\u{1b}'), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{line}");
        }
        assert!(text.contains("at 7 other"), "{text}");
    }
}

#[test]
fn one_line_says_the_verdict_first() {
    assert_eq!(
        line(&report()),
        "fail fixture: 1 of 4 SLOs failed, 1 undecided; accept latency p99 > 100 ms, time to terminal p99 > 1.99 s, \
         work failure 11.2 %; reports/fixture"
    );
}

#[test]
fn a_virtual_run_says_so_first_and_has_no_machine() {
    let facts = Facts {
        target: "https://ai.example.com".to_owned(),
        ..facts()
    };
    let facts = facts.in_virtual_time("simulated: nothing was sent");
    let report = Report::judge(&[], limits(), facts, run().snapshot, Vec::new());
    assert!(line(&report).starts_with("pass fixture (simulated): "));
    let text = plain(&summary(&report, COLUMNS));
    let first: Vec<&str> = text.lines().take(4).collect();
    assert_eq!(
        first,
        [
            "PASS  fixture (simulated): a valid run; it has no SLO",
            "  the built-in simulator in place of https://ai.example.com, in virtual time, 3",
            "  s of load in 5.5 s altogether, 33.3/s sent of 33.3/s offered, seed 202, ended",
            "  as planned",
        ]
    );
    assert!(
        text.contains("\n  note: simulated: nothing was sent\n"),
        "{text}"
    );
    for word in ["CPU", "connections", "own lag"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_run_of_nothing_has_dashes_and_no_zeros() {
    let facts = Facts {
        load: Span::ZERO,
        ..facts()
    };
    let report = Report::judge(&[], limits(), facts, Snapshot::default(), Vec::new());
    let text = plain(&summary(&report, COLUMNS));
    assert!(
        text.starts_with("PASS  fixture: a valid run; it has no SLO\n"),
        "{text}"
    );
    assert!(text.contains("  p99                  -"), "{text}");
}
