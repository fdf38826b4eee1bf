//! A file of threads: for each a `thread` line, its rows, and an `end` that counts them.

use serde_json::{Value, json};
use threadmill_proto::{BranchId, Thread, json as shape};
use threadmill_store::{ImportRow, ImportThread};

use crate::rows;

/// One line.
#[derive(Debug)]
pub enum Line {
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
///
/// # Errors
/// Says what is malformed.
pub fn line(value: Value) -> Result<Line, String> {
    let mut map = shape::object(value, "a line")?;
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
    if !map.contains_key("message") && !map.contains_key("branch") {
        return Err("a line has a `thread`, a `branch`, a `message` or an `end`, or is an Open Assistant tree".into());
    }
    rows::from_value(Value::Object(map)).map(|row| Line::Row(Box::new(row)))
}

/// The line that begins a thread.
#[must_use]
pub fn head(thread: &Thread) -> Value {
    Value::from_iter([("thread", shape::thread_to_value(thread))])
}

/// The line that ends it.
#[must_use]
pub fn end(messages: u64, branches: u64) -> Value {
    json!({"end": {"messages": messages, "branches": branches}})
}
