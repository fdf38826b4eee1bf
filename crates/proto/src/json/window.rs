//! Windows, and cursors as opaque tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::message::MessageShape;
use super::{Malformed, message_from_value, number, object, run_to_value, string};
use crate::{BranchId, Cursor, Fork, ForkOption, Message, Segment, ThreadId, Window};

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

/// A window as JSON text.
#[must_use]
pub fn window_to_json(window: &Window) -> Vec<u8> {
    let texts: usize = window.messages.iter().map(Message::bytes).sum();
    let mut json = Vec::with_capacity(texts + texts / 4 + 512);
    serde_json::to_writer(&mut json, &WindowShape(window)).expect("memory takes everything, and every key is a text");
    json
}

/// A window as it is written.
struct WindowShape<'w>(&'w Window);

impl Serialize for WindowShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let window = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("thread", window.thread.as_str())?;
        map.serialize_entry("branch", window.branch.as_str())?;
        map.serialize_entry("cursor", &cursor_token(&window.thread, &window.cursor))?;
        map.serialize_entry("total", &window.total)?;
        map.serialize_entry("firstDepth", &window.from)?;
        map.serialize_entry("nextDepth", &window.to)?;
        map.serialize_entry("messages", &MessagesShape(window))?;
        map.serialize_entry("runs", &window.runs.iter().map(run_to_value).collect::<Vec<_>>())?;
        map.serialize_entry("forks", &window.forks.iter().map(ForkShape::of).collect::<Vec<_>>())?;
        map.serialize_entry("lineage", &window.lineage.iter().map(SegmentShape::of).collect::<Vec<_>>())?;
        map.serialize_entry("hasOlder", &window.has_older())?;
        map.serialize_entry("hasNewer", &window.has_newer())?;
        map.end()
    }
}

struct MessagesShape<'w>(&'w Window);

impl Serialize for MessagesShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let thread = Some(&self.0.thread);
        to.collect_seq(self.0.messages.iter().map(|message| MessageShape { message, thread }))
    }
}

#[derive(Serialize)]
struct ForkShape<'w> {
    depth: u64,
    message: &'w str,
    index: u64,
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<OptionShape<'w>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<OptionShape<'w>>,
}

impl<'w> ForkShape<'w> {
    fn of(fork: &'w Fork) -> Self {
        let side = |side: &'w Option<ForkOption>| side.as_ref().map(OptionShape::of);
        let (previous, next) = (side(&fork.previous), side(&fork.next));
        Self { depth: fork.depth, message: fork.message.as_str(), index: fork.index, total: fork.total, previous, next }
    }
}

#[derive(Serialize)]
struct OptionShape<'w> {
    branch: &'w str,
    message: &'w str,
}

impl<'w> OptionShape<'w> {
    fn of(option: &'w ForkOption) -> Self {
        Self { branch: option.branch.as_str(), message: option.message.as_str() }
    }
}

#[derive(Serialize)]
struct SegmentShape<'w> {
    branch: &'w str,
    from: u64,
}

impl<'w> SegmentShape<'w> {
    fn of(segment: &'w Segment) -> Self {
        Self { branch: segment.branch.as_str(), from: segment.from }
    }
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
