//! The forms in which endpoints say things: finish reasons, errors, keep-alives, and what they send beside an answer.

use serde_json::Value;
use threadmill_proto::json::value_from_str;

use crate::providers::failure::{ProviderError, classify};
use crate::providers::openai::surrogates::{mark, whole};
use crate::providers::words::Secrets;

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

/// The error that a frame is, in one of the forms there are.
pub(crate) fn error_of<'v>(name: Option<&str>, value: &'v Value) -> Option<&'v Value> {
    if let Some(error) = value.get("error").or_else(|| value.get("errors")).filter(|error| is_said(error)) {
        return Some(error);
    }
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    let is_error = name == Some("error") || word("object") == Some("error") || word("type") == Some("error");
    let is_reason = value.get("choices").is_none()
        && ["detail", "message", "msg"]
            .iter()
            .any(|key| value.get(key).is_some_and(|reason| reason.is_string() || reason.is_array()));
    (is_error || is_reason).then_some(value)
}

pub(crate) fn message_of(error: &Value) -> &str {
    let places = ["/message", "/msg", "/detail", "/error", "/0/message", "/0/msg", "/detail/0/msg", "/detail/message"];
    let found = places.iter().find_map(|place| error.pointer(place).and_then(Value::as_str));
    found.or_else(|| error.as_str()).unwrap_or("no reason given")
}

/// All that an error says by which it could be known.
pub(crate) fn all_words(error: &Value) -> String {
    let words = ["code", "type", "status"].iter().filter_map(|key| error.get(key).and_then(Value::as_str));
    words.chain([message_of(error)]).collect::<Vec<_>>().join(" ")
}

/// The status that an error within a stream names.
pub(crate) fn status_of(error: &Value) -> Option<u16> {
    let number = ["status", "code", "status_code"].iter().find_map(|key| {
        let value = error.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    })?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// What endpoints send beside the answer.
pub(crate) fn is_bookkeeping(value: &Value) -> bool {
    const KNOWN: [&str; 14] = [
        "id",
        "object",
        "created",
        "model",
        "system_fingerprint",
        "service_tier",
        "usage",
        "provider",
        "obfuscation",
        "prompt_filter_results",
        "timings",
        "x_groq",
        "type",
        "choices",
    ];
    let kind = value.get("type").and_then(Value::as_str);
    let quiet = kind.is_none_or(|kind| ["ping", "heartbeat", "keepalive"].contains(&kind));
    quiet && value.as_object().is_some_and(|map| map.keys().all(|key| KNOWN.contains(&key.as_str())))
}

/// What was refused before an answer began.
pub(crate) fn refusal(status: u16, body: &str, retry_after: Option<u64>, secrets: &Secrets) -> ProviderError {
    let value = parse(body);
    let error = value.as_ref().map(|value| error_of(Some("error"), value).unwrap_or(value));
    let words = match error {
        Some(error) => whole(message_of(error)),
        None => body.to_owned(),
    };
    let hints = error.map_or_else(|| body.to_owned(), all_words);
    let mut refusal = ProviderError::new(classify(Some(status), &hints), format!("The provider answered {status}."));
    (refusal.status, refusal.retry_after) = (Some(status), retry_after);
    refusal.with_words(secrets.clean(&words))
}
