//! The callbacks, as `summary.json` has them: only where the mode hears any.

use serde::Serialize;

use super::{Object, counts, micro, nano};
use crate::record::bursts::Burst;
use crate::record::ledger::{Count, Group};
use crate::report::call_lags::{CallLags, LEVELS};
use crate::report::calls::Attempt;
use crate::report::{Receiver, Report};

/// `callbacks`.
#[derive(Serialize)]
pub(super) struct Shape {
    mode: &'static str,
    #[serde(flatten)]
    counts: Object<u64>,
    /// Accepted works of which no terminal callback was heard.
    works_without: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<Use>,
    /// Null where lags are not known.
    lag: Option<Lag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_lag: Option<&'static str>,
    bursts: Vec<Peak>,
    attempts: Vec<Again>,
}

#[derive(Serialize)]
struct Use {
    most_connections: u64,
    most_at_once: u64,
    mean_at_once: f64,
    longest_wait_s: f64,
    cpu_s: f64,
}

/// `callbacks.lag`: the mean and the quantiles may be wrong by `uncertainty_s`.
#[derive(Serialize)]
struct Lag {
    count: u64,
    uncertainty_s: f64,
    resolution_s: f64,
    mean: f64,
    min: f64,
    #[serde(flatten)]
    quantiles: Object<f64>,
    max: f64,
}

#[derive(Serialize)]
struct Peak {
    window_s: f64,
    most: u64,
    mean: f64,
    dispersion: f64,
}

#[derive(Serialize)]
struct Again {
    attempt: u32,
    count: u64,
    mean_s: f64,
    least_s: f64,
    most_s: f64,
}

impl Shape {
    pub(super) fn of(report: &Report) -> Option<Self> {
        let snapshot = &report.snapshot;
        let count = |what| snapshot.counts.get(what);
        let lags = report.call_lags();
        report.facts.mode.hears_callbacks().then(|| Self {
            mode: report.facts.mode.word(),
            counts: Object(counts(report, Group::Callbacks).collect()),
            works_without: count(Count::Accepted).saturating_sub(count(Count::CallbacksFirst)),
            receiver: report.facts.receiver.map(Use::from),
            no_lag: lags.as_ref().err().map(|why| why.text()),
            lag: lags.ok().map(Lag::from),
            bursts: report.bursts().iter().map(Peak::from).collect(),
            attempts: report.attempts().iter().map(Again::from).collect(),
        })
    }
}

impl From<Receiver> for Use {
    fn from(from: Receiver) -> Self {
        Self {
            most_connections: from.most_connections,
            most_at_once: from.most_at_once,
            mean_at_once: nano(from.mean_at_once),
            longest_wait_s: micro(from.longest_wait.seconds()),
            cpu_s: micro(from.cpu.seconds()),
        }
    }
}

impl From<CallLags> for Lag {
    fn from(from: CallLags) -> Self {
        let levels = LEVELS.into_iter().zip(from.quantiles);
        Self {
            count: from.count,
            uncertainty_s: micro(from.uncertainty),
            resolution_s: micro(from.resolution),
            mean: micro(from.mean),
            min: micro(from.min),
            quantiles: Object(levels.map(|((name, _), lag)| (name, micro(lag))).collect()),
            max: micro(from.max),
        }
    }
}

impl From<&Burst> for Peak {
    fn from(from: &Burst) -> Self {
        Self {
            window_s: from.window.seconds(),
            most: from.most,
            mean: nano(from.mean),
            dispersion: nano(from.dispersion),
        }
    }
}

impl From<&Attempt> for Again {
    fn from(from: &Attempt) -> Self {
        Self {
            attempt: from.number,
            count: from.count,
            mean_s: micro(from.mean),
            least_s: micro(from.least.seconds()),
            most_s: micro(from.most.seconds()),
        }
    }
}
