//! Just enough JSON to merge metadata as the AI SDK does: objects deeply, everything else by replacement.
//!
//! The texts were checked where they entered the system; here they are only cut at their commas. A text
//! that is no object replaces what was there.

use alloc::string::String;
use alloc::vec::Vec;

/// Merges object `more` over object `old`.
pub(crate) fn merge(old: &str, more: &str) -> String {
    let (Some(mut members), Some(newer)) = (members(old), members(more)) else {
        return more.into();
    };
    for (key, value) in newer {
        match members.iter_mut().find(|(k, _)| *k == key) {
            Some((_, slot)) => *slot = merge(slot, &value),
            None => members.push((key, value)),
        }
    }
    let mut merged = String::from("{");
    for (key, value) in &members {
        if merged.len() > 1 {
            merged.push(',');
        }
        merged.push_str(key);
        merged.push(':');
        merged.push_str(value);
    }
    merged.push('}');
    merged
}

/// Appends a string as JSON.
pub(crate) fn quote(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
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
    out.push('"');
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
    use super::merge;

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
