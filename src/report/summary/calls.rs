//! The callbacks, as `summary.json` has them: only where the mode hears any.

use serde::Serialize;

use super::{Object, counts, micro, nano};
use crate::record::bursts::Burst;
use crate::record::ledger::{Count, Group};
use crate::report::calls::{Attempt, attempts};
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
        report.facts.mode.hears_callbacks().then(|| Self {
            mode: report.facts.mode.word(),
            counts: Object(counts(report, Group::Callbacks).collect()),
            works_without: count(Count::Accepted).saturating_sub(count(Count::CallbacksFirst)),
            receiver: report.facts.receiver.map(Use::from),
            bursts: report.bursts().iter().map(Peak::from).collect(),
            attempts: attempts(&snapshot.attempts)
                .iter()
                .map(Again::from)
                .collect(),
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
