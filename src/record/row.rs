//! Row: the life of one submission, as `works.csv` and `failures.jsonl` tell it.

use crate::arrival::Arrival;
use crate::time::Tick;
use crate::work::{Fault, Outcome, ServiceTime, Source, WorkId};

/// One submission and all that followed from it. `None` is "did not happen".
#[derive(Clone, Debug, PartialEq)]
pub struct WorkRow {
    /// The number of the arrival, from 0: `{{seq}}` in its body.
    pub seq: u64,
    /// The load stage, from 0.
    pub stage: u16,
    /// When it was due.
    pub intended: Tick,
    /// When its submit was first handed to the client.
    pub sent: Option<Tick>,
    /// When the whole accept was read.
    pub accepted: Option<Tick>,
    /// The status of the (last) submit.
    pub http_status: Option<u16>,
    /// The ticket.
    pub work_id: Option<WorkId>,
    /// When the last poll that was answered "not yet" was sent.
    pub last_open: Option<Tick>,
    /// When the terminal answer was read.
    pub detected: Option<Tick>,
    /// What told the end.
    pub source: Option<Source>,
    /// How it ended.
    pub outcome: Outcome,
    /// Polls sent for it.
    pub polls: u32,
    /// Answers 429 to its submit and polls.
    pub rate_limited: u32,
    /// Why the submit has no usable answer.
    pub fault: Option<Fault>,
    /// The submit was written and not usably answered: the service may have taken the work.
    pub maybe_accepted: bool,
    /// The last status word of a poll.
    pub last_status: Option<Box<str>>,
    /// When the service says that it ended.
    pub finished: Option<ServiceTime>,
    /// When it left the backlog: it had ended, or was followed no longer.
    pub settled: Option<Tick>,
}

impl WorkRow {
    /// The row of an arrival that was never sent.
    pub fn unsent(arrival: Arrival, outcome: Outcome) -> Self {
        Self {
            seq: arrival.seq,
            stage: arrival.stage,
            intended: arrival.intended,
            sent: None,
            accepted: None,
            http_status: None,
            work_id: None,
            last_open: None,
            detected: None,
            source: None,
            outcome,
            polls: 0,
            rate_limited: 0,
            fault: None,
            maybe_accepted: false,
            last_status: None,
            finished: None,
            settled: None,
        }
    }
}

/// A row, and the body that explains it where there is one to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The row.
    pub row: WorkRow,
    /// The body of a failed work or a refused submit, or the last body of a stuck work.
    pub body: Option<Box<str>>,
}
