//! How much of a thread a provider is given.

use threadmill_proto::JsonText;

/// What a run's context may hold. The default is a policy, not a promise: it fits models with 32 k tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextPolicy {
    /// Tokens of history, at about four bytes a token; whole messages, newest first.
    pub tokens: usize,
    /// Messages of history at the most.
    pub messages: u32,
    /// Put before the history.
    pub system: Option<String>,
}

impl Default for ContextPolicy {
    fn default() -> Self {
        Self { tokens: 16_000, messages: 100, system: None }
    }
}

/// About how many bytes a token has, where only a share of a window is meant.
const BYTES_PER_TOKEN: usize = 4;

impl ContextPolicy {
    /// Bytes of history.
    pub(crate) fn bytes(&self) -> usize {
        self.tokens.saturating_mul(BYTES_PER_TOKEN)
    }

    /// What a run's record says that its provider is given. The range of messages follows from it and the run's slot.
    pub(crate) fn record(&self, model: &str) -> JsonText {
        let record = serde_json::json!({
            "model": model,
            "system": self.system,
            "contextTokens": self.tokens,
            "contextMessages": self.messages,
        });
        JsonText(record.to_string())
    }
}
