//! The door: who comes in, what is read of them, and what they are answered.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

use super::places::{Places, Seat, State, Watched, assign};
use super::{Seen, Strays};
use crate::engine::Input;
use crate::engine::peers::callback_home;
use crate::scenario::{Plan, ReceiverFaultKind};
use crate::shell::RunClock;
use crate::shell::limits::is_out_of_descriptors;
use crate::shell::secret::Secret;
use crate::shell::watchdog::Probes;
use crate::time::{Span, Tick};
use crate::wire::Headers;
use crate::wire::callback::{Call, CallbackUrls, Callbacks};
use crate::work::{About, CallbackNotice, CallbackSaid, WorkId};

/// The most of a request's head that is held.
const HEAD: usize = 64 << 10;
/// How long the accept loop rests when it is out of descriptors.
const REST: Span = Span::from_millis(10);

/// What all connections share.
pub(super) struct Door {
    plan: Arc<Plan>,
    clock: RunClock,
    urls: CallbackUrls,
    token: Secret,
    reader: Callbacks,
    tell: Vec<Sender<Input>>,
    places: Rc<RefCell<Places>>,
    /// Callbacks that were read.
    received: Cell<u64>,
    /// What no shard has been told yet.
    strays: Cell<Strays>,
    /// What of the tally has been told.
    told: Cell<(u64, u64)>,
    longest_wait: Cell<Span>,
    after_the_end: Cell<u64>,
    out_of_descriptors: Cell<bool>,
    /// Probes that were read, and those of them that were read too late.
    probes: Cell<(u64, u64)>,
}

/// What is to be answered.
enum Reply {
    Status(StatusCode),
    /// This much later, 200.
    Later(Span),
    Reset,
    Never,
}

impl Door {
    pub(super) fn new(
        plan: Arc<Plan>,
        clock: RunClock,
        urls: CallbackUrls,
        token: Secret,
        reader: Callbacks,
        tell: Vec<Sender<Input>>,
    ) -> Self {
        let callback = &plan.observe.callback;
        let places = Places::new(callback.connections, callback.read_timeout);
        Self {
            clock,
            urls,
            token,
            reader,
            tell,
            places: Rc::new(RefCell::new(places)),
            received: Cell::new(0),
            strays: Cell::default(),
            told: Cell::default(),
            longest_wait: Cell::new(Span::ZERO),
            after_the_end: Cell::new(0),
            out_of_descriptors: Cell::new(false),
            probes: Cell::default(),
            plan,
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Closes connections that are too slow, and tells of strays.
    pub(super) fn look_around(&self) {
        self.places.borrow_mut().close_overdue(self.now());
        let tally = self.places.borrow().tally();
        let (timed_out, evicted) = self.told.replace((tally.timed_out, tally.evicted));
        self.stray(|strays| {
            strays.timed_out += tally.timed_out - timed_out;
            strays.evicted += tally.evicted - evicted;
        });
        let strays = self.strays.get();
        if strays != Strays::default()
            && let Some(first) = self.tell.first()
            && first.try_send(Input::Strays(strays)).is_ok()
        {
            self.strays.take();
        }
    }

    fn stray(&self, add: impl FnOnce(&mut Strays)) {
        let mut strays = self.strays.get();
        add(&mut strays);
        self.strays.set(strays);
    }

    /// A probe is read here as a callback is: how late that is belongs to `stamp_delay`.
    pub(super) async fn answer_probes(self: Rc<Self>, probes: Probes) -> io::Result<()> {
        let mut probes = probes.listen()?;
        while let Some((_, from)) = probes.next().await {
            let at = self.now();
            let is_late = at.since(from) > self.plan.validity.schedule_lag_p99;
            let (probes, late) = self.probes.get();
            self.probes.set((probes + 1, late + u64::from(is_late)));
            let Some(first) = self.tell.first() else {
                break;
            };
            // Once the shard has closed its books nobody asks how late we are.
            let _ = first.send(Input::Probe { from, at }).await;
        }
        Ok(())
    }

    pub(super) fn seen(&self) -> Seen {
        self.look_around();
        Seen {
            tally: self.places.borrow().tally(),
            longest_wait: self.longest_wait.get(),
            after_the_end: self.after_the_end.get(),
            out_of_descriptors: self.out_of_descriptors.get(),
            probes: self.probes.get(),
            strays_after: self.strays.get(),
            ..Seen::default()
        }
    }

    /// Reads a request, and says what to answer. Nothing of it is told unless it carries the token.
    async fn hear(&self, seat: &Seat, head: &Parts, body: Incoming) -> Reply {
        let called = self.urls.read(head.uri.path());
        let limit = if called.is_some() {
            self.plan.observe.callback.max_body
        } else {
            0
        };
        let body = read(body, limit).await;
        let at = self.now();
        if matches!(body, Err(Unread::Endless)) {
            seat.enter(State::Done);
        }
        let Some(called) = called else {
            self.stray(|strays| strays.bad_token += 1);
            return Reply::Status(StatusCode::NOT_FOUND);
        };
        let wrong = match &body {
            _ if head.method != Method::POST && head.method != Method::PUT => {
                Some(StatusCode::METHOD_NOT_ALLOWED)
            }
            Ok(_) => None,
            Err(Unread::TooLong | Unread::Endless) => Some(StatusCode::PAYLOAD_TOO_LARGE),
            Err(Unread::Broken) => Some(StatusCode::BAD_REQUEST),
        };
        let (None, Ok(body)) = (wrong, body) else {
            self.stray(|strays| strays.malformed += 1);
            return Reply::Status(wrong.unwrap_or(StatusCode::BAD_REQUEST));
        };
        seat.enter(State::Busy);
        let call = Call {
            called: &called,
            query: head.uri.query(),
            headers: &Fields(&head.headers),
            body: &body,
        };
        let notice = self.reader.read(&call, self.wall_seconds(at));
        self.tell(at, notice).await
    }

    /// Tells the shard of a callback that was read at `at`, and does what the scenario wants done
    /// wrong.
    async fn tell(&self, at: Tick, mut notice: CallbackNotice) -> Reply {
        let n = self.received.replace(self.received.get() + 1);
        let fault = self.plan.observe.callback.fault(self.plan.seed, n, at);
        notice.taken = fault.is_none_or(ReceiverFaultKind::takes);
        self.cover(&mut notice);
        let home = callback_home(&notice.about, self.tell.len() as u64);
        let home = usize::try_from(home).expect("shards are few");
        let notice = Box::new(notice);
        let told = self.tell[home].send(Input::Callback { at, notice }).await;
        let waited = self.now().since(at);
        self.longest_wait.set(self.longest_wait.get().max(waited));
        if told.is_err() {
            self.after_the_end.set(self.after_the_end.get() + 1);
            return Reply::Status(StatusCode::SERVICE_UNAVAILABLE);
        }
        match fault {
            None => Reply::Status(StatusCode::OK),
            Some(ReceiverFaultKind::Status(status)) => {
                let status = StatusCode::from_u16(status);
                Reply::Status(status.expect("the scenario has 200 to 599"))
            }
            Some(ReceiverFaultKind::Slow(by)) => Reply::Later(by),
            Some(ReceiverFaultKind::Reset) => Reply::Reset,
            Some(ReceiverFaultKind::Silent) => Reply::Never,
        }
    }

    /// A service may send back what it was sent, with the token in it. An id with the token in it
    /// is nobody's after that.
    fn cover(&self, notice: &mut CallbackNotice) {
        if let About::Id(WorkId(id)) = &mut notice.about {
            self.cover_text(id);
        }
        match &mut notice.said {
            CallbackSaid::Terminal(terminal) => self.cover_text(&mut terminal.body),
            CallbackSaid::Open { status, .. } => self.cover_text(status),
            CallbackSaid::Nothing => {}
        }
    }

    fn cover_text(&self, text: &mut Box<str>) {
        if self.token.stands_in(text.as_bytes()) {
            let mut bytes = text.as_bytes().to_vec();
            self.token.cover(&mut bytes);
            *text = String::from_utf8_lossy(&bytes).into();
        }
    }

    /// The wall clock, which signatures are dated by.
    fn wall_seconds(&self, at: Tick) -> i64 {
        let micros = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
        self.clock.origin_wall_micros().saturating_add(micros) / 1_000_000
    }
}

/// The fields of a request.
struct Fields<'a>(&'a HeaderMap);

impl Headers for Fields<'_> {
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }
}

/// Why a body was not read.
enum Unread {
    TooLong,
    /// It is so long that not even all of it was thrown away.
    Endless,
    Broken,
}

/// The whole body. Of one that is too long so much is thrown away before it is refused: who is
/// still writing would not read the answer.
async fn read(mut body: Incoming, limit: u64) -> Result<Vec<u8>, Unread> {
    let mut whole = Vec::new();
    if body.is_end_stream() {
        return Ok(whole);
    }
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        length += data.len() as u64;
        if length > limit.saturating_mul(2).max(HEAD as u64) {
            return Err(Unread::Endless);
        }
        if length <= limit {
            whole.extend_from_slice(&data);
        }
    }
    if length > limit {
        return Err(Unread::TooLong);
    }
    Ok(whole)
}

/// Those who have come in.
pub(super) struct Guests {
    door: Rc<Door>,
    tls: Option<TlsAcceptor>,
    tasks: JoinSet<()>,
}

impl Guests {
    pub(super) fn new(door: Rc<Door>, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            door,
            tls: tls.map(TlsAcceptor::from),
            tasks: JoinSet::new(),
        }
    }

    /// Ready when somebody has left; never where nobody is there.
    pub(super) async fn next_leaves(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn take_in<A>(&mut self, accepted: io::Result<(TcpStream, A)>) {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Out of descriptors, or the caller has gone: neither ends the receiver.
            Err(error) => {
                let none_left = is_out_of_descriptors(&error);
                self.door
                    .out_of_descriptors
                    .set(none_left || self.door.out_of_descriptors.get());
                return rest(REST).await;
            }
        };
        let Some(seat) = Seat::take(&self.door.places, self.door.clock) else {
            return;
        };
        // Refused only by a connection that is already dead.
        let _ = stream.set_nodelay(true);
        let number = seat.number();
        let guest = attend(Rc::clone(&self.door), self.tls.clone(), stream, seat);
        let task = self.tasks.spawn_local(guest);
        assign(&self.door.places, number, task);
    }

    pub(super) async fn send_away(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is to be late may be a millisecond later"
)]
async fn rest(by: Span) {
    tokio::time::sleep(by.duration()).await;
}

/// Serves one connection until its other end leaves, it is closed for another, or it is reset.
async fn attend(door: Rc<Door>, tls: Option<TlsAcceptor>, stream: TcpStream, seat: Seat) {
    let seat = Rc::new(seat);
    let io = match tls {
        None => Either::Left(stream),
        Some(tls) => {
            seat.enter(State::Reading);
            let Ok(stream) = tls.accept(stream).await else {
                return door.stray(|strays| strays.malformed += 1);
            };
            seat.enter(State::Idle);
            Either::Right(stream)
        }
    };
    let service = service_fn(|request| answer(&door, &seat, request));
    let stream = Watched {
        io,
        seat: Rc::clone(&seat),
    };
    let mut connection = http1::Builder::new()
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let served = pin!(&mut connection).await;
    // No request came of what was read last.
    if seat.is(State::Reading) {
        door.stray(|strays| strays.malformed += 1);
    }
    let reset = served.is_err_and(|error| error.source().is_some_and(<dyn Error>::is::<Reset>));
    if reset {
        let stream = match connection.into_parts().io.into_inner().io {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.into_inner().0,
        };
        // Without linger, closing sends RST, and throws away what was not sent.
        let _ = stream.set_zero_linger();
    }
}

/// Ends the connection without an answer.
#[derive(Debug)]
struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scenario wants the connection reset")
    }
}

impl Error for Reset {}

async fn answer(
    door: &Door,
    seat: &Seat,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Reset> {
    let (head, body) = request.into_parts();
    let status = match door.hear(seat, &head, body).await {
        Reply::Status(status) => status,
        Reply::Later(by) => {
            rest(by).await;
            StatusCode::OK
        }
        Reply::Reset => return Err(Reset),
        Reply::Never => {
            seat.enter(State::Silent);
            std::future::pending().await
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    if seat.is(State::Done) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    } else {
        seat.enter(State::Idle);
    }
    Ok(response)
}
