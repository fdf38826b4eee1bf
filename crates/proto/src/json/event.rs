//! Changes, as server-sent events carry them.

use serde_json::{Map, Value, json};

use super::{iso, message_to_value, outcome_word, put};
use crate::change::MessageRef;
use crate::{Change, Event, ThreadId};

fn message_ref(map: &mut Map<String, Value>, message: &MessageRef) {
    put(map, "messageId", Some(message.id.as_str()));
    put(map, "branch", Some(message.branch.as_str()));
    put(map, "depth", Some(message.depth));
    put(map, "rev", Some(message.rev));
}

/// A change as JSON: `type` says which, the other fields what.
#[must_use]
pub fn change_to_value(change: &Change) -> Value {
    let mut map = Map::new();
    let kind = match change {
        Change::ThreadCreated { .. } => "thread-created",
        Change::ThreadUpdated { .. } => "thread-updated",
        Change::ThreadDeleted => "thread-deleted",
        Change::ThreadImported { .. } => "thread-imported",
        Change::BranchForked { .. } => "branch-forked",
        Change::DefaultBranchMoved { .. } => "default-branch-moved",
        Change::MessageAppended(_) => "message-appended",
        Change::MessageEdited(_) => "message-edited",
        Change::MessageRemoved(_) => "message-removed",
        Change::RunStarted { .. } => "run-started",
        Change::RunStopping { .. } => "run-stopping",
        Change::RunEnded { .. } => "run-ended",
    };
    put(&mut map, "type", Some(kind));
    if let Some(message) = change.message() {
        message_ref(&mut map, message);
    }
    match change {
        Change::ThreadCreated { branch, title } => {
            put(&mut map, "branch", Some(branch.as_str()));
            put(&mut map, "title", Some(title.as_str()));
        }
        Change::ThreadUpdated { title, archived } => {
            put(&mut map, "title", Some(title.as_str()));
            put(&mut map, "archived", Some(*archived));
        }
        Change::ThreadImported { branch, branches, messages } => {
            put(&mut map, "branch", Some(branch.as_str()));
            put(&mut map, "branches", Some(*branches));
            put(&mut map, "messages", Some(*messages));
        }
        Change::BranchForked { branch, parent, depth, after, message, sibling, sibling_branch, index } => {
            put(&mut map, "branch", Some(branch.as_str()));
            put(&mut map, "parent", parent.as_ref().map(crate::BranchId::as_str));
            put(&mut map, "depth", Some(*depth));
            put(&mut map, "after", after.as_ref().map(crate::MessageId::as_str));
            put(&mut map, "messageId", Some(message.as_str()));
            map.insert("sibling".into(), json!({"branch": sibling_branch.as_str(), "message": sibling.as_str()}));
            put(&mut map, "index", Some(*index));
        }
        Change::DefaultBranchMoved { branch } => put(&mut map, "branch", Some(branch.as_str())),
        Change::RunStarted { run, provider, .. } => {
            put(&mut map, "run", Some(run.as_str()));
            put(&mut map, "provider", Some(provider.as_str()));
        }
        Change::RunStopping { run } => put(&mut map, "run", Some(run.as_str())),
        Change::RunEnded { run, outcome, offset, error, .. } => {
            put(&mut map, "run", Some(run.as_str()));
            put(&mut map, "outcome", Some(outcome_word(*outcome)));
            put(&mut map, "offset", Some(*offset));
            put(&mut map, "error", error.as_deref());
        }
        Change::ThreadDeleted | Change::MessageAppended(_) | Change::MessageEdited(_) | Change::MessageRemoved(_) => {}
    }
    Value::Object(map)
}

/// An event as JSON.
#[must_use]
pub fn event_to_value(thread: &ThreadId, event: &Event) -> Value {
    let mut map = Map::new();
    put(&mut map, "seq", Some(event.record.seq));
    put(&mut map, "at", Some(iso(event.record.at)));
    put(&mut map, "change", Some(change_to_value(&event.record.change)));
    put(&mut map, "message", event.body.as_ref().map(|m| message_to_value(m, Some(thread))));
    Value::Object(map)
}
