//! The HTTP client: a request goes in, what came of it goes out.
//!
//! ```text
//!              ┌─ direct:  HTTP/1.1 on our own sockets, TCP or TLS ─────┐  Answer,
//!  Client ─────┤                                                        ├─► or NoAnswer ─► Reader
//!              └─ general: reqwest, for proxies, HTTP/2 and ALPN ───────┘
//! ```
//!
//! Both lanes mean the same by their answers; `tests/lanes.rs` holds them to it. Why there are two
//! stands in `docs/decisions/009-direct-lane.md`.

use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::RunClock;
use super::limits::is_out_of_descriptors;
use super::secret::Secret;
use crate::scenario::{Lane, Plan};
use crate::time::{Span, Tick};
use crate::work::Fault;

use direct::{Direct, DirectPlan};
use general::{General, GeneralPlan};

pub use fields::Fields;
pub use general::reach;

mod chunks;
mod connection;
mod direct;
mod exchange;
mod fields;
mod general;
mod head;
mod origin;
mod tls;
mod waits;

/// The name that we go by.
pub const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));

/// What the connections of a client have come to.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    opened: AtomicU64,
    out_of_descriptors: AtomicBool,
}

impl ConnectionCounts {
    /// Connections opened since the last call.
    pub fn take_opened(&self) -> u64 {
        self.opened.swap(0, Ordering::Relaxed)
    }

    /// Whether the process ever ran out of file descriptors.
    pub fn out_of_descriptors(&self) -> bool {
        self.out_of_descriptors.load(Ordering::Relaxed)
    }

    fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes it if EMFILE or ENFILE is among the causes.
    fn note_failed(&self, error: &(dyn Error + 'static)) {
        let mut causes = causes(error).filter_map(|cause| cause.downcast_ref());
        let none_left = causes.any(is_out_of_descriptors);
        if none_left {
            self.out_of_descriptors.store(true, Ordering::Relaxed);
        }
    }
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadClient(pub String);

/// An answer, read whole.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// When its last byte was read.
    pub at: Tick,
    /// HTTP status.
    pub status: u16,
    /// The fields of its header.
    pub headers: Fields<'a>,
    /// The whole body.
    pub body: &'a [u8],
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// What went wrong.
    pub fault: Fault,
    /// The status, if it was read.
    pub status: Option<u16>,
    /// The request may have been written.
    pub maybe_written: bool,
    /// In words; never with the key or a URL.
    pub detail: String,
}

impl NoAnswer {
    fn body_too_long(status: u16, max_body: u64) -> Self {
        Self {
            fault: Fault::Body,
            status: Some(status),
            maybe_written: true,
            detail: format!("the body is longer than http.max_body = {max_body} bytes"),
        }
    }
}

/// What one submit adds to the plan.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Where to.
    pub url: String,
    /// Headers beside those of the plan.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What all requests of a plan have in common.
#[derive(Clone, Debug)]
struct Common {
    method: Method,
    /// The key, and what the plan adds.
    submit_headers: HeaderMap,
    poll_headers: HeaderMap,
    submit_timeout: Span,
    poll_timeout: Span,
    max_body: u64,
}

impl Common {
    fn of(plan: &Plan, key: Option<&Secret>) -> Result<Self, BadClient> {
        let mut shared = HeaderMap::new();
        if let Some(key) = key {
            let value = plan.api.key_form.replace("{key}", key.expose());
            let mut value = header_value(&plan.api.key_header, &value)?;
            value.set_sensitive(true);
            shared.insert(header_name(&plan.api.key_header)?, value);
        }
        let mut poll_headers = shared.clone();
        for (name, value) in &plan.poll.headers {
            poll_headers.insert(header_name(name)?, header_value(name, value)?);
        }
        Ok(Self {
            method: Method::from_bytes(plan.api.submit.method.as_bytes())
                .map_err(|error| BadClient(format!("api.submit.method: {error}")))?,
            submit_headers: shared,
            poll_headers,
            submit_timeout: plan.submit.timeout,
            poll_timeout: plan.poll.timeout,
            max_body: plan.http.max_body,
        })
    }
}

fn header_name(name: &str) -> Result<HeaderName, BadClient> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| BadClient(format!("{name:?} is not the name of a header")))
}

/// The value may be secret, so it is not part of the error.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, BadClient> {
    HeaderValue::from_str(value).map_err(|_| {
        BadClient(format!(
            "the value of the header {name} has characters that no header can carry"
        ))
    })
}

/// A client that is ready to be started on the thread that uses it.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    lane: Kind<DirectPlan, GeneralPlan>,
    secrets: Vec<Secret>,
}

/// One of the two lanes.
#[derive(Clone, Debug)]
enum Kind<D, G> {
    Direct(D),
    General(G),
}

impl ClientPlan {
    /// A client for a plan, which gives the key to every URL that it is asked to visit: the caller
    /// asks for none but those that `wire` allows.
    pub fn new(
        plan: &Plan,
        base_url: &str,
        key: Option<&Secret>,
        counts: Arc<ConnectionCounts>,
    ) -> Result<Self, BadClient> {
        let common = Common::of(plan, key)?;
        let lane = match plan.http.lane {
            Lane::Direct => Kind::Direct(DirectPlan::new(plan, base_url, common, counts)?),
            Lane::Reqwest => Kind::General(GeneralPlan::new(plan, base_url, common, counts)?),
        };
        Ok(Self {
            lane,
            secrets: key.into_iter().cloned().collect(),
        })
    }

    /// Another secret, which is covered as the key is where a service says it again.
    #[must_use]
    pub fn hiding(mut self, secret: Option<Secret>) -> Self {
        self.secrets.extend(secret);
        self
    }

    /// Must be called inside a `LocalSet`.
    pub fn start<R: Reader>(self, clock: RunClock, reader: R) -> Client<R> {
        let reader = Covered {
            reader,
            secrets: self.secrets,
        };
        let lane = match self.lane {
            Kind::Direct(plan) => Kind::Direct(Direct::start(plan, clock, reader)),
            Kind::General(plan) => Kind::General(General::start(plan, clock, reader)),
        };
        Client { lane }
    }
}

/// Reads what came of requests.
pub trait Reader: fmt::Debug + 'static {
    /// What a request is for: given with it, and given back with its answer.
    type Errand: fmt::Debug + 'static;

    /// The whole answer is there, or there will be none.
    fn read(&self, errand: Self::Errand, came: Result<Answer<'_>, NoAnswer>);
}

/// A reader that is never shown a secret.
///
/// A service may say the key again, in an error or a word that we would show and keep: it is
/// covered before anybody reads the answer. An id or a URL with the key in it is of no use after
/// that. An answer without it, as nearly all are, is read as it is.
#[derive(Debug)]
struct Covered<R> {
    reader: R,
    secrets: Vec<Secret>,
}

impl<R: Reader> Covered<R> {
    fn read(&self, errand: R::Errand, came: Result<Answer<'_>, NoAnswer>) {
        let Ok(answer) = &came else {
            return self.reader.read(errand, came);
        };
        let stands = |secret: &Secret| {
            secret.stands_in(answer.body) || secret.stands_in(answer.headers.text)
        };
        if !self.secrets.iter().any(stands) {
            return self.reader.read(errand, came);
        }
        let (mut text, mut body) = (answer.headers.text.to_vec(), answer.body.to_vec());
        for secret in &self.secrets {
            secret.cover(&mut text);
            secret.cover(&mut body);
        }
        let covered = Answer {
            headers: answer.headers.over(&text),
            body: &body,
            ..*answer
        };
        self.reader.read(errand, Ok(covered));
    }
}

/// One shard's client.
#[derive(Debug)]
pub struct Client<R: Reader> {
    lane: Kind<Rc<Direct<R>>, General<R>>,
}

impl<R: Reader> Client<R> {
    /// Opens connections to the target, to be idle until they are needed. Only the direct lane can.
    /// Must be called inside a `LocalSet`.
    pub fn warm_up(&self, connections: u32) {
        if let Kind::Direct(lane) = &self.lane {
            lane.warm_up(connections);
        }
    }

    /// Sends a submit; its reader is told what came of it. Its timeout counts from `sent`. Must be
    /// called inside a `LocalSet`.
    pub fn submit(&self, submission: Submission, sent: Tick, errand: R::Errand) {
        match &self.lane {
            Kind::Direct(lane) => lane.submit(&submission, sent, errand),
            Kind::General(lane) => lane.submit(submission, errand),
        }
    }

    /// The same for a poll.
    pub fn poll(&self, url: &str, sent: Tick, errand: R::Errand) {
        match &self.lane {
            Kind::Direct(lane) => lane.poll(url, sent, errand),
            Kind::General(lane) => lane.poll(url, errand),
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// An answer that came, but is not HTTP, is a bad body; one that did not come whole is a reset.
fn fault_of(error: &(dyn Error + 'static)) -> Fault {
    let is_not_http = |cause: &(dyn Error + 'static)| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
            || cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                use std::io::ErrorKind::{InvalidData, InvalidInput};
                matches!(error.kind(), InvalidData | InvalidInput)
            })
    };
    if causes(error).any(is_not_http) {
        Fault::Body
    } else {
        Fault::Reset
    }
}

/// An error and its causes in one line, without those that repeat another.
fn in_words<'a>(errors: impl IntoIterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut words: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
    }
    words.join(": ")
}
