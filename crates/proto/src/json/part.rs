//! Parts, as the AI SDK's `UIMessage` has them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::read::{fields_of, written};
use super::{Malformed, list, object, optional, raw, string, text_of};
use crate::limits::IMPORT;
use crate::{JsonText, Part, ToolPart};

/// A part as JSON.
#[must_use]
pub fn part_to_value(part: &Part) -> Value {
    written(&PartShape { part, preview: None })
}

/// What a part that is cut short says of the whole one.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PreviewShape {
    pub(super) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) href: Option<String>,
}

/// A part as it is written: straight from its texts, opaque JSON as it stands.
pub(super) struct PartShape<'p> {
    pub(super) part: &'p Part,
    pub(super) preview: Option<PreviewShape>,
}

impl Serialize for PartShape<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let extra = match self.part {
            Part::Text { extra, .. } | Part::Reasoning { extra, .. } => extra.as_ref(),
            Part::Tool(tool) => tool.extra.as_ref(),
            Part::Other { json, .. } if !json.0.starts_with('{') => return raw(json).serialize(to),
            Part::Other { json, .. } => Some(json),
            Part::File { .. } | Part::SourceUrl { .. } | Part::Data { .. } | Part::StepStart => None,
        };
        let extra = extra.map_or_else(Map::new, |extra| fields_of(&extra.0));
        let mut object = Entries { map: to.serialize_map(None)?, extra };
        match self.part {
            Part::Text { text, .. } => {
                object.put("type", "text")?;
                object.put("text", text)?;
            }
            Part::Reasoning { text, .. } => {
                object.put("type", "reasoning")?;
                object.put("text", text)?;
            }
            Part::Tool(tool) => object.tool(tool)?,
            Part::File { media_type, url, filename } => {
                object.put("type", "file")?;
                object.put("mediaType", media_type)?;
                object.put("url", url)?;
                object.put_some("filename", filename.as_deref())?;
            }
            Part::SourceUrl { source_id, url, title } => {
                object.put("type", "source-url")?;
                object.put("sourceId", source_id)?;
                object.put("url", url)?;
                object.put_some("title", title.as_deref())?;
            }
            Part::Data { name, id, data } => {
                object.put("type", &format_args!("data-{name}"))?;
                object.put_some("id", id.as_deref())?;
                object.put("data", &raw(data))?;
            }
            Part::StepStart => object.put("type", "step-start")?,
            Part::Other { .. } => {}
        }
        object.put_some("preview", self.preview.as_ref())?;
        object.end()
    }
}

/// An object's entries, and those that follow them unless they have been written.
struct Entries<M> {
    map: M,
    extra: Map<String, Value>,
}

impl<M: SerializeMap> Entries<M> {
    fn put(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), M::Error> {
        self.extra.shift_remove(key);
        self.map.serialize_entry(key, value)
    }

    fn put_some(&mut self, key: &str, value: Option<&(impl Serialize + ?Sized)>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(key, value))
    }

    fn tool(&mut self, tool: &ToolPart) -> Result<(), M::Error> {
        if tool.dynamic {
            self.put("type", "dynamic-tool")?;
            self.put("toolName", &tool.name)?;
        } else {
            self.put("type", &format_args!("tool-{}", tool.name))?;
        }
        self.put("toolCallId", &tool.call_id)?;
        self.put("state", &tool.state)?;
        self.put_some("input", tool.input.as_ref().map(raw).as_ref())?;
        self.put_some("output", tool.output.as_ref().map(raw).as_ref())?;
        self.put_some("errorText", tool.error.as_deref())
    }

    fn end(mut self) -> Result<M::Ok, M::Error> {
        for (key, value) in &self.extra {
            self.map.serialize_entry(key, value)?;
        }
        self.map.end()
    }
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
