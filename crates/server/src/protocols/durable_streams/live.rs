//! `live=sse`: what there is, and then what comes, each part as one `data` event with the `control` event that says where it
//! ends. A reader holds no more than the part that it is being sent: the next one is read when that has gone out, so whoever
//! does not read costs one part until the socket's own patience is over.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use serde_json::json;
use threadmill_engine::streams::{ReadFrom, StreamFollower, StreamKey, StreamSlice, is_json};
use threadmill_engine::{Leaving, Share, moving};
use threadmill_proto::Millis;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{answer, ask, body, offset};
use crate::app::App;
use crate::identity::auth;
use crate::problem::ApiProblem;

/// How long a connection is kept: the protocol's word, so that readers behind a cache fall into step.
const LASTS: Duration = Duration::from_secs(60);
/// How often something is said while nothing comes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The cursor after the one that a reader has.
pub(super) fn next_cursor(app: &App, known: Option<&str>) -> String {
    let node = app.engine.node();
    let chance = node.some_time(Duration::from_secs(3600)).as_secs();
    offset::cursor(known, node.now(), chance)
}

struct Reader {
    app: App,
    key: StreamKey,
    follower: StreamFollower,
    leaving: watch::Receiver<Leaving>,
    /// Until when the caller is known.
    until: Option<Millis>,
    ends: Instant,
    from: ReadFrom,
    cursor: Option<String>,
    /// What was read before the answer began.
    first: Option<StreamSlice>,
    /// How far it was told that it is.
    told: Option<u64>,
    over: bool,
    _place: Share,
}

/// Follows a stream.
pub(super) async fn follow(
    app: App,
    asked: ask::Asked,
    from: ReadFrom,
    cursor: Option<String>,
) -> Result<Response, ApiProblem> {
    let key = asked.key;
    let place = app.limiter.stream(&key.scope)?;
    let follower = match app.engine.streams().follow(&key, from).await? {
        Ok(follower) => follower,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let first = match app.engine.streams().read(&key, from).await? {
        Ok(slice) => slice,
        Err(refusal) => return Ok(answer::refused(&refusal)),
    };
    let kind = Kind::of(&first.head.content_type);
    let leaving = app.engine.node().leaving();
    let reader = Reader {
        app,
        key,
        follower,
        leaving,
        until: asked.until,
        ends: Instant::now() + LASTS,
        from,
        cursor,
        first: Some(first),
        told: None,
        over: false,
        _place: place,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let mut response = Body::from_stream(events).into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-transform"));
    out.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if kind == Kind::Bytes {
        out.insert("stream-sse-data-encoding", HeaderValue::from_static("base64"));
    }
    Ok(response)
}

/// How the bytes of a stream become the data of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Bytes,
}

impl Kind {
    fn of(content_type: &str) -> Self {
        let text = content_type.get(..5).is_some_and(|begins| begins.eq_ignore_ascii_case("text/"));
        match (is_json(content_type), text) {
            (true, _) => Self::Json,
            (false, true) => Self::Text,
            (false, false) => Self::Bytes,
        }
    }
}

impl Reader {
    async fn next(&mut self) -> Option<String> {
        loop {
            // Also of a stream in which there is always more, where nothing is waited for.
            if self.over || auth::has_expired(&self.app.engine, self.until) {
                return None;
            }
            let slice = match self.first.take() {
                Some(first) => first,
                // One that was deleted ends as a connection does: whoever asks again is told.
                None => self.app.engine.streams().read(&self.key, self.from).await.ok()?.ok()?,
            };
            if let Some(event) = self.event(&slice) {
                return Some(event);
            }
            let waited = tokio::select! {
                waited = timeout(KEEP_ALIVE, self.follower.changed()) => waited,
                () = sleep_until(self.ends) => return None,
                () = moving(&mut self.leaving) => return None,
                () = auth::expiry(&self.app.engine, self.until) => return None,
            };
            if waited.is_err() {
                return Some(":\n\n".to_owned());
            }
        }
    }

    /// A part with where it ends; nothing if there is nothing new.
    fn event(&mut self, slice: &StreamSlice) -> Option<String> {
        let kind = Kind::of(&slice.head.content_type);
        let ends = answer::is_end(slice);
        let (data, to) = match kind {
            Kind::Text => text(slice, ends),
            Kind::Json => (String::from_utf8_lossy(&body::list(&slice.body)).into_owned(), slice.to),
            Kind::Bytes => (BASE64_STANDARD.encode(&slice.body), slice.to),
        };
        self.from = ReadFrom::At(to);
        self.over = ends;
        if to == slice.from && !ends && self.told == Some(to) {
            return None;
        }
        let mut event = String::with_capacity(data.len() + 160);
        if to > slice.from {
            event.push_str("event: data\n");
            if kind == Kind::Bytes {
                // Nothing in it ends a line, and looking for that in a megabyte is most of the work.
                event.extend(["data:", data.as_str(), "\n"]);
            } else {
                lines(&mut event, &data);
            }
            event.push('\n');
        }
        let mut control = json!({"streamNextOffset": offset::written(to)});
        if ends {
            control["streamClosed"] = true.into();
        } else {
            let cursor = next_cursor(&self.app, self.cursor.as_deref());
            control["streamCursor"] = cursor.into();
        }
        if to == slice.head.end {
            control["upToDate"] = true.into();
        }
        self.told = Some(to);
        // What is written to a string arrives.
        let _ = write!(event, "event: control\ndata:{control}\n\n");
        Some(event)
    }
}

/// What of a part is whole text. An append may end within a character: its beginning waits for the rest, which is the next
/// append's, unless there will be none.
fn text(slice: &StreamSlice, ends: bool) -> (String, u64) {
    let whole = match std::str::from_utf8(&slice.body) {
        // Broken in the middle is broken for good.
        Err(error) if error.error_len().is_none() && !ends => error.valid_up_to(),
        _ => slice.body.len(),
    };
    let text = String::from_utf8_lossy(slice.body.get(..whole).unwrap_or_default()).into_owned();
    (text, slice.from + whole as u64)
}

/// A field of an event for each line. Every end of a line that a reader of events knows ends one: nothing in a payload can
/// begin a field of its own.
fn lines(event: &mut String, data: &str) {
    for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
        event.push_str("data:");
        // The first space of a field is dropped by readers.
        if line.starts_with(' ') {
            event.push(' ');
        }
        event.push_str(line);
        event.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_payload_begins_an_event() {
        let mut event = String::new();
        lines(&mut event, "a\r\n\r\nevent: control\rdata: x\n\n b");
        assert_eq!(event, "data:a\ndata:\ndata:event: control\ndata:data: x\ndata:\ndata:  b\n");
    }
}
