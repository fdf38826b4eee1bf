//! What an answer says of itself in its message's metadata: the tokens that were counted, and why it ended.

use serde_json::Value;

/// The longest metadata that is looked into: an account of tokens is a few hundred bytes.
const LONGEST: usize = 16 << 10;
/// Letters of a reason that are kept.
const REASON: usize = 40;

/// The account, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) input_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    /// As the endpoint says it: where thoughts are not among the answer's tokens they are in it alone.
    pub(crate) total_tokens: Option<u64>,
    pub(crate) reasoning_tokens: Option<u64>,
    pub(crate) finish_reason: Option<String>,
}

impl Account {
    /// Takes what a piece of metadata adds. What is no account changes nothing; endpoints have several names for the same.
    pub(crate) fn take(&mut self, metadata: &str) {
        if metadata.len() > LONGEST || !(metadata.contains("\"usage\"") || metadata.contains("\"finishReason\"")) {
            return;
        }
        let Ok(Value::Object(map)) = serde_json::from_str(metadata) else { return };
        if let Some(reason) = map.get("finishReason").and_then(Value::as_str) {
            self.finish_reason = Some(reason.chars().filter(|char| !char.is_control()).take(REASON).collect());
        }
        let Some(usage) = map.get("usage") else { return };
        let of = |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64());
        let newest = |kept: &mut Option<u64>, paths: &[&str]| *kept = of(paths).or(*kept);
        newest(&mut self.input_tokens, &["/prompt_tokens", "/input_tokens", "/inputTokens"]);
        newest(&mut self.output_tokens, &["/completion_tokens", "/output_tokens", "/outputTokens"]);
        newest(&mut self.total_tokens, &["/total_tokens", "/totalTokens"]);
        newest(
            &mut self.cached_tokens,
            &["/prompt_tokens_details/cached_tokens", "/cache_read_input_tokens", "/cachedInputTokens"],
        );
        newest(
            &mut self.reasoning_tokens,
            &[
                "/completion_tokens_details/reasoning_tokens",
                "/output_tokens_details/reasoning_tokens",
                "/reasoningTokens",
            ],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_reasons_are_found_under_their_names_and_nothing_else_is() {
        let mut account = Account::default();
        for nothing in ["", "{", "[\"usage\"]", "{\"usage\":null}", "{\"usage\":{\"prompt_tokens\":\"many\"}}"] {
            account.take(nothing);
            assert_eq!(account, Account::default(), "{nothing}");
        }
        account.take(
            r#"{"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},
                "completion_tokens_details":{"reasoning_tokens":2}}}"#,
        );
        account.take("{\"finishReason\":\"length\\u0007\",\"usage\":{\"completion_tokens\":5}}");
        let want = Account {
            input_tokens: Some(12),
            cached_tokens: Some(4),
            output_tokens: Some(5),
            total_tokens: Some(15),
            reasoning_tokens: Some(2),
            finish_reason: Some("length".into()),
        };
        assert_eq!(account, want);
        account.take(&format!("{{\"usage\":{{\"prompt_tokens\":99}},\"pad\":\"{}\"}}", "x".repeat(LONGEST)));
        assert_eq!(account, want);
    }
}
