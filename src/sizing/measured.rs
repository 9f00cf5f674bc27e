//! `Measured`: what a run of a choice told, at the safe rate at which it was made.

use std::collections::BTreeMap;

use csv::Reader;

use super::need::{Given, Need};
use super::played::{Noisy, mean};
use super::polling::Lag;
use crate::report::quantiles::rank;
use crate::scenario::Plan;
use crate::selftest::Harness;
use crate::time::Tick;

/// What a run of a choice told.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The choice.
    pub choice: String,
    /// Where its files are, as it may be shown.
    pub run_dir: String,
    /// Why it is not to be trusted; empty if it is.
    pub invalid: Vec<String>,
    /// Works that were accepted.
    pub works: u64,
    /// Submits a second of the load.
    pub rate: f64,
    /// Polls for each accepted work.
    pub polls: Noisy,
    /// Answers 429.
    pub rejected: u64,
    /// From the end of a work in the service to the instant at which its caller knew it; none where
    /// the service does not tell.
    pub lag: Option<Lag>,
    /// The standard error of its mean.
    pub lag_error: f64,
    /// The mean time until its caller knew the end of a work, from its submit on; none where some
    /// works had no end.
    pub time_to_terminal: Option<f64>,
}

impl Measured {
    /// By the files of a run and, of a simulated service, by its truth.
    ///
    /// # Errors
    /// Says which file cannot be read.
    pub fn of(
        choice: &str,
        run_dir: &str,
        run: &Harness,
        truth: Option<&[u8]>,
    ) -> Result<Self, String> {
        let accepted = run.works.iter().filter(|work| work.accepted.is_some());
        let mut lags = truth.map_or(Ok(Vec::new()), |truth| lags(run, truth))?;
        lags.sort_by(f64::total_cmp);
        let mean_lag = mean(lags.iter().copied());
        let at = |share: f64| {
            let place = usize::try_from(rank(share, lags.len() as u64) - 1);
            place.map_or(0.0, |place| lags[place])
        };
        Ok(Self {
            choice: choice.to_owned(),
            run_dir: run_dir.to_owned(),
            invalid: run.reasons(),
            works: run.count("ledger", "accepted"),
            rate: run.rate().unwrap_or(0.0),
            polls: mean(accepted.map(|work| f64::from(work.polls))),
            rejected: run.count("requests", "rate_limited"),
            lag: (!lags.is_empty()).then(|| Lag {
                mean: mean_lag.value,
                p50: at(0.5),
                p99: at(0.99),
            }),
            lag_error: mean_lag.error,
            time_to_terminal: run.figure("time_to_terminal", "mean"),
        })
    }

    /// By how many standard errors the polls a work or the mean lag are from what the formulas say:
    /// the larger of the two. A thousandth of a poll and a millisecond are no difference.
    pub fn apart(&self, need: &Need) -> f64 {
        let errors = |found: f64, expected: f64, error: f64, least: f64| {
            ((found - expected).abs() - least).max(0.0) / error.max(least)
        };
        let polls = errors(self.polls.value, need.polls, self.polls.error, 1e-3);
        let lags = self.lag.zip(need.lag);
        let lag = lags.map_or(0.0, |(found, expected)| {
            errors(found.mean, expected.mean, self.lag_error, 1e-3)
        });
        polls.max(lag)
    }

    /// What the formulas say of the same choice at the rate of the run.
    pub fn reckoned(&self, given: &Given, choice: &Plan) -> Need {
        given.need(choice, self.rate)
    }
}

/// From the end of each work in the service to the instant at which its caller knew it, in seconds.
fn lags(run: &Harness, truth: &[u8]) -> Result<Vec<f64>, String> {
    let ended = ends(truth)?;
    let lag = |(id, detected): (&String, Tick)| {
        let ended = ended.get(id)?;
        Some(detected.since(*ended).seconds())
    };
    let told = run.works.iter();
    let told = told.filter_map(|work| work.work_id.as_ref().zip(work.detected));
    Ok(told.filter_map(lag).collect())
}

/// When each work became terminal, by the truth of the service.
fn ends(truth: &[u8]) -> Result<BTreeMap<String, Tick>, String> {
    let wrong = |what: &str| format!("the truth of the service: {what}");
    let mut reader = Reader::from_reader(truth);
    let headers = reader
        .headers()
        .map_err(|error| wrong(&error.to_string()))?;
    let place = |name: &str| {
        let at = headers.iter().position(|header| header == name);
        at.ok_or_else(|| wrong(&format!("no column {name}")))
    };
    let (id, terminal) = (place("work_id")?, place("terminal_s")?);
    let mut ends = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&error.to_string()))?;
        let at = record.get(terminal).and_then(crate::report::hlog::tick);
        if let (Some(id), Some(at)) = (record.get(id), at) {
            ends.insert(id.to_owned(), at);
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: &str = "work_id,intended_s,sent_s,accepted_s,detected_s,outcome,polls\n\
        a,0.000000,0.000000,0.100000,3.000000,completed,2\nb,1.000000,1.000000,1.100000,,unresolved,4\n,2.000000,2.000000,,,rejected,0\n";
    const SUMMARY: &str = r#"{"achieved_rate": 3.0, "ledger": {"accepted": 2},
        "requests": {"rate_limited": 1}, "validity": {"reasons": []}}"#;

    #[test]
    fn what_a_run_told_is_held_against_the_truth() {
        let run = Harness::read(WORKS.as_bytes(), SUMMARY.as_bytes()).unwrap();
        let truth = b"work_id,accepted_s,terminal_s\na,0.050000,2.500000\nb,1.000000,9.000000\n";
        let found = Measured::of("poll 1s", "x", &run, Some(truth)).unwrap();
        assert_eq!((found.works, found.rejected), (2, 1));
        assert!((found.polls.value - 3.0).abs() < 1e-9);
        assert!((found.lag.unwrap().mean - 0.5).abs() < 1e-9);
        assert_eq!(Measured::of("x", "x", &run, None).unwrap().lag, None);
        let error = Measured::of("x", "x", &run, Some(b"id\n")).unwrap_err();
        assert!(error.contains("no column work_id"), "{error}");
    }
}
