//! JSON text as a value, whatever its keys are called.
//!
//! `serde_json` hands numbers and raw JSON to a reader as objects of one key with a secret name, and its own reader
//! believes whatever has that name: `{"$serde_json::private::Number":"12"}`, which anybody may send, would be read as
//! `12`, and with `"x"` would be no JSON. This reader takes the name for a number only where it does not stand in the
//! text.

use core::fmt;
use core::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Error, Map, Number, Value};

/// What `serde_json` calls the number that it hands on.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one JSON value. Use it for everything that comes from outside, and for what is kept of that.
///
/// # Errors
/// It is not JSON, or is nested deeper than 127 levels.
pub fn value_from_slice(text: &[u8]) -> Result<Value, Error> {
    let begin = text.as_ptr().addr();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Reader { text: &(begin..begin + text.len()) }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// As [`value_from_slice`].
///
/// # Errors
/// The same.
pub fn value_from_str(text: &str) -> Result<Value, Error> {
    value_from_slice(text.as_bytes())
}

/// Reads a value.
#[derive(Clone, Copy)]
struct Reader<'t> {
    /// Where the text is in memory: what is borrowed from elsewhere is not of it.
    text: &'t Range<usize>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = from.next_element_seed(self)? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = from.next_key_seed(KeyReader(self))? {
            match key {
                Key::Name(name) => {
                    let value = from.next_value_seed(self)?;
                    all.insert(name, value);
                }
                Key::Number => {
                    let digits: String = from.next_value()?;
                    return digits.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
                }
            }
        }
        Ok(Value::Object(all))
    }
}

enum Key {
    Name(String),
    /// It is no object, but a number.
    Number,
}

struct KeyReader<'t>(Reader<'t>);

impl<'de> DeserializeSeed<'de> for KeyReader<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyReader<'_> {
    type Value = Key;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a key")
    }

    /// A name of the text is borrowed from it, or, if it has escapes, is no borrowed one.
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key, E> {
        let of_text = self.0.text.contains(&name.as_ptr().addr());
        Ok(if name == NUMBER && !of_text { Key::Number } else { Key::Name(name.into()) })
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(Key::Name(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_called_as_the_reader_calls_its_own() {
        for key in [
            "$serde_json::private::Number",
            "\\u0024serde_json::private::Number",
            "$serde_json::private::RawValue",
            "$serde_json::private::\\u0052awValue",
        ] {
            for value in ["\"12\"", "\"x\"", "\"[1,2]\"", "12", "null", "{\"a\":-0}"] {
                for text in [
                    format!("{{\"{key}\":{value}}}"),
                    format!("{{\"{key}\":{value},\"b\":1e-999}}"),
                    format!("{{\"b\":[{{\"{key}\":{value}}}],\"c\":0.10}}"),
                ] {
                    let read = value_from_str(&text).expect("it is JSON").to_string();
                    assert_eq!(read, text.replace("\\u0024", "$").replace("\\u0052", "R"));
                    assert_eq!(value_from_str(&read).expect("it is JSON").to_string(), read, "and again");
                }
            }
        }
    }

    #[test]
    fn everything_else_is_read_as_ever() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        for text in [
            "null",
            "true",
            " 1 ",
            "-0",
            "1.50",
            "1E5",
            "123456789012345678901234567890",
            "\"a\\ud83d\\ude00b\"",
            "[]",
            "{}",
            "{\"a\":1,\"b\":2,\"a\":3}",
            "[1,[\"\\u0000\"],{\"\":{}}]",
            "",
            "01",
            "{\"a\"}",
            "{a:1}",
            "[1,]",
            "1 2",
            "\"\\ud83d\"",
            "nul",
            "{\"a\":1",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([deep(127), deep(128)])
        {
            let theirs = serde_json::from_str::<Value>(&text);
            match (value_from_str(&text), theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
                (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
                (ours, theirs) => panic!("{text}: {ours:?} and not {theirs:?}"),
            }
        }
        assert!(value_from_slice(b"\"\xff\"").is_err());
    }
}
