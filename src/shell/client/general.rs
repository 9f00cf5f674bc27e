//! The general lane: the only user of reqwest. It knows proxies, HTTP/2 and what ALPN yields.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use reqwest::Response;
use tokio::task::spawn_local;
use tower_layer::Layer;
use tower_service::Service;

use super::fields::Written;
use super::{
    Answer, BadClient, Common, ConnectionCounts, Covered, NoAnswer, Reader, Submission, USER_AGENT,
    causes, fault_of, tls,
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

/// Everything that can be made, and can fail, before the lane is on its thread.
#[derive(Clone, Debug)]
pub(super) struct GeneralPlan {
    pool: reqwest::Client,
    common: Common,
}

impl GeneralPlan {
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
}

/// Sends requests with reqwest, a task each.
#[derive(Debug)]
pub(super) struct General<R> {
    plan: GeneralPlan,
    clock: RunClock,
    reader: Rc<Covered<R>>,
}

impl<R: Reader> General<R> {
    pub(super) fn start(plan: GeneralPlan, clock: RunClock, reader: Covered<R>) -> Self {
        let reader = Rc::new(reader);
        Self {
            plan,
            clock,
            reader,
        }
    }

    pub(super) fn submit(&self, submission: Submission, errand: R::Errand) {
        let GeneralPlan { pool, common } = &self.plan;
        let mut headers = common.submit_headers.clone();
        for (name, value) in submission.headers {
            headers.insert(name, value);
        }
        let request = pool
            .request(common.method.clone(), submission.url)
            .headers(headers)
            .timeout(common.submit_timeout.duration())
            .body(submission.body);
        self.send(request, errand);
    }

    pub(super) fn poll(&self, url: &str, errand: R::Errand) {
        let GeneralPlan { pool, common } = &self.plan;
        let request = pool
            .get(url)
            .headers(common.poll_headers.clone())
            .timeout(common.poll_timeout.duration());
        self.send(request, errand);
    }

    fn send(&self, request: reqwest::RequestBuilder, errand: R::Errand) {
        let (clock, reader) = (self.clock, Rc::clone(&self.reader));
        let max_body = self.plan.common.max_body;
        spawn_local(async move {
            match whole(request, max_body).await {
                Ok((status, headers, body)) => {
                    let answer = Answer {
                        at: clock.now(),
                        status,
                        headers: headers.fields(),
                        body: &body,
                    };
                    reader.read(errand, Ok(answer));
                }
                Err(no_answer) => reader.read(errand, Err(no_answer)),
            }
        });
    }
}

/// Status, fields and body of the answer to a request.
async fn whole(
    request: reqwest::RequestBuilder,
    max_body: u64,
) -> Result<(u16, Written, Vec<u8>), NoAnswer> {
    let response = request
        .send()
        .await
        .map_err(|error| no_answer(&error, None))?;
    let status = response.status().as_u16();
    let headers = Written::of(response.headers());
    let body = read_body(response, status, max_body).await?;
    Ok((status, headers, body))
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
