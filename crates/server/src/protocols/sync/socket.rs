//! The WebSocket: frames in, frames out, one task a connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use threadmill_proto::{ErrorCode, Problem, ServerFrame, from_cbor, to_cbor};

use super::frames::encoded;
use super::session::{Due, Over, Session, malformed};
use crate::app::App;
use crate::identity::auth::Identity;
use crate::problem::ApiProblem;
use crate::request::caller::MaybeCaller;
use crate::serve::peers::{HeldBytes, Peer};
use crate::serve::refusals::Refusal;

const SUBPROTOCOL: &str = "threadmill.v1.cbor";
/// A frame that cannot be written for this long means a dead peer.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// A client that does not say `Hello` for this long is closed.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// The default of 128 KiB would be nearly all of an idle connection's memory.
const READ_BUFFER: usize = 4 << 10;
/// What may wait in the library's own buffer, answers to pings among it: above the largest frame with what a
/// connection's queue may hold. It is reached by nobody, since nothing is read from a peer that takes nothing.
const WRITE_BUFFER: usize = 8 << 20;
/// Smaller frames cost more to count than they hold.
const COUNTED_FROM: usize = 1 << 10;
/// Close codes: policy, credentials, too slow.
const CLOSE_REFUSED: u16 = 4400;
const CLOSE_UNAUTHORIZED: u16 = 4401;
const CLOSE_SLOW: u16 = 4408;

/// `GET /v1/sync`.
pub(crate) async fn upgrade(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    peer: Option<Extension<Arc<Peer>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            return ApiProblem::new(ErrorCode::InvalidRequest, format!("{}.", rejection.body_text())).into_response();
        }
    };
    let limit = app.engine.limits().frame_bytes;
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .max_write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket| async move {
            let peer = peer.map(|Extension(peer)| peer);
            Connection { app, caller, socket, peer, unsent: Vec::new() }.run().await;
        })
}

struct Connection {
    app: App,
    caller: Option<Identity>,
    socket: WebSocket,
    peer: Option<Arc<Peer>>,
    /// What was written since the last time that all was sent.
    unsent: Vec<HeldBytes>,
}

/// How a connection goes on.
enum Flow {
    On,
    Over,
}

impl Connection {
    async fn run(mut self) {
        let Some(mut session) = self.hello().await else { return };
        let _place = match self.app.limiter.stream(session.scope()) {
            Ok(place) => place,
            Err(problem) => {
                // A client of any release knows this code as one to come back after.
                self.refuse(Problem { code: ErrorCode::Overloaded, ..problem }).await;
                return;
            }
        };
        if let Some(peer) = &self.peer {
            peer.known(session.scope());
        }
        let _counted = self.app.connections.enter(session.scope());
        loop {
            let flow = tokio::select! {
                due = session.due() => self.send_all(&mut session, due).await,
                incoming = self.socket.next(), if !session.has_enough() => self.receive(&mut session, incoming).await,
            };
            if matches!(flow, Flow::Over) {
                return;
            }
        }
    }

    async fn hello(&mut self) -> Option<Session> {
        let begun = match tokio::time::timeout(HELLO_PATIENCE, self.socket.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => match from_cbor(&bytes) {
                Ok(frame) => Session::begin(&self.app, self.caller.take(), frame, self.peer.as_ref()),
                Err(error) => Err(malformed(&error)),
            },
            Ok(Some(Ok(_))) => Err(Problem::new(ErrorCode::HelloExpected, "The client did not say Hello.")),
            Err(_) => {
                self.app.limiter.refusals.note(Refusal::NoHello);
                Err(Problem::new(ErrorCode::HelloExpected, "The client did not say Hello."))
            }
            Ok(Some(Err(_)) | None) => return None,
        };
        match begun {
            Ok(session) => Some(session),
            Err(problem) => {
                self.refuse(problem).await;
                None
            }
        }
    }

    /// Sends what waits, and flushes once.
    async fn send_all(&mut self, session: &mut Session, first: Due) -> Flow {
        let mut next = Some(first);
        while let Some(due) = next {
            match session.take(due) {
                Ok(Some(frame)) => {
                    if matches!(self.feed(encoded(&frame)).await, Flow::Over) {
                        return Flow::Over;
                    }
                }
                Ok(None) => {}
                Err(Over::TooSlow) => return self.close(CLOSE_SLOW, ErrorCode::TooSlow.as_str()).await,
                Err(Over::Refused(problem)) => return self.refuse(problem).await,
            }
            next = session.due_now();
        }
        match tokio::time::timeout(WRITE_PATIENCE, self.socket.flush()).await {
            Ok(Ok(())) => {
                self.unsent.clear();
                Flow::On
            }
            Ok(Err(_)) | Err(_) => Flow::Over,
        }
    }

    async fn feed(&mut self, frame: Bytes) -> Flow {
        if let Some(peer) = self.peer.as_ref().filter(|_| frame.len() >= COUNTED_FROM) {
            self.unsent.push(peer.hold(frame.len()));
        }
        match tokio::time::timeout(WRITE_PATIENCE, self.socket.feed(Message::Binary(frame))).await {
            Ok(Ok(())) => Flow::On,
            Ok(Err(_)) | Err(_) => Flow::Over,
        }
    }

    async fn receive(&mut self, session: &mut Session, incoming: Option<Result<Message, axum::Error>>) -> Flow {
        match incoming {
            Some(Ok(Message::Binary(bytes))) => match from_cbor(&bytes) {
                Ok(frame) => match session.answer(frame) {
                    Ok(()) => Flow::On,
                    Err(problem) => self.refuse(problem).await,
                },
                Err(error) => self.fail(malformed(&error)).await,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Flow::On,
            Some(Ok(Message::Text(_))) => self.fail(Problem::new(ErrorCode::InvalidFrame, "Frames are binary.")).await,
            Some(Ok(Message::Close(_))) | None => Flow::Over,
            Some(Err(error)) => {
                // The library reports an oversized frame as an error; it is the only one a client can be told of.
                let detail = format!("The frame could not be read: {error}.");
                self.fail(Problem::new(ErrorCode::FrameTooLarge, detail)).await
            }
        }
    }

    /// The client may not talk, or not any more.
    async fn refuse(&mut self, problem: Problem) -> Flow {
        let code = if problem.code == ErrorCode::Unauthorized { CLOSE_UNAUTHORIZED } else { CLOSE_REFUSED };
        let reason = problem.code.as_str();
        self.feed(to_cbor(&ServerFrame::Refused(problem)).into()).await;
        self.close(code, reason).await
    }

    /// The client said what cannot be understood.
    async fn fail(&mut self, problem: Problem) -> Flow {
        let reason = problem.code.as_str();
        self.feed(to_cbor(&ServerFrame::Failed { sub: None, problem }).into()).await;
        self.close(CLOSE_REFUSED, reason).await
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Flow {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = tokio::time::timeout(WRITE_PATIENCE, self.socket.send(close)).await;
        Flow::Over
    }
}
