//! Errors as endpoints say them: which value is one, and its words.
//!
//! There is no one form. OpenAI says `{"error": {"message", "type", "code"}}`, Gemini the same in a list of one, FastAPI
//! `{"detail": "…"}` or `{"detail": [{"loc", "msg"}]}`, others `{"errors": ["…"]}`, `{"message": "…"}` or a message that is
//! an object or a text that is JSON again (gateways, which quote what stands behind them: OpenRouter in
//! `error.metadata.raw`). So words are looked for under a list of names, the likeliest first, at every level; where there
//! are none, the JSON itself is shown. A page of HTML is shown without its tags. All of it is cleaned and cut by whoever
//! shows it.

use serde_json::Value;

use crate::providers::failure::{ProviderError, classify};
use crate::providers::openai::forms::{is_said, parse};
use crate::providers::openai::surrogates::whole;
use crate::providers::words::{Secrets, prefix};

/// Names under which words are, the likeliest first.
const NAMES: [&str; 15] = [
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "detail",
    "error",
    "errors",
    "error_description",
    "description",
    "reason",
    "title",
    "text",
    "details",
    "raw",
    "body",
];
/// Names of what an error is known by.
const HINTS: [&str; 4] = ["code", "type", "status", "reason"];
/// Levels that are looked through.
const LEVELS: usize = 6;
/// Errors of a list that are shown.
const SHOWN: usize = 4;
/// How much of an error that has no words is shown as it is.
const RAW_BYTES: usize = 4 << 10;

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

/// What an error says; its JSON if it has no words.
pub(crate) fn message_of(error: &Value) -> String {
    words(error, LEVELS).unwrap_or_else(|| prefix(&error.to_string(), RAW_BYTES).to_owned())
}

fn words(error: &Value, levels: usize) -> Option<String> {
    let levels = levels.checked_sub(1)?;
    match error {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => {
            let quoted = text.trim_start().starts_with(['{', '[']).then(|| parse(text)).flatten();
            quoted.and_then(|within| words(&within, levels)).or_else(|| Some(whole(text)))
        }
        Value::Array(all) => {
            let all: Vec<String> = all.iter().filter_map(|one| words(one, levels)).take(SHOWN).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(map) => {
            let found = NAMES.iter().find_map(|name| words(map.get(*name)?, levels))?;
            let behind = map.get("metadata").and_then(|metadata| words(metadata.get("raw")?, levels));
            Some(match behind {
                Some(behind) if !found.contains(&behind) => format!("{found}: {behind}"),
                Some(_) | None => found,
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// All that an error says by which it could be known.
pub(crate) fn all_words(error: &Value) -> String {
    let mut all = vec![message_of(error)];
    hints(error, LEVELS, &mut all);
    all.join(" ")
}

fn hints(error: &Value, levels: usize, out: &mut Vec<String>) {
    let Some(levels) = levels.checked_sub(1) else { return };
    match error {
        Value::Array(all) => all.iter().take(SHOWN).for_each(|one| hints(one, levels, out)),
        Value::Object(map) => {
            out.extend(HINTS.iter().filter_map(|key| map.get(*key)?.as_str().map(str::to_owned)));
            ["error", "errors"].iter().filter_map(|key| map.get(*key)).for_each(|within| hints(within, levels, out));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The status that an error within a stream names.
pub(crate) fn status_of(error: &Value) -> Option<u16> {
    let number = ["status", "code", "status_code"].iter().find_map(|key| {
        let value = error.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    })?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// What was refused before an answer began. `body` is as it came, without its encoding.
pub(crate) fn refusal(status: u16, body: &[u8], retry_after: Option<u64>, secrets: &Secrets) -> ProviderError {
    let body = String::from_utf8_lossy(body);
    let value = parse(&body);
    let words = value.as_ref().map_or_else(|| plain(&body), message_of);
    let hints = value.as_ref().map_or_else(|| words.clone(), all_words);
    let mut refusal = ProviderError::new(classify(Some(status), &hints), format!("The provider answered {status}."));
    (refusal.status, refusal.retry_after) = (Some(status), retry_after);
    refusal.with_words(secrets.clean(&words))
}

/// What somebody could read of a body that is no JSON: nothing of bytes that are no text, and no tags of a page.
pub(crate) fn plain(body: &str) -> String {
    let broken = body.chars().filter(|char| *char == char::REPLACEMENT_CHARACTER || *char == '\0').count();
    if broken * 10 > body.chars().count() {
        return String::new();
    }
    let start = prefix(body.trim_start(), 16).to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<head") {
        without_tags(body)
    } else {
        body.to_owned()
    }
}

/// The words of a page, in one pass. What a page hides in scripts and styles is left out.
fn without_tags(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        out.push(' ');
        rest = &rest[at..];
        let hides = ["script", "style"]
            .iter()
            .find(|name| rest.get(1..=name.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(name)));
        let end = match hides {
            Some(name) => find_end(rest, name),
            None => rest.find('>').map(|end| end + 1),
        };
        rest = end.and_then(|end| rest.get(end..)).unwrap_or_default();
    }
    out.push_str(rest);
    let entities = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(out, |text, (entity, char)| text.replace(entity, char))
}

/// Where an element ends whose content is no text.
fn find_end(page: &str, name: &str) -> Option<usize> {
    let closing = page.match_indices("</").find(|(at, _)| {
        page.get(at + 2..at + 2 + name.len()).is_some_and(|closes| closes.eq_ignore_ascii_case(name))
    })?;
    page[closing.0..].find('>').map(|end| closing.0 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> String {
        refusal(400, body.as_bytes(), None, &Secrets::default()).said.unwrap_or_default()
    }

    #[test]
    fn the_words_of_an_error_are_found_wherever_they_are() {
        for (body, want) in [
            (r#"{"error":{"message":"no","type":"x"}}"#, "no"),
            // Gemini's OpenAI-compatible endpoint.
            (
                r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#,
                "API key not valid.",
            ),
            (r#"{"errors":[{"message":"one"},{"message":"two"}]}"#, "one; two"),
            (r#"{"errors":["one","two"]}"#, "one; two"),
            (r#"{"error":{"message":{"text":"deep"}}}"#, "deep"),
            (r#"{"error":{"message":{"why":{"at":7}}}}"#, r#"{"error":{"message":{"why":{"at":7}}}}"#),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            // FastAPI's validation errors.
            (r#"{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required"}]}"#, "Field required"),
            (r#"{"detail":["a","b"]}"#, "a; b"),
            (r#"{"message":"no route"}"#, "no route"),
            (r#"{"message":"{\"error\":{\"message\":\"behind\"}}"}"#, "behind"),
            // OpenRouter, of an endpoint behind it.
            (
                r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":\"slow down\"}"}}}"#,
                "Provider returned error: slow down",
            ),
            (r#"{"error":"plain"}"#, "plain"),
            (r#"{"error":7}"#, r#"{"error":7}"#),
            (r#""just text""#, "just text"),
            ("upstream connect error", "upstream connect error"),
            (
                "<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>p{}</style></head><body><h1>Bad&nbsp;gateway</h1><script>x</script></body>",
                "502 Bad Gateway Bad gateway",
            ),
            ("<html><script>never closed", ""),
            ("", ""),
        ] {
            assert_eq!(said(body), want, "{body}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(said(&deep), deep, "and no further than it goes");
        assert_eq!(refusal(502, &[0x1f, 0x8b, 8, 0, 0xff, 0xfe, 0, 0], None, &Secrets::default()).said, None);
    }

    #[test]
    fn an_error_is_known_by_all_that_it_says() {
        let code = |body: &str| refusal(400, body.as_bytes(), None, &Secrets::default()).code.code();
        assert_eq!(code(r#"[{"error":{"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#), "provider_rate_limited");
        assert_eq!(code(r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#), "context_too_long");
    }
}
