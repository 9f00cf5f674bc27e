//! One request and its answer on one connection: moves the bytes both ways, as far as they go.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::chunks::{Chunks, Taken};
use super::head::{Framing, Head, Heads};
use super::{Fields, NoAnswer, causes, fault_of, in_words};
use crate::work::Fault;

/// What a connection reads into at first.
const FIRST_BYTES: usize = 4 << 10;
/// A connection keeps its buffers up to this size.
const KEPT_BYTES: usize = 64 << 10;

/// How far a request has come: what is known of it when its time is over.
#[derive(Debug, Default)]
pub(super) struct Progress {
    written: Cell<bool>,
    status: Cell<Option<u16>>,
}

impl Progress {
    /// Whether something of it was written.
    pub(super) const fn was_written(&self) -> bool {
        self.written.get()
    }

    /// There will be no answer, because of this.
    pub(super) fn no_answer(&self, fault: Fault, detail: String) -> NoAnswer {
        NoAnswer {
            fault,
            status: self.status.get(),
            maybe_written: self.written.get(),
            detail,
        }
    }

    fn closed(&self) -> NoAnswer {
        self.no_answer(Fault::Reset, "the connection was closed".into())
    }

    fn failed(&self, error: &io::Error) -> NoAnswer {
        self.no_answer(fault_of(error), in_words(causes(error)))
    }

    fn not_http(&self, why: &str) -> NoAnswer {
        self.no_answer(Fault::Body, format!("the answer is not HTTP: {why}"))
    }
}

/// What moves the bytes: TCP, or TLS over it.
pub(super) type Carrier = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection that can carry a request, or carries one.
pub(super) struct Live {
    carrier: Carrier,
    request: Vec<u8>,
    /// What has come of the answer, and room for more.
    buffer: Vec<u8>,
    filled: usize,
    heads: Heads,
    /// The body, where it does not stand in the buffer as it is.
    unchunked: Vec<u8>,
    is_reusable: bool,
}

/// Without its buffers: the key is in the request.
impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// An answer, where it stands in the buffers of its connection.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: Range<usize>,
    /// In the buffer; nothing where it came in chunks.
    body: Option<Range<usize>>,
}

impl Live {
    pub(super) fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            request: Vec::new(),
            buffer: vec![0; FIRST_BYTES],
            filled: 0,
            heads: Heads::default(),
            unchunked: Vec::new(),
            is_reusable: true,
        }
    }

    /// Whether it may carry another request.
    pub(super) const fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// The header fields of a reply.
    pub(super) fn fields(&self, reply: &Reply) -> Fields<'_> {
        Fields {
            text: &self.buffer[reply.head.clone()],
            places: self.heads.places(),
        }
    }

    /// The body of a reply.
    pub(super) fn body(&self, reply: &Reply) -> &[u8] {
        match &reply.body {
            Some(place) => &self.buffer[place.clone()],
            None => &self.unchunked,
        }
    }

    /// The request that it is to carry next, in place of an older one.
    pub(super) fn put_request(&mut self, request: Vec<u8>) -> Vec<u8> {
        self.is_reusable = false;
        self.filled = 0;
        self.unchunked.clear();
        std::mem::replace(&mut self.request, request)
    }

    /// Reads once; nothing more comes after 0 bytes.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.filled..]);
        ready!(Pin::new(&mut self.carrier).poll_read(context, &mut room))?;
        let bytes = room.filled().len();
        self.filled += bytes;
        Poll::Ready(Ok(bytes))
    }

    /// Whether something came, or the end, before anything was asked for.
    fn is_stale(&mut self, context: &mut Context<'_>) -> bool {
        self.read(context).is_ready()
    }

    /// Gives memory back that only something large needed.
    pub(super) fn shrink(&mut self) {
        for buffer in [&mut self.request, &mut self.unchunked] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        self.buffer.truncate(KEPT_BYTES);
        self.buffer.shrink_to_fit();
    }
}

/// An exchange that is on its way.
#[derive(Debug)]
pub(super) struct UnderWay {
    max_body: u64,
    has_begun: bool,
    /// Bytes of the request that were written.
    sent: usize,
    is_flushed: bool,
    /// Why no more of the request can be written. The service may have answered before it left.
    unwritable: Option<io::Error>,
    head: Option<Head>,
    chunks: Chunks,
}

impl UnderWay {
    pub(super) const fn new(max_body: u64) -> Self {
        Self {
            max_body,
            has_begun: false,
            sent: 0,
            is_flushed: false,
            unwritable: None,
            head: None,
            chunks: Chunks::new(),
        }
    }

    /// Sends what can be sent of the request, and reads what can be read of its answer.
    pub(super) fn go_on(
        &mut self,
        live: &mut Live,
        progress: &Progress,
        context: &mut Context<'_>,
    ) -> Poll<Result<Reply, NoAnswer>> {
        let begins = !self.has_begun;
        if begins {
            if live.is_stale(context) {
                return Poll::Ready(Err(progress.closed()));
            }
            self.has_begun = true;
        }
        if let Err(error) = self.write(live, progress, context) {
            self.unwritable = Some(error);
        }
        if begins && self.unwritable.is_none() {
            // There was nothing to read a moment ago, and whatever comes wakes this task.
            return Poll::Pending;
        }
        loop {
            let ended = match live.read(context) {
                Poll::Ready(Ok(bytes)) => bytes == 0,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(progress.failed(&error))),
                Poll::Pending => return Poll::Pending,
            };
            match self.understand(live, progress, ended) {
                Ok(Some(reply)) => {
                    live.is_reusable = self.leaves_clean(live, &reply);
                    return Poll::Ready(Ok(reply));
                }
                Ok(None) if !ended => {}
                Ok(None) => return Poll::Ready(Err(self.closed(progress))),
                Err(no_answer) => return Poll::Ready(Err(no_answer)),
            }
        }
    }

    /// Writes what can be written now.
    fn write(
        &mut self,
        live: &mut Live,
        progress: &Progress,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.unwritable.is_some() {
            return Ok(());
        }
        while self.sent < live.request.len() {
            let rest = &live.request[self.sent..];
            match Pin::new(&mut live.carrier).poll_write(context, rest)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(bytes) => {
                    progress.written.set(true);
                    self.sent += bytes;
                }
                Poll::Pending => return Ok(()),
            }
        }
        if !self.is_flushed {
            self.is_flushed = Pin::new(&mut live.carrier).poll_flush(context)?.is_ready();
        }
        Ok(())
    }

    fn closed(&self, progress: &Progress) -> NoAnswer {
        match &self.unwritable {
            Some(error) => progress.failed(error),
            None => progress.closed(),
        }
    }

    /// The whole answer, if the buffer has it; `ended` if nothing more will come.
    fn understand(
        &mut self,
        live: &mut Live,
        progress: &Progress,
        ended: bool,
    ) -> Result<Option<Reply>, NoAnswer> {
        let Some(head) = self.head(live, progress)? else {
            return Ok(None);
        };
        let begin = head.length;
        let body = match head.framing {
            Framing::Chunks => return self.unchunk(live, progress, head),
            Framing::Length(length) if length > self.max_body => {
                return Err(NoAnswer::body_too_long(head.status, self.max_body));
            }
            Framing::Length(length) => {
                let have = (live.filled - begin) as u64;
                (have >= length).then_some(length)
            }
            Framing::UntilClose => {
                let have = (live.filled - begin) as u64;
                if have > self.max_body {
                    return Err(NoAnswer::body_too_long(head.status, self.max_body));
                }
                ended.then_some(have)
            }
        };
        Ok(body.map(|length| {
            // It stands in the buffer, so it can be indexed.
            let end = begin + usize::try_from(length).unwrap_or_default();
            Reply {
                status: head.status,
                head: 0..begin,
                body: Some(begin..end),
            }
        }))
    }

    /// The head of the answer, after those that only announce it.
    fn head(&mut self, live: &mut Live, progress: &Progress) -> Result<Option<Head>, NoAnswer> {
        while self.head.is_none() {
            let read = live.heads.read(&live.buffer[..live.filled]);
            let Some(head) = read.map_err(|why| progress.not_http(&why))? else {
                break;
            };
            if head.is_interim() {
                live.buffer.copy_within(head.length..live.filled, 0);
                live.filled -= head.length;
            } else {
                progress.status.set(Some(head.status));
                self.head = Some(head);
            }
        }
        Ok(self.head)
    }

    fn unchunk(
        &mut self,
        live: &mut Live,
        progress: &Progress,
        head: Head,
    ) -> Result<Option<Reply>, NoAnswer> {
        let begin = head.length;
        let Live {
            buffer,
            filled,
            unchunked,
            ..
        } = live;
        let taken = self
            .chunks
            .take(&buffer[begin..*filled], unchunked, self.max_body);
        let (done, taken) = taken.map_err(|why| progress.not_http(&why))?;
        // What is done with leaves room for what is to come.
        buffer.copy_within(begin + done..*filled, begin);
        *filled -= done;
        match taken {
            Taken::Some => Ok(None),
            Taken::TooMuch => Err(NoAnswer::body_too_long(head.status, self.max_body)),
            Taken::All => Ok(Some(Reply {
                status: head.status,
                head: 0..begin,
                body: None,
            })),
        }
    }

    /// Whether nothing of this exchange is left on the connection, so that it may carry another.
    fn leaves_clean(&self, live: &Live, reply: &Reply) -> bool {
        let end = reply.body.as_ref().map_or(reply.head.end, |body| body.end);
        self.head.is_some_and(|head| head.keeps)
            && self.sent == live.request.len()
            && self.is_flushed
            && end == live.filled
    }
}
