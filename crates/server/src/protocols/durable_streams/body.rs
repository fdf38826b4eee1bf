//! Bodies: bytes are kept as they are. Of JSON a list is opened by one level, and each message is kept as text with a comma
//! behind it, so that what is read is the inside of a list.

use threadmill_proto::limits::MAX_DEPTH;
use threadmill_proto::{ErrorCode, JsonText, json};

use crate::problem::ApiProblem;

/// Messages of one append.
const MESSAGES: usize = 16 << 10;
/// Bytes of one message.
const MESSAGE: usize = 1 << 20;

/// What of a JSON body is kept. Nothing of an empty list.
///
/// # Errors
/// It is not JSON, nested too deeply, of too many messages, or of one that is too large.
pub(super) fn messages(body: &[u8]) -> Result<Vec<u8>, ApiProblem> {
    // What is no list is made one, so that it is passed over as it was written and not opened.
    let is_list = body.trim_ascii_start().first() == Some(&b'[');
    let wrapped = if is_list { None } else { Some([b"[", body, b"]"].concat()) };
    let invalid =
        |why: &dyn std::fmt::Display| ApiProblem::new(ErrorCode::InvalidJson, format!("The body is not JSON: {why}."));
    let value = json::level_from_slice(wrapped.as_deref().unwrap_or(body)).map_err(|error| invalid(&error))?;
    let many = |why| ApiProblem::new(ErrorCode::InvalidRequest, format!("{why}."));
    let items: Vec<String> =
        json::list(value, "the body", MESSAGES).map_err(many)?.iter().map(ToString::to_string).collect();
    if !is_list && items.len() != 1 {
        return Err(invalid(&"it is not one value"));
    }
    let mut kept = Vec::with_capacity(body.len() + items.len());
    for item in items {
        if item.len() > MESSAGE {
            return Err(ApiProblem::new(ErrorCode::MessageTooLarge, "A message has at most 1 MiB."));
        }
        let item = JsonText(item);
        if item.depth() > MAX_DEPTH {
            let detail = format!("A message is nested deeper than {MAX_DEPTH} levels.");
            return Err(ApiProblem::new(ErrorCode::InvalidRequest, detail));
        }
        kept.extend_from_slice(item.0.as_bytes());
        kept.push(b',');
    }
    Ok(kept)
}

/// Messages that were kept, as a list.
pub(super) fn list(kept: &[u8]) -> Vec<u8> {
    let mut list = Vec::with_capacity(kept.len() + 2);
    list.push(b'[');
    list.extend_from_slice(kept.strip_suffix(b",").unwrap_or(kept));
    list.push(b']');
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, want: &str) {
        let kept = messages(body.as_bytes()).unwrap_or_else(|problem| panic!("{body}: {problem:?}"));
        assert_eq!(std::str::from_utf8(&kept).expect("a text"), want, "{body}");
        json::value_from_slice(&list(&kept)).expect("JSON");
    }

    #[test]
    fn a_list_is_opened_by_one_level() {
        check(r#"{"a":1E5}"#, r#"{"a":1E5},"#);
        check("[]", "");
        check(" [ ] ", "");
        check(r#"[{"a":[1]},[2,3],"x,y",null,-0.0]"#, r#"{"a":[1]},[2,3],"x,y",null,-0.0,"#);
        check("[[[1,2,3]]]", "[[1,2,3]],");
        check("7", "7,");
        check(r#""text""#, r#""text","#);
        check(r#"{"__proto__":{"x":1},"__proto__":2}"#, r#"{"__proto__":{"x":1},"__proto__":2},"#);
    }

    #[test]
    fn hostile_bodies_are_refused() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let many = format!("[0{}]", ",0".repeat(MESSAGES));
        let large = format!("\"{}\"", "x".repeat(MESSAGE));
        for body in [
            "",
            " ",
            "{",
            "[1,]",
            "1 2",
            "1,2",
            "1],[2",
            "],[",
            "nul",
            "\"\u{1}\"",
            "[1][2]",
            deep.as_str(),
            &many,
            &large,
        ] {
            assert!(messages(body.as_bytes()).is_err(), "{}", &body[..body.len().min(20)]);
        }
        assert!(messages(b"\"\xff\"").is_err());
    }
}
