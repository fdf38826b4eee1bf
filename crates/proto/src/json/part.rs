//! Parts, as the AI SDK's `UIMessage` has them.

use serde_json::{Map, Value, json};

use super::read::fields_of;
use super::{Malformed, list, object, optional, put, raw, string, text_of};
use crate::limits::IMPORT;
use crate::{JsonText, Part, ToolPart};

/// A part as JSON.
#[must_use]
pub fn part_to_value(part: &Part) -> Value {
    match part {
        Part::Text { text, extra } => with_extra(json!({"type": "text", "text": text}), extra.as_ref()),
        Part::Reasoning { text, extra } => with_extra(json!({"type": "reasoning", "text": text}), extra.as_ref()),
        Part::Tool(tool) => tool_to_value(tool),
        Part::File { media_type, url, filename } => {
            let mut map = Map::new();
            put(&mut map, "type", Some("file"));
            put(&mut map, "mediaType", Some(media_type.as_str()));
            put(&mut map, "url", Some(url.as_str()));
            put(&mut map, "filename", filename.as_deref());
            Value::Object(map)
        }
        Part::SourceUrl { source_id, url, title } => {
            let mut map = Map::new();
            put(&mut map, "type", Some("source-url"));
            put(&mut map, "sourceId", Some(source_id.as_str()));
            put(&mut map, "url", Some(url.as_str()));
            put(&mut map, "title", title.as_deref());
            Value::Object(map)
        }
        Part::Data { name, id, data } => {
            let mut map = Map::new();
            put(&mut map, "type", Some(format!("data-{name}")));
            put(&mut map, "id", id.as_deref());
            put(&mut map, "data", Some(raw(data)));
            Value::Object(map)
        }
        Part::StepStart => json!({"type": "step-start"}),
        Part::Other { json, .. } => raw(json),
    }
}

fn with_extra(mut value: Value, extra: Option<&JsonText>) -> Value {
    if let (Value::Object(map), Some(extra)) = (&mut value, extra) {
        for (key, value) in fields_of(&extra.0) {
            map.entry(key).or_insert(value);
        }
    }
    value
}

fn tool_to_value(tool: &ToolPart) -> Value {
    let mut map = Map::new();
    if tool.dynamic {
        put(&mut map, "type", Some("dynamic-tool"));
        put(&mut map, "toolName", Some(tool.name.as_str()));
    } else {
        put(&mut map, "type", Some(format!("tool-{}", tool.name)));
    }
    put(&mut map, "toolCallId", Some(tool.call_id.as_str()));
    put(&mut map, "state", Some(tool.state.as_str()));
    put(&mut map, "input", tool.input.as_ref().map(raw));
    put(&mut map, "output", tool.output.as_ref().map(raw));
    put(&mut map, "errorText", tool.error.as_deref());
    with_extra(Value::Object(map), tool.extra.as_ref())
}

/// Reads a message's parts.
///
/// # Errors
/// Says which part is malformed and how.
pub fn parts_from_value(value: Value) -> Result<Vec<Part>, Malformed> {
    list(value, "`parts`", IMPORT.parts)?
        .into_iter()
        .enumerate()
        .map(|(index, item)| part_from_value(item).map_err(|why| format!("parts[{index}]: {why}")))
        .collect()
}

/// Reads one part. A `type` this version does not know is carried whole.
///
/// # Errors
/// Says what is malformed.
pub fn part_from_value(value: Value) -> Result<Part, Malformed> {
    let mut map = object(value, "a part")?;
    let kind = string(&map, "type")?;
    match kind.as_str() {
        "text" | "reasoning" => {
            let text = string(&map, "text")?;
            let extra = rest(&mut map, &["type", "text"]);
            Ok(if kind == "text" { Part::Text { text, extra } } else { Part::Reasoning { text, extra } })
        }
        "file" => Ok(Part::File {
            media_type: string(&map, "mediaType")?,
            url: string(&map, "url")?,
            filename: optional(&map, "filename")?,
        }),
        "source-url" => Ok(Part::SourceUrl {
            source_id: string(&map, "sourceId")?,
            url: string(&map, "url")?,
            title: optional(&map, "title")?,
        }),
        "step-start" => Ok(Part::StepStart),
        _ if kind == "dynamic-tool" || kind.starts_with("tool-") => tool_from_map(&kind, map),
        _ if kind.starts_with("data-") => Ok(Part::Data {
            name: kind["data-".len()..].into(),
            id: optional(&map, "id")?,
            data: text_of(map.get("data").unwrap_or(&Value::Null)),
        }),
        _ => Ok(Part::Other { kind, json: text_of(&Value::Object(map)) }),
    }
}

fn tool_from_map(kind: &str, mut map: Map<String, Value>) -> Result<Part, Malformed> {
    let dynamic = kind == "dynamic-tool";
    let tool = ToolPart {
        call_id: string(&map, "toolCallId")?,
        name: if dynamic { string(&map, "toolName")? } else { kind["tool-".len()..].into() },
        dynamic,
        state: string(&map, "state")?,
        input: map.get("input").map(text_of),
        output: map.get("output").map(text_of),
        error: optional(&map, "errorText")?,
        extra: rest(&mut map, &["type", "toolName", "toolCallId", "state", "input", "output", "errorText"]),
    };
    Ok(Part::Tool(Box::new(tool)))
}

/// What is left of an object without the known keys and what the server itself adds.
fn rest(map: &mut Map<String, Value>, known: &[&str]) -> Option<JsonText> {
    map.retain(|key, _| !known.contains(&key.as_str()) && key != "preview");
    (!map.is_empty()).then(|| JsonText(Value::Object(core::mem::take(map)).to_string()))
}
