//! `[api]`: how a service speaks, as a plan holds it. What an answer means by it is decided in
//! `wire`.

use crate::time::Span;

/// How the service speaks: a profile of a job API.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// How a work is submitted and accepted.
    pub submit: SubmitShape,
    /// How a work is asked for.
    pub poll: PollShape,
    /// Which answers end a work.
    pub terminal: TerminalRule,
    /// Words of open answers, as they are shown, that mean that the work has begun.
    pub begun: Vec<Box<str>>,
    /// When this key is present and neither null nor false in a terminal answer, the work failed.
    pub failed_if: Option<Pointer>,
    /// Where a terminal answer says when the work ended.
    pub finished_at: Option<Pointer>,
    /// Statuses of a poll that deny the work for now (404).
    pub denied: Vec<u16>,
    /// Statuses of a poll that deny the work for ever (410).
    pub gone: Vec<u16>,
    /// The header that carries the key.
    pub key_header: String,
    /// Its value; `{key}` stands for the key.
    pub key_form: String,
    /// How a bare number in a reset header is read.
    pub reset: ResetForm,
    /// The longest wait that a header is believed; longer ones are cut and counted.
    pub max_retry_after: Span,
}

/// A JSON pointer (RFC 6901): empty, or beginning with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(pub String);

/// How a work is submitted and accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmitShape {
    /// `POST` or `PUT`.
    pub method: String,
    /// After `base_url`; `{intake_id}` and, for ids that the client chooses, `{work_id}`.
    pub path: String,
    /// The form of the body.
    pub form: BodyForm,
    /// Statuses that accept.
    pub accept: Vec<u16>,
    /// What the body must say as well.
    pub accept_if: Option<Condition>,
    /// Where the id is.
    pub id: IdSource,
    /// Where the poll URL is, if the answer gives one.
    pub poll_url: Option<UrlSource>,
    /// Whether the answer may already hold the result.
    pub sync: SyncAnswer,
}

/// The form of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// A value that must stand at a place of a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where.
    pub pointer: Pointer,
    /// What: a string, a number, `true`, `false` or null.
    pub equals: serde_json::Value,
}

/// Where the id of a work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// In the body; numbers are taken as they are written.
    Body(Pointer),
    /// The last path segment of the URL in a header, or of the whole value if it is no URL.
    Header(String),
    /// The client chooses a uuid ([`super::payload::client_work_id`]), and writes it as `{work_id}`
    /// into the path or as `{{work_id}}` into body or headers.
    Client,
}

/// Where the poll URL is, absolute or relative to the submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlSource {
    /// In a header, such as `Location` or `Operation-Location`.
    Header(String),
    /// In the body.
    Body(Pointer),
}

/// Whether the accept may already hold the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncAnswer {
    /// Never: it is not looked for.
    Never,
    /// The terminal rule is applied to the accept's body too.
    Body,
    /// These statuses mean that the result is there, and good.
    Status(Vec<u16>),
}

/// How a work is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollShape {
    /// After `base_url`: `{intake_id}` and `{work_id}` are filled in; a query may hold them too.
    /// `{+work_id}` keeps the slashes of an id that is a path, such as `operations/7`.
    Path(String),
    /// The URL that the accept gave.
    Url,
    /// It cannot be asked: only callbacks tell.
    Nowhere,
    /// A collection that holds many works: the path, the array of items, and the id in an item.
    Collection {
        /// After `base_url`; may hold `{intake_id}` and `{work_id}`.
        path: String,
        /// The array.
        items: Pointer,
        /// The id, from the item.
        id: Pointer,
    },
}

/// Which answers to a poll end a work.
#[derive(Clone, Debug, PartialEq)]
pub enum TerminalRule {
    /// A word of any scalar JSON type at a pointer, in an answer of any 2xx status.
    Word {
        /// Where.
        pointer: Pointer,
        /// Words that mean completed.
        completed: Vec<serde_json::Value>,
        /// Words that mean failed.
        failed: Vec<serde_json::Value>,
        /// Words that mean "not yet". Any other is open too, but counted as unknown.
        open: Vec<serde_json::Value>,
    },
    /// The HTTP status, which a header may overrule.
    Status {
        /// Statuses that mean completed.
        completed: Vec<u16>,
        /// Statuses that mean failed.
        failed: Vec<u16>,
        /// Statuses that mean "not yet".
        open: Vec<u16>,
        /// A header whose word counts more than the status.
        overrule: Option<HeaderWords>,
    },
    /// The work is open while a key is present in a 2xx answer.
    KeyGone(Pointer),
}

/// Words in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderWords {
    /// The header.
    pub name: String,
    /// Words that mean completed.
    pub completed: Vec<String>,
    /// Words that mean failed.
    pub failed: Vec<String>,
    /// Words that mean "not yet".
    pub open: Vec<String>,
}

/// How a bare number in a reset header is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetForm {
    /// From 1e12 on milliseconds of the epoch, from 1e9 on seconds of the epoch, else a delta in
    /// seconds.
    Guess,
    /// Seconds from now.
    Delta,
    /// Seconds since the Unix epoch.
    Epoch,
}
