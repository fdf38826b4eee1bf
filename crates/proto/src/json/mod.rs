//! JSON shapes of the API: camelCase, times in ISO 8601, parts and chunks as the AI SDK writes them.
//!
//! Only shapes live here. What a route takes and gives is the server's; this says how the words look.
//!
//! What is opaque (`data`, metadata, what tools take and give) is in these values as its text. It is written as it stands;
//! `json!` and `to_value` copy values word for word and panic on it: use `Value::from_iter` to wrap such a value.

mod chunk;
mod event;
mod message;
mod part;
mod plain;
mod read;
mod scan;
mod window;

pub use chunk::{chunk_from_value, chunk_to_value};
pub use event::{change_to_value, event_to_value};
pub use message::{message_from_value, message_to_value, role_from_str, role_word, status_from_str, status_word};
pub use part::{part_from_value, part_to_value, parts_from_value};
pub use plain::{
    iso, outcome_word, parse_iso, problem_from_value, problem_to_value, run_to_value, summary_from_value,
    summary_to_value, thread_from_value, thread_to_value,
};
pub use read::{is_object, last_entries, level_from_slice, list, object, value_from_slice, value_from_str};
pub use window::{cursor_token, parse_cursor, window_from_value, window_to_json};

use serde_json::{Map, Value};

use crate::JsonText;

/// What is wrong with a JSON value, and where.
pub type Malformed = String;

/// Opaque JSON as a value that is written as it stands.
pub(crate) fn raw(json: &JsonText) -> Value {
    read::verbatim(&json.0)
}

pub(crate) fn text_of(value: &Value) -> JsonText {
    JsonText(value.to_string())
}

pub(crate) fn string(map: &Map<String, Value>, key: &str) -> Result<String, Malformed> {
    match map.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("`{key}` must be a string")),
        None => Err(format!("`{key}` is missing")),
    }
}

pub(crate) fn optional(map: &Map<String, Value>, key: &str) -> Result<Option<String>, Malformed> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => string(map, key).map(Some),
    }
}

pub(crate) fn number(map: &Map<String, Value>, key: &str) -> Result<u64, Malformed> {
    map.get(key).and_then(Value::as_u64).ok_or_else(|| format!("`{key}` must be a whole number from 0"))
}

pub(crate) fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opaque JSON is carried, not understood: a number that no float holds is another one after a float held it, and
    /// whoever signed what they sent finds it as they signed it.
    #[test]
    fn numbers_are_kept_as_written() {
        for number in [
            "123456789012345678901234567890",
            "1e-999",
            "1e+999",
            "1e999",
            "1E5",
            "1e5",
            "1E+05",
            "-0",
            "1.0",
            "0.10",
            "18446744073709551616",
        ] {
            for data in [number.to_owned(), format!(r#"[{number},{{"a":{number}}}]"#)] {
                let part = format!(r#"{{"type":"data-x","data":{data}}}"#);
                for read in [value_from_str(&part), level_from_slice(part.as_bytes())] {
                    let cbor = crate::to_cbor(&part_from_value(read.expect("it is JSON")).expect("it is a part"));
                    let read: crate::Part = crate::from_cbor(&cbor).expect("it is a part");
                    assert_eq!(part_to_value(&read).to_string(), part);
                }
            }
        }
    }

    #[test]
    fn numbers_are_kept_wherever_json_is_opaque() {
        kept_wherever_json_is_opaque("123456789012345678901234567890");
    }

    #[test]
    fn so_is_what_looks_like_a_number_of_the_reader_s_own() {
        kept_wherever_json_is_opaque(r#"{"$serde_json::private::Number":"x"}"#);
        kept_wherever_json_is_opaque(r#"{"$serde_json::private::RawValue":"[1]"}"#);
    }

    fn kept_wherever_json_is_opaque(number: &str) {
        for part in [
            format!(r#"{{"type":"tool-x","toolCallId":"c","state":"s","input":{number},"output":{{"a":-0}}}}"#),
            format!(r#"{{"type":"text","text":"t","providerMetadata":{{"n":{number}}}}}"#),
            format!(r#"{{"type":"unheard-of","n":{number}}}"#),
        ] {
            for read in [value_from_str(&part), level_from_slice(part.as_bytes())] {
                let read = part_from_value(read.expect("it is JSON")).expect("it is a part");
                assert_eq!(part_to_value(&read).to_string(), part);
            }
        }
    }

    #[test]
    fn what_is_looked_into_is_an_object() {
        for (part, why) in [("[1]", "a part must be an object"), ("7", "a part must be an object"), ("{}", "`type`")] {
            let wrapped = format!("[{part}]");
            for read in [value_from_str(&wrapped), level_from_slice(wrapped.as_bytes())] {
                let refused = parts_from_value(read.expect("it is JSON")).expect_err("it is none");
                assert!(refused.contains(why), "{refused}");
            }
        }
    }
}
