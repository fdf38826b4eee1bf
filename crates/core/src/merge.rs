//! Just enough JSON to merge metadata as the AI SDK does: objects deeply, everything else by replacement.
//!
//! The texts were checked where they entered the system; here they are only cut at their commas. A text
//! that is no object replaces what was there.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use threadmill_proto::JsonText;

/// A message's metadata while chunks are merged into it: text until the first merge, from then on an object that was
/// parsed once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata(Option<Value>);

impl Metadata {
    /// Begins with what is there.
    pub(crate) fn new(text: Option<JsonText>) -> Self {
        Self(text.map(|text| Value::Text(text.0)))
    }

    /// Merges in time of what is merged, but for the first time, when it parses what is there.
    pub(crate) fn merge(&mut self, more: &JsonText) {
        match &mut self.0 {
            Some(value) => value.merge(&more.0),
            none => *none = Some(Value::Text(more.0.clone())),
        }
    }

    /// Its text.
    pub(crate) fn to_text(&self) -> Option<JsonText> {
        let mut text = String::new();
        self.0.as_ref()?.write(&mut text);
        Some(JsonText(text))
    }
}

/// A value: its text, or, once something was merged into it, its members.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Object(Object),
}

/// Members in the order they came, keys as written, and where each key is.
#[derive(Debug, Clone, Default)]
struct Object {
    members: Vec<(String, Value)>,
    places: BTreeMap<String, usize>,
}

impl Value {
    fn merge(&mut self, more: &str) {
        let Some(newer) = members(more) else {
            *self = Self::Text(more.into());
            return;
        };
        if let Self::Text(text) = self {
            let Some(older) = members(text) else {
                *self = Self::Text(more.into());
                return;
            };
            let mut object = Object::default();
            older.into_iter().for_each(|(key, value)| object.push(key, value));
            *self = Self::Object(object);
        }
        if let Self::Object(object) = self {
            newer.into_iter().for_each(|(key, value)| object.put(key, value));
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Object(object) => object.write(out),
        }
    }
}

impl Object {
    /// Adds a member, as it stands in the text: a key may be there twice.
    fn push(&mut self, key: String, value: String) {
        self.places.entry(key.clone()).or_insert(self.members.len());
        self.members.push((key, Value::Text(value)));
    }

    /// Merges a member.
    fn put(&mut self, key: String, value: String) {
        match self.places.get(&key) {
            Some(at) => self.members[*at].1.merge(&value),
            None => self.push(key, value),
        }
    }

    fn write(&self, out: &mut String) {
        out.push('{');
        for (index, (key, value)) in self.members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(key);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

/// Appends a string as JSON.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    escape(text, out);
    out.push('"');
}

/// Appends what stands between the quotes of a string.
pub(crate) fn escape(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => {
                out.push_str("\\u00");
                out.push(char::from(HEX[(c as usize) >> 4]));
                out.push(char::from(HEX[(c as usize) & 15]));
            }
            c => out.push(c),
        }
    }
}

/// The members of an object, keys as written; none if the text is no object.
fn members(text: &str) -> Option<Vec<(String, String)>> {
    let inner = text.trim_ascii().strip_prefix('{')?.strip_suffix('}')?;
    let mut out = Vec::new();
    for member in split(inner, b',') {
        if member.trim_ascii().is_empty() {
            continue;
        }
        let mut halves = split(member, b':').into_iter();
        let key = halves.next()?;
        let value = member.get(key.len() + 1..)?;
        out.push((key.trim_ascii().into(), value.trim_ascii().into()));
    }
    Some(out)
}

/// Cuts at a separator outside strings and brackets.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut out, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b if b == separator && depth == 0 => {
                out.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    out.extend(text.get(start..));
    out
}

#[cfg(test)]
mod tests {
    use super::Metadata;
    use threadmill_proto::JsonText;

    fn merge(old: &str, more: &str) -> String {
        let mut metadata = Metadata::new(Some(JsonText(old.into())));
        metadata.merge(&JsonText(more.into()));
        metadata.to_text().map(|text| text.0).unwrap_or_default()
    }

    #[test]
    fn objects_merge_deeply_and_the_rest_is_replaced() {
        let old = r#"{"a":1,"b":{"x":"}, \" {","y":[1,{"z":2}]},"c":null}"#;
        let more = r#" { "b" : {"y":[3],"w":{}} , "d":"a:b" } "#;
        let merged = r#"{"a":1,"b":{"x":"}, \" {","y":[3],"w":{}},"c":null,"d":"a:b"}"#;
        assert_eq!(merge(old, more), merged);
    }

    #[test]
    fn what_is_no_object_replaces() {
        assert_eq!(merge("{\"a\":1}", "[2]"), "[2]");
        assert_eq!(merge("3", "{}"), "{}");
        assert_eq!(merge("{}", "{\"a\":1}"), "{\"a\":1}");
    }
}
