//! `Sizing`: the whole result.

use super::advice::{Advice, Choice, Highest, Verdict};
use super::measured::Measured;
use super::need::{Given, Need};
use super::played::{Difference, Played};
use crate::scenario::{Plan, Rate};

/// Rates of a curve.
const RATES: u32 = 33;
/// A curve begins at this share of the lowest peak, and ends at this multiple of the highest.
const REACH: [f64; 2] = [0.1, 4.0];

/// What was decided, and from what.
#[derive(Clone, Debug)]
pub struct Sizing {
    /// The scenario's name.
    pub scenario: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// When it began: microseconds since the Unix epoch.
    pub started_at: i64,
    /// The service, as it may be shown.
    pub target: String,
    /// Nothing was sent: the runs were in virtual time.
    pub simulated: bool,
    /// From which run the sojourn time is, as it may be shown.
    pub source: String,
    /// Works of that run.
    pub works: u64,
    /// What everything is reckoned from.
    pub given: Given,
    /// What was tried.
    pub choices: Vec<Choice>,
    /// What the runs told, those of a choice that was run.
    pub runs: Vec<Measured>,
    /// What polling carries, whatever the peak; none without a limit or polls.
    pub highest: Option<Highest>,
    /// The interval in seconds from which on polls are as few as callbacks.
    pub break_even: Option<f64>,
    /// The peaks.
    pub peaks: Vec<Peak>,
    /// What else a reader must know, a sentence each.
    pub notes: Vec<String>,
}

/// A peak: what is recommended, and what each choice needs.
#[derive(Clone, Debug)]
pub struct Peak {
    /// What is recommended; none if a run is not to be trusted.
    pub advice: Option<Advice>,
    /// The rate.
    pub rate: Rate,
    /// In the order of the choices.
    pub rows: Vec<Row>,
}

/// A choice at a peak.
#[derive(Clone, Debug)]
pub struct Row {
    /// By the formulas.
    pub need: Need,
    /// By virtual time; none where that cannot play it.
    pub played: Option<Played>,
}

impl Row {
    /// How far both are apart, where they can be compared.
    pub fn difference(&self) -> Option<Difference> {
        Difference::of(&self.need, self.played.as_ref()?)
    }
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Works a second.
    pub rate: f64,
    /// Submits and polls a second.
    pub requests_per_s: f64,
    /// The mean lag in seconds; none where it grows without a bound.
    pub lag: Option<f64>,
}

impl Sizing {
    /// Why it is not to be trusted: a code, and which run it was.
    pub fn invalid(&self) -> Vec<String> {
        let of = |run: &Measured| -> Vec<String> {
            let codes = run.invalid.iter();
            codes
                .map(|code| format!("{code} in the run of {}", run.choice))
                .collect()
        };
        self.runs.iter().flat_map(of).collect()
    }

    /// What is recommended at the highest peak.
    pub fn verdict(&self) -> Option<Verdict> {
        let highest = self
            .peaks
            .iter()
            .max_by(|one, other| one.rate.per_second().total_cmp(&other.rate.per_second()));
        Some(highest?.advice.as_ref()?.decision.verdict)
    }

    /// The largest difference between formulas and virtual time, with the peak and the choice.
    pub fn worst(&self) -> Option<(Difference, Rate, &str)> {
        let rows = self.peaks.iter().flat_map(|peak| {
            let rows = peak.rows.iter().zip(&self.choices);
            rows.filter_map(|(row, choice)| {
                Some((row.difference()?, peak.rate, choice.name.as_str()))
            })
        });
        rows.max_by(|(one, ..), (other, ..)| one.largest().total_cmp(&other.largest()))
    }

    /// Whether formulas and virtual time agree wherever they can be compared.
    pub fn agrees(&self) -> bool {
        let rows = self.peaks.iter().flat_map(|peak| &peak.rows);
        rows.filter_map(Row::difference).all(|apart| apart.agrees())
    }

    /// The figure of a short run that is farthest from what the formulas say of it, in standard
    /// errors, and the choice. Runs that met the limit or are invalid are not compared.
    pub fn farthest(&self) -> Option<(f64, &str)> {
        let undisturbed = self.runs.iter();
        let undisturbed = undisturbed.filter(|run| run.rejected == 0 && run.invalid.is_empty());
        let apart = undisturbed.filter_map(|run| {
            let choice = self.choices.iter().find(|it| it.name == run.choice)?;
            let need = run.reckoned(&self.given, &choice.plan);
            Some((run.apart(&need), choice.name.as_str()))
        });
        apart.max_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    /// The API load and the lag of a choice against the rate, by the formulas: evenly in the
    /// logarithm of the rate, around the peaks.
    pub fn curve(&self, plan: &Plan) -> Vec<Point> {
        let peaks = self.peaks.iter().map(|peak| peak.rate.per_second());
        let (low, high) = peaks.fold((f64::INFINITY, 0.0_f64), |(low, high), rate| {
            (low.min(rate), high.max(rate))
        });
        let (low, high) = (low * REACH[0], high * REACH[1]);
        if high <= 0.0 {
            return Vec::new();
        }
        let step = libm::log(high / low) / f64::from(RATES - 1);
        let rates = (0..RATES).map(|at| low * libm::exp(step * f64::from(at)));
        rates
            .map(|rate| {
                let need = self.given.need(plan, rate);
                Point {
                    rate,
                    requests_per_s: need.requests_per_s,
                    lag: need.lag.map(|lag| lag.mean),
                }
            })
            .collect()
    }
}
