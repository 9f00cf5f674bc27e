//! Calls: a row for each callback, as `callbacks.csv` tells it, and one for each work whose end was
//! told both ways, for `pairs.csv`.

use crate::time::{Span, Tick};
use crate::work::{Ending, ServiceTime, WorkId};

/// What a callback was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// The first terminal one of its work.
    First,
    /// Another terminal one.
    Duplicate,
    /// It says that its work has not ended.
    NotTerminal,
    /// Nothing that the profile understands.
    Unreadable,
    /// The receiver refused it on purpose.
    Refused,
    /// Its work was never accepted, as far as its submit was answered.
    NotAccepted,
    /// Nobody has submitted its work, or it is long forgotten.
    UnknownWork,
}

impl CallKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::Duplicate,
        Self::NotTerminal,
        Self::Unreadable,
        Self::Refused,
        Self::NotAccepted,
        Self::UnknownWork,
    ];

    /// The word in `callbacks.csv`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Duplicate => "duplicate",
            Self::NotTerminal => "not_terminal",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::NotAccepted => "not_accepted",
            Self::UnknownWork => "unknown_work",
        }
    }
}

/// One callback.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRow {
    /// When it was read.
    pub at: Tick,
    /// The number of the arrival of its work, if that is known.
    pub seq: Option<u64>,
    /// The id that it named.
    pub work_id: Option<WorkId>,
    /// What it was.
    pub kind: CallKind,
    /// Which one about its work it was, from 1, as far as that is remembered.
    pub attempt: Option<u32>,
    /// Since the one before about the same work.
    pub since_last: Option<Span>,
    /// How it says that the work ended.
    pub ending: Option<Ending>,
    /// When its work ended, as the clock of the service has it.
    pub finished: Option<ServiceTime>,
    /// A hash of its delivery id.
    pub delivery: Option<u64>,
    /// Whether its signature fits, where callbacks are signed.
    pub verified: Option<bool>,
    /// It came before the 202 was read.
    pub before_accept: bool,
    /// It came for a work that had settled.
    pub after_settlement: bool,
    /// It does not agree with what was told before.
    pub disagrees: bool,
}

/// A work whose end was told both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct PairRow {
    /// The number of its arrival.
    pub seq: u64,
    /// Its id.
    pub work_id: WorkId,
    /// When the first terminal callback was read.
    pub called: Tick,
    /// When the terminal answer of a poll was read.
    pub polled: Tick,
}

/// A row of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum CallNote {
    /// A callback.
    Call(CallRow),
    /// A pair.
    Pair(PairRow),
}
