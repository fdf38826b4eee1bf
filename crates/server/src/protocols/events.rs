//! Server-sent events: a thread's changes and chunks as JSON, resumable by `Last-Event-ID`.
//!
//! Every event's id is a cursor after it. Without one the stream opens with a `window`; with one it goes on
//! from there, or says `reset` and opens with a `window`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};
use threadmill_proto::cursor::{Cursor, StreamOffset};
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{Anchor, Change, ErrorCode, Millis, ThreadId, Window, json as shape};
use tokio::sync::watch;

use crate::app::App;
use crate::identity::auth::{self, Identity};
use crate::problem::ApiProblem;
use crate::request::caller::Known;
use crate::request::query::{Query, path_id};
use crate::serve::peers::Peer;
use threadmill_engine::{
    Delivered, Encoding, Leaving, OpenRequest, Outgoing, RECONNECT_WITHIN, Share, Shared, Watcher, moving,
};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const SUB: u32 = 1;

/// `GET /v1/threads/{thread}/events`.
pub(crate) async fn follow(
    State(app): State<App>,
    Known(Identity { scope, until }): Known,
    peer: Option<Extension<Arc<Peer>>>,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    app.engine.node().may_connect()?;
    let thread = path_id(&id, ThreadId::parse)?;
    let token = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or_else(|| query.text("cursor"));
    let cursor = match token {
        None => None,
        Some(token) => Some(
            shape::parse_cursor(&thread, token)
                .ok_or_else(|| ApiProblem::new(ErrorCode::InvalidCursor, "The cursor is not one of this thread."))?,
        ),
    };
    let place = app.limiter.stream(&scope)?;
    let watcher = app.engine.delivery().connect(scope, peer.map(|Extension(peer)| Arc::clone(&peer.account)));
    let request = OpenRequest {
        sub: SUB,
        thread: thread.clone(),
        branch: query.branch()?,
        anchor: Anchor::Tip,
        // At least the last message: a run may be writing it, and its chunks need their beginning.
        before: query.count("before", 1, app.engine.limits().page_messages)?.max(1),
        after: 0,
        resume: cursor.clone().map(|cursor| (cursor, 0, None)),
    };
    watcher.open(request).await?;
    let leaving = app.engine.node().leaving();
    let cursor = cursor.unwrap_or_default();
    let reader = Reader { app, watcher, leaving, until, thread, cursor, over: false, _place: place };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Reader {
    app: App,
    watcher: Watcher,
    leaving: watch::Receiver<Leaving>,
    /// Until when the caller is known.
    until: Option<Millis>,
    thread: ThreadId,
    cursor: Cursor,
    over: bool,
    /// One of the user's live connections.
    _place: Share,
}

impl Reader {
    async fn next(&mut self) -> Option<SseEvent> {
        while !self.over {
            let outgoing = tokio::select! {
                outgoing = self.watcher.next() => outgoing,
                () = moving(&mut self.leaving) => {
                    self.over = true;
                    let within = self.app.engine.node().some_time(RECONNECT_WITHIN);
                    return Some(SseEvent::default().retry(within).comment("the node is about to stop"));
                }
                () = auth::expiry(&self.app.engine, self.until) => {
                    let expired = Shared::new(Delivered::Failed { sub: SUB, problem: auth::expired() });
                    return self.event(&expired);
                }
            };
            match outgoing {
                Outgoing::Event(event) => {
                    if let Some(event) = self.event(&event) {
                        return Some(event);
                    }
                }
                Outgoing::Resync(sub) => {
                    if self.watcher.resync(sub).await.is_err() {
                        return None;
                    }
                }
                // No event stream follows the list.
                Outgoing::List => {}
                Outgoing::TooSlow => return None,
            }
        }
        None
    }

    /// The event as it is sent, with the cursor moved past it.
    fn event(&mut self, shared: &Shared) -> Option<SseEvent> {
        let name = name_of(&shared.event)?;
        self.pass(&shared.event);
        let data = shared.encoded(Encoding::EVENTS, |event| data_of(event).into());
        let id = shape::cursor_token(&self.thread, &self.cursor);
        Some(SseEvent::default().event(name).id(id).data(String::from_utf8_lossy(&data)))
    }

    /// Moves the cursor past an event.
    fn pass(&mut self, event: &Delivered) {
        match event {
            Delivered::Window { window, .. } => self.cursor = window.cursor.clone(),
            Delivered::Change { event, .. } => {
                self.cursor.position = event.position();
                match &event.record.change {
                    Change::RunStarted { run, .. } => {
                        self.cursor.runs.push(StreamOffset { run: run.clone(), offset: 0 });
                    }
                    Change::RunEnded { run, .. } => self.cursor.runs.retain(|known| known.run != *run),
                    Change::ThreadDeleted => self.over = true,
                    _ => {}
                }
            }
            Delivered::Chunks { run, to, .. } => match self.cursor.runs.iter_mut().find(|known| known.run == *run) {
                Some(known) => known.offset = *to,
                None => self.cursor.runs.push(StreamOffset { run: run.clone(), offset: *to }),
            },
            Delivered::Advance { position, .. } => self.cursor.position = *position,
            Delivered::Failed { .. } => self.over = true,
            Delivered::Reset { .. } | Delivered::Resumed { .. } | Delivered::Summary { .. } | Delivered::Own(_) => {}
        }
    }
}

/// An event's name; none if it is not for these readers.
fn name_of(event: &Delivered) -> Option<&'static str> {
    match event {
        Delivered::Window { .. } => Some("window"),
        Delivered::Reset { .. } => Some("reset"),
        Delivered::Change { .. } => Some("change"),
        Delivered::Chunks { .. } => Some("chunks"),
        Delivered::Advance { .. } => Some("advance"),
        Delivered::Failed { .. } => Some("problem"),
        Delivered::Resumed { .. } | Delivered::Summary { .. } | Delivered::Own(_) => None,
    }
}

/// An event's data: the same for every reader, so it is encoded once.
fn data_of(event: &Delivered) -> String {
    let value = match event {
        Delivered::Window { window, .. } => return window_json(window),
        Delivered::Reset { reason, .. } => json!({"reason": reason_name(*reason)}),
        Delivered::Change { thread, event } => shape::event_to_value(thread, event),
        Delivered::Chunks { run, message, from, to, chunks, .. } => {
            let mut value = json!({"run": run.as_str(), "messageId": message.as_str(), "from": from, "to": to});
            value["chunks"] = chunks.iter().map(shape::chunk_to_value).collect();
            value
        }
        Delivered::Advance { position, total, .. } => json!({"seq": position.seq, "total": total}),
        Delivered::Failed { problem, .. } => shape::problem_to_value(problem),
        Delivered::Resumed { .. } | Delivered::Summary { .. } | Delivered::Own(_) => Value::Null,
    };
    value.to_string()
}

fn window_json(window: &Window) -> String {
    String::from_utf8(shape::window_to_json(window)).expect("JSON is text")
}

/// What readers are told of a reset. Frozen.
fn reason_name(reason: ResetReason) -> &'static str {
    match reason {
        ResetReason::Epoch => "epoch",
        ResetReason::Expired => "expired",
        ResetReason::TooFar => "too_far",
        ResetReason::Slow => "slow",
    }
}
