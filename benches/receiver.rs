//! What a callback costs the receiver, and how many a core carries: `cargo bench --bench receiver`.
//!
//! 64 connections call over and over; the next call leaves on each when the one before is answered.
//! The receiver's thread is pinned to core 0, the callers to core 1. What is counted is the
//! receiver's own time on the processor. Beside it stands a bare hyper server that reads the body,
//! counts and answers 200: the price of HTTP by itself. Ways take turns, and the figures to quote
//! are the ratios within a turn. `CALLS` changes how many are made.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it finds, and ends where it cannot go on"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use plimsoll::scenario::{Plan, SignatureScheme, resolve};
use plimsoll::shell::receiver::{Endpoint, Keys, ways};
use plimsoll::shell::watchdog::Watchdog;
use plimsoll::shell::{RunClock, limits, secret};
use plimsoll::time::Span;
use plimsoll::wire::signature::Keyring;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

const CONNECTIONS: usize = 64;
const TURNS: usize = 5;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The receiver, ids in the body.
    Plain,
    /// The same, signatures checked.
    Signed,
    /// A URL of its own for each work.
    OwnUrl,
    /// Nothing but HTTP.
    Hyper,
}

fn main() {
    let calls: usize = std::env::var("CALLS").map_or(100_000, |text| text.parse().unwrap());
    let mut ratios = [
        (Way::Plain, vec![]),
        (Way::Signed, vec![]),
        (Way::OwnUrl, vec![]),
    ];
    for turn in 0..TURNS {
        let hyper = cost(Way::Hyper, calls);
        println!("turn {turn}: hyper  {hyper:.2} us a call");
        for (way, ratios) in &mut ratios {
            let cost = cost(*way, calls);
            println!(
                "turn {turn}: {way:?} {cost:.2} us a call, {:.0}/s on a core",
                1e6 / cost
            );
            ratios.push(cost / hyper);
        }
    }
    for (way, mut ratios) in ratios {
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[TURNS - 1]);
        println!(
            "{way:?} / hyper: {:.2} [{least:.2}..{most:.2}]",
            ratios[TURNS / 2]
        );
    }
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // On a machine of one core it stays where it is.
    let _ = sched_setaffinity(None, &set);
}

/// Microseconds of the processor that one call takes.
fn cost(way: Way, calls: usize) -> f64 {
    pin(0);
    let spent = match way {
        Way::Hyper => bare(calls),
        _ => received(way, calls),
    };
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    let calls = (calls / CONNECTIONS * CONNECTIONS) as f64;
    spent.seconds() * 1e6 / calls
}

fn plan(way: Way) -> Arc<Plan> {
    let find = if way == Way::OwnUrl { "url" } else { "body" };
    let text = format!(
        "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\nduration = '1s'\n\
         [observe]\nmode = 'callback'\n[observe.callback]\nfind = '{find}'\n"
    );
    Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap())
}

fn received(way: Way, calls: usize) -> Span {
    let plan = plan(way);
    let signature = (way == Way::Signed).then(|| {
        let scheme = SignatureScheme::Standard;
        Keyring::new(&scheme, &[SECRET], Span::from_secs(3_600)).unwrap()
    });
    let keys = Keys {
        token: secret::drawn_token().unwrap(),
        keyring: signature,
        tls_key: None,
    };
    let endpoint = Endpoint::bind(&plan, keys).unwrap();
    let urls: Vec<String> = (0..1_000).map(|seq| endpoint.urls().of_work(seq)).collect();
    let clock = RunClock::starting_in(Span::ZERO);
    let (tell, mut told) = ways(1);
    let (watchdog, mut probes) = Watchdog::start(clock, 1, 1).unwrap();
    let receiver = endpoint
        .start(&plan, clock, tell, probes.remove(0))
        .unwrap();
    // The other end of the shard's ear.
    let mut told = told.remove(0);
    let shard = thread::spawn(move || {
        pin(1);
        let mut heard = 0_u64;
        while told.blocking_recv().is_some() {
            heard += 1;
        }
        heard
    });
    call(&urls, way, calls);
    let seen = receiver.stop().unwrap();
    watchdog.stop().unwrap();
    assert!(shard.join().unwrap() >= calls as u64 / CONNECTIONS as u64 * CONNECTIONS as u64);
    seen.cpu
}

/// Calls from another thread, on the other core, until all are answered.
fn call(urls: &[String], way: Way, calls: usize) {
    let urls = urls.to_vec();
    let callers = thread::spawn(move || {
        pin(1);
        let signer = Keyring::new(&SignatureScheme::Standard, &[SECRET], Span::ZERO).unwrap();
        let requests: Vec<Vec<u8>> = (urls.iter().enumerate())
            .map(|(n, url)| {
                let rest = url.strip_prefix("http://").unwrap();
                let (host, path) = rest.split_once('/').unwrap();
                let body = format!(
                    r#"{{"work_id":"work_{n:026}","status":"completed","result":{{"pages":12}}}}"#
                );
                let now = clock_seconds();
                let headers = match way {
                    Way::Signed => signer.sign(&format!("msg_{n}"), now, body.as_bytes()),
                    _ => vec![("webhook-id".to_owned(), format!("msg_{n}"))],
                };
                let headers = headers.iter();
                let headers: Vec<String> = headers
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                format!(
                    "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
                     {}content-length: {}\r\n\r\n{body}",
                    headers.concat(),
                    body.len()
                )
                .into_bytes()
            })
            .collect();
        let host = urls[0]
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap()
            .0;
        let address: SocketAddr = host.parse().unwrap();
        let mut connections: Vec<TcpStream> = (0..CONNECTIONS)
            .map(|_| {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream
            })
            .collect();
        let mut answer = [0; 4_096];
        for round in 0..calls / CONNECTIONS {
            for (n, connection) in connections.iter_mut().enumerate() {
                let request = &requests[(round * CONNECTIONS + n) % requests.len()];
                connection.write_all(request).unwrap();
            }
            for connection in &mut connections {
                let length = connection.read(&mut answer).unwrap();
                assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "not taken");
            }
        }
    });
    callers.join().unwrap();
}

fn clock_seconds() -> i64 {
    RunClock::starting_in(Span::ZERO).origin_wall_micros() / 1_000_000
}

/// A server that does nothing but HTTP.
fn bare(calls: usize) -> Span {
    let (bound, listening) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            let serve = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    spawn_local(
                        http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service_fn(answer)),
                    );
                }
            };
            tokio::select! {
                _ = stopped => {}
                () = serve => {}
            }
        });
        limits::thread_cpu()
    });
    let address = listening.recv().unwrap();
    let urls = vec![format!(
        "http://{address}/hooks/0123456789abcdef0123456789abcdef"
    )];
    call(&urls, Way::Hyper, calls);
    stop.send(()).unwrap();
    server.join().unwrap()
}

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Empty<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    std::hint::black_box(body);
    Ok(Response::new(Empty::new()))
}
