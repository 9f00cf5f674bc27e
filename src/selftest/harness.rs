//! `Harness`: what a run told, read from its files as any other program would.

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

use crate::report::hlog::tick;
use crate::time::Tick;
use crate::work::Outcome;

/// What a run told of itself.
#[derive(Clone, Debug)]
pub struct Harness {
    /// `works.csv`, in the order of the file.
    pub works: Vec<Told>,
    /// `summary.json`.
    summary: Value,
}

/// A row of `works.csv`, as far as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The ticket; none of what was never accepted.
    pub work_id: Option<String>,
    /// When it was due.
    pub intended: Tick,
    /// When its submit was sent.
    pub sent: Option<Tick>,
    /// When the accept was read.
    pub accepted: Option<Tick>,
    /// When the terminal answer was read.
    pub detected: Option<Tick>,
    /// How it ended.
    pub outcome: Outcome,
    /// Polls sent for it.
    pub polls: u32,
}

impl Harness {
    /// Reads both files; the error is a sentence.
    pub fn read(works: &[u8], summary: &[u8]) -> Result<Self, String> {
        let summary =
            serde_json::from_slice(summary).map_err(|error| format!("summary.json: {error}"))?;
        let mut reader = ReaderBuilder::new().from_reader(works);
        let headers = reader.headers().map_err(|error| error.to_string())?.clone();
        let mut told = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| format!("works.csv: {error}"))?;
            let row = row(&headers, &record);
            told.push(row.ok_or_else(|| format!("works.csv: cannot read {record:?}"))?);
        }
        Ok(Self {
            works: told,
            summary,
        })
    }

    /// A figure of a metric in seconds; none if it is beyond, or there is none.
    pub fn figure(&self, metric: &str, name: &str) -> Option<f64> {
        self.summary["metrics"][metric][name].as_f64()
    }

    /// A quantile of one of our own lags, by its name; 0 where it has no samples.
    pub fn lag(&self, metric: &str, name: &str) -> f64 {
        self.figure(metric, name).unwrap_or(0.0)
    }

    /// A count of a group (`ledger`, `requests`); 0 of one that is not there.
    pub fn count(&self, group: &str, name: &str) -> u64 {
        self.summary[group][name].as_u64().unwrap_or(0)
    }

    /// Submits a second of the load; none if there was no load.
    pub fn rate(&self) -> Option<f64> {
        self.summary["achieved_rate"].as_f64()
    }

    /// A quantile of the estimated sojourn time, in seconds, where this version estimates it and
    /// the run could tell it.
    pub fn sojourn(&self, name: &str) -> Option<Estimate> {
        let from = &self.summary["sojourn_time"][name];
        Some(Estimate {
            value: from["value"].as_f64()?,
            low: from["low"].as_f64(),
            high: from["high"].as_f64(),
        })
    }

    /// Why the run was not valid: the codes of its reasons.
    pub fn reasons(&self) -> Vec<String> {
        let reasons = self.summary["validity"]["reasons"].as_array();
        let codes = reasons.into_iter().flatten();
        codes
            .filter_map(|reason| reason["code"].as_str().map(str::to_owned))
            .collect()
    }

    /// What the generator used of a core over the load, as its report tells the processor time.
    pub fn core_share(&self) -> Option<f64> {
        let cpu = self.summary["cost"]["cpu_s"].as_f64()?;
        let load = self.summary["load_s"].as_f64()?;
        let shards = self.summary["shards"].as_f64().unwrap_or(1.0);
        (load > 0.0).then(|| cpu / load / shards)
    }
}

/// A quantile that was estimated, and its bounds where it has some.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its lower bound.
    pub low: Option<f64>,
    /// Its upper bound.
    pub high: Option<f64>,
}

fn row(headers: &StringRecord, record: &StringRecord) -> Option<Told> {
    let cell = |name: &str| {
        let place = headers.iter().position(|header| header == name)?;
        record.get(place)
    };
    // An empty cell is "did not happen"; one that is no instant is a file of something else.
    let time = |name: &str| match cell(name)? {
        "" => Some(None),
        text => tick(text).map(Some),
    };
    let word = cell("outcome")?;
    let id = cell("work_id")?;
    Some(Told {
        work_id: (!id.is_empty()).then(|| id.to_owned()),
        intended: time("intended_s")??,
        sent: time("sent_s")?,
        accepted: time("accepted_s")?,
        detected: time("detected_s")?,
        outcome: Outcome::ALL.into_iter().find(|of| of.word() == word)?,
        polls: cell("polls")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_something_else_are_refused() {
        let check = |works: &[u8], summary: &[u8], part: &str| {
            let error = Harness::read(works, summary).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        check(b"", b"{", "summary.json");
        check(b"a,b\n1,2\n", b"{}", "cannot read");
        check(
            b"work_id,intended_s,sent_s,accepted_s,detected_s,outcome\nw,soon,,,,failed\n",
            b"{}",
            "cannot read",
        );
    }

    #[test]
    fn the_estimate_of_the_sojourn_time_is_read_where_there_is_one() {
        let with = br#"{"sojourn_time": {"p50": {"value": 1.5, "low": 1.25, "high": null}}}"#;
        let read = |summary| Harness::read(b"", summary).unwrap();
        let found = read(&with[..]).sojourn("p50");
        let expected = Estimate {
            value: 1.5,
            low: Some(1.25),
            high: None,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(read(&with[..]).sojourn("p99"), None);
        assert_eq!(read(b"{}").sojourn("p50"), None);
    }
}
