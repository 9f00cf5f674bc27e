//! The sender: the simulated service calls those who said whereto when they submitted.
//!
//! What is called and when, the service decides; here it is only carried, over HTTP/1.1. A redirect
//! is an answer like any other, and not followed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_local};
use url::{Position, Url};

use super::{Face, GRACE};
use crate::scenario::{Find, SimCallback};
use crate::sim::{Received, Refusal, Sending};
use crate::time::Tick;
use crate::wire::pointer::Picker;
use crate::wire::signature::Keyring;

/// A longer URL is refused, with the submit that has it.
const LONGEST_URL: usize = 2_000;
/// Connections that are kept for later, of each address.
const KEPT: usize = 64;
/// The most of an answer's body that is read before the connection is used again.
const ANSWER: usize = 64 << 10;
/// The header that is the same in each attempt of one delivery.
const DELIVERY: HeaderName = HeaderName::from_static("webhook-id");

/// A connection on which one request at a time may be sent.
type Way = SendRequest<Full<Bytes>>;

/// Whom to call, and how.
pub(super) struct Sender {
    plan: SimCallback,
    field: Picker<1>,
    signer: Option<Keyring>,
    /// Where submits said. One that says the same as the one before adds nothing, so this is one
    /// address, or one of at most [`LONGEST_URL`] bytes a work.
    urls: RefCell<Vec<Url>>,
    kept: RefCell<BTreeMap<String, Vec<Way>>>,
    /// When the next call is thought to be due.
    waits_for: Cell<Tick>,
    changed: Notify,
    /// The wall clock at the origin, in seconds of the epoch.
    wall_at_origin: i64,
}

impl Sender {
    pub(super) fn new(plan: &SimCallback, signer: Option<Keyring>, origin: Instant) -> Self {
        Self {
            field: Picker::new([Some(&plan.field)]),
            plan: plan.clone(),
            signer,
            urls: RefCell::default(),
            kept: RefCell::default(),
            waits_for: Cell::new(Tick::NEVER),
            changed: Notify::new(),
            wall_at_origin: wall_at(origin),
        }
    }

    /// Whom a submit wants called: the place of a URL. An address that cannot be called is refused.
    pub(super) fn caller(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<u64>, Refusal> {
        let found = self.field.pick(body).and_then(|[found]| found);
        let by_body = found.and_then(|found| found.string().map(std::borrow::Cow::into_owned));
        let by_header = || {
            let value = headers.get(&self.plan.header)?;
            Some(value.to_str().unwrap_or_default().to_owned())
        };
        let Some(text) = by_body.or_else(by_header).or_else(|| self.plan.url.clone()) else {
            return Ok(None);
        };
        let url = Url::parse(&text).ok().filter(|url| {
            let is_plain = url.scheme() == "http" && url.has_host() && url.username().is_empty();
            is_plain && text.len() <= LONGEST_URL
        });
        let url = url.ok_or(Refusal::BadRequest)?;
        let mut urls = self.urls.borrow_mut();
        if urls.last() != Some(&url) {
            urls.push(url);
        }
        Ok(Some(urls.len() as u64 - 1))
    }

    /// The service may have a call to make earlier than was thought.
    pub(super) fn look(&self, next: Tick) {
        if next < self.waits_for.get() {
            self.changed.notify_one();
        }
    }
}

/// Calls until the service stops; then those that are under way have the grace of answers.
pub(super) async fn run(face: Rc<Face>, mut closing: watch::Receiver<bool>) {
    let mut calls = JoinSet::new();
    loop {
        let now = face.delays.now();
        while let Some(sending) = face.take_call(now) {
            calls.spawn_local(call(Rc::clone(&face), sending));
        }
        let next = face.service.borrow().next_call();
        face.sender.waits_for.set(next);
        let due = async {
            match next {
                Tick::NEVER => std::future::pending().await,
                next => face.delays.until(next).await,
            }
        };
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => break,
            () = face.sender.changed.notified() => {}
            Some(_) = calls.join_next(), if !calls.is_empty() => {}
            () = due => {}
        }
    }
    tokio::select! {
        () = face.delays.until(face.delays.now() + GRACE) => {}
        () = async { while calls.join_next().await.is_some() {} } => {}
    }
    calls.shutdown().await;
}

/// One attempt, and what comes of it.
async fn call(face: Rc<Face>, sending: Sending) {
    let limit = face.delays.now() + face.sender.plan.timeout;
    let received = tokio::select! {
        biased;
        answer = exchange(&face, &sending) => answer.unwrap_or(Received::Broken),
        () = face.delays.until(limit) => Received::TimedOut,
    };
    let now = face.delays.now();
    face.service.borrow_mut().heard(now, sending, received);
    let next = face.service.borrow().next_call();
    face.sender.look(next);
}

async fn exchange(face: &Face, sending: &Sending) -> io::Result<Received> {
    let (id, body) = face.service.borrow().told(&sending.attempt);
    let sender = &face.sender;
    let place = usize::try_from(sending.attempt.caller).unwrap_or(usize::MAX);
    let url = sender.urls.borrow().get(place).cloned();
    let url = url.ok_or_else(|| io::Error::other("nobody to call"))?;
    let address = format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or(80)
    );
    let now = i64::try_from(face.delays.now().0 / 1_000_000_000).unwrap_or(i64::MAX);
    let request = sender.request(&url, &id, sending, body, sender.wall_at_origin + now);
    let request = request.map_err(io::Error::other)?;
    let (response, mut way) = sender.send(&address, request).await?;
    let status = response.status().as_u16();
    let again = response.headers().get(RETRY_AFTER);
    let again = again.and_then(|text| text.to_str().ok()?.trim().parse().ok());
    if is_short(response.into_body()).await && way.ready().await.is_ok() {
        let mut kept = sender.kept.borrow_mut();
        let kept = kept.entry(address).or_default();
        if kept.len() < KEPT {
            kept.push(way);
        }
    }
    Ok(Received::Answered(status, again))
}

impl Sender {
    fn request(
        &self,
        url: &Url,
        id: &str,
        sending: &Sending,
        body: String,
        now: i64,
    ) -> hyper::http::Result<Request<Full<Bytes>>> {
        let mut url = url.clone();
        match &self.plan.find {
            Find::Path => {
                if let Ok(mut path) = url.path_segments_mut() {
                    path.pop_if_empty().push(id);
                }
            }
            Find::Query(name) => {
                url.query_pairs_mut().append_pair(name, id);
            }
            Find::Body(_) | Find::OwnUrl => {}
        }
        let target = &url[Position::BeforePath..Position::AfterQuery];
        // All attempts of a delivery have it, and so has a delivery that is made twice.
        let delivery = format!("msg_{}", sending.attempt.work);
        let signed = self.signer.iter();
        let signed = signed.flat_map(|it| it.sign(&delivery, now, body.as_bytes()));
        let mut headers = HeaderMap::new();
        headers.insert(DELIVERY, HeaderValue::from_str(&delivery)?);
        for (name, value) in signed {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            headers.insert(name, HeaderValue::from_str(&value)?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HOST, HeaderValue::from_str(url.authority())?);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.parse()?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Sends a request on a connection that was kept, or on a new one: one that has gone meanwhile
    /// is no failure of the attempt.
    async fn send(
        &self,
        address: &str,
        mut request: Request<Full<Bytes>>,
    ) -> io::Result<(Response<Incoming>, Way)> {
        loop {
            let kept = self.kept.borrow_mut().get_mut(address).and_then(Vec::pop);
            let Some(mut way) = kept else { break };
            match way.try_send_request(request).await {
                Ok(response) => return Ok((response, way)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(io::Error::other(error.into_error())),
                },
            }
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let shaken = handshake(TokioIo::new(stream)).await;
        let (mut way, connection) = shaken.map_err(io::Error::other)?;
        // It ends with its way.
        spawn_local(async move {
            let _ = connection.await;
        });
        let sent = way.send_request(request).await;
        Ok((sent.map_err(io::Error::other)?, way))
    }
}

/// Reads the body of an answer away; false where there is too much of it.
async fn is_short(mut body: Incoming) -> bool {
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
        if length > ANSWER {
            return false;
        }
    }
    true
}

#[expect(
    clippy::disallowed_methods,
    reason = "the service has a clock of its own, and signatures are dated"
)]
fn wall_at(origin: Instant) -> i64 {
    let (now, wall) = (Instant::now(), std::time::SystemTime::now());
    let wall = wall
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let since = now.saturating_duration_since(origin);
    let until = origin.saturating_duration_since(now);
    let at = (wall + until).saturating_sub(since);
    i64::try_from(at.as_secs()).unwrap_or(i64::MAX)
}
