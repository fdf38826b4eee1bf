//! Runs that a program outside writes, as they are begun: the provider's name that says so, and the secret that is kept with
//! the run for whoever writes it to show.

use serde_json::Value;
use threadmill_proto::{JsonText, json as shape};

/// The name that a run has instead of a provider's. No provider may be called so.
pub const EXTERNAL: &str = "external";

/// The kind of the chunk that says how far a writer's numbers were taken. Frozen: streams hold it.
pub const MARK: &str = "threadmill-writer";

/// What is kept with a run.
pub(crate) fn record(secret: &str) -> JsonText {
    JsonText(serde_json::json!({EXTERNAL: {"secret": secret}}).to_string())
}

/// The secret that a run's record has; none if a node writes it.
pub(crate) fn secret_of(record: &JsonText) -> Option<String> {
    let mut map = shape::object(shape::value_from_str(&record.0).ok()?, "a record").ok()?;
    let outside = shape::object(map.shift_remove(EXTERNAL)?, EXTERNAL).ok()?;
    outside.get("secret").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_secret_and_others_have_none() {
        assert_eq!(secret_of(&record("s")).as_deref(), Some("s"));
        for other in ["{}", "7", "", r#"{"external":7}"#, r#"{"external":{}}"#] {
            assert_eq!(secret_of(&JsonText(other.into())), None, "{other}");
        }
    }
}
