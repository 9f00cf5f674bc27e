//! `failures.jsonl`: the bodies that explain what went wrong, capped.
//!
//! Each outcome has its own allowance of lines, so that a flood of refused submits at the start
//! cannot hide the one work that failed in the night.

use std::io;

use serde::Serialize;

use crate::record::row::Settled;
use crate::scenario::ReportPlan;
use crate::work::Outcome;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    work_id: Option<&'a str>,
    outcome: &'static str,
    http_status: Option<u16>,
    last_status: Option<&'a str>,
    /// Seconds with six decimals, as in every file.
    detected_s: Option<f64>,
    body: Option<&'a str>,
    /// How many bytes of the body are left out.
    truncated_bytes: usize,
}

/// Writes `failures.jsonl`.
#[derive(Clone, Debug)]
pub struct Failures {
    body_bytes: usize,
    lines: u64,
    /// Works of each outcome so far, written or not.
    seen: [u64; Outcome::ALL.len()],
}

impl Failures {
    /// With the allowances of a plan: bytes of a body, and lines of each outcome.
    pub fn new(plan: ReportPlan) -> Self {
        Self {
            body_bytes: usize::try_from(plan.body_bytes).unwrap_or(usize::MAX),
            lines: plan.failures,
            seen: [0; Outcome::ALL.len()],
        }
    }

    /// Writes the line of a work that went wrong, if the allowance of its outcome lasts.
    pub fn write(&mut self, to: &mut impl io::Write, settled: &Settled) -> io::Result<()> {
        let row = &settled.row;
        if !row.outcome.explains() {
            return Ok(());
        }
        let seen = &mut self.seen[row.outcome as usize];
        *seen += 1;
        if *seen > self.lines {
            return Ok(());
        }
        let (body, truncated_bytes) = match settled.body.as_deref() {
            Some(body) => {
                let kept = &body[..body.floor_char_boundary(self.body_bytes)];
                (Some(kept), body.len() - kept.len())
            }
            None => (None, 0),
        };
        let line = Line {
            seq: row.seq,
            work_id: row.work_id.as_ref().map(|id| &*id.0),
            outcome: row.outcome.word(),
            http_status: row.http_status,
            last_status: row.last_status.as_deref(),
            detected_s: row.detected.map(|at| super::csv::cut(at).seconds()),
            body,
            truncated_bytes,
        };
        serde_json::to_writer(&mut *to, &line)?;
        to.write_all(b"\n")
    }

    /// Outcomes of which more happened than there are lines, and how many were left out.
    pub fn left_out(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL
            .into_iter()
            .map(|outcome| {
                (
                    outcome,
                    self.seen[outcome as usize].saturating_sub(self.lines),
                )
            })
            .filter(|(_, works)| *works > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;

    fn write(failures: &mut Failures, rows: &[Settled]) -> Vec<serde_json::Value> {
        let mut bytes = Vec::new();
        for row in rows {
            failures.write(&mut bytes, row).unwrap();
        }
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    const PLAN: ReportPlan = ReportPlan {
        works: true,
        body_bytes: 7,
        open_body_bytes: 0,
        failures: 2,
    };

    #[test]
    fn each_outcome_has_its_own_allowance() {
        let mut failures = Failures::new(PLAN);
        let lines = write(&mut failures, &run().rows);
        let of = |word: &str| lines.iter().filter(|line| line["outcome"] == word).count();
        assert_eq!((of("completed"), of("failed"), of("unresolved")), (0, 2, 2));
        assert_eq!((of("expired"), of("lost")), (1, 1));
        assert_eq!((of("rejected"), of("intake_failed")), (1, 1));
        assert_eq!(
            failures.left_out().collect::<Vec<_>>(),
            [(Outcome::Failed, 7)]
        );
    }

    #[test]
    fn a_body_is_cut_between_characters_and_says_so() {
        let mut row = run().rows[0].clone();
        row.row.outcome = Outcome::Failed;
        row.body = Some("12345\u{fc}\u{20ac}\n".into());
        let lines = write(&mut Failures::new(PLAN), &[row]);
        assert_eq!(lines[0]["body"], "12345\u{fc}");
        assert_eq!(lines[0]["truncated_bytes"], 4);
    }
}
