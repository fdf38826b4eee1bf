//! Chunks, as the AI SDK's UI message stream has them.

use serde_json::{Value, json};

use super::{Malformed, object, optional, put, raw, string, text_of};
use crate::{Chunk, JsonText};

/// A chunk as JSON.
#[must_use]
pub fn chunk_to_value(chunk: &Chunk) -> Value {
    match chunk {
        Chunk::TextStart { id } => json!({"type": "text-start", "id": id}),
        Chunk::TextDelta { id, delta } => json!({"type": "text-delta", "id": id, "delta": delta}),
        Chunk::TextEnd { id } => json!({"type": "text-end", "id": id}),
        Chunk::ReasoningStart { id } => json!({"type": "reasoning-start", "id": id}),
        Chunk::ReasoningDelta { id, delta } => json!({"type": "reasoning-delta", "id": id, "delta": delta}),
        Chunk::ReasoningEnd { id } => json!({"type": "reasoning-end", "id": id}),
        Chunk::ToolInputStart { call_id, name, dynamic } => {
            dynamic_flag(json!({"type": "tool-input-start", "toolCallId": call_id, "toolName": name}), *dynamic)
        }
        Chunk::ToolInputDelta { call_id, delta } => {
            json!({"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": delta})
        }
        Chunk::ToolInputAvailable { call_id, name, input, dynamic } => {
            let chunk = json!({"type": "tool-input-available", "toolCallId": call_id, "toolName": name});
            dynamic_flag(with(chunk, "input", input), *dynamic)
        }
        Chunk::ToolInputError { call_id, name, input, error } => {
            let kind = "tool-input-error";
            with(json!({"type": kind, "toolCallId": call_id, "toolName": name, "errorText": error}), "input", input)
        }
        Chunk::ToolOutputAvailable { call_id, output } => {
            with(json!({"type": "tool-output-available", "toolCallId": call_id}), "output", output)
        }
        Chunk::ToolOutputError { call_id, error } => {
            json!({"type": "tool-output-error", "toolCallId": call_id, "errorText": error})
        }
        Chunk::SourceUrl { source_id, url, title } => {
            let mut value = json!({"type": "source-url", "sourceId": source_id, "url": url});
            if let Value::Object(map) = &mut value {
                put(map, "title", title.as_deref());
            }
            value
        }
        Chunk::File { media_type, url } => json!({"type": "file", "mediaType": media_type, "url": url}),
        Chunk::Data { name, id, data } => {
            let mut value = with(json!({"type": format!("data-{name}")}), "data", data);
            if let Value::Object(map) = &mut value {
                put(map, "id", id.as_deref());
            }
            value
        }
        Chunk::Metadata { metadata } => with(json!({"type": "message-metadata"}), "messageMetadata", metadata),
        Chunk::StartStep => json!({"type": "start-step"}),
        Chunk::FinishStep => json!({"type": "finish-step"}),
        Chunk::Other { json, .. } => raw(json),
    }
}

/// A chunk and what it carries.
fn with(mut value: Value, key: &str, json: &JsonText) -> Value {
    value[key] = raw(json);
    value
}

fn dynamic_flag(mut value: Value, dynamic: bool) -> Value {
    if let (Value::Object(map), true) = (&mut value, dynamic) {
        map.insert("dynamic".into(), true.into());
    }
    value
}

/// Reads one chunk. A `type` this version does not know is carried whole.
///
/// # Errors
/// Says what is malformed.
pub fn chunk_from_value(value: Value) -> Result<Chunk, Malformed> {
    let map = object(value, "a chunk")?;
    let kind = string(&map, "type")?;
    let id = || string(&map, "id");
    let call_id = || string(&map, "toolCallId");
    let name = || string(&map, "toolName");
    let json_at = |key: &str| text_of(map.get(key).unwrap_or(&Value::Null));
    let dynamic = map.get("dynamic").and_then(Value::as_bool).unwrap_or(false);
    Ok(match kind.as_str() {
        "text-start" => Chunk::TextStart { id: id()? },
        "text-delta" => Chunk::TextDelta { id: id()?, delta: string(&map, "delta")? },
        "text-end" => Chunk::TextEnd { id: id()? },
        "reasoning-start" => Chunk::ReasoningStart { id: id()? },
        "reasoning-delta" => Chunk::ReasoningDelta { id: id()?, delta: string(&map, "delta")? },
        "reasoning-end" => Chunk::ReasoningEnd { id: id()? },
        "tool-input-start" => Chunk::ToolInputStart { call_id: call_id()?, name: name()?, dynamic },
        "tool-input-delta" => Chunk::ToolInputDelta { call_id: call_id()?, delta: string(&map, "inputTextDelta")? },
        "tool-input-available" => {
            Chunk::ToolInputAvailable { call_id: call_id()?, name: name()?, input: json_at("input"), dynamic }
        }
        "tool-input-error" => Chunk::ToolInputError {
            call_id: call_id()?,
            name: name()?,
            input: json_at("input"),
            error: string(&map, "errorText")?,
        },
        "tool-output-available" => Chunk::ToolOutputAvailable { call_id: call_id()?, output: json_at("output") },
        "tool-output-error" => Chunk::ToolOutputError { call_id: call_id()?, error: string(&map, "errorText")? },
        "source-url" => Chunk::SourceUrl {
            source_id: string(&map, "sourceId")?,
            url: string(&map, "url")?,
            title: optional(&map, "title")?,
        },
        "file" => Chunk::File { media_type: string(&map, "mediaType")?, url: string(&map, "url")? },
        "message-metadata" => Chunk::Metadata { metadata: json_at("messageMetadata") },
        "start-step" => Chunk::StartStep,
        "finish-step" => Chunk::FinishStep,
        _ if kind.starts_with("data-") => {
            Chunk::Data { name: kind["data-".len()..].into(), id: optional(&map, "id")?, data: json_at("data") }
        }
        _ => Chunk::Other { json: text_of(&Value::Object(map.clone())), kind },
    })
}
