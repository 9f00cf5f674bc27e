//! Connections on which the service calls: HTTP/1.1, kept alive, without TLS, proxy or redirects.

use crate::sim::Received;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use tokio::net::TcpStream;

/// Connections that are kept while nobody is called on them; the one that is idle for longest goes
/// first.
const MOST_IDLE: usize = 64;
/// The most bytes of an answer's body that are read; whoever says more loses the connection.
const MOST_READ: usize = 64 << 10;

/// The connections that are idle, the last one used at the end.
#[derive(Default)]
pub(super) struct Outgoing {
    idle: RefCell<Vec<(String, Line)>>,
}

type Line = SendRequest<Full<Bytes>>;

impl Outgoing {
    /// Sends a request to `to`, a host and a port, and reads the answer. It waits for ever: how
    /// long is up to the caller, who drops it.
    pub(super) async fn exchange(&self, to: &str, request: Request<Full<Bytes>>) -> Received {
        let answered = self.answered(to, request).await;
        answered.unwrap_or(Received::Broken)
    }

    async fn answered(&self, to: &str, mut request: Request<Full<Bytes>>) -> Option<Received> {
        let (line, response) = loop {
            let idle = self.take(to);
            let was_idle = idle.is_some();
            let mut line = match idle {
                Some(line) => line,
                None => open(to).await?,
            };
            match line.try_send_request(request).await {
                Ok(response) => break (line, response),
                // The other side had closed it before a byte of the request was written.
                Err(mut error) if was_idle => request = error.take_message()?,
                Err(_) => return None,
            }
        };
        let asked = retry_after(response.headers());
        let received = Received::Answered(response.status().as_u16(), asked);
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if read > MOST_READ {
                return Some(received);
            }
        }
        self.put(to, line);
        Some(received)
    }

    fn take(&self, to: &str) -> Option<Line> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(_, line)| !line.is_closed());
        let at = idle
            .iter()
            .rposition(|(whose, line)| whose == to && line.is_ready())?;
        Some(idle.remove(at).1)
    }

    fn put(&self, to: &str, line: Line) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() == MOST_IDLE {
            idle.remove(0);
        }
        idle.push((to.to_owned(), line));
    }
}

async fn open(to: &str) -> Option<Line> {
    let stream = TcpStream::connect(to).await.ok()?;
    // Refused only by a connection that is already dead.
    let _ = stream.set_nodelay(true);
    let (line, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    // It ends with its line; what went wrong is told to who waits for an answer.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Some(line)
}

/// `Retry-After` in seconds; a date is not understood.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}
