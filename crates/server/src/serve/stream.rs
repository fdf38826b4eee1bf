//! A peer's socket: it says what happens on it, takes no more from a WebSocket's peer that does not read, and fails
//! once the peer is let go.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::head::Head;
use super::limiter::Limiter;
use super::peers::Peer;
use super::refusals::Refusal;

/// A socket with its peer's record. The peer's place is given back with it.
#[derive(Debug)]
pub(crate) struct PeerStream {
    tcp: TcpStream,
    peer: Arc<Peer>,
    limiter: Arc<Limiter>,
    /// The head that is coming, if one is.
    head: Head,
}

impl PeerStream {
    pub(crate) fn new(tcp: TcpStream, peer: Arc<Peer>, limiter: Arc<Limiter>) -> Self {
        Self { tcp, peer, limiter, head: Head::default() }
    }

    /// Counts it where the kernel gave a peer up that took nothing.
    fn broke(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::TimedOut {
            self.limiter.refusals.note(Refusal::Unread);
        }
        error
    }

    fn check(&self, cx: &Context<'_>) -> Result<()> {
        if self.peer.is_ended(cx) {
            Err(Error::new(ErrorKind::ConnectionAborted, "the peer was let go"))
        } else {
            Ok(())
        }
    }

    fn wrote(&self, poll: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match &poll {
            Poll::Pending => self.peer.block(),
            Poll::Ready(_) => self.peer.progress(),
        }
        poll.map_err(|error| self.broke(error))
    }
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        self.peer.leave();
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.check(cx)?;
        if self.peer.is_open() && self.peer.is_blocked() {
            // Every frame that is read may have to be answered. The task is woken when the peer takes something.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, buf));
        read.map_err(|error| self.broke(error))?;
        let came = buf.filled().len() - before;
        if self.peer.is_idle() {
            self.head = Head::default();
        }
        if self.peer.is_asking() {
            self.head.take(&buf.filled()[before..]);
            if self.head.is_ambiguous() {
                self.peer.doubt();
            }
        }
        if came > 0 && self.peer.heard(came) {
            self.limiter.refusals.note(Refusal::NoHello);
            self.peer.end();
            self.check(cx)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.check(cx)?;
        let poll = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.check(cx)?;
        let poll = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // Whoever flushes has written all there was: a socket keeps nothing back itself.
        ready!(Pin::new(&mut self.tcp).poll_flush(cx))?;
        self.peer.caught_up();
        Poll::Ready(Ok(()))
    }

    /// A socket that is closed with bytes unread is reset, and a reset may overtake the last answer: what still comes of
    /// a request that was answered early is read and thrown away, until its sender closes or its time is over.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.check(cx)?;
        ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
        if !self.peer.linger() {
            return Poll::Ready(Ok(()));
        }
        let mut waste = [MaybeUninit::uninit(); 8 << 10];
        loop {
            let mut waste = ReadBuf::uninit(&mut waste);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut waste))?;
            if waste.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
