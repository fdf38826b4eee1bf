//! JSON shapes of the API: camelCase, times in ISO 8601, parts and chunks as the AI SDK writes them.
//!
//! Only shapes live here. What a route takes and gives is the server's; this says how the words look.

mod chunk;
mod event;
mod message;
mod part;
mod plain;
mod read;
mod window;

pub use chunk::{chunk_from_value, chunk_to_value};
pub use event::{change_to_value, event_to_value};
pub use message::{message_from_value, message_to_value, role_from_str, status_from_str};
pub use part::{part_from_value, part_to_value, parts_from_value};
pub use plain::{
    iso, outcome_word, parse_iso, problem_from_value, problem_to_value, run_to_value, summary_from_value,
    summary_to_value, thread_from_value, thread_to_value,
};
pub use read::{value_from_slice, value_from_str};
pub use window::{cursor_token, parse_cursor, window_from_value, window_to_json};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::JsonText;

/// What is wrong with a JSON value, and where.
pub type Malformed = String;

pub(crate) fn raw(json: &JsonText) -> Value {
    value_from_str(&json.0).unwrap_or(Value::Null)
}

/// As a value what is written as text otherwise.
pub(crate) fn tree(shape: &impl Serialize) -> Value {
    serde_json::to_value(shape).expect("every key is a text")
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

pub(crate) fn object(value: Value, what: &str) -> Result<Map<String, Value>, Malformed> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(format!("{what} must be an object")),
    }
}

pub(crate) fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opaque JSON is carried, not understood: a number that no float holds is another one after a float held it. All its
    /// digits are kept; an exponent is spelled `e` with its sign.
    #[test]
    fn numbers_are_kept_as_written() {
        let same = ["123456789012345678901234567890", "1e-999", "1e+999", "-0", "1.0", "0.10", "18446744073709551616"];
        let spelled = [("1e999", "1e+999"), ("1E5", "1e+5")];
        for (number, kept) in same.map(|number| (number, number)).into_iter().chain(spelled) {
            let part = |number: &str| format!(r#"{{"type":"data-x","data":[{number},{{"a":{number}}}]}}"#);
            let read = value_from_str(&part(number)).expect("it is JSON");
            let cbor = crate::to_cbor(&part_from_value(read).expect("it is a part"));
            let read: crate::Part = crate::from_cbor(&cbor).expect("it is a part");
            assert_eq!(part_to_value(&read).to_string(), part(kept));
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
            let read = part_from_value(value_from_str(&part).expect("it is JSON")).expect("it is a part");
            assert_eq!(part_to_value(&read).to_string(), part);
        }
    }
}
