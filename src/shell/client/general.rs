//! The general lane: the only user of reqwest. It knows proxies, HTTP/2 and what ALPN yields.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use reqwest::Response;
use tower_layer::Layer;
use tower_service::Service;

use super::fields::Written;
use super::{
    Answer, BadClient, Common, ConnectionCounts, NoAnswer, Submission, USER_AGENT, causes,
    fault_of, tls,
};
use crate::scenario::{HttpVersion, Plan};
use crate::shell::RunClock;
use crate::work::Fault;

/// What is done with a connection once it stands.
#[derive(Clone, Debug)]
enum Use {
    /// It is counted, and carries requests.
    Count(Arc<ConnectionCounts>),
    /// It is closed again: it was only to be seen whether it can be had.
    Close,
}

/// The layer at the seam that reqwest leaves open.
#[derive(Clone, Debug)]
struct AtConnect(Use);

impl<S> Layer<S> for AtConnect {
    type Service = Connecting<S>;

    fn layer(&self, inner: S) -> Connecting<S> {
        Connecting {
            inner,
            then: self.0.clone(),
        }
    }
}

#[derive(Clone, Debug)]
struct Connecting<S> {
    inner: S,
    then: Use,
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Says that a connection could be had, where nothing was to be sent on it.
#[derive(Debug)]
struct Reachable;

impl std::fmt::Display for Reachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection stands")
    }
}

impl Error for Reachable {}

impl<S, R> Service<R> for Connecting<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let then = self.then.clone();
        Box::pin(async move {
            match (connecting.await, then) {
                (Ok(connection), Use::Count(counts)) => {
                    counts.count_opened();
                    Ok(connection)
                }
                (Ok(_), Use::Close) => Err(Box::new(Reachable) as BoxError),
                (Err(error), Use::Count(counts)) => {
                    counts.note_failed(&*error);
                    Err(error)
                }
                (Err(error), Use::Close) => Err(error),
            }
        })
    }
}

fn builder(plan: &Plan, base_url: &str, then: Use) -> Result<reqwest::ClientBuilder, BadClient> {
    let http = &plan.http;
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(http.connect_timeout.duration())
        .pool_idle_timeout(http.keep_alive.duration())
        .tcp_nodelay(true)
        .tls_backend_preconfigured(tls::config(plan, base_url)?)
        .connector_layer(AtConnect(then));
    builder = match http.version {
        HttpVersion::Http1 => builder.http1_only(),
        HttpVersion::Http2 => builder.http2_prior_knowledge(),
        HttpVersion::Auto => builder,
    };
    Ok(if http.proxy_from_environment {
        builder
    } else {
        builder.no_proxy()
    })
}

/// Sends requests with reqwest.
#[derive(Clone, Debug)]
pub(super) struct General {
    pool: reqwest::Client,
    common: Common,
}

impl General {
    pub(super) fn new(
        plan: &Plan,
        base_url: &str,
        common: Common,
        counts: Arc<ConnectionCounts>,
    ) -> Result<Self, BadClient> {
        let pool = builder(plan, base_url, Use::Count(counts))?
            .build()
            .map_err(|error| BadClient(in_words(&error)))?;
        Ok(Self { pool, common })
    }

    pub(super) async fn submit<T>(
        &self,
        submission: Submission,
        clock: RunClock,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let mut headers = self.common.submit_headers.clone();
        for (name, value) in submission.headers {
            headers.insert(name, value);
        }
        let request = self
            .pool
            .request(self.common.method.clone(), submission.url)
            .headers(headers)
            .timeout(self.common.submit_timeout.duration())
            .body(submission.body);
        self.send(request, clock, read).await
    }

    pub(super) async fn poll<T>(
        &self,
        url: &str,
        clock: RunClock,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let request = self
            .pool
            .get(url)
            .headers(self.common.poll_headers.clone())
            .timeout(self.common.poll_timeout.duration());
        self.send(request, clock, read).await
    }

    async fn send<T>(
        &self,
        request: reqwest::RequestBuilder,
        clock: RunClock,
        read: impl FnOnce(Answer<'_>) -> T,
    ) -> Result<T, NoAnswer> {
        let response = request
            .send()
            .await
            .map_err(|error| no_answer(&error, None))?;
        let status = response.status().as_u16();
        let headers = Written::of(response.headers());
        let body = read_body(response, status, self.common.max_body).await?;
        Ok(read(Answer {
            at: clock.now(),
            status,
            headers: headers.fields(),
            body: &body,
        }))
    }
}

async fn read_body(
    mut response: Response,
    status: u16,
    max_body: u64,
) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| no_answer(&error, Some(status)))?
    {
        if body.len() as u64 + chunk.len() as u64 > max_body {
            return Err(NoAnswer::body_too_long(status, max_body));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What kind of fault an error of the client is.
fn no_answer(error: &reqwest::Error, status: Option<u16>) -> NoAnswer {
    let (fault, maybe_written) = if error.is_connect() {
        (Fault::Connect, false)
    } else if error.is_timeout() {
        (Fault::Timeout, true)
    } else if error.is_builder() {
        // A URL that cannot be asked: it came from the service.
        (Fault::Body, false)
    } else {
        (fault_of(error), true)
    };
    NoAnswer {
        fault,
        status,
        maybe_written,
        detail: in_words(error),
    }
}

/// An error and its causes in one line. reqwest's own line names the URL, which may hold what it
/// should not: only the causes are used.
fn in_words(error: &reqwest::Error) -> String {
    let words = super::in_words(error.source().into_iter().flat_map(causes));
    if !words.is_empty() {
        words
    } else if error.is_timeout() {
        "timed out".into()
    } else {
        "no answer".into()
    }
}

/// Opens a connection to the target (TCP, and TLS where the URL says so) and sends nothing on it.
pub async fn reach(plan: &Plan, base_url: &str) -> Result<(), BadClient> {
    let client = builder(plan, base_url, Use::Close)?
        .build()
        .map_err(|error| BadClient(in_words(&error)))?;
    match client.get(base_url).send().await {
        Ok(_) => Ok(()),
        Err(error) if causes(&error).any(<dyn Error>::is::<Reachable>) => Ok(()),
        Err(error) => Err(BadClient(in_words(&error))),
    }
}
