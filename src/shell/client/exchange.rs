//! One request and its answer on one connection of hyper.
//!
//! hyper wants a connection driven by a task of its own, and its sender to wait for that task. Here
//! the task of the request drives the connection itself, so nobody else is woken, and an idle
//! connection is driven by nobody: what the server did to it meanwhile is seen at its next use.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::stream::{Carrier, Stream};
use super::{NoAnswer, causes, in_words};
use crate::time::Tick;
use crate::work::Fault;

/// A connection keeps the memory of its last body up to this size.
const KEPT_BODY_BYTES: usize = 64 << 10;

/// How far a request has come: what is known of it when its time is over.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Something of it was written.
    pub(super) written: Cell<bool>,
    /// The status, if it was read.
    pub(super) status: Cell<Option<u16>>,
}

impl Progress {
    /// There will be no answer, because of this.
    pub(super) fn no_answer(&self, fault: Fault, detail: String) -> NoAnswer {
        NoAnswer {
            fault,
            status: self.status.get(),
            maybe_written: self.written.get(),
            detail,
        }
    }

    /// hyper has finished with the connection, and nothing more will come.
    fn closed<T>(&self) -> Poll<Result<T, NoAnswer>> {
        Poll::Ready(Err(
            self.no_answer(Fault::Reset, "the connection was closed".into())
        ))
    }

    fn failed(&self, error: &hyper::Error) -> NoAnswer {
        self.no_answer(Fault::Reset, in_words(causes(error)))
    }
}

/// A connection that can carry a request, or carries one.
#[derive(Debug)]
pub(super) struct Live {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Stream>, Full<Bytes>>,
    /// hyper has finished with it.
    is_over: bool,
    written: Rc<Cell<u64>>,
    /// The body of the last answer.
    pub(super) body: Vec<u8>,
    /// When it was put aside.
    pub(super) idle_since: Tick,
}

impl Live {
    pub(super) async fn new(carrier: Carrier) -> hyper::Result<Self> {
        let written = Rc::new(Cell::new(0));
        let stream = Stream::new(carrier, Rc::clone(&written));
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            connection,
            is_over: false,
            written,
            body: Vec::new(),
            idle_since: Tick::ZERO,
        })
    }

    /// Whether it may carry another request.
    pub(super) fn is_reusable(&self) -> bool {
        !self.is_over && self.sender.is_ready()
    }

    /// Sends a request and reads its answer; the body is in [`Live::body`] afterwards.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        max_body: u64,
        progress: &Progress,
    ) -> Result<(u16, HeaderMap), NoAnswer> {
        self.body.clear();
        self.body.shrink_to(KEPT_BODY_BYTES);
        let before = self.written.get();
        let mut head = pin!(self.sender.send_request(request));
        let mut answer: Option<Head> = None;
        let driving = std::future::poll_fn(|context| {
            loop {
                drive(&mut self.connection, &mut self.is_over, context);
                progress.written.set(self.written.get() > before);
                if answer.is_none() {
                    match head.as_mut().poll(&mut unwoken()) {
                        Poll::Ready(Ok(response)) => {
                            progress.status.set(Some(response.status().as_u16()));
                            answer = Some(Head::of(response));
                        }
                        Poll::Ready(Err(error)) => {
                            return Poll::Ready(Err(progress.failed(&error)));
                        }
                        Poll::Pending if self.is_over => return progress.closed(),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                let Some(Head { status, body, .. }) = &mut answer else {
                    return progress.closed();
                };
                let taken = take_body(body, &mut self.body, max_body)
                    .map_err(|error| progress.failed(&error))?;
                match taken {
                    Taken::All => return Poll::Ready(Ok(())),
                    Taken::TooMuch => {
                        let too_long = NoAnswer::body_too_long(*status, max_body);
                        return Poll::Ready(Err(too_long));
                    }
                    // The connection may have held back until there was room.
                    Taken::Some if !self.is_over => {}
                    Taken::Some | Taken::Nothing if self.is_over => return progress.closed(),
                    Taken::Some | Taken::Nothing => return Poll::Pending,
                }
            }
        });
        // The budget of a task is for polls that wake it when it is spent; those below wake nobody.
        tokio::task::unconstrained(driving).await?;
        if !self.is_reusable() {
            self.settle().await;
        }
        let head = answer.ok_or_else(|| progress.no_answer(Fault::Reset, "no answer".into()))?;
        Ok((head.status, head.headers))
    }

    /// Lets the connection see the end of an answer that it did not see yet.
    async fn settle(&mut self) {
        std::future::poll_fn(|context| {
            drive(&mut self.connection, &mut self.is_over, context);
            Poll::Ready(())
        })
        .await;
    }
}

/// The head of an answer, and what its body comes from.
struct Head {
    status: u16,
    headers: HeaderMap,
    body: Incoming,
}

impl Head {
    fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }
}

/// Moves bytes both ways. The only place that has the waker of the task: whatever hyper hands over
/// between its halves is picked up right after, also what came before a failure.
fn drive(
    connection: &mut Connection<TokioIo<Stream>, Full<Bytes>>,
    is_over: &mut bool,
    context: &mut Context<'_>,
) {
    // How it ended is told where it matters: to whom waits for the answer or for its body.
    *is_over = *is_over || Pin::new(connection).poll(context).is_ready();
}

/// For what makes progress only by [`drive`]: nobody needs to be woken.
fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// How much of a body was taken.
enum Taken {
    Nothing,
    Some,
    All,
    TooMuch,
}

fn take_body(from: &mut Incoming, into: &mut Vec<u8>, max_body: u64) -> hyper::Result<Taken> {
    let before = into.len();
    loop {
        if from.is_end_stream() {
            return Ok(Taken::All);
        }
        match Pin::new(&mut *from).poll_frame(&mut unwoken()) {
            Poll::Ready(Some(frame)) => {
                // Trailers mean nothing here.
                let Ok(data) = frame?.into_data() else {
                    continue;
                };
                if into.len() as u64 + data.len() as u64 > max_body {
                    return Ok(Taken::TooMuch);
                }
                into.extend_from_slice(&data);
            }
            Poll::Ready(None) => return Ok(Taken::All),
            Poll::Pending if into.len() > before => return Ok(Taken::Some),
            Poll::Pending => return Ok(Taken::Nothing),
        }
    }
}
