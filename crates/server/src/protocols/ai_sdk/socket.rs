//! The same over one WebSocket, as version 7's `WebSocketChatTransport` speaks: several answers share it, each under the id
//! of the request that asked for it.
//!
//! ```text
//! client: {type: send, requestId, id, trigger, messageId, messages, headers, body}
//!         {type: resume, requestId, id, lastSequence?, headers, body}    {type: abort, requestId}
//! server: {type: start, requestId}  {type: chunk, requestId, sequence, chunk}
//!         {type: end | no-active, requestId}  {type: error, requestId, errorText}
//! ```
//!
//! `sequence` counts an answer's chunks from 0. Deltas are sent as they were written and never joined, so a chunk has the
//! same number at every reading, and whoever resumes with `lastSequence` is sent what follows it. `abort` ends a reading and
//! stops nothing. One frame is made when the one before it was taken, so what waits here is one frame.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{self, AbortHandle, BoxStream, SelectAll};
use serde_json::{Map, Value};
use threadmill_engine::{Share, Terms, moving};
use threadmill_proto::{ErrorCode, Millis, Problem, json as shape};

use super::answer::Answer;
use super::request::{ChatRequest, fields_of, thread_of};
use super::turn;
use super::words::{Deltas, Dialect, frame};
use crate::app::App;
use crate::identity::auth::{self, Identity};
use crate::problem::ApiProblem;
use crate::request::caller::MaybeCaller;
use crate::serve::peers::Peer;

/// A frame that cannot be written for this long means a dead peer.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Who connects says who it is within this.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// Proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// As of the other socket: the library's own would be most of an idle connection's memory.
const READ_BUFFER: usize = 4 << 10;
const WRITE_BUFFER: usize = 8 << 20;
/// Answers that are read at once on one socket.
const READ_AT_ONCE: usize = 16;
/// Of a `requestId`, in bytes. The SDK's have 16.
const LONGEST_ID: usize = 128;
/// Close codes: the frame is none, or nobody known is there; the node is about to stop.
const CLOSE_REFUSED: u16 = 4400;
const CLOSE_RESTART: u16 = 1012;

/// `GET /api/chat/ws`.
pub(crate) async fn upgrade(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    peer: Option<Extension<Arc<Peer>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiProblem> {
    app.engine.node().may_connect()?;
    let upgrade = upgrade
        .map_err(|rejection| ApiProblem::new(ErrorCode::InvalidRequest, format!("{}.", rejection.body_text())))?;
    // A frame brings what a request's body does.
    let limit = app.engine.limits().body_bytes;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .max_write_buffer_size(WRITE_BUFFER.max(limit + 1));
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            let peer = peer.map(|Extension(peer)| peer);
            let (answers, reading, is_known) = (SelectAll::new(), HashMap::new(), caller.is_some());
            let until = caller.as_ref().and_then(|caller| caller.until);
            Connection { app, caller, is_known, until, socket, peer, answers, reading }.run().await;
        })
        .into_response())
}

/// What an answer says next, and whose it is.
type Tagged = (String, Said);

enum Said {
    Frame(String),
    Over,
}

struct Connection {
    app: App,
    caller: Option<Identity>,
    /// The handshake said who it is, or a frame did.
    is_known: bool,
    /// Until when somebody is, by the credentials that last longest.
    until: Option<Millis>,
    socket: WebSocket,
    peer: Option<Arc<Peer>>,
    answers: SelectAll<BoxStream<'static, Tagged>>,
    /// Requests whose answer is read, and how to leave them.
    reading: HashMap<String, AbortHandle>,
}

/// How a connection goes on.
enum Flow {
    On,
    Over,
}

impl Connection {
    async fn run(mut self) {
        let mut leaving = self.app.engine.node().leaving();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        let greeted_by = tokio::time::Instant::now() + HELLO_PATIENCE;
        loop {
            let flow = tokio::select! {
                incoming = self.socket.next() => self.receive(incoming).await,
                Some((request, said)) = self.answers.next(), if !self.answers.is_empty() => match said {
                    Said::Frame(text) => self.write(Message::Text(text.into())).await,
                    Said::Over => {
                        self.reading.remove(&request);
                        Flow::On
                    }
                },
                () = tokio::time::sleep_until(greeted_by), if !self.is_known => {
                    self.close(CLOSE_REFUSED, ErrorCode::Unauthorized.as_str()).await
                }
                // Answers that are read end by themselves when their reader is not known any more.
                () = auth::expiry(&self.app.engine, self.until), if self.reading.is_empty() => {
                    self.close(CLOSE_REFUSED, ErrorCode::Unauthorized.as_str()).await
                }
                _ = heartbeat.tick() => self.write(Message::Ping(Vec::new().into())).await,
                () = moving(&mut leaving) => self.close(CLOSE_RESTART, "the node is about to stop").await,
            };
            if matches!(flow, Flow::Over) {
                return;
            }
        }
    }

    async fn receive(&mut self, incoming: Option<Result<Message, axum::Error>>) -> Flow {
        let text = match incoming {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Flow::On,
            Some(Ok(Message::Binary(_))) => return self.close(CLOSE_REFUSED, "frames are text").await,
            Some(Ok(Message::Close(_))) | None => return Flow::Over,
            Some(Err(_)) => return self.close(CLOSE_REFUSED, ErrorCode::FrameTooLarge.as_str()).await,
        };
        let Ok(mut fields) = fields_of(text.as_bytes()) else {
            return self.close(CLOSE_REFUSED, ErrorCode::InvalidFrame.as_str()).await;
        };
        let word = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let request = word("requestId").filter(|id| (1..=LONGEST_ID).contains(&id.len()));
        let (Some(request), kind) = (request, word("type")) else {
            return self.close(CLOSE_REFUSED, ErrorCode::InvalidFrame.as_str()).await;
        };
        let refused = match kind.as_deref() {
            Some("abort") => {
                if let Some(reading) = self.reading.remove(&request) {
                    reading.abort();
                }
                return Flow::On;
            }
            Some("send" | "resume") if self.reading.contains_key(&request) => {
                Problem::new(ErrorCode::InvalidRequest, "This requestId is in use.")
            }
            Some("send" | "resume") if self.reading.len() >= READ_AT_ONCE => {
                let detail = format!("{READ_AT_ONCE} answers are read on this connection already.");
                Problem::new(ErrorCode::TooManySubscriptions, detail)
            }
            Some("send") => match self.identity(&mut fields).and_then(|who| Ok((who, asked_of(fields)?))) {
                Ok((identity, asked)) => return self.read(request, identity, Asked::Send(Box::new(asked))),
                Err(problem) => problem,
            },
            Some("resume") => match self.identity(&mut fields).and_then(|who| Ok((who, resume_of(&fields)?))) {
                Ok((identity, asked)) => return self.read(request, identity, asked),
                Err(problem) => problem,
            },
            _ => return self.close(CLOSE_REFUSED, ErrorCode::InvalidFrame.as_str()).await,
        };
        self.write(Message::Text(error(&request, &refused.detail).into())).await
    }

    /// Who asks: as the handshake showed, or as the frame's own headers do, since pages can give a handshake none.
    fn identity(&mut self, fields: &mut Map<String, Value>) -> Result<Identity, Problem> {
        let headers = fields.shift_remove("headers").and_then(|headers| shape::object(headers, "headers").ok());
        let authorization = headers.as_ref().and_then(|headers| headers.get("authorization")?.as_str());
        let token = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let now = self.app.engine.node().now();
        let identity = self.app.guard().auth.greeted(token.map(|(_, token)| token.trim()), self.caller.clone(), now)?;
        self.app.limiter.request(Some(&identity.scope), None)?;
        if let Some(peer) = &self.peer {
            peer.known(&identity.scope);
        }
        self.is_known = true;
        self.until = self.until.max(identity.until);
        Ok(identity)
    }

    fn read(&mut self, request: String, identity: Identity, asked: Asked) -> Flow {
        let place = match self.app.limiter.stream(&identity.scope) {
            Ok(place) => place,
            Err(problem) => {
                let refused = stream::iter([(request.clone(), Said::Frame(error(&request, &problem.detail)))]);
                self.answers.push(refused.boxed());
                return Flow::On;
            }
        };
        let reading = Reading {
            app: self.app.clone(),
            identity,
            request: request.clone(),
            step: Step::Asked(asked),
            _place: place,
        };
        let frames = stream::unfold(reading, |mut reading| async move {
            let said = reading.next().await?;
            Some(((reading.request.clone(), said), reading))
        });
        let (frames, handle) = stream::abortable(frames);
        self.reading.insert(request, handle);
        self.answers.push(frames.boxed());
        Flow::On
    }

    async fn write(&mut self, message: Message) -> Flow {
        match tokio::time::timeout(WRITE_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Flow::On,
            Ok(Err(_)) | Err(_) => Flow::Over,
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Flow {
        self.write(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        Flow::Over
    }
}

/// What a frame asks for.
enum Asked {
    Send(Box<ChatRequest>),
    Resume { chat: String, after: Option<u64> },
}

fn asked_of(mut fields: Map<String, Value>) -> Result<ChatRequest, Problem> {
    // Over HTTP the request's `body` is spread into the request itself.
    let body = fields.shift_remove("body").and_then(|body| shape::object(body, "body").ok());
    if let Some(provider) = body.and_then(|mut body| body.shift_remove("provider")) {
        fields.insert("provider".into(), provider);
    }
    ChatRequest::of(fields)
}

fn resume_of(fields: &Map<String, Value>) -> Result<Asked, Problem> {
    let invalid = |detail: &str| Problem::new(ErrorCode::InvalidRequest, detail);
    let chat = fields.get("id").and_then(Value::as_str).ok_or_else(|| invalid("`id` must be a string."))?;
    let after = match fields.get("lastSequence") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_u64().ok_or_else(|| invalid("`lastSequence` must be a whole number."))?),
    };
    Ok(Asked::Resume { chat: chat.to_owned(), after })
}

enum Step {
    Asked(Asked),
    Answer { answer: Box<Answer>, sequence: u64, after: Option<u64> },
    Last,
    Over,
}

/// One answer that is read.
struct Reading {
    app: App,
    identity: Identity,
    request: String,
    step: Step,
    /// One of the user's live connections.
    _place: Share,
}

impl Reading {
    async fn next(&mut self) -> Option<Said> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Asked(asked) => match self.begin(asked).await {
                Ok(Some((answer, after))) => {
                    self.step = Step::Answer { answer: Box::new(answer), sequence: 0, after };
                    Some(self.word("start"))
                }
                Ok(None) => {
                    self.step = Step::Last;
                    Some(self.word("no-active"))
                }
                Err(problem) => Some(self.failed(&problem)),
            },
            Step::Answer { answer, sequence, after } => self.go_on(answer, sequence, after).await,
            Step::Last => Some(Said::Over),
            Step::Over => None,
        }
    }

    async fn begin(&self, asked: Asked) -> Result<Option<(Answer, Option<u64>)>, Problem> {
        let (app, scope) = (&self.app, &self.identity.scope);
        let (run, after) = match asked {
            Asked::Send(request) => (turn::take(app, scope, &Terms::default(), &request).await?, None),
            Asked::Resume { chat, after } => match turn::live(app, scope, &thread_of(&chat)?).await? {
                Some(run) => (run, after),
                None => return Ok(None),
            },
        };
        let answer = Answer::of(app, scope, &run, Dialect::Seven, Deltas::AsWritten).await?;
        Ok(Some((answer, after)))
    }

    async fn go_on(&mut self, mut answer: Box<Answer>, mut sequence: u64, after: Option<u64>) -> Option<Said> {
        loop {
            let chunk = tokio::select! {
                // In this order, or whoever always has a chunk to read is never asked.
                biased;
                () = auth::expiry(&self.app.engine, self.identity.until) => {
                    return Some(self.failed(&auth::expired()));
                }
                chunk = answer.next() => chunk,
            };
            let Some(chunk) = chunk else {
                self.step = Step::Last;
                return Some(self.word("end"));
            };
            let number = sequence;
            sequence += 1;
            if after.is_none_or(|after| number > after) {
                self.step = Step::Answer { answer, sequence, after };
                return Some(Said::Frame(frame([
                    ("type", "chunk".into()),
                    ("requestId", self.request.as_str().into()),
                    ("sequence", number.into()),
                    ("chunk", chunk),
                ])));
            }
        }
    }

    fn word(&self, kind: &'static str) -> Said {
        Said::Frame(frame([("type", kind.into()), ("requestId", self.request.as_str().into())]))
    }

    fn failed(&mut self, problem: &Problem) -> Said {
        self.step = Step::Last;
        Said::Frame(error(&self.request, &problem.detail))
    }
}

fn error(request: &str, why: &str) -> String {
    frame([("type", "error".into()), ("requestId", request.into()), ("errorText", why.into())])
}
