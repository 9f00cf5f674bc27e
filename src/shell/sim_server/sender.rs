//! The calls of the service: what is due is sent, and what came of it is told to the service.
//!
//! One task waits for the next call; each call is a task of its own while it is on the wire. Of
//! these there are `simulator.callback.concurrency` at most; without it as many as come due within
//! `simulator.callback.timeout`.

use super::callers::Callers;
use super::outgoing::Outgoing;
use super::{Face, GRACE};
use crate::scenario::{Find, SimCallback};
use crate::sim::{Attempt, Received, Sending, Service};
use crate::time::{Span, Tick};
use crate::wire::signature::Keyring;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use url::{Position, Url};

/// What calls need beside the service, which decides on them.
pub(super) struct Sender {
    pub(super) callers: RefCell<Callers>,
    /// There may be a call that is due earlier than the one that was waited for.
    pub(super) changed: Notify,
    outgoing: Outgoing,
    find: Find,
    keyring: Option<Keyring>,
    timeout: Span,
}

impl Sender {
    /// `keyring` signs, where the plan has a signature. An error is a mistake in the plan.
    pub(super) fn new(plan: &SimCallback, keyring: Option<Keyring>) -> io::Result<Self> {
        // What can be signed once can always be.
        let signed = |keyring: &Keyring| signature(keyring, "", 0, b"").is_some();
        if !keyring.as_ref().is_none_or(signed) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "simulator.callback.signature: found what cannot be a header, expected a name such \
                 as X-Signature, and a prefix such as sha256=",
            ));
        }
        Ok(Self {
            callers: RefCell::new(Callers::new(plan)?),
            changed: Notify::new(),
            outgoing: Outgoing::default(),
            find: plan.find.clone(),
            keyring,
            timeout: plan.timeout,
        })
    }

    /// Where an attempt goes (a host and a port), and what is sent there, at `now` in seconds of
    /// the Unix epoch.
    fn request(
        &self,
        service: &Service,
        attempt: &Attempt,
        now: i64,
    ) -> (String, Request<Full<Bytes>>) {
        let (id, _) = service.told_by(attempt);
        let callers = self.callers.borrow();
        let url = naming(callers.url(attempt.caller), &self.find, &id);
        let body = service.call_body(attempt);
        // The same in each attempt, and in the second copy of a delivery that is made twice.
        let delivery = format!("msg_{}", attempt.work);
        let signed = self
            .keyring
            .as_ref()
            .map_or_else(HeaderMap::new, |keyring| {
                signature(keyring, &delivery, now, body.as_bytes()).expect("the plan was tried")
            });
        let mut request = Request::post(&url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", delivery)
            .header("webhook-attempt", attempt.number)
            .body(Full::from(body))
            .expect("a URL has a path and a host that HTTP can carry");
        request.headers_mut().extend(signed);
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        (format!("{host}:{port}"), request)
    }
}

/// The URL that is called for a work, where it is the URL that names it.
fn naming<'u>(url: &'u Url, find: &Find, id: &str) -> Cow<'u, Url> {
    let mut url = Cow::Borrowed(url);
    match find {
        Find::Body(_) | Find::OwnUrl => {}
        Find::Path => {
            if let Ok(mut path) = url.to_mut().path_segments_mut() {
                path.pop_if_empty().push(id);
            }
        }
        Find::Query(name) => {
            url.to_mut().query_pairs_mut().append_pair(name, id);
        }
    }
    url
}

/// The headers of a signature; nothing if one is none.
fn signature(keyring: &Keyring, id: &str, now: i64, body: &[u8]) -> Option<HeaderMap> {
    let signed = keyring.sign(id, now, body).into_iter();
    let header = |(name, value): (String, String)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    };
    signed.map(header).collect()
}

/// Calls whoever is to be called, until the service stops. Then no call is begun, and those on the
/// wire have as long as answers have; what is left has no answer in the truth.
pub(super) async fn run(face: Rc<Face>, mut closing: watch::Receiver<bool>) {
    let mut calls = JoinSet::new();
    let mut due = Tick::NEVER;
    let mut wait = Box::pin(face.delays.until(due));
    loop {
        let now = face.delays.now();
        while let Some(sending) = face.take_call(now) {
            calls.spawn_local(call(Rc::clone(&face), sending, now));
        }
        let next = face.service.borrow().next_call();
        if next != due {
            due = next;
            wait.set(face.delays.until(due));
        }
        tokio::select! {
            biased;
            // The other end is held by who stops us.
            _ = closing.wait_for(|closing| *closing) => break,
            Some(ended) = calls.join_next() => face.heard(ended),
            () = face.sender.changed.notified() => {}
            () = &mut wait => {
                due = Tick::NEVER;
                wait.set(face.delays.until(due));
            }
        }
    }
    let last = face.delays.now() + GRACE;
    tokio::select! {
        biased;
        () = async {
            while let Some(ended) = calls.join_next().await {
                face.heard(ended);
            }
        } => {}
        () = face.delays.until(last) => {}
    }
    calls.shutdown().await;
}

/// One attempt that leaves at `sent`.
async fn call(face: Rc<Face>, sending: Sending, sent: Tick) -> (Sending, Received) {
    let sender = &face.sender;
    let (to, request) = {
        let service = face.service.borrow();
        sender.request(&service, &sending.attempt, face.delays.unix_seconds())
    };
    let received = tokio::select! {
        biased;
        received = sender.outgoing.exchange(&to, request) => received,
        () = face.delays.until(sent + sender.timeout) => Received::TimedOut,
    };
    (sending, received)
}

impl Face {
    fn take_call(&self, now: Tick) -> Option<Sending> {
        self.service.borrow_mut().take_call(now)
    }

    fn heard(&self, ended: Result<(Sending, Received), JoinError>) {
        // Nobody cancels a call before the end: it is a panic, our own mistake, and goes on here.
        let (sending, received) =
            ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let now = self.delays.now();
        self.service.borrow_mut().heard(now, sending, received);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Pointer, SignatureScheme};

    #[test]
    fn a_url_names_its_work_where_it_is_to() {
        let check = |url: &str, find: &Find, expected: &str| {
            let url = Url::parse(url).unwrap();
            assert_eq!(naming(&url, find, "work/1 é&").as_str(), expected);
        };
        let query = Find::Query("work id".to_owned());
        let body = Find::Body(Pointer("/work_id".to_owned()));
        check(
            "http://h/a?b=c",
            &Find::Path,
            "http://h/a/work%2F1%20%C3%A9&?b=c",
        );
        check("http://h/a/", &Find::Path, "http://h/a/work%2F1%20%C3%A9&");
        check("http://h", &Find::Path, "http://h/work%2F1%20%C3%A9&");
        check(
            "http://h/a",
            &query,
            "http://h/a?work+id=work%2F1+%C3%A9%26",
        );
        check(
            "http://h/a?b=c",
            &query,
            "http://h/a?b=c&work+id=work%2F1+%C3%A9%26",
        );
        check("http://h/a?b=c", &body, "http://h/a?b=c");
        check("http://h/a?b=c", &Find::OwnUrl, "http://h/a?b=c");
    }

    #[test]
    fn a_signature_that_cannot_be_a_header_is_refused() {
        let spaced = SignatureScheme::Hmac {
            header: "X Signature".to_owned(),
            prefix: String::new(),
            base64: false,
        };
        let keyring = Keyring::new(&spaced, &["canary"], Span::ZERO).unwrap();
        let error = Sender::new(&SimCallback::faultless(), Some(keyring)).err();
        let text = error.unwrap().to_string();
        assert!(text.contains("X-Signature"), "{text}");
    }
}
