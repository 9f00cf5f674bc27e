//! Callbacks: from (path, query, headers, body) to a notice, by what the scenario says of them.
//!
//! ```text
//!  CallbackUrls ── of a work ─► submit ─► service
//!       │                                    │
//!  path ┴─► Called ─┐                        │
//!  query, headers, ─┴─► Callbacks ─► CallbackNotice ─► engine
//!  body  ◄───────────────────────────────────┘
//! ```
//!
//! Everything here is hostile text: nothing panics, and what cannot be understood is a notice that
//! says so, never an error.

mod insert;
mod urls;

pub use insert::insert;
pub use urls::{CallbackUrls, Called};

use std::borrow::Cow;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::scenario::{BodyForm, CallbackPlan, Find};
use crate::wire::address::decode;
use crate::wire::pointer::Picker;
use crate::wire::rule::{Rule, Verdict};
use crate::wire::signature::Keyring;
use crate::wire::{Headers, first, id_in, lossy, usable_id};
use crate::work::{About, CallbackNotice, CallbackSaid, Terminal};

/// What [`Rule`] takes as the status of a callback, which has none: one that says nothing.
const STATUS: u16 = 200;

/// A request to the receiver, read whole.
#[derive(Debug)]
pub struct Call<'a, H: ?Sized> {
    /// What its path says.
    pub called: &'a Called<'a>,
    /// The part after `?`, if there is one.
    pub query: Option<&'a str>,
    /// Its header.
    pub headers: &'a H,
    /// Its body, as it came.
    pub body: &'a [u8],
}

/// A scenario's description of callbacks, made ready.
#[derive(Debug)]
pub struct Callbacks {
    find: Find,
    /// The id, where it stands in the body.
    id: Picker<1>,
    form: BodyForm,
    rule: Rule,
    delivery_header: String,
    keyring: Option<Keyring>,
}

impl Callbacks {
    /// `keyring` checks signatures, where callbacks are signed.
    pub fn new(plan: &CallbackPlan, keyring: Option<Keyring>) -> Self {
        let id = match &plan.find {
            Find::Body(pointer) => Some(pointer),
            Find::Path | Find::Query(_) | Find::OwnUrl => None,
        };
        Self {
            find: plan.find.clone(),
            id: Picker::new([id]),
            form: plan.form,
            rule: Rule::new(
                &plan.terminal,
                plan.failed_if.as_ref(),
                plan.finished_at.as_ref(),
            ),
            delivery_header: plan.delivery_header.clone(),
            keyring,
        }
    }

    /// What a callback says, read at `now` in seconds of the Unix epoch. It counts as taken in:
    /// only who received it knows better.
    pub fn read<H: Headers + ?Sized>(&self, call: &Call<'_, H>, now: i64) -> CallbackNotice {
        let json = match self.form {
            BodyForm::Json => Cow::Borrowed(call.body),
            BodyForm::Form => Cow::Owned(form_as_json(call.body)),
        };
        let verify = |keyring: &Keyring| keyring.verify(call.headers, call.body, now).is_ok();
        CallbackNotice {
            about: self.about(call, &json),
            said: self.said(call, &json),
            delivery: first(call.headers, &self.delivery_header)
                .filter(|value| !value.is_empty())
                .map(hash),
            verified: self.keyring.as_ref().map(verify),
            taken: true,
        }
    }

    fn about<H: ?Sized>(&self, call: &Call<'_, H>, json: &[u8]) -> About {
        let id = match &self.find {
            Find::OwnUrl => {
                let own = |seq| About::Own { seq };
                return call.called.own.map_or(About::Nobody, own);
            }
            Find::Body(_) => {
                let found = self.id.pick(json).and_then(|[found]| found);
                id_in(found).and_then(|id| usable_id(&id))
            }
            Find::Path => {
                let path = call.called.rest.trim_end_matches('/');
                usable_id(&decode(path.rsplit('/').next().unwrap_or(path)))
            }
            Find::Query(name) => {
                let query = call.query.unwrap_or_default();
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                let value = pairs.find(|(key, _)| key == name).map(|(_, value)| value);
                usable_id(&value.unwrap_or_default())
            }
        };
        id.map_or(About::Nobody, About::Id)
    }

    fn said<H: Headers + ?Sized>(&self, call: &Call<'_, H>, json: &[u8]) -> CallbackSaid {
        match self.rule.judge(STATUS, call.headers, json) {
            Verdict::Terminal(terminal) => CallbackSaid::Terminal(Terminal {
                // What is kept is what came, not what a form was made into.
                body: lossy(call.body),
                ..terminal
            }),
            // A body without the word is no news of the work: services send a ping, or a greeting.
            Verdict::Open { status, known } if known || !status.is_empty() => {
                CallbackSaid::Open { status, known }
            }
            Verdict::Open { .. } | Verdict::NotJson | Verdict::Silent => CallbackSaid::Nothing,
        }
    }
}

/// A form as an object of texts, so that the same pointers lead into it. Of names that occur twice
/// the last one counts, as in JSON.
fn form_as_json(body: &[u8]) -> Vec<u8> {
    let pairs = form_urlencoded::parse(body);
    let object: Map<String, Value> = pairs
        .map(|(name, value)| (name.into_owned(), Value::from(value)))
        .collect();
    Value::from(object).to_string().into_bytes()
}

/// The first 64 bits of SHA-256.
fn hash(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    let first = digest.first_chunk().expect("32 bytes have a first eight");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests;
