//! Origin: where connections of the direct lane lead to, and those that wait there for a request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tower_service::Service;
use url::Url;

use super::connection::Connection;
use super::exchange::{Carrier, Live};
use super::{BadClient, Common, Submission, causes, in_words};
use crate::time::{Span, Tick};

/// An origin as a plan names it, with everything made that its requests have in common.
#[derive(Clone, Debug)]
pub(super) struct OriginPlan {
    /// Scheme, host and port: how every URL of the origin begins.
    prefix: String,
    /// The same for the connector.
    address: Uri,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    submit_headers: HeaderMap,
    /// The lines of the header of a poll.
    poll_lines: Lines,
}

/// The lines of a header. The key is among them, so they are not shown.
#[derive(Clone)]
struct Lines(Vec<u8>);

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(..)")
    }
}

impl OriginPlan {
    pub(super) fn new(
        text: &str,
        config: &Arc<ClientConfig>,
        common: &Common,
    ) -> Result<Self, BadClient> {
        let bad = |why: String| BadClient(format!("{text} is no origin: {why}"));
        let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
        let host = url.host_str().unwrap_or_default();
        let authority = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let tls = match url.scheme() {
            "https" => {
                let name = host.trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(name).map_err(|error| bad(error.to_string()))?;
                Some((Arc::clone(config), name))
            }
            _ => None,
        };
        let host = HeaderValue::from_str(&authority).map_err(|error| bad(error.to_string()))?;
        // What the plan names stands in the place of what we would say.
        let with = |of_plan: &HeaderMap| {
            let mut all = HeaderMap::with_capacity(of_plan.len() + 4);
            all.insert(HOST, host.clone());
            all.insert(ACCEPT, HeaderValue::from_static("*/*"));
            all.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
            for (name, value) in of_plan {
                all.insert(name, value.clone());
            }
            all
        };
        let prefix = url.origin().ascii_serialization();
        Ok(Self {
            address: prefix
                .parse()
                .map_err(|error: hyper::http::uri::InvalidUri| bad(error.to_string()))?,
            prefix,
            tls,
            submit_headers: with(&common.submit_headers),
            poll_lines: Lines({
                let mut lines = Vec::new();
                for (name, value) in &with(&common.poll_headers) {
                    write_line(&mut lines, name.as_str(), value.as_bytes());
                }
                lines
            }),
        })
    }

    /// What follows the origin in a URL, if it is a URL of this origin.
    pub(super) fn rest<'u>(&self, url: &'u str) -> Option<&'u str> {
        let rest = url.strip_prefix(self.prefix.as_str())?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
    }
}

/// What may stand in a target as it is.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let marks = b"-._~!$&()*+,;=:@/?%";
    let mut at = 0;
    while at < marks.len() {
        plain[marks[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] |= byte.is_ascii_alphanumeric();
        byte += 1;
    }
    plain
};

/// Writes the target of a request line; false for what is no URL.
///
/// A path that a URL parser would change (RFC 3986, section 5.2.4: dot segments; characters that
/// need an escape) is given to one.
fn write_target(to: &mut Vec<u8>, rest: &str, url: &str) -> bool {
    // Asked of every byte of every URL: without a way out in the middle it takes half as long.
    let is_plain = rest
        .bytes()
        .fold(true, |plain, byte| plain & PLAIN[usize::from(byte)]);
    let has_dots = || memchr::memchr(b'.', rest.as_bytes()).is_some() && rest.contains("/.");
    if rest.starts_with('/') && is_plain && !has_dots() {
        to.extend_from_slice(rest.as_bytes());
        return true;
    }
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    to.extend_from_slice(url.path().as_bytes());
    if let Some(query) = url.query() {
        to.push(b'?');
        to.extend_from_slice(query.as_bytes());
    }
    true
}

fn write_line(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'a> {
    /// A poll.
    Poll,
    /// A submit, by this method.
    Submit(&'a Method, &'a Submission),
}

/// Why no connection could be had.
#[derive(Debug)]
pub(super) enum Unreachable {
    /// The connection failed.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than `http.connect_timeout`.
    Late(Span),
}

impl Unreachable {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Failed(error) => in_words(causes(&**error)),
            Self::Late(limit) => format!("no connection within http.connect_timeout = {limit}"),
        }
    }
}

/// Connections that are opened at once. A shard that is late for a moment, or a service that is,
/// asks for very many; opening them costs both more than the requests do, and makes them later
/// still. Those that stand in line take what becomes idle meanwhile.
const OPENED_AT_ONCE: usize = 256;

/// What a request may do next.
#[derive(Debug)]
pub(super) enum Turn<'o, E> {
    /// Use this connection.
    Idle(Rc<Connection<E>>),
    /// Open one.
    Connect(Opening<'o>),
}

/// The right to open a connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Opening<'o>(&'o Line);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(self.0.opening.get() - 1);
        self.0.call_next();
    }
}

/// Those that wait for a connection, or for the right to open one.
#[derive(Debug, Default)]
struct Line {
    length: Cell<usize>,
    opening: Cell<usize>,
    freed: Notify,
}

impl Line {
    fn call_next(&self) {
        if self.length.get() > 0 {
            self.freed.notify_one();
        }
    }

    fn may_open(&self) -> bool {
        self.opening.get() < OPENED_AT_ONCE
    }
}

/// A place in the line, left when dropped.
struct Place<'o>(&'o Line);

impl<'o> Place<'o> {
    fn at_the_end_of(line: &'o Line) -> Self {
        line.length.set(line.length.get() + 1);
        Self(line)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.length.set(self.0.length.get() - 1);
    }
}

/// An origin, and its idle connections: the one that was used last is used next, so that those that
/// are not needed grow old and are closed.
#[derive(Debug)]
pub(super) struct Origin<E> {
    plan: OriginPlan,
    idle: RefCell<VecDeque<Rc<Connection<E>>>>,
    line: Line,
}

impl<E> Origin<E> {
    pub(super) fn new(plan: OriginPlan) -> Self {
        Self {
            plan,
            idle: RefCell::default(),
            line: Line::default(),
        }
    }

    /// An idle connection that nobody stands in line for.
    pub(super) fn take_idle(&self) -> Option<Rc<Connection<E>>> {
        if self.line.length.get() > 0 {
            return None;
        }
        self.idle.borrow_mut().pop_back()
    }

    /// An idle connection, or the right to open one; first come, first served.
    pub(super) async fn turn(&self) -> Turn<'_, E> {
        // Many requests leave in one turn of the shard, and no answer is read meanwhile: those that
        // have come are read first, and their connections may do.
        tokio::task::yield_now().await;
        if self.line.length.get() == 0
            && let Some(turn) = self.next_turn()
        {
            return turn;
        }
        let _place = Place::at_the_end_of(&self.line);
        loop {
            self.line.freed.notified().await;
            if let Some(turn) = self.next_turn() {
                // One call may stand for several.
                if !self.idle.borrow().is_empty() || self.line.may_open() {
                    self.line.call_next();
                }
                return turn;
            }
        }
    }

    fn next_turn(&self) -> Option<Turn<'_, E>> {
        if let Some(connection) = self.idle.borrow_mut().pop_back() {
            return Some(Turn::Idle(connection));
        }
        self.line.may_open().then(|| {
            self.line.opening.set(self.line.opening.get() + 1);
            Turn::Connect(Opening(&self.line))
        })
    }

    pub(super) fn rest<'u>(&self, url: &'u str) -> Option<&'u str> {
        self.plan.rest(url)
    }

    /// Writes a request for `url`, the end of which is `rest`; false for what is no URL.
    pub(super) fn write(&self, to: &mut Vec<u8>, rest: &str, url: &str, ask: Ask<'_>) -> bool {
        to.clear();
        let method = match ask {
            Ask::Poll => "GET",
            Ask::Submit(method, _) => method.as_str(),
        };
        to.extend_from_slice(method.as_bytes());
        to.push(b' ');
        if !write_target(to, rest, url) {
            return false;
        }
        to.extend_from_slice(b" HTTP/1.1\r\n");
        match ask {
            Ask::Poll => {
                to.extend_from_slice(&self.plan.poll_lines.0);
                to.extend_from_slice(b"\r\n");
            }
            Ask::Submit(_, Submission { headers, body, .. }) => {
                // What the submit names stands in the place of what the plan says, and the last of
                // two alike counts.
                let is_named = |name: &HeaderName, among: &[(HeaderName, _)]| {
                    among
                        .iter()
                        .any(|(other, _): &(_, HeaderValue)| other == name)
                };
                for (name, value) in &self.plan.submit_headers {
                    if !is_named(name, headers) {
                        write_line(to, name.as_str(), value.as_bytes());
                    }
                }
                for (nth, (name, value)) in headers.iter().enumerate() {
                    if !is_named(name, &headers[nth + 1..]) {
                        write_line(to, name.as_str(), value.as_bytes());
                    }
                }
                // Writing into memory cannot fail.
                let _ = write!(to, "content-length: {}\r\n\r\n", body.len());
                to.extend_from_slice(body);
            }
        }
        true
    }

    /// A connection is idle.
    pub(super) fn put_back(&self, connection: Rc<Connection<E>>) {
        self.idle.borrow_mut().push_back(connection);
        self.line.call_next();
    }

    /// Closes what was idle until `now` for `keep_alive`; when to do that again, if anything is
    /// left.
    pub(super) fn close_old(&self, now: Tick, keep_alive: Span) -> Option<Tick> {
        let mut idle = self.idle.borrow_mut();
        while let Some(oldest) = idle.front() {
            let end = oldest.idle_since() + keep_alive;
            if end > now {
                return Some(end);
            }
            oldest.close();
            idle.pop_front();
        }
        None
    }

    /// Opens a connection within `limit`, TLS included.
    pub(super) async fn connect(
        &self,
        connector: &HttpConnector,
        limit: Span,
    ) -> Result<Live, Unreachable> {
        match tokio::time::timeout(limit.duration(), self.open(connector.clone())).await {
            Ok(opened) => opened.map_err(Unreachable::Failed),
            Err(_) => Err(Unreachable::Late(limit)),
        }
    }

    async fn open(
        &self,
        mut connector: HttpConnector,
    ) -> Result<Live, Box<dyn std::error::Error + Send + Sync>> {
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        let tcp = connector
            .call(self.plan.address.clone())
            .await?
            .into_inner();
        let carrier = match &self.plan.tls {
            None => Carrier::Left(tcp),
            Some((config, name)) => {
                let tls = TlsConnector::from(Arc::clone(config));
                let opened: io::Result<_> = tls.connect(name.clone(), tcp).await;
                Carrier::Right(Box::new(opened?))
            }
        };
        Ok(Live::new(carrier))
    }
}
