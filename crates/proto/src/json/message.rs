//! Messages.

use serde_json::{Map, Value};

use super::{Malformed, iso, number, object, parse_iso, part_to_value, parts_from_value, put, raw, string, text_of};
use crate::{BranchId, Message, MessageId, MessageStatus, Role, ThreadId};

fn role_word(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// Reads a role.
///
/// # Errors
/// Names the roles there are.
pub fn role_from_str(word: &str) -> Result<Role, Malformed> {
    match word {
        "system" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        _ => Err(format!("`role` is `{word}`, not system, user or assistant")),
    }
}

const STATUSES: [(MessageStatus, &str); 6] = [
    (MessageStatus::Complete, "complete"),
    (MessageStatus::Streaming, "streaming"),
    (MessageStatus::Stopped, "stopped"),
    (MessageStatus::Interrupted, "interrupted"),
    (MessageStatus::Failed, "failed"),
    (MessageStatus::Removed, "removed"),
];

/// Reads a status.
///
/// # Errors
/// Says that the word is none.
pub fn status_from_str(word: &str) -> Result<MessageStatus, Malformed> {
    let found = STATUSES.iter().find(|(_, name)| *name == word);
    found.map(|(status, _)| *status).ok_or_else(|| format!("`status` is `{word}`, which is none"))
}

fn status_word(status: MessageStatus) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or("complete", |(_, name)| name)
}

/// A message as JSON. With its thread named, a cut part says where the whole one is.
#[must_use]
pub fn message_to_value(message: &Message, thread: Option<&ThreadId>) -> Value {
    let mut parts: Vec<Value> = message.parts.iter().map(part_to_value).collect();
    for preview in &message.previews {
        let href = thread.map(|t| format!("/v1/threads/{t}/messages/{}/parts/{}", message.id, preview.part));
        let mut mark = Map::new();
        put(&mut mark, "bytes", Some(preview.bytes));
        put(&mut mark, "href", href);
        if let Some(Value::Object(part)) = parts.get_mut(preview.part as usize) {
            part.insert("preview".into(), Value::Object(mark));
        }
    }
    let mut map = Map::new();
    put(&mut map, "id", Some(message.id.as_str()));
    put(&mut map, "role", Some(role_word(message.role)));
    put(&mut map, "parts", Some(parts));
    put(&mut map, "metadata", message.metadata.as_ref().map(raw));
    put(&mut map, "status", Some(status_word(message.status)));
    put(&mut map, "branch", Some(message.branch.as_str()));
    put(&mut map, "depth", Some(message.depth));
    put(&mut map, "rev", Some(message.rev));
    put(&mut map, "createdAt", Some(iso(message.created_at)));
    Value::Object(map)
}

/// Reads a message, as an export has it. Preview marks are not read: an export has none.
///
/// # Errors
/// Says what is malformed.
pub fn message_from_value(value: Value) -> Result<Message, Malformed> {
    let mut map = object(value, "a message")?;
    let parts = map.remove("parts").ok_or("`parts` is missing")?;
    Ok(Message {
        id: MessageId::parse(&string(&map, "id")?).map_err(|e| format!("`id`: {e}"))?,
        role: role_from_str(&string(&map, "role")?)?,
        parts: parts_from_value(parts)?,
        metadata: map.get("metadata").filter(|m| !m.is_null()).map(text_of),
        status: status_from_str(&string(&map, "status")?)?,
        branch: BranchId::parse(&string(&map, "branch")?).map_err(|e| format!("`branch`: {e}"))?,
        depth: number(&map, "depth")?,
        rev: number(&map, "rev")?,
        created_at: parse_iso(&string(&map, "createdAt")?)?,
        previews: Vec::new(),
    })
}
