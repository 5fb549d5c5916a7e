//! A client's connection, as the HTTP/2 library sees it.
//!
//! To a socket that takes many buffers at once the library writes every message of more than 256 bytes by
//! itself: a system call an event of a watch, and an answer of a read. To one that does not it copies
//! messages together, but those of more than 1 KiB leave in two writes, the head and the rest. So this
//! socket says that it takes one buffer, and holds a small one back until the rest is there.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::auth::Peer;

/// What is larger is not worth a copy.
const HELD: usize = 16 << 10;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

pub struct Connection {
    socket: Pin<Box<dyn Socket>>,
    peer: Peer,
    /// Written by the library, which always flushes when it has no more.
    held: Vec<u8>,
}

impl Connection {
    pub fn new(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer) -> Self {
        Connection { socket: Box::pin(socket), peer, held: Vec::new() }
    }

    /// Writes what is held, and of `more` whatever goes along.
    fn poll_release(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<Result<usize>> {
        while !self.held.is_empty() {
            let both = [IoSlice::new(&self.held), IoSlice::new(more)];
            let written = ready!(self.socket.as_mut().poll_write_vectored(cx, &both))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            let of_more = written.saturating_sub(self.held.len());
            self.held.drain(..written - of_more);
            if of_more > 0 {
                return Poll::Ready(Ok(of_more));
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.socket.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if self.held.is_empty() && bytes.len() <= HELD {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        match ready!(self.poll_release(cx, bytes))? {
            0 => self.socket.as_mut().poll_write(cx, bytes),
            written => Poll::Ready(Ok(written)),
        }
    }

    /// See above. (The default, but it is what matters here.)
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_release(cx, &[]))?;
        self.socket.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_release(cx, &[]))?;
        self.socket.as_mut().poll_shutdown(cx)
    }
}
