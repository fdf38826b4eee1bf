//! JSON text as a `Value`: all of it as a tree, or one level at a time.
//!
//! A tree takes 72 bytes and more for each value, so that `[0,0,0]` becomes forty times as large as it was sent. What
//! comes to a server is therefore read by levels: lists and objects within what is read stay text, and are opened where
//! somebody looks into them ([`object`], [`list`]). What nobody looks into, the JSON of applications, is never a tree, and is kept as
//! it was written, but for white space: numbers with their digits and exponents, escapes, names that come twice.
//!
//! `serde_json` has no value for "text that is JSON already". With `arbitrary_precision` a number is such a text: it is
//! held as it was written and written as it is held ([`verbatim`]). Its own reader would spell `1E5` as `1e+5`, and would
//! take an object whose only key has a secret name (`{"$serde_json::private::Number":"12"}`, which anybody may send) for a
//! number; none of what comes from outside passes through it.

use serde::Serialize;
use serde::de::{Error as _, IgnoredAny};
use serde_json::{Error, Map, Number, Value};

use super::Malformed;
use super::scan::{Fault, Scan, compact};

/// How deep a text may go. What is stored goes down [`crate::limits::MAX_DEPTH`] levels, and what earlier releases stored
/// up to 127; exports and requests wrap that in a few more. A tree is read and dropped by recursion.
const DEPTH: usize = 160;

/// The most fields of an object that is opened. Those that are known by name are a dozen; a part may bring others.
const FIELDS: usize = 16 << 10;

/// Reads one JSON value as a tree. For what a server sent, and what was kept of it; what comes to a server is
/// [`level_from_slice`]'s.
///
/// # Errors
/// It is not JSON, or is nested deeper than 160 levels.
pub fn value_from_slice(text: &[u8]) -> Result<Value, Error> {
    let read = |text: &str| {
        let mut scan = Scan::new(text);
        let value = tree(&mut scan, DEPTH)?;
        scan.end().map(|()| value)
    };
    read_from(text, read)
}

/// As [`value_from_slice`].
///
/// # Errors
/// The same.
pub fn value_from_str(text: &str) -> Result<Value, Error> {
    value_from_slice(text.as_bytes())
}

/// Reads the outermost level of a JSON object: its fields. What is no object is passed over and comes as one text. Costs two passes over the text and a copy of it.
///
/// # Errors
/// It is not JSON, is nested deeper than 160 levels, or has more than 16,384 fields.
pub fn level_from_slice(text: &[u8]) -> Result<Value, Error> {
    read_from(text, |text| {
        let mut scan = Scan::new(text);
        if scan.next() == Some(b'{') {
            return level(text, FIELDS);
        }
        let value = place(&mut scan, DEPTH)?;
        scan.end().map(|()| value)
    })
}

/// The fields of an object that a level or a tree has; of a level's, they are levels.
///
/// # Errors
/// `what` is no object, or has more than 16,384 fields.
pub fn object(value: Value, what: &str) -> Result<Map<String, Value>, Malformed> {
    match opened(value, '{', FIELDS) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(format!("{what} must be an object")),
        Err(Fault::Width) => Err(format!("{what} has more than {FIELDS} fields")),
        Err(_) => Err(format!("{what} is no JSON")),
    }
}

/// The entries of a list that a level or a tree has; of a level's, they are levels.
///
/// # Errors
/// `what` is no list, or has more than `most` entries.
pub fn list(value: Value, what: &str, most: usize) -> Result<Vec<Value>, Malformed> {
    match opened(value, '[', most) {
        Ok(Value::Array(items)) if items.len() <= most => Ok(items),
        Ok(Value::Array(_)) | Err(Fault::Width) => Err(format!("{what} has more than {most} entries")),
        Ok(_) => Err(format!("{what} must be an array")),
        Err(_) => Err(format!("{what} is no JSON")),
    }
}

/// The last `count` entries of a list that a level or a tree has, in their order; of a level's, they are levels. The entries
/// before them are passed over and cost nothing but the time of one pass.
///
/// # Errors
/// `what` is no list.
pub fn last_entries(value: Value, what: &str, count: usize) -> Result<Vec<Value>, Malformed> {
    match value {
        Value::Array(mut items) => Ok(items.split_off(items.len().saturating_sub(count))),
        Value::Number(text) if text.as_str().starts_with('[') => {
            last_places(text.as_str(), count).map_err(|_| format!("{what} is no JSON"))
        }
        _ => Err(format!("{what} must be an array")),
    }
}

fn last_places(text: &str, count: usize) -> Result<Vec<Value>, Fault> {
    let (mut scan, mut last) = (Scan::new(text), Vec::new());
    scan.eat(b'[');
    if !scan.eat(b']') {
        loop {
            if last.len() == count.max(1) {
                last.remove(0);
            }
            last.push(scan.value(DEPTH - 1)?);
            if scan.eat(b']') {
                break;
            }
            comma(&mut scan)?;
        }
    }
    scan.end()?;
    last.into_iter().map(|place_text| place(&mut Scan::new(place_text), DEPTH - 1)).collect()
}

/// Reads the next level if it begins as is wanted; anything else stays what it is.
fn opened(value: Value, begins: char, most: usize) -> Result<Value, Fault> {
    match value {
        Value::Number(text) if text.as_str().starts_with(begins) => level(text.as_str(), most),
        other => Ok(other),
    }
}

/// The fields of an object that is stored, however many they are.
pub(super) fn fields_of(text: &str) -> Map<String, Value> {
    match level(text, usize::MAX) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Whether a value is an object, opened or not.
#[must_use]
pub fn is_object(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Number(text) => text.as_str().starts_with('{'),
        _ => false,
    }
}

/// JSON text as a value that is written as it stands, without white space; looked into only when it is opened. A text
/// that is no JSON becomes null.
pub(super) fn verbatim(text: &str) -> Value {
    let mut scan = Scan::new(text);
    match scan.value(usize::MAX).and_then(|value| scan.end().map(|()| value)) {
        Ok(value) if is_container(value) => Value::Number(Number::from_string_unchecked(compact(value))),
        Ok(value) => scalar(value).unwrap_or(Value::Null),
        Err(_) => Value::Null,
    }
}

/// A shape as a value that is written as the shape is.
pub(super) fn written(shape: &impl Serialize) -> Value {
    let text = serde_json::to_string(shape).expect("memory takes everything, and every key is a text");
    Value::Number(Number::from_string_unchecked(text))
}

fn is_container(text: &str) -> bool {
    text.starts_with(['{', '['])
}

fn read_from(text: &[u8], read: impl FnOnce(&str) -> Result<Value, Fault>) -> Result<Value, Error> {
    let fault = match core::str::from_utf8(text) {
        Ok(text) => match read(text) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        },
        Err(_) => Fault::Syntax,
    };
    Err(match fault {
        Fault::Depth => Error::custom(format!("it is nested deeper than {DEPTH} levels")),
        Fault::Width => Error::custom(format!("it has more than {FIELDS} fields")),
        // Who passes over it says where it is wrong; what only who reads it would find is in a string.
        Fault::Syntax => match serde_json::from_slice::<IgnoredAny>(text) {
            Err(error) => error,
            Ok(_) => Error::custom("a string of it is no Unicode"),
        },
    })
}

/// A string, a number, true, false or null.
fn scalar(text: &str) -> Result<Value, Fault> {
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::String(string(text)?),
        Some(b't') => true.into(),
        Some(b'f') => false.into(),
        Some(b'n') => Value::Null,
        _ => Value::Number(Number::from_string_unchecked(text.into())),
    })
}

/// A string that stands in quotes.
fn string(text: &str) -> Result<String, Fault> {
    match text.get(1..text.len() - 1) {
        Some(plain) if !plain.contains('\\') => Ok(plain.into()),
        _ => serde_json::from_str(text).map_err(|_| Fault::Syntax),
    }
}

/// Reads a text's outermost level.
fn level(text: &str, most: usize) -> Result<Value, Fault> {
    let mut scan = Scan::new(text);
    let value = container(&mut scan, most, |scan| place(scan, DEPTH - 1))?;
    scan.end().map(|()| value)
}

/// Passes what comes next, and keeps it as its text unless it is one word.
fn place(scan: &mut Scan<'_>, deep: usize) -> Result<Value, Fault> {
    let value = scan.value(deep)?;
    if is_container(value) { Ok(Value::Number(Number::from_string_unchecked(compact(value)))) } else { scalar(value) }
}

/// Reads all of a text's levels.
fn tree(scan: &mut Scan<'_>, deep: usize) -> Result<Value, Fault> {
    if deep == 0 && matches!(scan.next(), Some(b'[' | b'{')) {
        return Err(Fault::Depth);
    }
    container(scan, usize::MAX, |scan| tree(scan, deep.saturating_sub(1)))
}

/// Reads what comes next: the places of a list or an object by `place`, anything else as it is.
fn container<'t>(
    scan: &mut Scan<'t>,
    most: usize,
    mut place: impl FnMut(&mut Scan<'t>) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    match scan.next() {
        Some(b'[') => {
            let mut all = Vec::new();
            scan.eat(b'[');
            if !scan.eat(b']') {
                loop {
                    if all.len() == most {
                        return Err(Fault::Width);
                    }
                    all.push(place(scan)?);
                    if scan.eat(b']') {
                        break;
                    }
                    comma(scan)?;
                }
            }
            Ok(Value::Array(all))
        }
        Some(b'{') => {
            let mut all = Map::new();
            scan.eat(b'{');
            if !scan.eat(b'}') {
                loop {
                    if all.len() == most {
                        return Err(Fault::Width);
                    }
                    let name = string(scan.key()?)?;
                    all.insert(name, place(scan)?);
                    if scan.eat(b'}') {
                        break;
                    }
                    comma(scan)?;
                }
            }
            Ok(Value::Object(all))
        }
        _ => scalar(scan.value(0)?),
    }
}

fn comma(scan: &mut Scan<'_>) -> Result<(), Fault> {
    if scan.eat(b',') { Ok(()) } else { Err(Fault::Syntax) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The levels of a text put together again.
    fn levels(text: &str) -> Result<Value, Error> {
        fn all(value: Value) -> Value {
            if is_object(&value) {
                let fields = object(value, "it").expect("it was looked through");
                return fields.into_iter().map(|(name, value)| (name, all(value))).collect();
            }
            list(value.clone(), "it", usize::MAX).map_or(value, |items| items.into_iter().map(all).collect())
        }
        level_from_slice(text.as_bytes()).map(all)
    }

    #[test]
    fn a_key_may_be_called_as_a_reader_calls_its_own() {
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
                    for read in [value_from_str(&text), levels(&text)] {
                        let read = read.expect("it is JSON").to_string();
                        assert_eq!(read, text.replace("\\u0024", "$").replace("\\u0052", "R"));
                        assert_eq!(value_from_str(&read).expect("it is JSON").to_string(), read, "and again");
                    }
                    assert_eq!(verbatim(&text).to_string(), text);
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
            "1e+5",
            "123456789012345678901234567890",
            "\"a\\ud83d\\ude00b\"",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
            "[]",
            " [ ] ",
            "{}",
            "{\"a\":1,\"b\":2,\"a\":3}",
            "[1,[\"\\u0000\"],{\"\":{}}]",
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "0x1",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "{,}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "1 2",
            "\"\\ud83d\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ude00\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\u{1}\"",
            "\"",
            "nul",
            "nulls",
            "{\"a\":1",
            "[}",
            "[\u{a0}]",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([deep(127)])
        {
            let theirs = serde_json::from_str::<Value>(&text).map(|value| value.to_string());
            for ours in [value_from_str(&text), levels(&text)] {
                assert_eq!(ours.map(|value| value.to_string()).ok(), theirs.as_ref().ok().cloned(), "{text}");
            }
            assert_eq!(verbatim(&text).is_null(), theirs.is_err() || text == "null", "{text}");
        }
        assert!(value_from_slice(b"\"\xff\"").is_err());
        for (text, valid) in [(deep(DEPTH), true), (deep(DEPTH + 1), false), ("[".repeat(1 << 20), false)] {
            assert_eq!((value_from_str(&text).is_ok(), levels(&text).is_ok()), (valid, valid));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert!(value_from_str("{\"a\":nul}").expect_err("no JSON").column() > 0);
        let deep = value_from_str(&"[".repeat(500)).expect_err("too deep").to_string();
        assert!(deep.contains("160 levels"), "{deep}");
    }

    #[test]
    fn no_more_places_are_made_than_may_be() {
        let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        let fields = |count: usize| (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
        assert!(level_from_slice(format!("{{{}}}", fields(FIELDS)).as_bytes()).is_ok());
        let many = format!("{{{}}}", fields(FIELDS + 1));
        assert!(level_from_slice(many.as_bytes()).expect_err("too many").to_string().contains("fields"));
        assert_eq!(fields_of(&many).len(), FIELDS + 1);
        let body = level_from_slice(format!("{{\"rows\":{}}}", zeros(1 << 20)).as_bytes()).expect("JSON");
        let rows = object(body, "it").expect("an object").remove("rows").expect("rows");
        assert_eq!(list(rows.clone(), "`rows`", 1000), Err("`rows` has more than 1000 entries".into()));
        assert_eq!(list(json!([1, 2]), "`rows`", 1), Err("`rows` has more than 1 entries".into()));
        assert_eq!(rows.to_string(), zeros(1 << 20), "and it is carried all the same");
    }

    #[test]
    fn of_a_long_list_the_last_entries_are_opened_and_no_other() {
        let many = format!("[{}{{\"a\":[1]}},7]", "{\"b\":[0,0]},".repeat(10_000));
        let level = level_from_slice(format!("{{\"list\":{many}}}").as_bytes()).expect("it is JSON");
        let list = object(level, "it").expect("it is an object").shift_remove("list").expect("it is there");
        let last = last_entries(list, "`list`", 2).expect("it is a list");
        assert_eq!(last.iter().map(ToString::to_string).collect::<Vec<_>>(), ["{\"a\":[1]}", "7"]);
        assert_eq!(last_entries(json!([1, 2, 3]), "`list`", 2), Ok(vec![json!(2), json!(3)]));
        assert_eq!(last_entries(json!([]), "`list`", 2), Ok(vec![]));
        assert!(last_entries(json!("[1]"), "`list`", 2).is_err() && last_entries(json!(7), "`list`", 2).is_err());
    }
}
