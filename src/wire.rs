//! Wire: from (status, headers, body) to what an answer means, by the profile of the service.
//!
//! ```text
//!  Profile ─► Wire ── submit_url, poll_url ─► shell
//!              ▲ │
//!              │ └──► IntakeReply, PollReply (with RateHint) ─► engine
//!  status, headers, body
//! ```
//!
//! Everything here is hostile text: nothing panics, nothing is followed that the profile does not
//! name, and no id can lead a request to another place. What an answer to a poll means, the first
//! row that applies:
//!
//! | answer | meaning |
//! |---|---|
//! | a status that the terminal rule lists | what the rule says |
//! | a status of `denied` / `gone` | denied for now / for ever |
//! | 429, or 503 with `Retry-After` | throttled |
//! | 2xx without the work, from a collection | denied for now |
//! | 2xx without JSON where the profile needs it | fault `body` |
//! | 2xx | what the rule says |
//! | any other | error |

use std::borrow::Cow;
use std::slice;

use url::Url;

use crate::scenario::{IdSource, PollShape, Profile, SyncAnswer, UrlSource};
use crate::wire::address::{Template, Trusted};
use crate::wire::pointer::{Found, Kind, Picker};
use crate::wire::rule::{Collection, Member, Rule, Verdict};
use crate::wire::words::{Heard, Words};
use crate::work::{Fault, IntakeReply, PollReply, PollUrl, Terminal, WorkId};

pub use crate::wire::address::BadAddress;

mod address;
pub mod callback;
mod instant;
pub mod pointer;
pub mod rate_hints;
#[cfg(test)]
mod recorded;
mod rule;
mod scan;
pub mod shapes;
pub mod signature;
mod words;

/// The header fields of an answer, whoever keeps them.
///
/// One pass over all fields: an answer has about ten, and a look-up for each of the twenty names
/// that matter would cost more.
pub trait Headers {
    /// Every field line: name, in any case, and value.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

/// The first line of a field.
pub(crate) fn first<'h, H: Headers + ?Sized>(headers: &'h H, name: &str) -> Option<&'h [u8]> {
    let mut fields = headers.fields();
    fields.find_map(|(field, value)| {
        let is_it = field.eq_ignore_ascii_case(name.as_bytes());
        is_it.then_some(value)
    })
}

/// A text as the service sent it, with U+FFFD for what is not UTF-8.
pub(crate) fn lossy(bytes: &[u8]) -> Box<str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(bytes).into(),
    }
}

/// An HTTP status in the place of a word.
pub(crate) fn text_of(status: u16) -> Box<str> {
    status.to_string().into()
}

/// A profile made ready for one target: it names URLs and reads answers.
#[derive(Clone, Debug)]
pub struct Wire {
    submit: Template,
    poll: Option<Template>,
    collection: Option<Collection>,
    accept: Vec<u16>,
    accept_if: Option<Words>,
    id: IdSource,
    poll_url: Option<UrlSource>,
    sync: SyncAnswer,
    /// `accept_if`, the id, the poll URL: read in one pass.
    intake: Picker<3>,
    rule: Rule,
    denied: Vec<u16>,
    gone: Vec<u16>,
    hints: rate_hints::Reader,
    trusted: Trusted,
}

impl Wire {
    /// `base_url` is an origin with an optional path; `trusted` are the other origins that may have
    /// the key; `intake_id` fills `{intake_id}`.
    pub fn new(
        profile: &Profile,
        base_url: &str,
        trusted: &[String],
        intake_id: &str,
    ) -> Result<Self, BadAddress> {
        let base: Url = address::configured("target.base_url", base_url)?;
        let template = |path: &str| Template::new(&base, path, intake_id);
        let (poll, collection) = match &profile.poll {
            PollShape::Path(path) => (Some(template(path)), None),
            PollShape::Url | PollShape::Nowhere => (None, None),
            PollShape::Collection { path, items, id } => {
                (Some(template(path)), Some(Collection::new(items, id)))
            }
        };
        let shape = &profile.submit;
        let condition = shape.accept_if.as_ref();
        let id = match &shape.id {
            IdSource::Body(pointer) => Some(pointer),
            IdSource::Header(_) | IdSource::Client => None,
        };
        let poll_url = match &shape.poll_url {
            Some(UrlSource::Body(pointer)) => Some(pointer),
            _ => None,
        };
        let pointers = [condition.map(|condition| &condition.pointer), id, poll_url];
        Ok(Self {
            submit: template(&shape.path),
            poll,
            collection,
            accept: shape.accept.clone(),
            accept_if: condition.map(|condition| Words::new(slice::from_ref(&condition.equals))),
            id: shape.id.clone(),
            poll_url: shape.poll_url.clone(),
            sync: shape.sync.clone(),
            intake: Picker::new(pointers),
            rule: Rule::new(
                &profile.terminal,
                profile.failed_if.as_ref(),
                profile.finished_at.as_ref(),
            ),
            denied: profile.denied.clone(),
            gone: profile.gone.clone(),
            hints: rate_hints::Reader::new(profile.reset, profile.max_retry_after),
            trusted: Trusted::new(&base, trusted)?,
        })
    }

    /// Where to submit; `client_id` is the id that the client chose, where the profile wants that.
    pub fn submit_url(&self, client_id: Option<&str>) -> String {
        self.submit.fill(client_id.unwrap_or_default())
    }

    /// Where to ask for a work; nothing where the service had to say so, and did not.
    ///
    /// Only a URL of [`PollUrl::Given`] may be passed as `given`.
    pub fn poll_url(&self, work_id: &str, given: Option<&str>) -> Option<String> {
        let mut url = String::new();
        self.write_poll_url(work_id, given, &mut url).then_some(url)
    }

    /// The same at the end of a text; false where there is none.
    pub fn write_poll_url(&self, work_id: &str, given: Option<&str>, url: &mut String) -> bool {
        match (&self.poll, given) {
            (Some(template), _) => template.write(work_id, url),
            (None, Some(given)) => url.push_str(given),
            (None, None) => return false,
        }
        true
    }

    /// What the answer to a submit means. `client_id` is the one that [`Wire::submit_url`] was
    /// given.
    pub fn intake<H: Headers + ?Sized>(
        &self,
        status: u16,
        headers: &H,
        body: &[u8],
        client_id: Option<&str>,
    ) -> IntakeReply {
        let hint = self.hints.read(headers);
        let has_result = matches!(&self.sync, SyncAnswer::Status(list) if list.contains(&status));
        if !has_result && !self.accept.contains(&status) {
            return IntakeReply::Rejected {
                status,
                body: lossy(body),
                hint,
            };
        }
        let found = self.intake.pick(body);
        let [condition, id, url] = found.unwrap_or_default();
        if let Some(wanted) = self.accept_if.as_ref().filter(|_| !has_result) {
            if found.is_none() {
                return unusable(status, body, "not JSON, which api.submit.accept_if needs");
            }
            if !condition.is_some_and(|found| wanted.have(&Heard::new(found))) {
                return IntakeReply::Rejected {
                    status,
                    body: lossy(body),
                    hint,
                };
            }
        }
        let at_once = self.result_at_once(has_result, status, headers, body);
        let id = match self.id_of_work(id, headers, client_id) {
            Ok(id) => id,
            // The work is over: nothing is left to ask for by its name.
            Err(_) if at_once.is_some() => WorkId(Box::default()),
            Err(reason) => return unusable(status, body, reason),
        };
        let poll_url = match self.given_url(url, headers, client_id) {
            Some(url) => url,
            None if at_once.is_some() => PollUrl::FromProfile,
            None => return unusable(status, body, "no poll URL"),
        };
        IntakeReply::Accepted {
            status,
            id,
            poll_url,
            at_once,
            hint,
        }
    }

    fn result_at_once<H: Headers + ?Sized>(
        &self,
        has_result: bool,
        status: u16,
        headers: &H,
        body: &[u8],
    ) -> Option<Terminal> {
        let verdict = match self.sync {
            SyncAnswer::Status(_) if has_result => self.rule.at_once(status, body),
            SyncAnswer::Body => self.rule.judge(status, headers, body),
            SyncAnswer::Never | SyncAnswer::Status(_) => return None,
        };
        match verdict {
            Verdict::Terminal(terminal) => Some(terminal),
            Verdict::Open { .. } | Verdict::NotJson | Verdict::Silent => None,
        }
    }

    fn id_of_work<H: Headers + ?Sized>(
        &self,
        found: Option<Found<'_>>,
        headers: &H,
        client_id: Option<&str>,
    ) -> Result<WorkId, &'static str> {
        let id: Cow<'_, str> = match &self.id {
            IdSource::Body(_) => id_in(found)?,
            IdSource::Header(name) => {
                let value = first(headers, name).ok_or("no header with an id")?;
                let value = std::str::from_utf8(value).map_err(|_| "an id that is not text")?;
                address::id_of(value)
            }
            IdSource::Client => Cow::Borrowed(client_id.unwrap_or_default()),
        };
        usable_id(&id)
    }

    /// Where to poll; nothing if only the answer could say so, and did not.
    fn given_url<H: Headers + ?Sized>(
        &self,
        found: Option<Found<'_>>,
        headers: &H,
        client_id: Option<&str>,
    ) -> Option<PollUrl> {
        if self.poll.is_some() {
            return Some(PollUrl::FromProfile);
        }
        let value = match self.poll_url.as_ref()? {
            UrlSource::Header(name) => {
                Cow::Borrowed(std::str::from_utf8(first(headers, name)?).ok()?)
            }
            UrlSource::Body(_) => found?.string()?,
        };
        self.trusted.judge(&value, &self.submit_url(client_id))
    }

    /// Whether the answer to a poll tells of several works, so that its reader must know which one
    /// was asked for.
    pub const fn needs_id(&self) -> bool {
        self.collection.is_some()
    }

    /// What the answer to a poll of `work_id` means; any id does unless [`Wire::needs_id`].
    pub fn poll<H: Headers + ?Sized>(
        &self,
        work_id: &WorkId,
        status: u16,
        headers: &H,
        body: &[u8],
    ) -> PollReply {
        let hint = self.hints.read(headers);
        if !self.rule.claims(status) {
            let gone = self.gone.contains(&status);
            if gone || self.denied.contains(&status) {
                return PollReply::Denied {
                    gone,
                    body: lossy(body),
                };
            }
            if status == 429 || (status == 503 && hint.retry_after.is_some()) {
                return PollReply::Throttled { status, hint };
            }
        }
        let body = match self.about(work_id, status, body) {
            Member::Item(item) => item,
            Member::Missing => {
                return PollReply::Denied {
                    gone: false,
                    body: lossy(body),
                };
            }
            Member::NoArray => return PollReply::Fault(Fault::Body),
        };
        match self.rule.judge(status, headers, body) {
            Verdict::Open { status, known } => PollReply::Open {
                status,
                known,
                body: lossy(body),
                hint,
            },
            Verdict::Terminal(terminal) => PollReply::Terminal(terminal, hint),
            Verdict::NotJson => PollReply::Fault(Fault::Body),
            Verdict::Silent => PollReply::Error {
                status,
                body: lossy(body),
            },
        }
    }

    /// The part of the answer that is about this work.
    fn about<'b>(&self, work_id: &WorkId, status: u16, body: &'b [u8]) -> Member<'b> {
        match &self.collection {
            Some(collection) if matches!(status, 200..300) => collection.find(body, &work_id.0),
            _ => Member::Item(body),
        }
    }
}

/// The id that a body holds: text, or a number as it is written.
fn id_in(found: Option<Found<'_>>) -> Result<Cow<'_, str>, &'static str> {
    match found.map(|found| (found, found.kind())) {
        Some((number, Kind::Number)) => Ok(Cow::Borrowed(number.raw())),
        Some((text, Kind::String)) => text.string().ok_or("an id that is not text"),
        Some(_) => Err("an id that is neither text nor a number"),
        None => Err("no id"),
    }
}

/// The id, if a work can be followed by it.
fn usable_id(id: &str) -> Result<WorkId, &'static str> {
    match id {
        "" => Err("an empty id"),
        "." | ".." => Err("an id that no URL can hold"),
        id if id.len() > WorkId::MAX_BYTES => Err("an id that is too long"),
        id if id.chars().any(char::is_control) => Err("an id with control characters"),
        id => Ok(WorkId(id.into())),
    }
}

/// The service took the request, and we cannot tell what it made of it.
fn unusable(status: u16, body: &[u8], reason: &str) -> IntakeReply {
    IntakeReply::Failed {
        fault: Fault::Body,
        status: Some(status),
        maybe_accepted: true,
        detail: if body.is_empty() {
            reason.into()
        } else {
            lossy(body)
        },
    }
}
