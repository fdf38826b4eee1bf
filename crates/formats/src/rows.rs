//! A thread's rows as JSON: `{"branch": {…}}` and `{"message": {…}}`, in the order of their making.

use serde_json::{Map, Value, json};
use threadmill_proto::{BranchId, json as shape};
use threadmill_store::ImportRow;

/// A row as JSON.
#[must_use]
pub fn to_value(row: &ImportRow) -> Value {
    match row {
        ImportRow::Branch { id, parent, fork_depth } => {
            let parent = parent.as_ref().map(BranchId::as_str);
            json!({"branch": {"id": id.as_str(), "parent": parent, "forkDepth": fork_depth}})
        }
        ImportRow::Message(message) => Value::from_iter([("message", shape::message_to_value(message, None))]),
    }
}

/// Reads a row.
///
/// # Errors
/// Says what is malformed.
pub fn from_value(value: Value) -> Result<ImportRow, String> {
    let mut map = shape::object(value, "a row")?;
    if let Some(message) = map.shift_remove("message") {
        return shape::message_from_value(message).map(ImportRow::Message).map_err(|why| format!("message: {why}"));
    }
    let branch = map.shift_remove("branch").ok_or("a row has a `branch` or a `message`")?;
    let branch = shape::object(branch, "a branch")?;
    read_branch(&branch).map_err(|why| format!("branch: {why}"))
}

fn read_branch(branch: &Map<String, Value>) -> Result<ImportRow, String> {
    let id = |key: &str| match branch.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => BranchId::parse(text).map(Some).map_err(|rule| format!("`{key}`: {rule}")),
        Some(_) => Err(format!("`{key}` must be a string")),
    };
    let own = id("id")?.ok_or("`id` is missing")?;
    let parent = id("parent")?;
    if parent.as_ref() == Some(&own) {
        return Err(format!("`parent`: {own} is its own parent"));
    }
    let fork_depth = match branch.get("forkDepth") {
        // What begins at the beginning forks from nothing.
        None if parent.is_none() => 0,
        depth => depth.and_then(Value::as_u64).ok_or("`forkDepth` must be a whole number")?,
    };
    Ok(ImportRow::Branch { id: own, parent, fork_depth })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        for row in [
            json!({"branch": {"id": "b", "parent": "a", "forkDepth": 3}}),
            json!({"branch": {"id": "b", "parent": null, "forkDepth": 0}}),
        ] {
            assert_eq!(from_value(row.clone()).map(|read| to_value(&read)), Ok(row));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |row: Value, why: &str| {
            let refused = from_value(row).expect_err("it is malformed");
            assert!(refused.contains(why), "{refused}");
        };
        check(json!({"branch": {"id": "b", "parent": "a", "forkDepth": "x"}}), "forkDepth");
        check(json!({"branch": {"id": "b", "parent": "a"}}), "forkDepth");
        check(json!({"branch": {"id": "b", "forkDepth": null}}), "forkDepth");
        check(json!({"branch": {"id": "b", "parent": "b", "forkDepth": 0}}), "its own parent");
        check(json!({"branch": {"id": "b", "parent": 7, "forkDepth": 0}}), "parent");
        check(json!({"branch": {"forkDepth": 0}}), "`id` is missing");
        check(json!({"message": {}}), "message");
        check(json!([]), "object");
    }
}
