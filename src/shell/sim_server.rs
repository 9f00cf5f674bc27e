//! The HTTP face of the simulated service: HTTP/1.1 on a thread of its own.
//!
//! One thread owns the service, so there is no lock; a connection is a local task. What is answered
//! and when is decided by `sim`; here it is only written, delayed or reset.

mod callers;
mod delays;
mod outgoing;
mod sender;

use crate::scenario::SimPlan;
use crate::shell::listen::listen;
use crate::sim::{
    Answer, HttpAnswer, Kind, MAX_REQUEST_BODY, Refusal, Said, Seen, Service, Taken, Truth, Word,
};
use crate::time::{Span, Tick};
use crate::wire::signature::Keyring;
use bytes::Bytes;
use delays::Delays;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use sender::Sender;
use std::borrow::Cow;
use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;
use std::{fmt, io, thread};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet, LocalSet};
use url::Url;

/// How long a stopping service waits for answers that are under way.
const GRACE: Span = Span::from_secs(1);
/// How long the accept loop rests when it is out of descriptors.
const REST: Span = Span::from_millis(10);

/// What the plan of the service refers to. It has no text form that shows it.
#[derive(Default)]
pub struct SimSecrets {
    /// The one key that opens it; none = any that begins with `user.` or `team.`.
    pub key: Option<String>,
    /// What its calls are signed with: `simulator.callback.signature`.
    pub keyring: Option<Keyring>,
}

impl fmt::Debug for SimSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimSecrets(..)")
    }
}

/// A running service. Dropped, it stops too, but its truth is lost.
#[derive(Debug)]
pub struct SimServer {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<io::Result<(Truth, Vec<Seen>)>>,
}

impl SimServer {
    /// Starts the service and returns when it listens; port 0 takes any free one. Times of the plan
    /// and of the truth count from `origin`, which may lie ahead.
    pub fn start(
        plan: &SimPlan,
        secrets: SimSecrets,
        seed: u64,
        origin: Instant,
        listen: SocketAddr,
    ) -> io::Result<Self> {
        Self::begin(plan, secrets, seed, origin, listen, None)
    }

    /// The same, and every request is noted down, for [`SimServer::stop_watched`].
    pub fn start_watched(
        plan: &SimPlan,
        secrets: SimSecrets,
        seed: u64,
        origin: Instant,
        listen: SocketAddr,
    ) -> io::Result<Self> {
        Self::begin(plan, secrets, seed, origin, listen, Some(Vec::new()))
    }

    fn begin(
        plan: &SimPlan,
        secrets: SimSecrets,
        seed: u64,
        origin: Instant,
        listen: SocketAddr,
        seen: Option<Vec<Seen>>,
    ) -> io::Result<Self> {
        let mut service = Service::new(plan, seed, secrets.key);
        if plan.callback.calls {
            service = service.calling();
        }
        let callback = plan.callback.clone();
        let (stop, stopped) = oneshot::channel();
        let (bound, listening) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("simulator".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .build()?;
                let sender = Sender::new(&callback, secrets.keyring)?;
                let serve = serve((service, sender, seen), origin, listen, bound, stopped);
                let served = LocalSet::new().block_on(&runtime, serve);
                // A name that is still being looked up for a call keeps nobody waiting.
                runtime.shutdown_background();
                served
            })?;
        match listening.blocking_recv() {
            Ok(addr) => Ok(Self { addr, stop, thread }),
            Err(_) => Err(match join(thread) {
                Err(error) => error,
                Ok(_) => io::Error::other("the simulated service stopped before it listened"),
            }),
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening, lets answers that are under way leave for a second at most, and closes the
    /// books.
    pub fn stop(self) -> io::Result<Truth> {
        self.stop_watched().map(|(truth, _)| truth)
    }

    /// The same, and every request in the order in which their answers left; none if they were not
    /// noted down.
    pub fn stop_watched(self) -> io::Result<(Truth, Vec<Seen>)> {
        // If nobody hears it, the thread has ended, and its result says why.
        let _ = self.stop.send(());
        join(self.thread)
    }
}

fn join<T>(thread: thread::JoinHandle<io::Result<T>>) -> io::Result<T> {
    // A panic of the service is our own mistake: it goes on in whoever started it.
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What all connections share.
struct Face {
    service: RefCell<Service>,
    /// Every request, where somebody wants to know.
    seen: Option<RefCell<Vec<Seen>>>,
    sender: Sender,
    delays: Delays,
}

async fn serve(
    (service, sender, seen): (Service, Sender, Option<Vec<Seen>>),
    origin: Instant,
    address: SocketAddr,
    bound: oneshot::Sender<SocketAddr>,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<(Truth, Vec<Seen>)> {
    let listener = listen(address)?;
    let face = Rc::new(Face {
        service: RefCell::new(service),
        seen: seen.map(RefCell::new),
        sender,
        delays: Delays::new(origin)?,
    });
    let ticking = Rc::clone(&face);
    let mut clock = tokio::task::spawn_local(async move { ticking.delays.run().await });
    // Whoever started us may have gone already; then `stopped` says so at once.
    let _ = bound.send(listener.local_addr()?);
    let closing = watch::Sender::new(false);
    let calling = sender::run(Rc::clone(&face), closing.subscribe());
    let mut calling = tokio::task::spawn_local(calling);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            ended = &mut clock => {
                return Err(match ended {
                    Ok(Err(error)) => error,
                    _ => io::Error::other("the timer of the simulated service ended"),
                });
            }
            ended = &mut calling => resume(ended),
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(Rc::clone(&face), stream, closing.subscribe());
                    connections.spawn_local(connection);
                }
                // Out of descriptors, or the client has gone: neither ends the service.
                Err(_) => face.delays.until(face.delays.now() + REST).await,
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let last = face.delays.now() + GRACE;
    tokio::select! {
        () = face.delays.until(last) => {}
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
    connections.shutdown().await;
    // It has the same grace, which began with ours.
    resume(calling.await);
    clock.abort();
    // The clock's task holds the face until it is gone; how it ended does not matter here.
    let _ = clock.await;
    let face = Rc::into_inner(face).expect("every task that shared it has ended");
    let now = face.delays.now();
    let seen = face.seen.map(RefCell::into_inner).unwrap_or_default();
    Ok((face.service.into_inner().close(now), seen))
}

/// A panic of a task is our own mistake: it goes on here.
fn resume(ended: Result<(), JoinError>) {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
}

/// Serves one connection until the client leaves, the service stops, or a reset ends it.
async fn connection(face: Rc<Face>, stream: TcpStream, mut closing: watch::Receiver<bool>) {
    // Refused only by a connection that is already dead.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Rc::clone(&face), request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        biased;
        served = &mut connection => Some(served),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    let served = if let Some(served) = ended {
        served
    } else {
        Pin::new(&mut connection).graceful_shutdown();
        (&mut connection).await
    };
    let reset = served.is_err_and(|error| error.source().is_some_and(<dyn Error>::is::<Reset>));
    if reset {
        // Without linger, closing sends RST, and throws away what was not sent.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// Ends the connection without an answer.
#[derive(Debug)]
struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated service resets the connection")
    }
}

impl Error for Reset {}

async fn answer(
    face: Rc<Face>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Reset> {
    let (head, body) = request.into_parts();
    // Read before anything is judged: a client that is still writing would not read a refusal.
    let body = read(body).await;
    let now = face.delays.now();
    let (seen, http) = respond(&face, now, &head, body.as_deref());
    face.delays.until(seen.left).await;
    if let Some(all) = &face.seen {
        let left = face.delays.now();
        all.borrow_mut().push(Seen { left, ..seen });
    }
    http.map(response).ok_or(Reset)
}

/// The whole body; or, without a limit on what is thrown away, the reason why not.
async fn read(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut whole = Vec::new();
    let mut length = 0;
    if body.is_end_stream() {
        return Ok(whole);
    }
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else {
            continue;
        };
        length += data.len();
        if length <= MAX_REQUEST_BODY {
            whole.extend_from_slice(&data);
        }
    }
    if length > MAX_REQUEST_BODY {
        Err(Refusal::TooLarge)
    } else {
        Ok(whole)
    }
}

/// What a request asks for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path<'a> {
    Submit {
        intake_id: &'a str,
    },
    Poll {
        intake_id: &'a str,
        work_id: &'a str,
    },
    Unknown,
}

impl<'a> Path<'a> {
    fn parse(path: &'a str) -> Self {
        let Some(rest) = path.strip_prefix("/v1/intake/") else {
            return Self::Unknown;
        };
        let mut parts = rest.split('/');
        match [(); 4].map(|()| parts.next()) {
            [Some(intake_id), None, ..] => Self::Submit { intake_id },
            [Some(intake_id), Some("work"), Some(work_id), None] => {
                Self::Poll { intake_id, work_id }
            }
            _ => Self::Unknown,
        }
    }
}

/// Asks the service, and says what it saw and what goes over the wire; nothing is a reset.
fn respond(
    face: &Face,
    now: Tick,
    head: &Parts,
    body: Result<&[u8], &Refusal>,
) -> (Seen, Option<HttpAnswer>) {
    let service = &mut *face.service.borrow_mut();
    let path = Path::parse(head.uri.path());
    let mut refusal = refusal(service, path, head, body);
    let mut caller = None;
    if let (Path::Submit { .. }, None, Ok(body)) = (path, refusal, body) {
        match face.sender.callers.borrow().named(&head.headers, body) {
            Ok(named) => caller = named,
            Err(bad) => refusal = Some(bad),
        }
    }
    match (path, refusal) {
        (Path::Submit { .. }, None) => {
            let answer = submit(service, &face.sender, now, caller);
            (Seen::submit(service, now, &answer), answer.http())
        }
        (Path::Poll { work_id, .. }, None) => {
            let answer = service.poll(now, work_id);
            (Seen::poll(service, work_id, now, &answer), answer.http())
        }
        (Path::Submit { .. }, Some(refusal)) => {
            let answer = service.refuse::<Taken>(now, Kind::Submit, refusal);
            (Seen::refused(Kind::Submit, now, &answer), answer.http())
        }
        (_, refusal) => {
            let refusal = refusal.unwrap_or(Refusal::UnknownIntake);
            let answer = service.refuse::<Word>(now, Kind::Poll, refusal);
            (Seen::refused(Kind::Poll, now, &answer), answer.http())
        }
    }
}

/// A work is submitted, and its caller kept if it is taken.
fn submit(
    service: &mut Service,
    sender: &Sender,
    now: Tick,
    caller: Option<Rc<Url>>,
) -> Answer<Taken> {
    let Some(url) = caller else {
        return service.submit(now);
    };
    let mut callers = sender.callers.borrow_mut();
    let before = service.next_call();
    let answer = service.submit_for(now, Some(callers.number(&url)));
    if !matches!(answer.said, Said::Refused(_) | Said::Reset { taken: false }) {
        callers.keep(url);
    }
    if service.next_call() < before {
        sender.changed.notify_one();
    }
    answer
}

/// Why a request is refused for what it is, before the service acts on it.
fn refusal(
    service: &Service,
    path: Path<'_>,
    head: &Parts,
    body: Result<&[u8], &Refusal>,
) -> Option<Refusal> {
    let (intake_id, method) = match path {
        Path::Submit { intake_id } => (intake_id, Method::POST),
        Path::Poll { intake_id, .. } => (intake_id, Method::GET),
        Path::Unknown => return Some(Refusal::UnknownIntake),
    };
    if !service.authorize(bearer(&head.headers)) {
        return Some(Refusal::Unauthorized);
    }
    if intake_id != service.intake_id() {
        return Some(Refusal::UnknownIntake);
    }
    if head.method != method {
        return Some(Refusal::WrongMethod);
    }
    match body {
        Err(refusal) => Some(*refusal),
        Ok(body) => (method == Method::POST && !is_object(body)).then_some(Refusal::BadRequest),
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750; the scheme's case does not matter).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the text is one JSON object (RFC 8259).
fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn response(answer: HttpAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers() {
        response = match value {
            Cow::Borrowed(fixed) => response.header(name, HeaderValue::from_static(fixed)),
            Cow::Owned(text) => response.header(name, text),
        };
    }
    let body = match answer.body {
        Cow::Borrowed(fixed) => Bytes::from_static(fixed.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    };
    response
        .body(Full::new(body))
        .expect("status and headers are our own and valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_contract_are_told_from_others() {
        let check = |path, expected| assert_eq!(Path::parse(path), expected, "{path}");
        check("/v1/intake/demo", Path::Submit { intake_id: "demo" });
        check(
            "/v1/intake/demo/work/w1",
            Path::Poll {
                intake_id: "demo",
                work_id: "w1",
            },
        );
        for other in [
            "/",
            "/v1/intake",
            "/v1/intake/demo/",
            "/v1/intake/demo/work",
            "/v1/intake/demo/job/w1",
            "/v1/intake/demo/work/w1/",
            "/v2/intake/demo",
        ] {
            check(other, Path::Unknown);
        }
    }

    #[test]
    fn a_bearer_is_read_whatever_the_case_of_its_scheme() {
        let check = |value: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), expected, "{value}");
        };
        check("Bearer user.x", Some("user.x"));
        check("bearer  user.x", Some("user.x"));
        check("Basic user.x", None);
        check("user.x", None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn only_an_object_is_a_body() {
        let check = |text: &str, object| assert_eq!(is_object(text.as_bytes()), object, "{text}");
        check("{}", true);
        check(" \n{\"a\": [1, {}]} ", true);
        for other in ["", "[]", "1", "\"{}\"", "{", "{} {}", "{'a': 1}"] {
            check(other, false);
        }
    }
}
