//! The times in the service, as `summary.json` has them.

use serde::Serialize;

use super::{Object, micro, nano};
use crate::estimate::Quantile;
use crate::report::poll_ages::PollAtAges;
use crate::report::times::{Measured, Times, Told};

/// The three times: keys of the summary itself.
#[derive(Serialize)]
pub(super) struct Shape<'a> {
    sojourn_time: Time<'a>,
    queue_wait: Time<'a>,
    run_time: Time<'a>,
}

#[derive(Serialize)]
struct Time<'a> {
    method: Option<&'static str>,
    reason: Option<&'a str>,
    n: Option<u64>,
    censored: Option<u64>,
    gap: Option<f64>,
    mean: Option<f64>,
    p50: Option<Figure>,
    p90: Option<Figure>,
    p95: Option<Figure>,
    p99: Option<Figure>,
    p999: Option<Figure>,
    midpoints: Option<Object<Option<f64>>>,
    /// The shares that had ended so by the last age that is known.
    completed: Option<f64>,
    failed: Option<f64>,
    bounds: Option<Bounds>,
    remarks: &'a [String],
}

#[derive(Clone, Copy, Serialize)]
struct Figure {
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    supported: bool,
}

/// From what the bounds come.
#[derive(Serialize)]
struct Bounds {
    blocks: usize,
    resamples: usize,
}

/// When to ask for works of this service.
#[derive(Serialize)]
pub(super) struct Schedule {
    /// Ages in seconds.
    ages: Vec<f64>,
    /// From then on, in seconds.
    then_every: f64,
    polls: f64,
    lag: f64,
    fixed: Fixed,
}

/// The same interval all the time, at as many polls.
#[derive(Serialize)]
struct Fixed {
    interval: f64,
    polls: f64,
    lag: f64,
}

impl From<&PollAtAges> for Schedule {
    fn from(from: &PollAtAges) -> Self {
        let PollAtAges {
            ages,
            then_every,
            cost,
            fixed,
        } = from;
        Self {
            ages: ages.iter().copied().map(micro).collect(),
            then_every: micro(*then_every),
            polls: micro(cost.polls),
            lag: micro(cost.lag),
            fixed: Fixed {
                interval: micro(*then_every),
                polls: micro(fixed.polls),
                lag: micro(fixed.lag),
            },
        }
    }
}

impl From<Quantile> for Figure {
    fn from(from: Quantile) -> Self {
        Self {
            value: from.value.map(micro),
            low: from.low.map(micro),
            high: from.high.map(micro),
            supported: from.supported,
        }
    }
}

impl<'a> From<&'a Times> for Shape<'a> {
    fn from(from: &'a Times) -> Self {
        Self {
            sojourn_time: (&from.sojourn).into(),
            queue_wait: (&from.queue_wait).into(),
            run_time: (&from.run_time).into(),
        }
    }
}

impl<'a> From<&'a Told> for Time<'a> {
    fn from(from: &'a Told) -> Self {
        match from {
            Ok(measured) => measured.into(),
            Err(reason) => Self {
                method: None,
                reason: Some(reason),
                n: None,
                censored: None,
                gap: None,
                mean: None,
                p50: None,
                p90: None,
                p95: None,
                p99: None,
                p999: None,
                midpoints: None,
                completed: None,
                failed: None,
                bounds: None,
                remarks: &[],
            },
        }
    }
}

impl<'a> From<&'a Measured> for Time<'a> {
    fn from(from: &'a Measured) -> Self {
        let estimate = &from.estimate;
        let [p50, p90, p95, p99, p999] = estimate.quantiles.map(|of| Some(of.into()));
        let [m50, m90, m95, m99, m999] = estimate.midpoints.map(|of| of.map(micro));
        let midpoints = [
            ("p50", m50),
            ("p90", m90),
            ("p95", m95),
            ("p99", m99),
            ("p999", m999),
        ];
        let last = estimate.curve.last();
        Self {
            method: Some(from.method.word()),
            reason: None,
            n: Some(estimate.works),
            censored: Some(estimate.censored),
            gap: Some(estimate.gap),
            mean: estimate.mean.map(micro),
            p50,
            p90,
            p95,
            p99,
            p999,
            midpoints: Some(Object(midpoints.into())),
            completed: last.map(|last| nano(last.completed)),
            failed: last.map(|last| nano(last.failed)),
            bounds: (estimate.bands.as_ref().ok()).map(|bands| Bounds {
                blocks: bands.blocks,
                resamples: bands.resamples,
            }),
            remarks: &from.remarks,
        }
    }
}
