//! Taking apart what a client of the AI SDK sends.
//!
//! The SDK sends the whole history with every message. Of it the last message is looked at and, of the one before, which it
//! is: its id and its role, and its parts, since an edited message is known here by what it says. All else is passed over
//! as text, however much it is.

use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};
use threadmill_engine::Terms;
use threadmill_proto::limits::{IMPORT, MAX_DEPTH, METADATA_BYTES};
use threadmill_proto::message::Body;
use threadmill_proto::{ErrorCode, InvalidId, JsonText, MessageId, Problem, Role, ThreadId, json as shape};
use threadmill_store::IdempotencyKey;

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::fields::{media_of, whole};

/// The longest id of a client's own that is mapped to one of this server's.
const LONGEST_ID: usize = 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// An answer to the last message.
    Submit,
    /// Another answer than the one there is.
    Regenerate,
}

/// A message as its author names it, and under the name that it has here if it took another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) id: MessageId,
    /// The SDK gives an edited message the id of the one it replaces; here both are kept, and the edit's id is made of that
    /// id and of what it says. None for an answer, which is not edited.
    pub(super) edited: Option<MessageId>,
}

/// The last message of the history that was sent.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) name: Name,
    pub(super) role: Role,
    pub(super) body: Body,
    digest: [u8; 32],
}

/// One request of `useChat`.
#[derive(Debug, Clone)]
pub(super) struct ChatRequest {
    pub(super) thread: ThreadId,
    pub(super) trigger: Trigger,
    /// Of an edit, the message that is replaced; of a regeneration, the answer, or the question, if one was named.
    pub(super) message: Option<MessageId>,
    pub(super) said: Said,
    /// Whom it follows.
    pub(super) before: Option<Name>,
    /// Who shall answer, of the request's `body`.
    pub(super) provider: Option<String>,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, detail)
}

impl FromRequest<App> for ChatRequest {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiProblem> {
        Ok(Self::of(body_of(request, app).await?)?)
    }
}

/// A request's body as an object, empty if there is none. It may be as large as one that brings an import, since it brings
/// a history that nobody asked for.
pub(super) async fn body_of(request: Request, app: &App) -> Result<Map<String, Value>, ApiProblem> {
    let (parts, body) = request.into_parts();
    let bytes = whole(body, IMPORT.body_bytes.max(app.engine.limits().body_bytes)).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let media = media_of(&parts.headers);
    if media != "application/json" {
        let detail = format!("The body is declared as `{media}`.");
        return Err(ApiProblem::new(ErrorCode::UnsupportedMediaType, detail));
    }
    Ok(fields_of(&bytes)?)
}

/// The fields of a text that is to be an object.
pub(super) fn fields_of(text: &[u8]) -> Result<Map<String, Value>, Problem> {
    let level = shape::level_from_slice(text)
        .map_err(|error| Problem::new(ErrorCode::InvalidJson, format!("The body is not JSON: {error}.")))?;
    shape::object(level, "The body").map_err(|why| invalid(format!("{why}.")))
}

impl ChatRequest {
    pub(super) fn of(mut fields: Map<String, Value>) -> Result<Self, Problem> {
        let thread = thread_of(&text(&fields, "id")?.ok_or_else(|| invalid("`id` is missing."))?)?;
        let trigger = match text(&fields, "trigger")?.as_deref() {
            None | Some("submit-message") => Trigger::Submit,
            Some("regenerate-message") => Trigger::Regenerate,
            Some(_) => return Err(invalid("`trigger` is not submit-message or regenerate-message.")),
        };
        let message = text(&fields, "messageId")?.map(|id| id_of("messageId", &id, MessageId::parse)).transpose()?;
        let provider = text(&fields, "provider")?;
        let messages = fields.shift_remove("messages").unwrap_or(Value::Null);
        let mut messages = shape::last_entries(messages, "`messages`", 2).map_err(|why| invalid(format!("{why}.")))?;
        let last = messages.pop().ok_or_else(|| invalid("`messages` is empty."))?;
        let said = Said::of(&thread, last)?;
        let before = messages.pop().map(|message| Name::of(&thread, message)).transpose()?.flatten();
        Ok(Self { thread, trigger, message, said, before, provider })
    }

    /// On what terms a write of this message is made: its id is the key, so that it is said once however often it is sent.
    pub(super) fn terms(&self, terms: &Terms, kind: &str, id: &MessageId) -> Terms {
        let key = IdempotencyKey { key: format!("{kind}:{}:{id}", self.thread), digest: self.said.digest };
        Terms { key: Some(key), under: terms.under.clone(), parent: terms.parent }
    }
}

impl Said {
    fn of(thread: &ThreadId, message: Value) -> Result<Self, Problem> {
        let mut map = shape::object(message, "The last message").map_err(|why| invalid(format!("{why}.")))?;
        let role = text(&map, "role")?.ok_or_else(|| invalid("The last message has no `role`."))?;
        let role = shape::role_from_str(&role).map_err(|why| invalid(format!("{why}.")))?;
        let parts = map.shift_remove("parts").ok_or_else(|| invalid("The last message has no `parts`."))?;
        let metadata = metadata_of(map.get("metadata"))?;
        let (name, digest) = named(thread, &map, &parts)?.ok_or_else(|| invalid("The last message has no `id`."))?;
        let parts =
            shape::parts_from_value(parts).map_err(|why| Problem::new(ErrorCode::InvalidParts, format!("{why}.")))?;
        Ok(Self { name, role, body: Body { parts, metadata }, digest })
    }
}

impl Name {
    /// Whoever is named by a message that is not looked into. None if it names nobody.
    fn of(thread: &ThreadId, message: Value) -> Result<Option<Self>, Problem> {
        let Ok(mut map) = shape::object(message, "a message") else { return Ok(None) };
        let by_user = map.get("role").and_then(Value::as_str) == Some("user");
        let parts = map.shift_remove("parts").unwrap_or(Value::Null);
        let name = named(thread, &map, &parts)?.map(|(name, _)| name);
        Ok(name.map(|name| Self { edited: name.edited.filter(|_| by_user), ..name }))
    }

    /// The ids that it may have here, the likelier first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &MessageId> {
        self.edited.iter().chain([&self.id])
    }
}

/// A message's names, and what it says in a few bytes.
fn named(thread: &ThreadId, map: &Map<String, Value>, parts: &Value) -> Result<Option<(Name, [u8; 32])>, Problem> {
    let Some(raw) = text(map, "id")?.filter(|id| !id.is_empty()) else { return Ok(None) };
    let id = id_of("id", &raw, MessageId::parse)?;
    let mut hash = blake3::Hasher::new();
    hash.update(thread.as_str().as_bytes()).update(b"\0").update(id.as_str().as_bytes()).update(b"\0");
    let digest = *hash.update(parts.to_string().as_bytes()).finalize().as_bytes();
    let edited = made("e", &digest, MessageId::parse)?;
    Ok(Some((Name { id, edited: Some(edited) }, digest)))
}

/// The thread of a chat.
pub(super) fn thread_of(chat: &str) -> Result<ThreadId, Problem> {
    id_of("id", chat, ThreadId::parse)
}

/// A client's id as it is, if it is one here; else one that is made of it, always the same.
fn id_of<T>(what: &str, raw: &str, parse: impl Fn(&str) -> Result<T, InvalidId>) -> Result<T, Problem> {
    if raw.is_empty() || raw.len() > LONGEST_ID {
        let detail = format!("`{what}` has {} bytes; it must have 1 to {LONGEST_ID}.", raw.len());
        return Err(Problem::new(ErrorCode::InvalidId, detail));
    }
    parse(raw).or_else(|_| made("x", blake3::hash(raw.as_bytes()).as_bytes(), parse))
}

/// An id made of a hash.
fn made<T>(kind: &str, hash: &[u8; 32], parse: impl Fn(&str) -> Result<T, InvalidId>) -> Result<T, Problem> {
    let hex: String = hash[..20].iter().map(|byte| format!("{byte:02x}")).collect();
    parse(&format!("{kind}~{hex}")).map_err(|rule| Problem::new(ErrorCode::InvalidId, format!("{rule}.")))
}

fn text(map: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(format!("`{name}` must be a string."))),
    }
}

fn metadata_of(value: Option<&Value>) -> Result<Option<JsonText>, Problem> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let text = JsonText(value.to_string());
    if !shape::is_object(value) || text.0.len() > METADATA_BYTES || text.depth() > MAX_DEPTH {
        let detail = format!("`metadata` must be an object of at most {METADATA_BYTES} bytes and {MAX_DEPTH} levels.");
        return Err(invalid(detail));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<ChatRequest, Problem> {
        fields_of(text.as_bytes()).and_then(ChatRequest::of)
    }

    fn message(id: &str, role: &str, text: &str) -> String {
        format!(r#"{{"id":"{id}","role":"{role}","parts":[{{"type":"text","text":"{text}"}}]}}"#)
    }

    fn of(messages: &[String]) -> ChatRequest {
        let text = format!(r#"{{"id":"chat","messages":[{}],"trigger":"submit-message"}}"#, messages.join(","));
        request(&text).expect("a request")
    }

    #[test]
    fn the_last_message_is_taken_and_whom_it_follows() {
        let asked = of(&[message("0", "user", "old"), message("1", "assistant", "x"), message("2", "user", "new")]);
        assert_eq!(asked.said.body.parts, [threadmill_proto::Part::text("new")]);
        let before = asked.before.expect("it follows one");
        assert_eq!(before.ids().map(MessageId::as_str).collect::<Vec<_>>(), ["1"]);
        assert!(of(&[message("2", "user", "new")]).before.is_none());
    }

    #[test]
    fn ids_of_any_kind_become_ids_of_this_server_always_the_same() {
        let odd = "chat #1/ü";
        let id = thread_of(odd).expect("an id");
        assert_eq!(thread_of(odd).expect("an id"), id);
        assert_ne!(thread_of("chat #1/u").expect("an id"), id);
        assert_eq!(thread_of("abc-1").expect("an id").as_str(), "abc-1");
        for bad in ["".to_owned(), "x".repeat(LONGEST_ID + 1)] {
            assert_eq!(thread_of(&bad).expect_err("none").code, ErrorCode::InvalidId);
        }
        assert!(thread_of("..").expect("an id").as_str().starts_with("x~"));
    }

    #[test]
    fn an_edit_has_a_name_made_of_what_it_says() {
        let name = |text: &str| of(&[message("1", "user", text)]).said.name;
        assert_eq!((name("a"), &name("a").id), (name("a"), &name("b").id));
        assert_ne!(name("a").edited, name("b").edited);
        let later = of(&[message("1", "user", "a"), message("2", "user", "b")]);
        assert_eq!(later.before, Some(name("a")), "whoever follows it finds it");
    }

    #[test]
    fn what_is_malformed_is_refused_and_says_why() {
        let of_last = |last: &str| format!(r#"{{"id":"c","messages":[{last}]}}"#);
        let many = format!("[{}7]", "{},".repeat(100_000));
        for (text, code) in [
            ("7".to_owned(), ErrorCode::InvalidRequest),
            ("{".to_owned(), ErrorCode::InvalidJson),
            (r#"{"id":"c"}"#.to_owned(), ErrorCode::InvalidRequest),
            (r#"{"id":"c","messages":{}}"#.to_owned(), ErrorCode::InvalidRequest),
            (r#"{"id":"c","messages":[]}"#.to_owned(), ErrorCode::InvalidRequest),
            (r#"{"id":7,"messages":[]}"#.to_owned(), ErrorCode::InvalidRequest),
            (format!(r#"{{"id":"c","messages":{many}}}"#), ErrorCode::InvalidRequest),
            (of_last("{}"), ErrorCode::InvalidRequest),
            (of_last(r#"{"id":"1","role":"root","parts":[]}"#), ErrorCode::InvalidRequest),
            (of_last(r#"{"id":"1","role":"user","parts":[{"type":7}]}"#), ErrorCode::InvalidParts),
            (of_last(r#"{"id":"1","role":"user","parts":{"__proto__":{}}}"#), ErrorCode::InvalidParts),
            (of_last(r#"{"id":"1","role":"user","parts":[],"metadata":[]}"#), ErrorCode::InvalidRequest),
            (format!("{}{}", "[".repeat(500), "]".repeat(500)), ErrorCode::InvalidJson),
        ] {
            let refused = request(&text).expect_err(&text[..text.len().min(80)]);
            assert_eq!(refused.code, code, "{}", &text[..text.len().min(80)]);
        }
        let prototype = format!(
            r#"{{"__proto__":{{"id":"x"}},"constructor":1,"id":"c","messages":[{}]}}"#,
            message("1", "user", "a")
        );
        assert_eq!(request(&prototype).expect("names are names").thread.as_str(), "c");
    }
}
