//! Why an answer failed: a stable word, a sentence for a person, and what the provider said of it itself.
//!
//! All three are kept in the message's metadata, so that whoever reads the message, live, later or in an export,
//! finds them. What a provider says has been cleaned (see `words`) before it comes here.

use serde_json::{Map, Value, json};
use threadmill_proto::JsonText;

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident $code:literal)*) => {
        /// Why an answer failed, as a stable word. Words are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Failure {
            $($(#[$doc])* $name,)*
        }

        impl Failure {
            /// The word in messages and logs.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
        }
    };
}

failures! {
    /// Too many requests, or a quota is used up.
    RateLimited "provider_rate_limited"
    /// The key is missing, wrong or not allowed this.
    Auth "provider_auth"
    /// The account must be paid for.
    Quota "provider_quota"
    /// The provider has no such model or address.
    ModelUnknown "provider_model_unknown"
    /// The history does not fit the model.
    ContextTooLong "context_too_long"
    /// The provider's own filter took the question or the answer.
    ContentFiltered "content_filtered"
    /// The provider is down, overloaded or out of reach.
    Unavailable "provider_unavailable"
    /// The provider refused for another reason.
    Refused "provider_refused"
    /// The provider said in mid answer that it failed.
    Failed "provider_failed"
    /// What the provider sent could not be read.
    Malformed "provider_malformed"
    /// The answer ended before its end.
    CutShort "cut_short"
    /// The provider said nothing for too long.
    Timeout "timeout"
    /// The answer reached the limits of a message.
    AnswerTooLong "answer_too_long"
    /// The history has a part that this provider cannot be given.
    UnsupportedPart "unsupported_part"
    /// The history has nothing in it that could be asked.
    NothingToAsk "nothing_to_ask"
    /// The run names a provider that is not configured any more.
    ProviderUnknown "provider_unknown"
    /// The history grew beyond what the run's budget holds.
    BeyondHold "beyond_hold"
    /// The store failed.
    Store "store_failed"
}

/// Why a provider did not answer, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The stable word.
    pub code: Failure,
    /// A sentence for a person, without secrets.
    pub detail: String,
    /// The status that the provider answered with.
    pub status: Option<u16>,
    /// What the provider said itself, cleaned.
    pub said: Option<String>,
    /// How long the provider asks to wait, in seconds.
    pub retry_after: Option<u64>,
    /// Nothing was sent: no connection came to be.
    pub unsent: bool,
}

impl std::error::Error for ProviderError {}

impl std::fmt::Display for ProviderError {
    /// The sentence and, after a colon, the provider's own words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.said {
            Some(said) => write!(f, "{}: {said}", self.detail.trim_end_matches('.')),
            None => f.write_str(&self.detail),
        }
    }
}

impl ProviderError {
    /// A failure that the provider said nothing of.
    #[must_use]
    pub fn new(code: Failure, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), status: None, said: None, retry_after: None, unsent: false }
    }

    /// Adds what the provider said, if it said anything.
    #[must_use]
    pub fn with_words(mut self, said: String) -> Self {
        self.said = (!said.is_empty()).then_some(said);
        self
    }

    /// What the message keeps of it: `{"error": {code, message, …}}`.
    #[must_use]
    pub fn metadata(&self) -> JsonText {
        let mut error = Map::new();
        error.insert("code".into(), self.code.code().into());
        error.insert("message".into(), self.detail.as_str().into());
        if let Some(said) = &self.said {
            error.insert("providerMessage".into(), said.as_str().into());
        }
        if let Some(status) = self.status {
            error.insert("status".into(), status.into());
        }
        if let Some(seconds) = self.retry_after {
            error.insert("retryAfterSeconds".into(), seconds.into());
        }
        let mut all = json!({"error": error});
        if let (Failure::AnswerTooLong, Value::Object(map)) = (self.code, &mut all) {
            map.insert("finishReason".into(), "length".into());
        }
        JsonText(all.to_string())
    }
}

/// Words by which providers say what is wrong, where the status does not. Compared in lower case, in this order.
const WORDS: [(Failure, &[&str]); 9] = [
    (Failure::Quota, SPENT),
    (Failure::ContextTooLong, TOO_LONG),
    (
        Failure::ContentFiltered,
        &["content_filter", "content filter", "content management", "responsibleai", "content_policy", "moderation"],
    ),
    (Failure::RateLimited, &["rate_limit", "rate limit", "too many requests", "throttl", "resource_exhausted"]),
    (Failure::Quota, &["billing", "payment"]),
    (Failure::Auth, &["invalid_api_key", "api key", "authentication", "unauthorized", "permission_denied"]),
    (Failure::ModelUnknown, &["model_not_found", "model not found", "no such model", "unknown model"]),
    (Failure::Unavailable, &["overloaded", "server_error", "unavailable", "internal error", "internal_error"]),
    (Failure::Timeout, &["timeout", "timed out"]),
];

/// Words that say of nothing but the account that it must be paid for, whatever the status: OpenAI and Azure say it with
/// 429, Perplexity with 401, Moonshot with 429 and 403, xAI with 403 or 429, Anthropic and Alibaba with 400. A bare “quota” or
/// “billing” is none of them: Gemini says both of a limit a minute.
const SPENT: &[&str] = &[
    "insufficient_quota",
    "insufficient quota",
    "insufficient_user_quota",
    "exceeded_current_quota",
    "billing_hard_limit",
    "billing hard limit",
    "billing_not_active",
    "account is not active",
    "credit balance",
    "insufficient balance",
    "insufficient_balance",
    "insufficient credit",
    "insufficient_credit",
    "credits are depleted",
    "out of credits",
    "used all available credits",
    "monthly spending limit",
    "monthly included credits",
    "payment required",
    "payment_required",
    "arrearage",
    "余额不足",
];

/// Words that say that the question is too long, by whoever says them.
const TOO_LONG: &[&str] = &[
    "context_length",
    "context length",
    "maximum context",
    "context window",
    "context_window",
    "context size",
    "context_size",
    "context limit",
    "context overflow",
    "context the overflows",
    "too many tokens",
    "prompt is too long",
    "prompt too long",
    "prompt_too_long",
    "input is too long",
    "input length",
    "string_above_max_length",
    // Gemini.
    "input token count",
    "maximum number of tokens allowed",
    // xAI; vLLM; Groq; Moonshot; Zhipu; GitHub; Bedrock; Text Generation Inference.
    "maximum prompt length",
    "maximum model length",
    "reduce the length of the messages",
    "exceeded model token limit",
    "prompt exceeds max length",
    "tokens_limit_reached",
    "number of input tokens exceeds",
    "`inputs` must have less than",
    "`inputs` tokens + `max_new_tokens`",
];

/// What is wrong, by the provider's status and words.
pub(crate) fn classify(status: Option<u16>, words: &str) -> Failure {
    let words = words.to_lowercase();
    let by_words = || {
        let found = WORDS.iter().find(|(_, known)| known.iter().any(|word| words.contains(word)));
        found.map(|(failure, _)| *failure)
    };
    let only = |known: &[Failure]| by_words().filter(|found| known.contains(found));
    let spent = || SPENT.iter().any(|word| words.contains(word));
    match status {
        Some(402) => Failure::Quota,
        Some(401 | 403 | 429) if spent() => Failure::Quota,
        Some(401) => Failure::Auth,
        Some(429) => Failure::RateLimited,
        Some(408 | 504 | 524) => Failure::Timeout,
        Some(413) => Failure::ContextTooLong,
        Some(403) => only(&[Failure::ContentFiltered]).unwrap_or(Failure::Auth),
        Some(404) => by_words().unwrap_or(Failure::ModelUnknown),
        Some(500..) => only(&[Failure::ContextTooLong]).unwrap_or(Failure::Unavailable),
        Some(_) => by_words().unwrap_or(Failure::Refused),
        None => by_words().unwrap_or(Failure::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, ProviderError, classify};

    #[test]
    fn a_refusal_is_named_by_status_and_words() {
        let check = |status, words: &str, want: &str| assert_eq!(classify(status, words).code(), want, "{words}");
        check(Some(429), "You exceeded your current quota", "provider_rate_limited");
        check(
            Some(429),
            "You exceeded your current quota, see billing details. RESOURCE_EXHAUSTED",
            "provider_rate_limited",
        );
        for status in [400, 401, 402, 403, 429] {
            check(Some(status), "You exceeded your current quota, see your plan. insufficient_quota", "provider_quota");
        }
        for spent in [
            "Your credit balance is too low to access the API.",
            "Your team has either used all available credits or reached its monthly spending limit.",
            "Your account is not active, please check your billing details on our website.",
            "exceeded_current_quota_error",
            "Insufficient Balance",
        ] {
            check(Some(429), spent, "provider_quota");
            check(None, spent, "provider_quota");
        }
        for long in [
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "Please reduce the length of the messages or completion.",
            "Invalid request: Your request exceeded model token limit: 8192",
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
        ] {
            check(Some(400), long, "context_too_long");
        }
        check(Some(401), "Incorrect API key provided", "provider_auth");
        check(Some(400), "This model's maximum context length is 8192 tokens", "context_too_long");
        check(Some(400), "invalid_request_error context_length_exceeded", "context_too_long");
        check(Some(400), "The response was filtered due to content management policy", "content_filtered");
        check(Some(404), "The model `x` does not exist", "provider_model_unknown");
        check(Some(503), "", "provider_unavailable");
        check(Some(400), "messages: roles must alternate", "provider_refused");
        check(None, "The model is overloaded", "provider_unavailable");
        check(None, "something else", "provider_failed");
    }

    #[test]
    fn the_message_keeps_code_words_and_status() {
        let mut failure = ProviderError::new(Failure::RateLimited, "The provider answered 429.");
        failure.status = Some(429);
        let failure = failure.with_words("Slow \"down\".".into());
        assert_eq!(failure.to_string(), "The provider answered 429: Slow \"down\".");
        let want = r#"{"error":{"code":"provider_rate_limited","message":"The provider answered 429.","providerMessage":"Slow \"down\".","status":429}}"#;
        assert_eq!(failure.metadata().0, want);
    }
}
