//! A live trace of one thread, or of a user's list: what is delivered to them on this node, without texts unless they are asked
//! for. Every trace is audited. It is a connection like any other, with the same bounds, on its owner's behalf; it ends after
//! [`LONGEST`] or [`EVENTS`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};
use threadmill_engine::{Delivered, OpenRequest, Outgoing, Watcher};
use threadmill_proto::{Anchor, Chunk, ErrorCode, Message, Problem, Scope, ThreadId, UserId, json as shape};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::shapes::{From, address, tenant};
use super::threads::{Texts, owner, redacted, wants_text};
use crate::app::App;
use crate::identity::ops_token::OpsToken;
use crate::ops::audit::Entry;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::query::{Query, path_id};

/// How long a trace lasts.
const LONGEST: Duration = Duration::from_secs(600);
/// How soon a trace ends whose token is not good any more.
const LOOK: Duration = Duration::from_secs(2);
/// Events of a trace.
const EVENTS: u32 = 10_000;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const SUB: u32 = 1;

/// `GET /ops/api/trace`.
pub(super) async fn follow(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    from: From,
    query: Query,
) -> Result<Response, ApiProblem> {
    let tenant = tenant(query.text("tenant"))?;
    let texts = wants_text(&query)?;
    let one = |name| query.text(name).filter(|text| !text.is_empty());
    let (scope, thread) = match (one("thread"), one("user")) {
        (Some(thread), None) => {
            let thread = path_id(thread, ThreadId::parse)?;
            (owner(&app, &tenant, &thread).await?, Some(thread))
        }
        (None, Some(user)) => (Scope { tenant: tenant.clone(), user: path_id(user, UserId::parse)? }, None),
        _ => return Err(ApiProblem::new(ErrorCode::InvalidParameter, "Give `thread` or `user`.")),
    };
    let place = Arc::clone(&ops.traces).try_acquire_owned().map_err(|_| {
        let problem = Problem::new(ErrorCode::Overloaded, "Too many traces are open.");
        ApiProblem(Problem { retry_after: Some(5_000), ..problem })
    })?;
    let what = if texts == Texts::Shown { "trace_text" } else { "trace" };
    let whose = thread.as_ref().map_or_else(|| scope.user.to_string(), ToString::to_string);
    let (at, subject) = (app.engine.node().now(), format!("{tenant}/{whose}"));
    ops.audit.write(&Entry { at, what, subject, why: None, from: address(&from), allowed: true });
    let account = from.map(|Extension(peer)| Arc::clone(&peer.account));
    let watcher = app.engine.delivery().connect(scope, account);
    match thread {
        Some(thread) => {
            let (branch, anchor, resume) = (None, Anchor::Tip, None);
            watcher.begin_open(OpenRequest { sub: SUB, thread, branch, anchor, before: 1, after: 0, resume });
        }
        None => watcher.begin_follow_list(u64::MAX),
    }
    let (token, until) = (app.guard().ops.clone(), Instant::now() + LONGEST);
    let trace = Trace { app, watcher, texts, token, until, left: EVENTS, over: false, _place: place };
    let events = stream::unfold(trace, |mut trace| async move {
        let event = trace.next().await?;
        Some((Ok::<_, Infallible>(event), trace))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

struct Trace {
    app: App,
    watcher: Watcher,
    texts: Texts,
    /// What there was when it began.
    token: OpsToken,
    until: Instant,
    left: u32,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Trace {
    async fn next(&mut self) -> Option<SseEvent> {
        while !self.over {
            let outgoing = timeout_at(self.until.min(Instant::now() + LOOK), self.watcher.next()).await;
            if !self.app.guard().ops.is_as(&self.token) {
                return Some(self.end("the operators' token was changed"));
            }
            let Ok(outgoing) = outgoing else {
                if Instant::now() < self.until {
                    continue;
                }
                return Some(self.end("ten minutes are over"));
            };
            match outgoing {
                Outgoing::Event(event) => {
                    let Some(mut value) = self.value(&event.event) else { continue };
                    value["at"] = shape::iso(self.app.engine.node().now()).into();
                    self.left -= 1;
                    if self.left == 0 {
                        return Some(self.end("enough events were shown"));
                    }
                    return Some(SseEvent::default().event("trace").data(value.to_string()));
                }
                Outgoing::Resync(sub) => self.watcher.begin_resync(sub),
                Outgoing::List => self.watcher.begin_read_list(),
                Outgoing::TooSlow => return Some(self.end("it was read too slowly")),
            }
        }
        None
    }

    fn end(&mut self, why: &str) -> SseEvent {
        self.over = true;
        SseEvent::default().event("end").data(json!({"why": why}).to_string())
    }

    /// An event, without texts unless they are wanted.
    fn value(&mut self, event: &Delivered) -> Option<Value> {
        let shown = self.texts == Texts::Shown;
        Some(match event {
            Delivered::Window { window, .. } => {
                let position = window.cursor.position;
                json!({"kind": "window", "thread": window.thread.as_str(), "seq": position.seq, "total": window.total})
            }
            Delivered::Change { thread, event } => {
                let mut value =
                    if shown { shape::change_to_value(&event.record.change) } else { redacted(&event.record.change) };
                let kind = value["type"].take();
                if let Value::Object(map) = &mut value {
                    map.remove("type");
                }
                value["kind"] = kind;
                value["thread"] = thread.as_str().into();
                value["seq"] = event.record.seq.into();
                value["bytes"] = event.body.as_ref().map(Message::bytes).into();
                if shown {
                    value["body"] = event.body.as_ref().map(|body| shape::message_to_value(body, Some(thread))).into();
                }
                value
            }
            Delivered::Chunks { thread, run, from, to, chunks, .. } => {
                let bytes: usize = chunks.iter().map(Chunk::bytes).sum();
                let mut value = json!({
                    "kind": "chunks", "thread": thread.as_str(), "run": run.as_str(), "from": from, "to": to, "bytes": bytes,
                });
                if shown {
                    value["chunks"] = chunks.iter().map(shape::chunk_to_value).collect();
                }
                value
            }
            Delivered::Advance { thread, position, .. } => {
                json!({"kind": "advance", "thread": thread.as_str(), "seq": position.seq})
            }
            Delivered::Reset { .. } => json!({"kind": "reset"}),
            Delivered::Resumed { .. } => json!({"kind": "resumed"}),
            Delivered::Summary { pos, items } => {
                let threads: Vec<_> = items
                    .iter()
                    .map(|item| json!({"thread": item.thread.as_str(), "pos": item.pos, "running": item.running}))
                    .collect();
                json!({"kind": "summary", "pos": pos, "threads": threads})
            }
            Delivered::Failed { problem, .. } => {
                self.over = true;
                json!({"kind": "failed", "code": problem.code.as_str()})
            }
            Delivered::Own(_) => return None,
        })
    }
}
