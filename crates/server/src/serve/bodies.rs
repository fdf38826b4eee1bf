//! Bodies that are measured: what a peer sends has its time and its share, and what it was answered is counted until
//! it has been sent.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use threadmill_engine::{Full, Share};
use threadmill_proto::{ErrorCode, Problem, Scope};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limiter::Limiter;
use super::moment::lock;
use super::peers::{HeldBytes, Peer};
use super::refusals::Refusal;

/// Smaller pieces of answers cost more to count than they hold.
const COUNTED_FROM: usize = 1 << 10;

/// So much of a body counts for nobody.
const FREE: usize = 16 << 10;

/// Why no more of a body is read.
#[derive(Debug, Clone)]
pub(crate) struct BodyRefused(pub(crate) Problem);

impl fmt::Display for BodyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl std::error::Error for BodyRefused {}

/// What of a request's body is held. It counts until the last clone is dropped: a request that waits for something
/// waits with its body.
#[derive(Debug, Clone)]
pub(crate) struct BodyShare(Arc<Mutex<Option<Share>>>);

impl BodyShare {
    pub(crate) fn new(limiter: &Arc<Limiter>, scope: Option<&Scope>) -> Self {
        Self(Arc::new(Mutex::new(scope.map(|scope| limiter.bodies.none(scope)))))
    }

    /// Now it is known who sends it.
    pub(crate) fn known(&self, limiter: &Arc<Limiter>, scope: &Scope) {
        lock(&self.0).get_or_insert_with(|| limiter.bodies.none(scope));
    }

    fn grow(&self, by: usize) -> Result<(), Full> {
        lock(&self.0).as_mut().map_or(Ok(()), |share| share.grow(by as u64))
    }
}

/// A request's body that tells its peer when it is dropped before its end.
pub(crate) struct Upload {
    body: Incoming,
    peer: Arc<Peer>,
    ended: bool,
}

impl Upload {
    pub(crate) fn new(body: Incoming, peer: Arc<Peer>) -> Self {
        Self { body, peer, ended: false }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.peer.leave_unread();
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.ended = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As one that is there already.
    Whole,
    /// As somebody thinks of it, who may think for long. It is looked at as it comes and not held, so it has no share.
    AsItIsMade,
}

/// The longest pause of a body that is made as it comes, and the longest time for all of it.
const THOUGHT: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A request's body with its deadlines and its share.
pub(crate) struct TimedBody {
    body: Body,
    share: BodyShare,
    limiter: Arc<Limiter>,
    /// When the next piece is due, and when all of it is.
    due: Pin<Box<Sleep>>,
    all_due: Instant,
    pace: Pace,
    /// Bytes so far.
    came: usize,
}

impl TimedBody {
    pub(crate) fn new(body: Body, pace: Pace, share: BodyShare, limiter: Arc<Limiter>) -> Self {
        let now = Instant::now();
        let all = match pace {
            Pace::Whole => limiter.limits().body_total,
            Pace::AsItIsMade => LONGEST,
        };
        let mut this =
            Self { body, share, due: Box::pin(sleep_until(now)), all_due: now + all, pace, came: 0, limiter };
        this.wait_from(now);
        this
    }

    /// Waits for the next piece from now on.
    fn wait_from(&mut self, now: Instant) {
        let pause = match self.pace {
            Pace::Whole => self.limiter.limits().body_pause,
            Pace::AsItIsMade => THOUGHT,
        };
        self.due.as_mut().reset((now + pause).min(self.all_due));
    }

    fn too_slow(&self) -> BodyRefused {
        self.limiter.refusals.note(Refusal::SlowBody);
        let mut problem = Problem::new(ErrorCode::TooSlow, "The body came too slowly.");
        problem.hint = Some("Send the body without pauses, and less of it where the network is slow.".into());
        BodyRefused(problem)
    }

    /// Counts a piece that came, and waits for the next one from now on.
    fn came(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyRefused> {
        self.wait_from(Instant::now());
        if let Some(data) = frame.data_ref().filter(|_| self.pace == Pace::Whole) {
            // What a short message takes is never refused: so much of each connection is in its budget anyway.
            let free = FREE.saturating_sub(self.came);
            self.came += data.len();
            self.share.grow(data.len().saturating_sub(free)).map_err(|over| {
                let what = "too many bytes of bodies are held";
                BodyRefused(self.limiter.refuse(Refusal::BodyBytes, over, what))
            })?;
        }
        Ok(frame)
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(this.came(frame).map_err(Into::into))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(this.due.as_mut().poll(cx));
                Poll::Ready(Some(Err(this.too_slow().into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body whose pieces count until they are sent.
pub(crate) struct CountedBody {
    body: Body,
    peer: Arc<Peer>,
}

impl CountedBody {
    pub(crate) fn new(body: Body, peer: Arc<Peer>) -> Self {
        Self { body, peer }
    }
}

/// A piece, counted for as long as somebody has it.
struct Piece {
    data: Bytes,
    _held: HeldBytes,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let peer = &this.peer;
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|data| {
                    if data.len() < COUNTED_FROM {
                        return data;
                    }
                    let held = peer.hold(data.len());
                    Bytes::from_owner(Piece { data, _held: held })
                })
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body that tells its peer when it is over, sent whole or given up.
pub(crate) struct LastByte {
    body: Body,
    peer: Arc<Peer>,
}

impl LastByte {
    pub(crate) fn new(body: Body, peer: Arc<Peer>) -> Self {
        Self { body, peer }
    }
}

impl Drop for LastByte {
    fn drop(&mut self) {
        self.peer.finish();
    }
}

impl HttpBody for LastByte {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
