//! The direct lane: HTTP/1.1 on our own connections, over TCP or TLS, without a proxy.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

use super::exchange::{Live, Progress};
use super::origin::{Ask, Origin, OriginPlan, Turn};
use super::waits::Waits;
use super::{Answer, BadClient, Common, ConnectionCounts, NoAnswer, Submission, tls};
use crate::scenario::Plan;
use crate::shell::RunClock;
use crate::time::{Span, Tick};
use crate::work::Fault;

/// From the last byte of a connection until the system asks whether the other end is still there:
/// what reqwest has.
const PROBE_AFTER: Duration = Duration::from_secs(15);

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
pub(super) struct Direct {
    common: Common,
    connect_timeout: Span,
    counts: Arc<ConnectionCounts>,
    connector: HttpConnector,
    clock: RunClock,
    idle: Rc<Idle>,
}

/// What the task that watches the time looks after.
#[derive(Debug)]
struct Idle {
    origins: Vec<Origin>,
    keep_alive: Span,
    waits: Waits,
}

impl Idle {
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
}

impl Direct {
    /// Must be called inside a `LocalSet`.
    pub(super) fn start(plan: DirectPlan, clock: RunClock) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(PROBE_AFTER));
        let idle = Rc::new(Idle {
            origins: plan.origins.into_iter().map(Origin::new).collect(),
            keep_alive: plan.keep_alive,
            waits: Waits::new(clock),
        });
        tokio::task::spawn_local(Rc::clone(&idle).watch());
        Self {
            common: plan.common,
            connect_timeout: plan.connect_timeout,
            counts: plan.counts,
            connector,
            clock,
            idle,
        }
    }

    pub(super) async fn submit<T>(
        &self,
        submission: Submission,
        sent: Tick,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let ask = Ask::Submit(&self.common.method, &submission);
        let until = sent + self.common.submit_timeout;
        self.send(&submission.url, ask, until, read).await
    }

    pub(super) async fn poll<T>(
        &self,
        url: &str,
        sent: Tick,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let until = sent + self.common.poll_timeout;
        self.send(url, Ask::Poll, until, read).await
    }

    async fn send<T>(
        &self,
        url: &str,
        ask: Ask<'_>,
        until: Tick,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let progress = Progress::default();
        let mut origins = self.idle.origins.iter();
        let Some((origin, rest)) = origins.find_map(|origin| Some((origin, origin.rest(url)?)))
        else {
            return Err(progress.no_answer(Fault::Body, NO_URL.into()));
        };
        let answer = pin!(self.ask(origin, (rest, url), ask, &progress, read));
        let answer = self.idle.waits.within(until, answer).await;
        answer.unwrap_or_else(|| Err(progress.no_answer(Fault::Timeout, "timed out".into())))
    }

    /// Asks on an idle connection, and on the next one if that one was closed before anything was
    /// written: as none of the request had left, it is the same request still. A new connection is
    /// the last resort, and its failure is the request's.
    async fn ask<T>(
        &self,
        origin: &Origin,
        (rest, url): (&str, &str),
        ask: Ask<'_>,
        progress: &Progress,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let (live, reply) = loop {
            let (mut live, is_new) = match origin.turn().await {
                Turn::Idle(live) => (live, false),
                Turn::Connect(_turn) => (self.connect(origin, progress).await?, true),
            };
            if !origin.write(&mut live.request, rest, url, ask) {
                origin.put_back(live, self.clock.now());
                return Err(progress.no_answer(Fault::Body, NO_URL.into()));
            }
            match live.exchange(self.common.max_body, progress).await {
                Ok(reply) => break (live, reply),
                Err(_) if !is_new && !progress.written.get() => {}
                Err(no_answer) => return Err(no_answer),
            }
        };
        let at = self.clock.now();
        let told = read(Answer {
            at,
            status: reply.status,
            headers: live.fields(&reply),
            body: live.body(&reply),
        });
        if live.is_reusable() {
            origin.put_back(live, at);
            self.idle.waits.look_at(at + self.idle.keep_alive);
        }
        Ok(told)
    }

    async fn connect(&self, origin: &Origin, progress: &Progress) -> Result<Box<Live>, NoAnswer> {
        match origin.connect(&self.connector, self.connect_timeout).await {
            Ok(live) => {
                self.counts.count_opened();
                Ok(live)
            }
            Err(unreachable) => {
                if let super::origin::Unreachable::Failed(error) = &unreachable {
                    self.counts.note_failed(&**error);
                }
                Err(progress.no_answer(Fault::Connect, unreachable.in_words()))
            }
        }
    }
}
