//! The forms in which endpoints say things: finish reasons, keep-alives, and what they send beside an answer. Errors are
//! in `errors`.

use serde_json::{Map, Value};
use threadmill_proto::is_blank;
use threadmill_proto::json::value_from_str;

use crate::providers::openai::surrogates::mark;

/// The AI SDK's word for a finish reason; `other` for one that nobody knows.
pub(crate) fn unified(reason: &str) -> &'static str {
    match reason.to_ascii_lowercase().as_str() {
        "" | "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "end" | "complete" | "completed" => "stop",
        "length" | "max_tokens" | "max_output_tokens" | "model_length" | "max_completion_tokens" => "length",
        "content_filter" | "content-filter" | "contentfilter" | "safety" | "recitation" | "blocklist" | "spii"
        | "prohibited_content" | "sensitive" => "content-filter",
        "tool_calls" | "tool-calls" | "tool_use" | "function_call" => "tool-calls",
        "refusal" => "refusal",
        "error" | "insufficient_system_resource" | "network_error" => "error",
        _ => "other",
    }
}

pub(crate) fn parse(data: &str) -> Option<Value> {
    value_from_str(&mark(data)).ok()
}

/// The word after the last frame, in quotes too.
pub(crate) fn is_done(data: &str) -> bool {
    data.trim_matches('"').eq_ignore_ascii_case("[DONE]")
}

/// A line that may stand for a frame of its own.
pub(crate) fn is_line(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || is_done(line) || parse(line).is_some_and(|value| value.is_object())
}

/// Data that keeps a connection and says nothing, as some endpoints send it.
pub(crate) fn is_keep_alive(data: &str) -> bool {
    let word = data.trim_matches(|char: char| !char.is_ascii_alphanumeric()).to_ascii_lowercase();
    data.starts_with(':') || ["ping", "pong", "keepalive", "keep-alive", "heartbeat"].contains(&word.as_str())
}

/// A value that says something.
pub(crate) fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// Whether a value has words in it, at whatever depth: then it may be a part of the answer.
pub(crate) fn has_words(value: &Value) -> bool {
    match value {
        Value::String(text) => !is_blank(text),
        Value::Array(all) => all.iter().any(has_words),
        Value::Object(map) => map.values().any(has_words),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Fields that endpoints send beside an answer, at the top of a frame.
const BESIDE: [&str; 14] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "usage",
    "provider",
    "obfuscation",
    "p",
    "timings",
    "x_groq",
    "type",
    "choices",
];

/// Whether a field is of filters and of the prompt. Azure's speak at every place, under names that grow.
fn is_of_filters(field: &str) -> bool {
    field.starts_with("content_filter") || field.starts_with("prompt_")
}

/// What endpoints send beside the answer.
pub(crate) fn is_bookkeeping(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str);
    let quiet = kind.is_none_or(|kind| ["ping", "heartbeat", "keepalive"].contains(&kind));
    let known = |key: &String| BESIDE.contains(&key.as_str()) || is_of_filters(key);
    quiet && value.as_object().is_some_and(|map| map.keys().all(known))
}

/// Fields of a choice that are read, and those that endpoints send beside them.
const OF_CHOICE: [&str; 14] = [
    "index",
    "delta",
    "message",
    "text",
    "error",
    "finish_reason",
    "native_finish_reason",
    "finish_details",
    "stop_reason",
    "matched_stop",
    "logprobs",
    "token_ids",
    "routed_experts",
    "role",
];

/// Fields of a delta that are read, and those that endpoints send beside them.
const OF_DELTA: [&str; 27] = [
    "role",
    "name",
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "audio",
    "images",
    "annotations",
    "citations",
    "id",
    "type",
    "channel",
    "extra_content",
    "logprobs",
    "obfuscation",
    "padding",
    "provider_specific_fields",
    "reasoning_signature",
    "signature",
    "stop_reason",
    "token_ids",
];

/// Where fields stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Frame,
    Choice,
    Delta,
}

/// Fields with words in them that nobody knows at this place: they may be a part of the answer.
pub(crate) fn strange(place: Place, map: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let known: &[&str] = match place {
        Place::Frame => &BESIDE,
        Place::Choice => &OF_CHOICE,
        Place::Delta => &OF_DELTA,
    };
    let strange = move |(field, value): &(&String, &Value)| {
        !known.contains(&field.as_str()) && !is_of_filters(field) && has_words(value)
    };
    map.iter().filter(strange).map(|(field, _)| field.as_str())
}
