//! Where an endpoint is, and what is secret about it.

use crate::providers::words::Secrets;

/// Where and what to ask.
#[derive(Clone)]
pub struct Endpoint {
    /// Such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The bearer token, if the endpoint wants one.
    pub key: Option<String>,
    /// The model to name.
    pub model: String,
    /// Tokens of answer at the most.
    pub max_tokens: Option<u32>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The host that it is at.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        reqwest::Url::parse(&self.base_url).ok()?.host_str().map(str::to_owned)
    }

    /// What must be in no word of the endpoint that goes on: the key, and credentials within the address.
    pub(super) fn secrets(&self) -> Secrets {
        let url = reqwest::Url::parse(&self.base_url).ok();
        let in_url = url.iter().flat_map(|url| {
            let values = url.query_pairs().map(|(_, value)| value.into_owned());
            let user = (!url.username().is_empty()).then(|| url.username().to_owned());
            values.chain(user).chain(url.password().map(str::to_owned)).collect::<Vec<_>>()
        });
        let keys: Vec<String> = self.key.iter().cloned().chain(in_url).collect();
        Secrets::new(keys.iter().map(String::as_str))
    }
}
