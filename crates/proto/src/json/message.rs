//! Messages.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::part::{PartShape, PreviewShape};
use super::read::written;
use super::{Malformed, iso, number, object, parse_iso, parts_from_value, raw, string, text_of};
use crate::{BranchId, Message, MessageId, MessageStatus, Role, ThreadId};

/// A role's word.
#[must_use]
pub fn role_word(role: Role) -> &'static str {
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

/// A status' word.
#[must_use]
pub fn status_word(status: MessageStatus) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or("complete", |(_, name)| name)
}

/// A message as JSON. With its thread named, a cut part says where the whole one is.
#[must_use]
pub fn message_to_value(message: &Message, thread: Option<&ThreadId>) -> Value {
    written(&MessageShape { message, thread })
}

/// A message as it is written.
pub(super) struct MessageShape<'m> {
    pub(super) message: &'m Message,
    pub(super) thread: Option<&'m ThreadId>,
}

impl Serialize for MessageShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("id", message.id.as_str())?;
        map.serialize_entry("role", role_word(message.role))?;
        map.serialize_entry("parts", &PartsShape(self))?;
        if let Some(metadata) = &message.metadata {
            map.serialize_entry("metadata", &raw(metadata))?;
        }
        map.serialize_entry("status", status_word(message.status))?;
        map.serialize_entry("branch", message.branch.as_str())?;
        map.serialize_entry("depth", &message.depth)?;
        map.serialize_entry("rev", &message.rev)?;
        map.serialize_entry("createdAt", &iso(message.created_at))?;
        map.end()
    }
}

struct PartsShape<'m>(&'m MessageShape<'m>);

impl Serialize for PartsShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let MessageShape { message, thread } = self.0;
        to.collect_seq((0..).zip(&message.parts).map(|(index, part)| {
            let preview = message.previews.iter().find(|preview| preview.part == index);
            let href = |t: &ThreadId| format!("/v1/threads/{t}/messages/{}/parts/{index}", message.id);
            let preview = preview.map(|cut| PreviewShape { bytes: cut.bytes, href: thread.map(href) });
            PartShape { part, preview }
        }))
    }
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
