//! Threadmill's own lines: a `thread`, its `branch` and `message` rows in the order of their making, an `end`.

use serde_json::{Map, Value, json};
use threadmill_proto::{BranchId, Thread, json as shape};
use threadmill_store::{ImportRow, ImportThread};

/// One line.
pub(crate) enum Line {
    /// A thread begins.
    Thread {
        /// Its head.
        thread: ImportThread,
        /// The branch that opens.
        default_branch: BranchId,
    },
    /// A row of it.
    Row(Box<ImportRow>),
    /// It ends, and this is how much there was.
    End {
        /// Messages.
        messages: u64,
        /// Branches.
        branches: u64,
    },
}

/// Reads a line.
pub(crate) fn line(value: Value) -> Result<Line, String> {
    let Value::Object(mut map) = value else { return Err("a line must be an object".into()) };
    if let Some(head) = map.shift_remove("thread") {
        let thread = shape::thread_from_value(head).map_err(|why| format!("thread: {why}"))?;
        return Ok(Line::Thread {
            default_branch: thread.default_branch,
            thread: ImportThread {
                id: thread.id,
                title: thread.title,
                metadata: thread.metadata,
                archived: thread.archived,
                created_at: thread.created_at,
                updated_at: thread.updated_at,
            },
        });
    }
    if let Some(Value::Object(end)) = map.get("end") {
        let count = |key: &str| end.get(key).and_then(Value::as_u64).ok_or_else(|| format!("end: `{key}` is missing"));
        return Ok(Line::End { messages: count("messages")?, branches: count("branches")? });
    }
    row(Value::Object(map)).map(|row| Line::Row(Box::new(row)))
}

/// Reads a row.
pub(crate) fn row(value: Value) -> Result<ImportRow, String> {
    let Value::Object(mut map) = value else { return Err("a row must be an object".into()) };
    if let Some(message) = map.shift_remove("message") {
        return shape::message_from_value(message).map(ImportRow::Message).map_err(|why| format!("message: {why}"));
    }
    match map.shift_remove("branch") {
        Some(Value::Object(branch)) => read_branch(&branch).map_err(|why| format!("branch: {why}")),
        _ => Err("a line has a `thread`, a `branch`, a `message` or an `end`, or is an Open Assistant tree".into()),
    }
}

fn read_branch(branch: &Map<String, Value>) -> Result<ImportRow, String> {
    let id = |key: &str| match branch.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => BranchId::parse(text).map(Some).map_err(|rule| format!("`{key}`: {rule}")),
        Some(_) => Err(format!("`{key}` must be a string")),
    };
    Ok(ImportRow::Branch {
        id: id("id")?.ok_or("`id` is missing")?,
        parent: id("parent")?,
        fork_depth: branch.get("forkDepth").and_then(Value::as_u64).ok_or("`forkDepth` must be a whole number")?,
    })
}

/// The line that begins a thread.
pub(crate) fn head(thread: &Thread) -> Value {
    json!({"thread": shape::thread_to_value(thread)})
}

/// The line that ends it.
pub(crate) fn end(messages: u64, branches: u64) -> Value {
    json!({"end": {"messages": messages, "branches": branches}})
}
