//! Host: whatever answers, over real sockets on 127.0.0.1, on a thread of its own. It shares no
//! code with the built-in simulator.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Response, Version};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

/// A request, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The wall clock when it was read whole, in seconds of the epoch.
    pub(crate) at: f64,
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The number of the arrival, in the body of a submit.
    pub(crate) fn seq(&self) -> u64 {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["seq"].as_u64().unwrap()
    }

    /// A header as text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// What becomes of a request.
pub(crate) enum Reply {
    Now(Response<Full<Bytes>>),
    Later(Duration, Response<Full<Bytes>>),
    Reset,
}

/// An answer with a body and headers.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Reply::Now(response.body(Full::new(body.into())).unwrap())
}

/// Something that answers. A closure is one.
pub(crate) trait Service: Send + 'static {
    fn answer(&mut self, request: &Request) -> Reply;
}

impl<F: FnMut(&Request) -> Reply + Send + 'static> Service for F {
    fn answer(&mut self, request: &Request) -> Reply {
        self(request)
    }
}

/// How it is spoken to.
#[derive(Clone, Default)]
pub(crate) struct Speech {
    /// HTTP/2 by prior knowledge; otherwise HTTP/1.1.
    pub(crate) http2: bool,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// A running service.
pub(crate) struct Host<S> {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<(S, Vec<Request>)>,
}

impl<S: Service> Host<S> {
    pub(crate) fn start(service: S) -> Self {
        Self::speaking(Speech::default(), |_| service)
    }

    /// The service may want to know its own URL.
    pub(crate) fn speaking(speech: Speech, make: impl FnOnce(&str) -> S) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let service = make(&format!("http://{addr}"));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let local = LocalSet::new();
            let shared = Rc::new(Shared {
                state: RefCell::new((service, Vec::new())),
                asked: Cell::new(0),
                speech,
            });
            let serving = Rc::clone(&shared);
            local.block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, serving) => {}
                }
            });
            // The connections hold the rest of the shares.
            drop(local);
            let shared = Rc::into_inner(shared).expect("no connection is left");
            let (service, log) = shared.state.into_inner();
            assert_eq!(shared.asked.get(), log.len(), "the service panicked");
            (service, log)
        });
        Self { addr, stop, thread }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops, and hands back the service and every request in the order in which they were read.
    pub(crate) fn stop(self) -> (S, Vec<Request>) {
        let _ = self.stop.send(());
        self.thread.join().unwrap()
    }
}

struct Shared<S> {
    state: RefCell<(S, Vec<Request>)>,
    /// Requests that were handed to the service.
    asked: Cell<usize>,
    speech: Speech,
}

async fn accept<S: Service>(listener: tokio::net::TcpListener, shared: Rc<Shared<S>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let shared = Rc::clone(&shared);
        spawn_local(async move {
            match &shared.speech.tls {
                None => converse(stream, Rc::clone(&shared)).await,
                Some(config) => {
                    let acceptor = TlsAcceptor::from(Arc::clone(config));
                    // A caller that does not trust us ends here.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, Rc::clone(&shared)).await;
                    }
                }
            }
        });
    }
}

/// Tasks of HTTP/2 streams stay on the thread.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}

async fn converse<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    shared: Rc<Shared<S>>,
) {
    let http2 = shared.speech.http2;
    let service = service_fn(move |request| respond(request, Rc::clone(&shared)));
    // A connection that breaks is what a caller or we ourselves wanted.
    if http2 {
        let builder = http2::Builder::new(OnThisThread);
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    } else {
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a service that answers late has a clock of its own"
)]
async fn respond<S: Service>(
    request: hyper::Request<Incoming>,
    shared: Rc<Shared<S>>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request {
        at: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64(),
        version: head.version,
        method: head.method,
        target: head.uri.path_and_query().unwrap().to_string(),
        headers: head.headers,
        body,
    };
    let reply = {
        shared.asked.set(shared.asked.get() + 1);
        let (service, log) = &mut *shared.state.borrow_mut();
        let reply = service.answer(&request);
        log.push(request);
        reply
    };
    match reply {
        Reply::Now(response) => Ok(response),
        Reply::Later(delay, response) => {
            tokio::time::sleep(delay).await;
            Ok(response)
        }
        Reply::Reset => Err(io::ErrorKind::ConnectionReset.into()),
    }
}
