//! The shared nouns: what a service said about a work, and how a work ended.
//!
//! `wire` makes replies out of HTTP, the virtual world makes them out of the simulated service, and
//! the engine decides on them. None of them carries a time: the shell stamps what it saw.

use crate::time::Span;

/// The name that the service gave to a work: the ticket of the `202`.
///
/// Hostile text: capped at [`WorkId::MAX_BYTES`] by the parser, and escaped wherever it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub Box<str>);

impl WorkId {
    /// A longer id is refused as a bad body: it could not be followed in bounded memory.
    pub const MAX_BYTES: usize = 1_024;
}

/// A place in the work table. The generation tells a new tenant from an old one, so that an answer
/// that comes late can never be booked on another work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Which place.
    pub index: u32,
    /// Which tenant of that place.
    pub generation: u32,
}

/// How a work was told to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The service did what was asked.
    Completed,
    /// The service gave up on it.
    Failed,
}

/// Why a request has no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// No connection: refused, unreachable, name not found, TLS.
    Connect,
    /// No whole answer within the timeout.
    Timeout,
    /// The connection ended before the whole answer was read.
    Reset,
    /// The answer came, but cannot be used: too long, not what the profile describes.
    Body,
}

impl Fault {
    /// The word in `works.csv`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Body => "body",
        }
    }
}

/// What an answer said about rates: RFC 9110 `Retry-After` and the `RateLimit` header families.
///
/// Where both are there, `retry_after` counts before `remaining.reset`, as the IETF draft
/// on rate limit headers has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateHint {
    /// How long to wait, from `Retry-After` (an HTTP date is taken against the answer's own
    /// `Date`).
    pub retry_after: Option<Span>,
    /// Remaining requests of the most restrictive policy, and when there will be more.
    pub remaining: Option<Remaining>,
    /// The most restrictive announced policy, as requests per window.
    pub policy: Option<Policy>,
    /// Values cut to the longest wait that is believed. Counted, never silent.
    pub clamps: u32,
    /// Which kind of `RateLimit` headers was understood; the report prints it, as part of it is a
    /// guess.
    pub family: Option<Family>,
}

/// The kinds of `RateLimit` headers, by the form that their values had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IETF drafts -08 to -11: lists of named policies.
    IetfList,
    /// IETF draft -07: one dictionary.
    IetfDictionary,
    /// IETF drafts -00 to -06: `RateLimit-Limit`, `-Remaining` and `-Reset`.
    IetfFields,
    /// `X-RateLimit-*` without a reset that could be read.
    Vendor,
    /// `X-RateLimit-*`, the reset in seconds from now (Reddit, Envoy, Discord).
    VendorDelta,
    /// `X-RateLimit-*`, the reset in seconds of the epoch (GitHub).
    VendorEpoch,
    /// `X-RateLimit-*`, the reset in milliseconds of the epoch.
    VendorEpochMillis,
    /// `X-RateLimit-*`, the reset as a length such as `6m0s`.
    VendorDuration,
    /// `X-RateLimit-*`, the reset as a date.
    VendorDate,
}

impl Family {
    /// The word in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IetfList => "ietf_list",
            Self::IetfDictionary => "ietf_dictionary",
            Self::IetfFields => "ietf_fields",
            Self::Vendor => "vendor",
            Self::VendorDelta => "vendor_delta",
            Self::VendorEpoch => "vendor_epoch",
            Self::VendorEpochMillis => "vendor_epoch_ms",
            Self::VendorDuration => "vendor_duration",
            Self::VendorDate => "vendor_date",
        }
    }
}

/// `r` requests remain for the next `reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Requests that are left.
    pub requests: u64,
    /// Time until there are more.
    pub reset: Span,
}

/// A quota of `quota` requests for each `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Requests for each window.
    pub quota: u64,
    /// Length of the window.
    pub window: Span,
}

/// An instant of the service's own clock: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceTime(pub i64);

/// What a terminal answer says.
#[derive(Clone, Debug, PartialEq)]
pub struct Terminal {
    /// Completed or failed.
    pub ending: Ending,
    /// The word that said so, as it stood in the answer.
    pub status: Box<str>,
    /// When the service says that the work ended, where the profile names the field.
    pub finished: Option<ServiceTime>,
    /// The whole body (capped while reading), kept for `failures.jsonl` if the work failed.
    pub body: Box<str>,
}

/// Where the service said that a work is to be polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollUrl {
    /// The profile makes the URL from the id.
    FromProfile,
    /// An absolute URL at an origin that may have the key.
    Given(Box<str>),
    /// An absolute URL at an origin that may not have the key: never asked.
    Foreign(Box<str>),
}

/// The answer to a submit.
#[derive(Clone, Debug, PartialEq)]
pub enum IntakeReply {
    /// The service took the work.
    Accepted {
        /// HTTP status.
        status: u16,
        /// The ticket; empty where a result came at once and had no id.
        id: WorkId,
        /// Where to poll, if the profile asks the answer for it.
        poll_url: PollUrl,
        /// The result, if it was already in the answer.
        at_once: Option<Terminal>,
        /// What the headers said about rates.
        hint: RateHint,
    },
    /// The service answered, but did not take the work.
    Rejected {
        /// HTTP status.
        status: u16,
        /// The body, capped.
        body: Box<str>,
        /// What the headers said about rates.
        hint: RateHint,
    },
    /// There is no usable answer.
    Failed {
        /// What went wrong.
        fault: Fault,
        /// HTTP status, if one was read.
        status: Option<u16>,
        /// The request was written, so the service may have taken the work.
        maybe_accepted: bool,
        /// The body if there was one, capped; else a short reason.
        detail: Box<str>,
    },
}

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq)]
pub enum PollReply {
    /// Not yet.
    Open {
        /// The word that said so, as it stood in the answer.
        status: Box<str>,
        /// Whether the profile knows the word. An unknown word is open, and counted.
        known: bool,
        /// The body, capped; kept while it is the last word on a work.
        body: Box<str>,
        /// What the headers said about rates.
        hint: RateHint,
    },
    /// The end of the work.
    Terminal(Terminal, RateHint),
    /// The service does not know the work.
    Denied {
        /// 410 and its like: it never will again.
        gone: bool,
        /// The body, capped.
        body: Box<str>,
    },
    /// 429, or 503 with `Retry-After`: the service asks for fewer requests.
    Throttled {
        /// HTTP status.
        status: u16,
        /// What the headers said about rates.
        hint: RateHint,
    },
    /// Another HTTP status that says nothing about the work (5xx, 401, 3xx).
    Error {
        /// HTTP status.
        status: u16,
        /// The body, capped.
        body: Box<str>,
    },
    /// There is no usable answer.
    Fault(Fault),
}

/// What a callback says of the work that it is about.
#[derive(Clone, Debug, PartialEq)]
pub enum CallbackSaid {
    /// The end of the work.
    Terminal(Terminal),
    /// Not yet.
    Open {
        /// The word that said so, as it stood in the body.
        status: Box<str>,
        /// Whether the profile knows the word.
        known: bool,
    },
    /// Nothing that the profile understands.
    Nothing,
}

/// Which work a callback is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The work that was given this id.
    Id(WorkId),
    /// The work of this arrival: the callback came to a URL of its own, with its own token.
    Own {
        /// The number of the arrival.
        seq: u64,
    },
    /// Nothing says which: a body that is not understood, or has no id.
    Nobody,
}

/// A callback, as the receiver has read it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackNotice {
    /// Which work it is about.
    pub about: About,
    /// What it says.
    pub said: CallbackSaid,
    /// A hash of the header that is the same in each attempt of one delivery.
    pub delivery: Option<u64>,
    /// Whether its signature fits, where callbacks are signed.
    pub verified: Option<bool>,
    /// The receiver took it in. What it refused on purpose, by a fault of the scenario, it does not
    /// know, and the service is to tell again.
    pub taken: bool,
}

/// What the receiver counts by itself: requests that are no callbacks of any work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// Answered 404: without the token of the run.
    pub bad_token: u64,
    /// Answered 405, 411 or 413, or broken off: not a request with a body that can be read.
    pub malformed: u64,
    /// Not read whole in time.
    pub timed_out: u64,
    /// Connections that were closed to make room for others.
    pub evicted: u64,
}

/// How a submission ended, as `works.csv` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Terminal: the service did it.
    Completed,
    /// Terminal: the service gave up on it.
    Failed,
    /// Not terminal `give_up_after` the accept.
    Expired,
    /// The service denies a work that it had accepted.
    Lost,
    /// Still open when the run ended.
    Unresolved,
    /// Answered, but not accepted.
    Rejected,
    /// No usable answer to the submit.
    IntakeFailed,
    /// Not sent, because of a local limit that the scenario chose.
    Dropped,
    /// Still waiting for a local limit when the run ended.
    Queued,
    /// Still on the wire, or waiting to be retried, when the run ended.
    Submitting,
}

impl Outcome {
    /// Every outcome, in the order of the books.
    pub const ALL: [Self; 10] = [
        Self::Completed,
        Self::Failed,
        Self::Expired,
        Self::Lost,
        Self::Unresolved,
        Self::Rejected,
        Self::IntakeFailed,
        Self::Dropped,
        Self::Queued,
        Self::Submitting,
    ];

    /// Whether a submission that ended so has something to explain, in `failures.jsonl`.
    pub const fn explains(self) -> bool {
        match self {
            Self::Failed
            | Self::Expired
            | Self::Lost
            | Self::Unresolved
            | Self::Rejected
            | Self::IntakeFailed => true,
            Self::Completed | Self::Dropped | Self::Queued | Self::Submitting => false,
        }
    }

    /// The word in `works.csv` and `summary.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Lost => "lost",
            Self::Unresolved => "unresolved",
            Self::Rejected => "rejected",
            Self::IntakeFailed => "intake_failed",
            Self::Dropped => "dropped",
            Self::Queued => "queued",
            Self::Submitting => "submitting",
        }
    }
}

/// What told that a work had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A poll of ours.
    Poll,
    /// A call of the service.
    Callback,
    /// The answer to the submit itself.
    Sync,
}

impl Source {
    /// The word in `works.csv`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Callback => "callback",
            Self::Sync => "sync",
        }
    }
}

/// A promise that the service broke. A finding, never an error of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// The callback overtook the 202.
    CallbackBeforeAccept,
    /// The same callback came twice.
    DuplicateCallback,
    /// A callback came for a work that had settled.
    CallbackAfterSettlement,
    /// Two terminal answers about one work do not agree.
    Disagreement,
    /// A terminal state was taken back.
    TerminalReverted,
    /// Two submits were answered with the same id.
    DuplicateId,
    /// A status word that the profile does not name.
    UnknownStatus,
    /// News of a work that nobody submitted.
    UnknownWork,
    /// A poll URL at an origin that may not have the key.
    ForeignPollUrl,
}

impl Anomaly {
    /// Every kind, in the order of the files.
    pub const ALL: [Self; 9] = [
        Self::CallbackBeforeAccept,
        Self::DuplicateCallback,
        Self::CallbackAfterSettlement,
        Self::Disagreement,
        Self::TerminalReverted,
        Self::DuplicateId,
        Self::UnknownStatus,
        Self::UnknownWork,
        Self::ForeignPollUrl,
    ];

    /// The word in every file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CallbackBeforeAccept => "callback_before_accept",
            Self::DuplicateCallback => "duplicate_callback",
            Self::CallbackAfterSettlement => "callback_after_settlement",
            Self::Disagreement => "disagreement",
            Self::TerminalReverted => "terminal_reverted",
            Self::DuplicateId => "duplicate_id",
            Self::UnknownStatus => "unknown_status",
            Self::UnknownWork => "unknown_work",
            Self::ForeignPollUrl => "foreign_poll_url",
        }
    }
}
