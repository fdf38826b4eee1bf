//! Threads, summaries, runs and problems.

use serde_json::{Map, Value, json};

use super::{Malformed, number, object, optional, put, raw, string, text_of};
use crate::{BranchId, ErrorCode, Millis, Outcome, Problem, RunInfo, RunStatus, Summary, Thread, ThreadId};

/// A time as ISO 8601 in UTC, to the millisecond.
#[must_use]
pub fn iso(at: Millis) -> String {
    let millis = i64::try_from(at).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// Reads an ISO 8601 time.
///
/// # Errors
/// Says what was expected. Times before 1970 are refused.
pub fn parse_iso(text: &str) -> Result<Millis, Malformed> {
    let time: jiff::Timestamp = text.parse().map_err(|_| format!("`{text}` is not an ISO 8601 time with an offset"))?;
    Millis::try_from(time.as_millisecond()).map_err(|_| format!("`{text}` is before 1970"))
}

/// A thread as JSON.
#[must_use]
pub fn thread_to_value(thread: &Thread) -> Value {
    let mut value = json!({
        "id": thread.id.as_str(), "title": thread.title, "metadata": null,
        "archived": thread.archived, "defaultBranch": thread.default_branch.as_str(), "branches": thread.branches,
        "messages": thread.messages, "createdAt": iso(thread.created_at), "updatedAt": iso(thread.updated_at),
    });
    value["metadata"] = thread.metadata.as_ref().map_or(Value::Null, raw);
    value
}

/// Reads a thread.
///
/// # Errors
/// Says what is malformed.
pub fn thread_from_value(value: Value) -> Result<Thread, Malformed> {
    let map = object(value, "a thread")?;
    Ok(Thread {
        id: ThreadId::parse(&string(&map, "id")?).map_err(|e| format!("`id`: {e}"))?,
        title: string(&map, "title")?,
        metadata: map.get("metadata").filter(|m| !m.is_null()).map(text_of),
        archived: map.get("archived").and_then(Value::as_bool).unwrap_or(false),
        default_branch: BranchId::parse(&string(&map, "defaultBranch")?)
            .map_err(|e| format!("`defaultBranch`: {e}"))?,
        branches: number(&map, "branches")?,
        messages: number(&map, "messages")?,
        created_at: parse_iso(&string(&map, "createdAt")?)?,
        updated_at: parse_iso(&string(&map, "updatedAt")?)?,
    })
}

/// A list entry as JSON.
#[must_use]
pub fn summary_to_value(summary: &Summary) -> Value {
    json!({
        "id": summary.thread.as_str(), "pos": summary.pos, "title": summary.title, "snippet": summary.snippet,
        "running": summary.running, "archived": summary.archived, "deleted": summary.deleted,
        "updatedAt": iso(summary.updated_at),
    })
}

/// Reads a list entry.
///
/// # Errors
/// Says what is malformed.
pub fn summary_from_value(value: Value) -> Result<Summary, Malformed> {
    let map = object(value, "a summary")?;
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    Ok(Summary {
        thread: ThreadId::parse(&string(&map, "id")?).map_err(|e| format!("`id`: {e}"))?,
        pos: number(&map, "pos")?,
        title: string(&map, "title")?,
        snippet: string(&map, "snippet")?,
        running: flag("running"),
        archived: flag("archived"),
        deleted: flag("deleted"),
        updated_at: parse_iso(&string(&map, "updatedAt")?)?,
    })
}

/// How a run ended, as a word.
#[must_use]
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Stopped => "stopped",
        Outcome::Interrupted => "interrupted",
        Outcome::Failed => "failed",
    }
}

fn run_status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Live => "live",
        RunStatus::Stopping => "stopping",
        RunStatus::Ended => "ended",
    }
}

/// A run as JSON.
#[must_use]
pub fn run_to_value(run: &RunInfo) -> Value {
    let mut map = Map::new();
    put(&mut map, "id", Some(run.id.as_str()));
    put(&mut map, "branch", Some(run.branch.as_str()));
    put(&mut map, "message", Some(run.message.as_str()));
    put(&mut map, "depth", Some(run.depth));
    put(&mut map, "status", Some(run_status_word(run.status)));
    put(&mut map, "outcome", run.outcome.map(outcome_word));
    put(&mut map, "offset", Some(run.offset));
    put(&mut map, "provider", Some(run.provider.as_str()));
    put(&mut map, "startedAt", Some(iso(run.started_at)));
    put(&mut map, "error", run.error.as_deref());
    Value::Object(map)
}

/// A problem as an RFC 9457 document.
#[must_use]
pub fn problem_to_value(problem: &Problem) -> Value {
    let code = problem.code;
    let mut map = Map::new();
    put(&mut map, "type", Some(format!("/docs/errors#{}", code.as_str())));
    put(&mut map, "title", Some(code.as_str().replace('_', " ")));
    put(&mut map, "status", Some(code.status()));
    put(&mut map, "code", Some(code.as_str()));
    put(&mut map, "detail", Some(problem.detail.as_str()));
    put(&mut map, "hint", Some(problem.hint()));
    put(&mut map, "retryAfterMs", problem.retry_after);
    Value::Object(map)
}

/// Reads a problem document. A code this version does not know becomes `internal`.
///
/// # Errors
/// Says what is malformed.
pub fn problem_from_value(value: Value) -> Result<Problem, Malformed> {
    let map = object(value, "a problem")?;
    let word = string(&map, "code")?;
    let code = ErrorCode::ALL.iter().copied().find(|c| c.as_str() == word).unwrap_or(ErrorCode::Internal);
    let retry_after = map.get("retryAfterMs").and_then(Value::as_u64).and_then(|ms| u32::try_from(ms).ok());
    Ok(Problem {
        code,
        detail: optional(&map, "detail")?.unwrap_or_default(),
        retry_after,
        hint: optional(&map, "hint")?,
    })
}
