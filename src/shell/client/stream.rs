//! Stream: the bytes of one connection, with TLS or without, and how many of them were written.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Carrier {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that counts what it was given to write.
#[derive(Debug)]
pub(super) struct Stream {
    carrier: Carrier,
    written: Rc<Cell<u64>>,
}

impl Stream {
    /// `written` goes up with every byte that the system, or TLS, takes.
    pub(super) fn new(carrier: Carrier, written: Rc<Cell<u64>>) -> Self {
        Self { carrier, written }
    }

    fn count(&self, bytes: usize) -> usize {
        self.written.set(self.written.get() + bytes as u64);
        bytes
    }
}

/// Calls the same function of whatever carries the bytes.
macro_rules! carried {
    ($self:ident . $function:ident ( $($argument:expr),* )) => {
        match &mut $self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).$function($($argument),*),
            Carrier::Tls(tls) => Pin::new(tls).$function($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        carried!(self.poll_read(context, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(carried!(self.poll_write(context, bytes)))?;
        Poll::Ready(Ok(self.count(written)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(carried!(self.poll_write_vectored(context, bytes)))?;
        Poll::Ready(Ok(self.count(written)))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Plain(tcp) => tcp.is_write_vectored(),
            Carrier::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.poll_shutdown(context))
    }
}
