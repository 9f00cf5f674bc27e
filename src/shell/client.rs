//! The HTTP client: the only user of reqwest. A request goes in, what it means comes out.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::secret::Secret;
use crate::scenario::{HttpVersion, Plan};
use crate::time::Span;
use crate::wire::Headers;
use crate::work::Fault;

/// The name that we go by.
pub const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));

/// What the connections of a client have come to.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    opened: AtomicU64,
    out_of_descriptors: AtomicBool,
}

impl ConnectionCounts {
    /// Connections opened since the last call.
    pub fn take_opened(&self) -> u64 {
        self.opened.swap(0, Ordering::Relaxed)
    }

    /// Whether the process ever ran out of file descriptors.
    pub fn out_of_descriptors(&self) -> bool {
        self.out_of_descriptors.load(Ordering::Relaxed)
    }
}

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

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Says that a connection could be had, where nothing was to be sent on it.
#[derive(Debug)]
struct Reachable;

impl std::fmt::Display for Reachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection stands")
    }
}

impl std::error::Error for Reachable {}

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
                    counts.opened.fetch_add(1, Ordering::Relaxed);
                    Ok(connection)
                }
                (Ok(_), Use::Close) => Err(Box::new(Reachable) as BoxError),
                (Err(error), Use::Count(counts)) => {
                    if is_out_of_descriptors(&*error) {
                        counts.out_of_descriptors.store(true, Ordering::Relaxed);
                    }
                    Err(error)
                }
                (Err(error), Use::Close) => Err(error),
            }
        })
    }
}

/// Walks the causes of an error for EMFILE or ENFILE.
fn is_out_of_descriptors(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error)
            .is_some_and(|code| {
                code == rustix::io::Errno::MFILE.raw_os_error()
                    || code == rustix::io::Errno::NFILE.raw_os_error()
            })
    })
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadClient(pub String);

fn builder(plan: &Plan, base_url: &str, then: Use) -> Result<reqwest::ClientBuilder, BadClient> {
    // The process-wide provider; a second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = &plan.http;
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(http.connect_timeout.duration())
        .pool_idle_timeout(http.keep_alive.duration())
        .tcp_nodelay(true)
        .connector_layer(AtConnect(then));
    builder = match http.version {
        HttpVersion::Http1 => builder.http1_only(),
        HttpVersion::Http2 => builder.http2_prior_knowledge(),
        HttpVersion::Auto => builder,
    };
    if !http.proxy_from_environment {
        builder = builder.no_proxy();
    }
    let ca = http
        .ca
        .as_deref()
        .map(reqwest::Certificate::from_pem_bundle);
    let ca = ca
        .transpose()
        .map_err(|error| BadClient(format!("http.ca: {error}")))?;
    Ok(if http.insecure {
        builder.tls_danger_accept_invalid_certs(true)
    } else if base_url.starts_with("http://") && plan.target.trusted_origins.is_empty() {
        // No TLS is spoken, so a machine without any certificates will do.
        builder.tls_certs_only(ca.unwrap_or_default())
    } else {
        builder.tls_certs_merge(ca.unwrap_or_default())
    })
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The fields of its header.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Headers for HeaderMap {
    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// What went wrong.
    pub fault: Fault,
    /// The status, if it was read.
    pub status: Option<u16>,
    /// The request may have been written.
    pub maybe_written: bool,
    /// In words; never with the key or a URL.
    pub detail: String,
}

/// One shard's client.
#[derive(Clone, Debug)]
pub struct Client {
    pool: reqwest::Client,
    method: Method,
    submit_headers: HeaderMap,
    poll_headers: HeaderMap,
    submit_timeout: Span,
    poll_timeout: Span,
    max_body: u64,
    key: Option<Secret>,
}

impl Client {
    /// A client for a plan, which gives the key to every URL that it is asked to visit: the caller
    /// asks for none but those that `wire` allows.
    pub fn new(
        plan: &Plan,
        base_url: &str,
        key: Option<&Secret>,
        counts: Arc<ConnectionCounts>,
    ) -> Result<Self, BadClient> {
        let client = builder(plan, base_url, Use::Count(counts))?
            .build()
            .map_err(|error| BadClient(in_words(&error)))?;
        let mut shared = HeaderMap::new();
        if let Some(key) = key {
            let value = plan.api.key_form.replace("{key}", key.expose());
            let mut value = header_value(&plan.api.key_header, &value)?;
            value.set_sensitive(true);
            shared.insert(header_name(&plan.api.key_header)?, value);
        }
        let mut poll_headers = shared.clone();
        for (name, value) in &plan.poll.headers {
            poll_headers.insert(header_name(name)?, header_value(name, value)?);
        }
        Ok(Self {
            pool: client,
            method: Method::from_bytes(plan.api.submit.method.as_bytes())
                .map_err(|error| BadClient(format!("api.submit.method: {error}")))?,
            submit_headers: shared,
            poll_headers,
            submit_timeout: plan.submit.timeout,
            poll_timeout: plan.poll.timeout,
            max_body: plan.http.max_body,
            key: key.cloned(),
        })
    }

    /// Sends a submit, and reads the whole answer.
    pub async fn submit(
        &self,
        url: String,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        let mut all = self.submit_headers.clone();
        for (name, value) in headers {
            all.insert(name, value);
        }
        let request = self
            .pool
            .request(self.method.clone(), url)
            .headers(all)
            .timeout(self.submit_timeout.duration())
            .body(body);
        self.send(request).await
    }

    /// Sends a poll, and reads the whole answer.
    pub async fn poll(&self, url: String) -> Result<Answer, NoAnswer> {
        let request = self
            .pool
            .get(url)
            .headers(self.poll_headers.clone())
            .timeout(self.poll_timeout.duration());
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
        let mut response = request
            .send()
            .await
            .map_err(|error| no_answer(&error, None))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let body = read_body(response, status, self.max_body).await?;
        let mut answer = Answer {
            status,
            headers,
            body,
        };
        if let Some(key) = &self.key {
            cover(key, &mut answer);
        }
        Ok(answer)
    }
}

/// A service may say the key again, in an error or a word that we would show and keep: it is
/// covered before anybody reads the answer. An id or a URL with the key in it is of no use after
/// that.
fn cover(key: &Secret, answer: &mut Answer) {
    key.cover(&mut answer.body);
    for value in answer.headers.values_mut() {
        let mut bytes = value.as_bytes().to_vec();
        if key.cover(&mut bytes)
            && let Ok(covered) = HeaderValue::from_bytes(&bytes)
        {
            *value = covered;
        }
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
            return Err(NoAnswer {
                fault: Fault::Body,
                status: Some(status),
                maybe_written: true,
                detail: format!("the body is longer than http.max_body = {max_body} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn header_name(name: &str) -> Result<HeaderName, BadClient> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| BadClient(format!("{name:?} is not the name of a header")))
}

/// The value may be secret, so it is not part of the error.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, BadClient> {
    HeaderValue::from_str(value).map_err(|_| {
        BadClient(format!(
            "the value of the header {name} has characters that no header can carry"
        ))
    })
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
    } else if status.is_some() && error.is_decode() {
        (Fault::Body, true)
    } else {
        (Fault::Reset, true)
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
    let mut words: Vec<String> = Vec::new();
    for cause in error.source().into_iter().flat_map(causes) {
        let text = cause.to_string();
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
    }
    if words.is_empty() {
        return if error.is_timeout() {
            "timed out".into()
        } else {
            "no answer".into()
        };
    }
    words.join(": ")
}

/// Opens a connection to the target (TCP, and TLS where the URL says so) and sends nothing on it.
pub async fn reach(plan: &Plan, base_url: &str) -> Result<(), BadClient> {
    let client = builder(plan, base_url, Use::Close)?
        .build()
        .map_err(|error| BadClient(in_words(&error)))?;
    match client.get(base_url).send().await {
        Ok(_) => Ok(()),
        Err(error) if causes(&error).any(<dyn std::error::Error>::is::<Reachable>) => Ok(()),
        Err(error) => Err(BadClient(in_words(&error))),
    }
}
