//! Accepting: a place for each new peer, whatever the others do, and a task that serves it.
//!
//! The node always answers those who ask whether it is well: a few places beyond the last one are theirs.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use threadmill_engine::Full;
use threadmill_proto::ErrorCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::bodies::{LastByte, Upload};
use super::limiter::Limiter;
use super::peers::{Peer, Peers};
use super::refusals::Refusal;
use super::stream::PeerStream;
use super::watched::is_watched;
use crate::problem::ApiProblem;

/// Places beyond the last one, for whoever watches the node.
const SPARE: usize = 32;
/// A request's head, and what of a body is read at once. Hyper's own 400 KB would be a gift to each peer.
const READ_BUFFER: usize = 32 << 10;
/// How long accepting pauses when there is no descriptor or no place.
const PAUSE: Duration = Duration::from_millis(20);

/// Accepts peers until it is dropped.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    pub(crate) peers: Arc<Peers>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) router: Router,
    pub(crate) leaving: watch::Receiver<bool>,
}

impl Acceptor {
    pub(crate) async fn run(&self) {
        loop {
            match self.listener.accept().await {
                Ok((tcp, from)) => self.admit(tcp, from.ip()).await,
                Err(error) if is_the_peers(error.kind()) => {}
                Err(error) => {
                    // Most likely there is no descriptor left.
                    tracing::debug!(%error, "a connection could not be accepted");
                    self.limiter.refusals.note(Refusal::Descriptors);
                    self.peers.evict_idle(None, &self.limiter.refusals);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Finds a place for a peer.
    async fn admit(&self, tcp: TcpStream, from: IpAddr) {
        let places = self.limiter.limits().connections;
        let refusals = &self.limiter.refusals;
        if self.peers.is_crowded_by(from) {
            refusals.note(Refusal::Unknown);
            self.peers.evict_idle(Some(from), refusals);
        }
        if self.peers.count() >= places {
            self.peers.evict_idle(None, refusals);
            // Those that were let go have their turn to leave.
            let _ = tokio::time::timeout(PAUSE, self.peers.left.notified()).await;
        }
        let open = self.peers.count();
        if open >= places + SPARE {
            refusals.note(Refusal::Connections);
            return;
        }
        // Tokens are small and must not wait for one another.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        self.give_up_in_time(&tcp);
        let peer = self.peers.enter(from, open >= places);
        let stream = PeerStream::new(tcp, Arc::clone(&peer), Arc::clone(&self.limiter));
        let serving = Serving { peer, router: self.router.clone(), limiter: Arc::clone(&self.limiter) };
        tokio::spawn(serving.run(stream, self.leaving.clone()));
    }
}

impl Acceptor {
    /// The kernel takes megabytes for a peer before the node sees that it reads nothing, so the kernel has the same time: what
    /// it could not pass on for so long ends the connection, whether the peer is gone or its window is closed.
    fn give_up_in_time(&self, tcp: &TcpStream) {
        let patience = Some(self.limiter.limits().write_pause);
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(tcp).set_tcp_user_timeout(patience) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (tcp, patience);
    }
}

/// Whether an error of `accept` is the peer's alone.
fn is_the_peers(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// One peer that is served.
#[derive(Clone)]
struct Serving {
    peer: Arc<Peer>,
    router: Router,
    limiter: Arc<Limiter>,
}

impl Serving {
    /// Answers its requests until it or the node has enough.
    async fn run(self, stream: PeerStream, mut leaving: watch::Receiver<bool>) {
        let peer = Arc::clone(&self.peer);
        let service = service_fn(move |request: Request<Incoming>| self.clone().answer(request));
        let connection = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            // The time a head may take is `Peers`' business.
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut leaves = pin!(async move {
            if leaving.wait_for(|leaves| *leaves).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let mut told = false;
        std::future::poll_fn(|cx| {
            if peer.is_ended(cx) {
                return Poll::Ready(());
            }
            if !told && leaves.as_mut().poll(cx).is_ready() {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx).map(|done| {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection broke off");
                }
            })
        })
        .await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response, Infallible> {
        self.peer.begin();
        // Who sends a body in pieces may have given its length as well, where it was not seen: nothing follows on that.
        let last = self.peer.spare || request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut response = if self.peer.is_doubtful() {
            let detail = "The request has a Transfer-Encoding and a Content-Length.";
            ApiProblem::new(ErrorCode::InvalidRequest, detail).into_response()
        } else if self.peer.spare && !is_watched(request.uri().path()) {
            let problem =
                self.limiter.refuse(Refusal::Connections, Full::Node, "every place for a connection is taken");
            ApiProblem(problem).into_response()
        } else {
            let mut request = request.map(|body| Body::new(Upload::new(body, Arc::clone(&self.peer))));
            request.extensions_mut().insert(Arc::clone(&self.peer));
            let Ok(response) = self.router.oneshot(request).await;
            response
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.peer.upgrade();
        }
        // Nothing can follow on a connection on which the rest of a request is thrown away: its client must know.
        if last || self.peer.left_unread() {
            response = closing(response);
        }
        let peer = self.peer;
        Ok(response.map(|body| Body::new(LastByte::new(body, peer))))
    }
}

/// The same answer, after which the connection ends.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
