//! A lean server of the job contract, for measurements of clients: `scripts/bench` starts it.
//!
//! ```text
//! reference_server [PORT [SEED [endless]]]
//! ```
//!
//! One thread. It shares nothing with the simulated service of the product. It holds no works: a
//! `work_id` carries the instant of its accept and its service time (lognormal, median 2 s, sigma
//! 0.5), so a poll is a comparison with the clock. `endless` works never end.
//!
//! A second port has its books, so that asking for them is not among the requests counted:
//! `GET /stats` says what was counted, `/accepts` and `/excess` are the raw figures, eight bytes
//! each, little-endian, in nanoseconds: the instant of each accept on the monotonic clock, and, of
//! each poll that saw an end, how long after the first of the polls at accept + k x 1 s that could
//! have seen it. They are the only memory that grows: sixteen bytes a work.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "its first and last lines are its interface; it ends where it cannot go on"
)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

const SECOND: u64 = 1_000_000_000;
const MEDIAN: f64 = 2.0;
const SIGMA: f64 = 0.5;
const BACKLOG: u32 = 4_096;

/// What the server knows. It lives on one thread.
struct Books {
    law: LogNormal<f64>,
    random: ChaCha8Rng,
    is_endless: bool,
    submits: u64,
    polls: u64,
    ends: u64,
    unknown: u64,
    accepts: Vec<u64>,
    excess: Vec<i64>,
}

/// Nanoseconds of the monotonic clock, which is the same one for every process.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * SECOND + u64::try_from(time.tv_nsec).unwrap()
}

impl Books {
    fn new(seed: u64, is_endless: bool) -> Self {
        Self {
            law: LogNormal::new(MEDIAN.ln(), SIGMA).unwrap(),
            random: ChaCha8Rng::seed_from_u64(seed),
            is_endless,
            submits: 0,
            polls: 0,
            ends: 0,
            unknown: 0,
            accepts: Vec::new(),
            excess: Vec::new(),
        }
    }

    fn accept(&mut self) -> Bytes {
        let at = now();
        let seconds = self.law.sample(&mut self.random);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of a service time, never negative and far below an hour"
        )]
        let service = (seconds * 1e9) as u64;
        let service = if self.is_endless { u64::MAX } else { service };
        let number = self.submits % 0x1000;
        self.submits += 1;
        self.accepts.push(at);
        // 40 characters, as ids of real services have.
        let body = format!("{{\"work_id\":\"work_{at:016x}{service:016x}{number:03x}\"}}");
        body.into()
    }

    /// Whether the work has ended; nothing if it is no work of ours.
    fn poll(&mut self, work_id: &str) -> Option<bool> {
        let at = now();
        let digits = work_id
            .strip_prefix("work_")
            .filter(|rest| rest.len() == 35);
        let part = |from, to| u64::from_str_radix(digits?.get(from..to)?, 16).ok();
        let (Some(accept), Some(service)) = (part(0, 16), part(16, 32)) else {
            self.unknown += 1;
            return None;
        };
        self.polls += 1;
        let has_ended = at >= accept.saturating_add(service);
        if has_ended {
            self.ends += 1;
            let first = accept + service.div_ceil(SECOND) * SECOND;
            self.excess.push(at.cast_signed() - first.cast_signed());
        }
        Some(has_ended)
    }

    fn stats(&self) -> String {
        format!(
            "{{\"now_ns\":{},\"submits\":{},\"polls\":{},\"ends\":{},\"unknown\":{}}}",
            now(),
            self.submits,
            self.polls,
            self.ends,
            self.unknown
        )
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let port = words.next().map_or(0, |text| text.parse().unwrap());
    let seed = words.next().map_or(1, |text| text.parse().unwrap());
    let books = Books::new(seed, words.next().as_deref() == Some("endless"));
    let books = Rc::new(RefCell::new(books));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let contract = listen(port);
        let of_books = listen(0);
        let [port, books_port] = [&contract, &of_books].map(|on| on.local_addr().unwrap().port());
        let mut end = signal(SignalKind::terminate()).unwrap();
        println!("{{\"port\":{port},\"books\":{books_port}}}");
        spawn_local(serve(contract, Rc::clone(&books), answer));
        spawn_local(serve(of_books, Rc::clone(&books), tell));
        end.recv().await;
        // Whoever started it may be gone.
        let _ = writeln!(stdout(), "{}", books.borrow().stats());
    });
}

/// Several servers may share a port; the kernel then deals the connections out among them.
fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.bind(at).unwrap();
    socket.listen(BACKLOG).unwrap()
}

type Answer = Response<Full<Bytes>>;

async fn serve<F>(listener: TcpListener, books: Rc<RefCell<Books>>, face: F)
where
    F: AsyncFn(Request<Incoming>, &RefCell<Books>) -> Answer + Copy + 'static,
{
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let books = Rc::clone(&books);
        spawn_local(async move {
            let service =
                service_fn(|request| async { Ok::<_, Infallible>(face(request, &books).await) });
            // A connection that breaks is the client's affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .await;
        });
    }
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    reply(status, "application/json", body.into())
}

/// The contract: `POST /v1/intake/{id}`, `GET /v1/intake/{id}/work/{work_id}`.
async fn answer(request: Request<Incoming>, books: &RefCell<Books>) -> Answer {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let path = head.uri.path().strip_prefix("/v1/intake/");
    let id = path
        .and_then(|path| path.rsplit_once('/'))
        .and_then(|(intake, id)| intake.ends_with("/work").then_some(id));
    match (&head.method, id) {
        (&Method::POST, None) if path.is_some() => {
            json(StatusCode::ACCEPTED, books.borrow_mut().accept())
        }
        (&Method::GET, Some(id)) => match books.borrow_mut().poll(id) {
            Some(true) => json(StatusCode::OK, &br#"{"status":"completed"}"#[..]),
            Some(false) => json(StatusCode::OK, &br#"{"status":"running"}"#[..]),
            None => json(StatusCode::NOT_FOUND, &b"{}"[..]),
        },
        _ => json(StatusCode::NOT_FOUND, &b"{}"[..]),
    }
}

/// The books.
async fn tell(request: Request<Incoming>, books: &RefCell<Books>) -> Answer {
    let books = books.borrow();
    let raw = |bytes: Vec<u8>| reply(StatusCode::OK, "application/octet-stream", bytes.into());
    match request.uri().path() {
        "/stats" => json(StatusCode::OK, books.stats()),
        "/accepts" => raw(books
            .accepts
            .iter()
            .flat_map(|at| at.to_le_bytes())
            .collect()),
        "/excess" => raw(books
            .excess
            .iter()
            .flat_map(|by| by.to_le_bytes())
            .collect()),
        _ => json(StatusCode::NOT_FOUND, &b"{}"[..]),
    }
}
