//! The direct lane: HTTP/1.1 on our own connections, over TCP or TLS, without a proxy.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use tokio::task::spawn_local;

use super::connection::{Came, Connection, Ended};
use super::exchange::{Live, Progress};
use super::origin::{Ask, Origin, OriginPlan, Turn, Unreachable};
use super::waits::Waits;
use super::{
    Answer, BadClient, Common, ConnectionCounts, Covered, NoAnswer, Reader, Submission, tls,
};
use crate::scenario::Plan;
use crate::shell::RunClock;
use crate::time::{Span, Tick};
use crate::work::Fault;

/// From the last byte of a connection until the system asks whether the other end is still there:
/// what reqwest has.
const PROBE_AFTER: Duration = Duration::from_secs(15);

/// Connections that are opened at once before a run.
const WARM_AT_ONCE: u32 = 16;

const NO_URL: &str = "a URL that cannot be asked";

/// Everything that can be made, and can fail, before the lane is on its thread.
#[derive(Clone, Debug)]
pub(super) struct DirectPlan {
    origins: Vec<OriginPlan>,
    common: Common,
    connect_timeout: Span,
    keep_alive: Span,
    counts: Arc<ConnectionCounts>,
}

impl DirectPlan {
    pub(super) fn new(
        plan: &Plan,
        base_url: &str,
        common: Common,
        counts: Arc<ConnectionCounts>,
    ) -> Result<Self, BadClient> {
        let config = Arc::new(tls::config(plan, base_url)?);
        let trusted = plan.target.trusted_origins.iter().map(String::as_str);
        let origins = std::iter::once(base_url)
            .chain(trusted)
            .map(|text| OriginPlan::new(text, &config, &common))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            origins,
            common,
            connect_timeout: plan.http.connect_timeout,
            keep_alive: plan.http.keep_alive,
            counts,
        })
    }
}

/// Sends requests on connections of its own.
#[derive(Debug)]
pub(super) struct Direct<R: Reader> {
    common: Common,
    connect_timeout: Span,
    keep_alive: Span,
    counts: Arc<ConnectionCounts>,
    connector: HttpConnector,
    clock: RunClock,
    origins: Vec<Origin<R::Errand>>,
    waits: Rc<Waits>,
    reader: Covered<R>,
    /// The bytes of an older request, to write the next one into.
    spare: RefCell<Vec<u8>>,
}

/// What a request is for, and until when its answer may come.
type Errand<R> = (<R as Reader>::Errand, Tick);

impl<R: Reader> Direct<R> {
    /// Must be called inside a `LocalSet`.
    pub(super) fn start(plan: DirectPlan, clock: RunClock, reader: Covered<R>) -> Rc<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(PROBE_AFTER));
        let direct = Rc::new(Self {
            common: plan.common,
            connect_timeout: plan.connect_timeout,
            keep_alive: plan.keep_alive,
            counts: plan.counts,
            connector,
            clock,
            origins: plan.origins.into_iter().map(Origin::new).collect(),
            waits: Waits::new(clock),
            reader,
            spare: RefCell::default(),
        });
        spawn_local(Rc::clone(&direct).watch());
        direct
    }

    /// Ends what has waited too long: requests for their answers, connections for a request.
    async fn watch(self: Rc<Self>) {
        loop {
            let now = self.waits.due().await;
            for origin in &self.origins {
                if let Some(next) = origin.close_old(now, self.keep_alive) {
                    self.waits.look_at(next);
                }
            }
        }
    }

    pub(super) fn submit(self: &Rc<Self>, submission: &Submission, sent: Tick, errand: R::Errand) {
        let ask = Ask::Submit(&self.common.method, submission);
        let until = sent + self.common.submit_timeout;
        self.ask(&submission.url, ask, (errand, until));
    }

    pub(super) fn poll(self: &Rc<Self>, url: &str, sent: Tick, errand: R::Errand) {
        let until = sent + self.common.poll_timeout;
        self.ask(url, Ask::Poll, (errand, until));
    }

    fn ask(self: &Rc<Self>, url: &str, ask: Ask<'_>, errand: Errand<R>) {
        let mut request = self.spare.take();
        let written = (0..).zip(&self.origins).find_map(|(at, origin)| {
            let rest = origin.rest(url)?;
            origin.write(&mut request, rest, url, ask).then_some(at)
        });
        if let Some(at) = written {
            return self.send(at, request, errand);
        }
        let no_url = Progress::default().no_answer(Fault::Body, NO_URL.into());
        self.reader.read(errand.0, Err(no_url));
    }

    /// Sends a request on an idle connection; where there is none, a task waits for one.
    fn send(self: &Rc<Self>, at: usize, mut request: Vec<u8>, mut errand: Errand<R>) {
        while let Some(connection) = self.origins[at].take_idle() {
            let until = errand.1;
            match connection.send(&mut request, errand, self.common.max_body) {
                Ok(()) => {
                    self.spare.replace(request);
                    return;
                }
                Err(back) => errand = (back, until),
            }
        }
        spawn_local(Rc::clone(self).wait(at, request, errand));
    }

    async fn wait(self: Rc<Self>, at: usize, mut request: Vec<u8>, mut errand: Errand<R>) {
        loop {
            let until = errand.1;
            let had = pin!(self.connection(at));
            match self.waits.within(until, had).await {
                Some(Ok(Had::Idle(connection))) => {
                    match connection.send(&mut request, errand, self.common.max_body) {
                        Ok(()) => return,
                        Err(back) => errand = (back, until),
                    }
                }
                Some(Ok(Had::New(live))) => {
                    let connection = self.new_connection(at, live);
                    match connection.send(&mut request, errand, self.common.max_body) {
                        Ok(()) => return,
                        Err(back) => errand = (back, until),
                    }
                }
                Some(Err(no_answer)) => return self.reader.read(errand.0, Err(no_answer)),
                None => {
                    let late = Progress::default().no_answer(Fault::Timeout, "timed out".into());
                    return self.reader.read(errand.0, Err(late));
                }
            }
        }
    }

    fn new_connection(self: &Rc<Self>, at: usize, live: Live) -> Rc<Connection<R::Errand>> {
        self.counts.count_opened();
        let connection = Connection::new(live, &self.waits, self.clock.now());
        spawn_local(Rc::clone(self).look_after(at, Rc::clone(&connection)));
        connection
    }

    /// Opens connections to the target before there is anything to send.
    pub(super) fn warm_up(self: &Rc<Self>, connections: u32) {
        let tasks = connections.min(WARM_AT_ONCE);
        for task in 0..tasks {
            let share = connections / tasks + u32::from(task < connections % tasks);
            spawn_local(Rc::clone(self).open_idle(share));
        }
    }

    async fn open_idle(self: Rc<Self>, connections: u32) {
        for _ in 0..connections {
            let Ok(live) = self.open(&self.origins[0]).await else {
                return;
            };
            let connection = self.new_connection(0, live);
            self.origins[0].put_back(connection);
            self.waits.look_at(self.clock.now() + self.keep_alive);
        }
    }

    /// A connection that has become idle, or a new one.
    async fn connection(&self, at: usize) -> Result<Had<R::Errand>, NoAnswer> {
        let origin = &self.origins[at];
        let _opening = match origin.turn().await {
            Turn::Idle(connection) => return Ok(Had::Idle(connection)),
            Turn::Connect(opening) => opening,
        };
        let opened = self.open(origin).await.map_err(|unreachable| {
            Progress::default().no_answer(Fault::Connect, unreachable.in_words())
        });
        opened.map(Had::New)
    }

    async fn open(&self, origin: &Origin<R::Errand>) -> Result<Live, Unreachable> {
        let opened = origin.connect(&self.connector, self.connect_timeout).await;
        if let Err(Unreachable::Failed(error)) = &opened {
            self.counts.note_failed(&**error);
        }
        opened
    }

    /// The task of a connection: reads its answers until it is closed.
    async fn look_after(self: Rc<Self>, at: usize, connection: Rc<Connection<R::Errand>>) {
        while let Some(Ended {
            errand,
            until,
            came,
        }) = connection.ended().await
        {
            match came {
                Came::Reply(reply) => {
                    let now = self.clock.now();
                    connection.with_live(|live| {
                        let answer = Answer {
                            at: now,
                            status: reply.status,
                            headers: live.fields(&reply),
                            body: live.body(&reply),
                        };
                        self.reader.read(errand, Ok(answer));
                    });
                    if !connection.rest(now) {
                        return;
                    }
                    self.origins[at].put_back(Rc::clone(&connection));
                    self.waits.look_at(now + self.keep_alive);
                }
                Came::Nothing(no_answer) => return self.reader.read(errand, Err(no_answer)),
                Came::NotSent(request) => return self.send(at, request, (errand, until)),
            }
        }
    }
}

/// A connection that can carry a request.
#[derive(Debug)]
enum Had<E> {
    Idle(Rc<Connection<E>>),
    New(Live),
}
