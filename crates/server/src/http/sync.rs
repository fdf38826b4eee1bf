//! The WebSocket: frames in, frames out, one task a connection.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use threadmill_proto::frame::VERSION;
use threadmill_proto::{ClientFrame, ErrorCode, Problem, Scope, ServerFrame, from_cbor, to_cbor};

use super::body::Caller;
use super::{ApiProblem, App};
use crate::engine::{OpenRequest, Outgoing, Watcher};

const SUBPROTOCOL: &str = "threadmill.v1.cbor";
/// The server says something at least this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A frame that cannot be written for this long means a dead peer.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// A client that does not say `Hello` for this long is closed.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// The default of 128 KiB would be nearly all of an idle connection's memory.
const READ_BUFFER: usize = 4 << 10;
/// Close codes: policy, try again later, too slow.
const CLOSE_REFUSED: u16 = 4400;
const CLOSE_SLOW: u16 = 4408;

/// `GET /v1/sync`.
pub(super) async fn upgrade(
    State(app): State<App>,
    Caller(scope): Caller,
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
        .on_upgrade(move |socket| async move { Connection { app, scope, socket }.run().await })
}

struct Connection {
    app: App,
    scope: Scope,
    socket: WebSocket,
}

/// How a connection goes on.
enum Flow {
    On,
    Over,
}

impl Connection {
    async fn run(mut self) {
        if !self.hello().await {
            return;
        }
        let watcher = Watcher::new(self.app.engine.clone(), self.scope.clone());
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        loop {
            let flow = tokio::select! {
                outgoing = watcher.next() => self.send_all(&watcher, outgoing).await,
                incoming = self.socket.next(), if !watcher.has_enough() => self.receive(&watcher, incoming).await,
                _ = heartbeat.tick() => {
                    let now = self.app.engine.now();
                    self.send(&ServerFrame::Pong { token: 0, now }).await
                }
            };
            if matches!(flow, Flow::Over) {
                return;
            }
        }
    }

    /// The first frame decides whether the two sides can talk.
    async fn hello(&mut self) -> bool {
        let problem = match tokio::time::timeout(HELLO_PATIENCE, self.socket.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => match from_cbor(&bytes) {
                Ok(ClientFrame::Hello { oldest, newest, .. }) if (oldest..=newest).contains(&VERSION) => None,
                Ok(ClientFrame::Hello { oldest, newest, .. }) => {
                    let detail = format!("The client speaks {oldest} to {newest}, the server {VERSION}.");
                    Some(Problem::new(ErrorCode::VersionUnsupported, detail))
                }
                Ok(_) => Some(Problem::new(ErrorCode::HelloExpected, "The first frame was not Hello.")),
                Err(error) => Some(malformed(&error)),
            },
            Ok(Some(Ok(_))) | Err(_) => Some(Problem::new(ErrorCode::HelloExpected, "The client did not say Hello.")),
            Ok(Some(Err(_)) | None) => return false,
        };
        if let Some(problem) = problem {
            let _ = self.send(&ServerFrame::Refused(problem.clone())).await;
            self.close(CLOSE_REFUSED, problem.code.as_str()).await;
            return false;
        }
        let welcome = ServerFrame::Welcome {
            version: VERSION,
            node: self.app.engine.node().into(),
            heartbeat: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
            user: self.scope.user.as_str().into(),
        };
        matches!(self.send(&welcome).await, Flow::On)
    }

    /// Sends what waits, and flushes once.
    async fn send_all(&mut self, watcher: &Watcher, first: Outgoing) -> Flow {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Frame(frame) => {
                    let message = Message::Binary(frame.cbor());
                    let fed = tokio::time::timeout(WRITE_PATIENCE, self.socket.feed(message)).await;
                    if !matches!(fed, Ok(Ok(()))) {
                        return Flow::Over;
                    }
                }
                Outgoing::Resync(sub) => {
                    if let Err(problem) = watcher.resync(sub).await {
                        watcher.say(ServerFrame::Failed { sub: Some(sub), problem });
                    }
                }
                Outgoing::List => {
                    if let Err(problem) = watcher.read_list().await {
                        watcher.say(ServerFrame::Failed { sub: None, problem });
                    }
                }
                Outgoing::TooSlow => {
                    self.close(CLOSE_SLOW, ErrorCode::TooSlow.as_str()).await;
                    return Flow::Over;
                }
            }
            next = watcher.try_next();
        }
        match tokio::time::timeout(WRITE_PATIENCE, self.socket.flush()).await {
            Ok(Ok(())) => Flow::On,
            Ok(Err(_)) | Err(_) => Flow::Over,
        }
    }

    async fn send(&mut self, frame: &ServerFrame) -> Flow {
        let message = Message::Binary(to_cbor(frame).into());
        match tokio::time::timeout(WRITE_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Flow::On,
            Ok(Err(_)) | Err(_) => Flow::Over,
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = tokio::time::timeout(WRITE_PATIENCE, self.socket.send(close)).await;
    }

    async fn receive(&mut self, watcher: &Watcher, incoming: Option<Result<Message, axum::Error>>) -> Flow {
        match incoming {
            Some(Ok(Message::Binary(bytes))) => match from_cbor(&bytes) {
                Ok(frame) => {
                    answer(watcher, frame, self.app.engine.now()).await;
                    Flow::On
                }
                Err(error) => self.refuse(malformed(&error)).await,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Flow::On,
            Some(Ok(Message::Text(_))) => {
                self.refuse(Problem::new(ErrorCode::InvalidFrame, "Frames are binary.")).await
            }
            Some(Ok(Message::Close(_))) | None => Flow::Over,
            Some(Err(error)) => {
                // The library reports an oversized frame as an error; it is the only one a client can be told of.
                let detail = format!("The frame could not be read: {error}.");
                self.refuse(Problem::new(ErrorCode::FrameTooLarge, detail)).await
            }
        }
    }

    async fn refuse(&mut self, problem: Problem) -> Flow {
        let reason = problem.code.as_str();
        let _ = self.send(&ServerFrame::Failed { sub: None, problem }).await;
        self.close(CLOSE_REFUSED, reason).await;
        Flow::Over
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::InvalidFrame, format!("The frame is malformed: {error}."))
}

/// Does what a frame asks. What it answers is queued with the rest.
async fn answer(watcher: &Watcher, frame: ClientFrame, now: u64) {
    let (sub, done) = match frame {
        ClientFrame::Hello { .. } => {
            (None, Err(Problem::new(ErrorCode::InvalidFrame, "Hello is said once, at the beginning.")))
        }
        ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to } => {
            let resume = cursor.map(|cursor| (cursor, from, to));
            let request = OpenRequest { sub, thread, branch, anchor, before, after, resume };
            (Some(sub), watcher.open(request).await)
        }
        ClientFrame::Range { sub, from, to } => {
            watcher.range(sub, from, to);
            (Some(sub), Ok(()))
        }
        ClientFrame::Unsubscribe { sub } => {
            watcher.close(sub);
            (Some(sub), Ok(()))
        }
        // Development identity has no credentials to renew.
        ClientFrame::Authenticate { .. } => (None, Ok(())),
        ClientFrame::FollowList { since } => (None, watcher.follow_list(since).await),
        ClientFrame::Ping { token } => {
            watcher.say(ServerFrame::Pong { token, now });
            (None, Ok(()))
        }
    };
    if let Err(problem) = done {
        watcher.say(ServerFrame::Failed { sub, problem });
    }
}
