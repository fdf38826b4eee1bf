//! What an endpoint is asked.
//!
//! A question's files go along where chat completions have a place for them: images, PDF files and sound as such, text
//! files as text. A file without a place is an error that names it, before anybody is asked. A file of another speaker
//! is named in the text, since an answer can hold none there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use threadmill_proto::Role;

use crate::providers::openai::endpoint::Endpoint;
use crate::providers::{Failure, Piece, Prompt, ProviderError, Turn};

const OLD_LIMIT: &str = "max_tokens";
const NEW_LIMIT: &str = "max_completion_tokens";

/// The request's body.
///
/// # Errors
/// The history has a part that cannot be sent, or nothing to ask.
pub(crate) fn body(endpoint: &Endpoint, prompt: &Prompt) -> Result<Value, ProviderError> {
    if prompt.turns.is_empty() {
        return Err(ProviderError::new(Failure::NothingToAsk, "There is no text and no file to ask the model about."));
    }
    let system = prompt.system.iter().map(|text| Ok(json!({"role": "system", "content": text})));
    let messages = system.chain(prompt.turns.iter().map(message)).collect::<Result<Vec<_>, ProviderError>>()?;
    let mut body = json!({
        "model": endpoint.model,
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if let (Some(limit), Value::Object(map)) = (endpoint.max_tokens, &mut body) {
        map.insert(limit_name(endpoint).into(), limit.into());
    }
    Ok(body)
}

/// OpenAI's reasoning models refuse the older name; other endpoints often know no other.
fn limit_name(endpoint: &Endpoint) -> &'static str {
    let model = endpoint.model.rsplit(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    let newer = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let reasoning = model.strip_prefix('o').is_some_and(newer);
    let generation: Option<u32> = model
        .strip_prefix("gpt-")
        .and_then(|rest| rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok());
    let is_new = reasoning || generation.is_some_and(|generation| generation >= 5);
    if is_new || endpoint.base_url.contains("//api.openai.com") { NEW_LIMIT } else { OLD_LIMIT }
}

/// Names the limit the other way if that is what the endpoint refused. A refusal costs nothing, so it is asked again.
pub(crate) fn other_limit(refusal: &ProviderError, body: &mut Value) -> bool {
    let said = refusal.said.as_deref().unwrap_or_default();
    let Value::Object(map) = body else { return false };
    let (known, other) = if map.contains_key(OLD_LIMIT) { (OLD_LIMIT, NEW_LIMIT) } else { (NEW_LIMIT, OLD_LIMIT) };
    if refusal.status != Some(400) || !said.contains(known) {
        return false;
    }
    let Some(limit) = map.shift_remove(known) else { return false };
    map.insert(other.into(), limit);
    true
}

fn message(turn: &Turn) -> Result<Value, ProviderError> {
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let has_files = turn.pieces.iter().any(|piece| matches!(piece, Piece::File { .. }));
    if turn.role == Role::User && has_files {
        let content = turn.pieces.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        return Ok(json!({"role": role, "content": content}));
    }
    Ok(json!({"role": role, "content": turn.text()}))
}

fn part(piece: &Piece) -> Result<Value, ProviderError> {
    match piece {
        Piece::Text(text) => Ok(json!({"type": "text", "text": text})),
        Piece::Unknown { kind } => Ok(json!({"type": "text", "text": format!("[{kind}]")})),
        Piece::File { media_type, url, filename } => file(media_type, url, filename.as_deref()),
    }
}

fn file(media_type: &str, url: &str, filename: Option<&str>) -> Result<Value, ProviderError> {
    let kind = media_type.to_ascii_lowercase();
    let is_data = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if kind.starts_with("image/") && (is_data || is_web) {
        return Ok(json!({"type": "image_url", "image_url": {"url": url}}));
    }
    let refused = || {
        let name: String = filename.unwrap_or("without a name").chars().take(80).collect();
        let kind: String = kind.chars().take(80).collect();
        let detail = format!("The file “{name}” ({kind}) cannot be sent to this provider.");
        ProviderError::new(Failure::UnsupportedPart, detail)
    };
    let Some((header, data)) = url.split_once(',').filter(|_| is_data) else { return Err(refused()) };
    if kind == "application/pdf" {
        let name = filename.unwrap_or("file.pdf");
        return Ok(json!({"type": "file", "file": {"filename": name, "file_data": url}}));
    }
    let is_base64 = header.to_ascii_lowercase().ends_with(";base64");
    let format = match kind.as_str() {
        "audio/wav" | "audio/x-wav" | "audio/wave" => Some("wav"),
        "audio/mpeg" | "audio/mp3" => Some("mp3"),
        _ => None,
    };
    if let (Some(format), true) = (format, is_base64) {
        return Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}));
    }
    let is_text = kind.starts_with("text/") || ["application/json", "application/xml"].contains(&kind.as_str());
    let bytes = if is_base64 { STANDARD.decode(data).ok() } else { percent_decoded(data) };
    let text = bytes.filter(|_| is_text).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(refused)?;
    Ok(json!({"type": "text", "text": format!("File {}:\n{text}", filename.unwrap_or(&kind))}))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base_url: &str, model: &str) -> Endpoint {
        Endpoint { base_url: base_url.into(), key: None, model: model.into(), max_tokens: Some(9) }
    }

    #[test]
    fn newer_models_are_told_their_limit_by_its_newer_name() {
        let check = |url: &str, model: &str, want: &str| assert_eq!(limit_name(&endpoint(url, model)), want, "{model}");
        for model in ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.1-mini", "openai/gpt-5", "gpt-10"] {
            check("http://x/v1", model, NEW_LIMIT);
        }
        for model in ["gpt-4o", "gpt-4.1", "llama", "olmo-2", "mock,tokens=2"] {
            check("http://x/v1", model, OLD_LIMIT);
        }
        check("https://api.openai.com/v1", "gpt-4o", NEW_LIMIT);
        let turn = Turn::new(Role::User, "hi");
        let mut asked =
            body(&endpoint("http://x", "m"), &Prompt { turns: vec![turn], ..Prompt::default() }).expect("a body");
        let mut refusal = ProviderError::new(Failure::Refused, "The provider answered 400.");
        refusal.status = Some(400);
        let refusal = refusal.with_words("Use 'max_completion_tokens' instead of 'max_tokens'.".into());
        assert!(other_limit(&refusal, &mut asked));
        assert_eq!((asked.get(OLD_LIMIT), asked.get(NEW_LIMIT)), (None, Some(&json!(9))));
    }

    #[test]
    fn files_are_sent_or_refused_and_never_dropped() {
        let sent = |kind: &str, url: &str| file(kind, url, Some("a.x")).map(|part| part["type"].clone());
        assert_eq!(sent("image/png", "data:image/png;base64,AAAA"), Ok(json!("image_url")));
        assert_eq!(sent("image/png", "https://x/y.png"), Ok(json!("image_url")));
        assert_eq!(sent("application/pdf", "data:application/pdf;base64,AAAA"), Ok(json!("file")));
        assert_eq!(sent("audio/wav", "data:audio/wav;base64,AAAA"), Ok(json!("input_audio")));
        let text = file("text/plain", "data:text/plain,a%20b", Some("a.txt")).expect("a part");
        assert_eq!(text["text"], "File a.txt:\na b");
        for (kind, url) in [
            ("application/zip", "data:application/zip;base64,AAAA"),
            ("image/png", "blob:x"),
            ("application/pdf", "https://x/y.pdf"),
            ("text/plain", "data:text/plain;base64,//79"),
        ] {
            let refused = file(kind, url, Some("a.x")).expect_err("it has no place");
            assert_eq!(refused.code, Failure::UnsupportedPart);
            assert!(refused.detail.contains("a.x"), "{refused}");
        }
    }
}
