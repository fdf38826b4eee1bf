//! Windows, and cursors as opaque tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Malformed, message_from_value, message_to_value, number, object, put, run_to_value, string};
use crate::{BranchId, Cursor, Fork, ForkOption, ThreadId, Window};

/// A cursor as a token: opaque to clients, bound to its thread.
#[must_use]
pub fn cursor_token(thread: &ThreadId, cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(crate::to_cbor(&(thread, cursor)))
}

/// Reads a token that [`cursor_token`] made for this thread. `None` if it is anything else.
#[must_use]
pub fn parse_cursor(thread: &ThreadId, token: &str) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (of, cursor): (ThreadId, Cursor) = crate::from_cbor(&bytes).ok()?;
    (of == *thread).then_some(cursor)
}

fn option(option: &ForkOption) -> Value {
    json!({"branch": option.branch.as_str(), "message": option.message.as_str()})
}

fn fork(fork: &Fork) -> Value {
    let mut map = Map::new();
    put(&mut map, "depth", Some(fork.depth));
    put(&mut map, "message", Some(fork.message.as_str()));
    put(&mut map, "index", Some(fork.index));
    put(&mut map, "total", Some(fork.total));
    put(&mut map, "previous", fork.previous.as_ref().map(option));
    put(&mut map, "next", fork.next.as_ref().map(option));
    Value::Object(map)
}

/// A window as JSON.
#[must_use]
pub fn window_to_value(window: &Window) -> Value {
    let segment = |s: &crate::Segment| json!({"branch": s.branch.as_str(), "from": s.from});
    let mut value = json!({
        "thread": window.thread.as_str(),
        "branch": window.branch.as_str(),
        "cursor": cursor_token(&window.thread, &window.cursor),
        "total": window.total,
        "firstDepth": window.from,
        "nextDepth": window.to,
        "messages": null,
        "runs": window.runs.iter().map(run_to_value).collect::<Vec<_>>(),
        "forks": window.forks.iter().map(fork).collect::<Vec<_>>(),
        "lineage": window.lineage.iter().map(segment).collect::<Vec<_>>(),
        "hasOlder": window.has_older(),
        "hasNewer": window.has_newer(),
    });
    value["messages"] = window.messages.iter().map(|m| message_to_value(m, Some(&window.thread))).collect();
    value
}

/// Reads what a client needs of a window: messages, forks and range. Runs and lineage are left empty.
///
/// # Errors
/// Says what is malformed.
pub fn window_from_value(value: Value) -> Result<Window, Malformed> {
    let mut map = object(value, "a window")?;
    let thread = ThreadId::parse(&string(&map, "thread")?).map_err(|e| format!("`thread`: {e}"))?;
    let list = |map: &mut Map<String, Value>, key: &str| match map.remove(key) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(format!("`{key}` must be an array")),
    };
    let messages = list(&mut map, "messages")?.into_iter().map(message_from_value).collect::<Result<_, _>>()?;
    let forks = list(&mut map, "forks")?.into_iter().map(fork_from_value).collect::<Result<_, _>>()?;
    Ok(Window {
        branch: BranchId::parse(&string(&map, "branch")?).map_err(|e| format!("`branch`: {e}"))?,
        cursor: parse_cursor(&thread, &string(&map, "cursor")?).ok_or("`cursor` is not one of this thread")?,
        total: number(&map, "total")?,
        from: number(&map, "firstDepth")?,
        to: number(&map, "nextDepth")?,
        messages,
        runs: Vec::new(),
        forks,
        lineage: Vec::new(),
        thread,
    })
}

fn fork_from_value(value: Value) -> Result<Fork, Malformed> {
    let mut map = object(value, "a fork")?;
    let mut side = |key: &str| map.remove(key).map(option_from_value).transpose();
    let (previous, next) = (side("previous")?, side("next")?);
    let message = string(&map, "message")?;
    Ok(Fork {
        depth: number(&map, "depth")?,
        message: crate::MessageId::parse(&message).map_err(|e| format!("`message`: {e}"))?,
        index: number(&map, "index")?,
        total: number(&map, "total")?,
        previous,
        next,
    })
}

fn option_from_value(value: Value) -> Result<ForkOption, Malformed> {
    let map = object(value, "a sibling")?;
    Ok(ForkOption {
        branch: BranchId::parse(&string(&map, "branch")?).map_err(|e| format!("`branch`: {e}"))?,
        message: crate::MessageId::parse(&string(&map, "message")?).map_err(|e| format!("`message`: {e}"))?,
    })
}
