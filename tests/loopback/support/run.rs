//! A run that has ended, read back from its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::binary::{Folder, Said, said};

/// A row of `works.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Work {
    pub(crate) seq: u64,
    pub(crate) intended_s: f64,
    pub(crate) sent_s: Option<f64>,
    pub(crate) accepted_s: Option<f64>,
    pub(crate) http_status: Option<u16>,
    #[serde(rename = "work_id")]
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) outcome: String,
    pub(crate) fault: String,
    pub(crate) maybe_accepted: u8,
    pub(crate) polls: u64,
}

/// All that a run left behind.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) summary: Value,
    pub(crate) works: Vec<Work>,
}

impl Run {
    /// Reads a run directory.
    pub(crate) fn read(directory: &Path) -> Self {
        let summary = fs::read(directory.join("summary.json")).unwrap();
        Self::with_summary(directory, &summary)
    }

    pub(crate) fn with_summary(directory: &Path, summary: &[u8]) -> Self {
        let mut works = csv::Reader::from_path(directory.join("works.csv")).unwrap();
        Self {
            summary: serde_json::from_slice(summary).unwrap(),
            // The last row of a run that was killed may be torn.
            works: works.deserialize().map_while(Result::ok).collect(),
        }
    }

    /// A count of the ledger.
    pub(crate) fn ledger(&self, name: &str) -> u64 {
        self.summary["ledger"][name].as_u64().unwrap()
    }

    pub(crate) fn request(&self, name: &str) -> u64 {
        self.summary["requests"][name].as_u64().unwrap()
    }

    pub(crate) fn anomaly(&self, name: &str) -> u64 {
        self.summary["anomalies"][name].as_u64().unwrap()
    }

    /// The wall clock at an instant of the run, in seconds of the epoch.
    pub(crate) fn wall(&self, seconds: f64) -> f64 {
        let origin: jiff::Timestamp = self.summary["started_at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        origin.as_duration().as_secs_f64() + seconds
    }

    /// The books balance, by the ledger alone.
    pub(crate) fn check_books(&self) {
        let sum = |names: &[&str]| names.iter().map(|name| self.ledger(name)).sum::<u64>();
        let not_sent = ["sent", "dropped", "queued", "missed", "unknown"];
        assert_eq!(self.ledger("scheduled"), sum(&not_sent));
        let answers = ["accepted", "rejected", "intake_failed", "submitting"];
        assert_eq!(self.ledger("sent"), sum(&answers));
        let ends = ["completed", "failed", "expired", "lost", "unresolved"];
        assert_eq!(self.ledger("accepted"), sum(&ends));
    }

    /// The books balance, and say what the rows say.
    pub(crate) fn check_rows(&self) {
        self.check_books();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for work in &self.works {
            *counts.entry(&work.outcome).or_default() += 1;
        }
        let outcomes = [
            "completed",
            "failed",
            "expired",
            "lost",
            "unresolved",
            "rejected",
            "intake_failed",
            "dropped",
            "queued",
            "submitting",
        ];
        for outcome in outcomes {
            let counted = counts.remove(outcome).unwrap_or(0);
            assert_eq!(self.ledger(outcome), counted, "{outcome}");
        }
        assert!(counts.is_empty(), "{counts:?}");
        let mut seqs: Vec<u64> = self.works.iter().map(|work| work.seq).collect();
        seqs.sort_unstable();
        let scheduled: Vec<u64> = (0..self.ledger("scheduled")).collect();
        assert_eq!(seqs, scheduled);
        let accepted = self.works.iter().filter(|work| work.accepted_s.is_some());
        assert_eq!(self.ledger("accepted"), accepted.count() as u64);
        let maybe = self.works.iter().map(|work| u64::from(work.maybe_accepted));
        assert_eq!(self.ledger("maybe_accepted"), maybe.sum::<u64>());
        let polls: u64 = self.works.iter().map(|work| work.polls).sum();
        assert_eq!(self.request("polls"), polls);
    }
}

/// Runs a scenario to its end; it must be a valid measurement.
pub(crate) fn run(scenario: &str) -> Run {
    let folder = Folder::new(scenario);
    let said = said(&mut folder.run());
    said.check(0, &[]);
    Run::read(&folder.out())
}

/// The same, where something else than the files is looked at, too.
pub(crate) fn run_in(folder: &Folder) -> (Said, Run) {
    let said = said(&mut folder.run());
    assert!(folder.out().join("summary.json").exists(), "{said:#?}");
    (said, Run::read(&folder.out()))
}
