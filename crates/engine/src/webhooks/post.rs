//! One attempt: a signed POST, within bounds. The name is resolved by this client's own resolver, which gives out no address
//! that is refused; redirects are not followed and no proxy is used, so nothing but an address that was looked at is
//! connected to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use threadmill_proto::Millis;

use crate::providers::openai::install_tls;
use crate::webhooks::address::Reach;
use crate::webhooks::delivery::{Delivery, Outcome};
use crate::webhooks::endpoint::{Endpoint, literal};

/// How long an endpoint has to answer, the whole of it: the standard says 15 to 30 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read.
const ANSWER: usize = 4 << 10;
/// Who sends.
const AGENT: &str = concat!("Threadmill/", env!("CARGO_PKG_VERSION"), " (webhooks)");
const REFUSED: &str = "its name leads to addresses that webhooks are not sent to (see allow_private)";

/// A client that connects to nothing beyond a reach.
///
/// # Errors
/// The TLS stack cannot be set up.
pub(crate) fn guarded(agent: &'static str, reach: Reach, patience: Duration) -> Result<Client, String> {
    install_tls();
    Client::builder()
        .timeout(patience)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(1)
        .user_agent(agent)
        .dns_resolver(Arc::new(Guarded(reach)))
        .build()
        .map_err(|error| format!("the HTTP client could not be set up: {error}"))
}

/// The beginning of an answer: a receiver may never end.
pub(crate) async fn beginning(response: &mut Response) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() < ANSWER
        && let Ok(Some(more)) = response.chunk().await
    {
        said.extend_from_slice(&more[..more.len().min(ANSWER - said.len())]);
    }
    said
}

/// Gives out the addresses that may be connected to.
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = all.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() { Err(REFUSED.into()) } else { Ok(Box::new(allowed.into_iter()) as Addrs) }
        })
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) said: String,
}

impl Answered {
    fn nothing(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed { not_before: None }, status: None, said: why.into() }
    }

    /// The endpoint says that it is gone for good.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE.as_u16())
    }
}

/// An endpoint with its client.
pub(crate) struct Post {
    pub(crate) endpoint: Endpoint,
    client: Client,
    patience: Duration,
}

impl Post {
    /// A client of its own: who may be connected to is an endpoint's, connections that are kept are too.
    ///
    /// # Errors
    /// The TLS stack cannot be set up.
    pub(crate) fn new(endpoint: Endpoint, patience: Duration) -> Result<Self, String> {
        let client = guarded(AGENT, endpoint.reach(), patience)?;
        Ok(Self { endpoint, client, patience })
    }

    /// Sends a delivery once.
    pub(crate) async fn send(&self, delivery: &Delivery, now: Millis) -> Answered {
        // The client asks its resolver for names alone.
        if literal(self.endpoint.url()).is_some_and(|address| !self.endpoint.reach().allows(address)) {
            return Answered::nothing(REFUSED);
        }
        let Some(signatures) = self.endpoint.signatures(&delivery.id, now, &delivery.body) else {
            return Answered::nothing("it cannot be signed");
        };
        let request = self
            .client
            .post(self.endpoint.url().clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", (now / 1_000).to_string())
            .header("webhook-signature", signatures)
            .body(delivery.body.clone());
        match request.send().await {
            Ok(response) => answered(response, now).await,
            Err(error) if error.is_timeout() => Answered::nothing(format!("no answer within {:?}", self.patience)),
            Err(error) => Answered::nothing(why(error)),
        }
    }
}

async fn answered(mut response: Response, now: Millis) -> Answered {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<Millis>().ok());
    let not_before = seconds.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)));
    let said = beginning(&mut response).await;
    let outcome = match status {
        StatusCode::GONE => Outcome::Refused,
        status if status.is_success() => Outcome::Taken,
        _ => Outcome::Failed { not_before },
    };
    Answered { outcome, status: Some(status.as_u16()), said: String::from_utf8_lossy(&said).into_owned() }
}

/// Why there is no answer, without the address.
pub(crate) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("no answer: {innermost}")
}
