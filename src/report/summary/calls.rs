//! The callbacks, as `summary.json` has them: only where the mode hears any.

use serde::Serialize;

use super::{Figures, Object, counts, micro, nano};
use crate::record::bursts::Burst;
use crate::record::ledger::{Count, Group};
use crate::report::call_lags::{CALLBACK_LAG, CallLags};
use crate::report::calls::Attempt;
use crate::report::quantiles::Quantiles;
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

/// `callbacks.lag`: what the figures of `metrics.callback_lag` rest on.
#[derive(Serialize)]
struct Lag {
    uncertainty_s: f64,
    resolution_s: f64,
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

/// `metrics.callback_lag`: only where callbacks are heard; without a figure where it is not known.
pub(super) fn metric(report: &Report) -> Option<(&'static str, Figures)> {
    let lags = || {
        report
            .call_lags()
            .map_or_else(|_| Quantiles::default(), |it| it.figures())
    };
    let hears = report.facts.mode.hears_callbacks();
    hears.then(|| (CALLBACK_LAG, Figures::from(lags())))
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
        Self {
            uncertainty_s: micro(from.uncertainty),
            resolution_s: micro(from.resolution),
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
