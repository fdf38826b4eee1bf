//! One request to the receiver, within bounds: [`CONNECT`] to connect, [`ANSWER`] in all, [`BODY`] bytes of its answer.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};

use crate::endpoint::Endpoint;

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// Of what is rejected it says how much and why.
const BODY: usize = 64 << 10;
/// The longest that a receiver is left alone for because it asked.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was taken, but for so many spans.
    Taken { rejected: u64 },
    /// It will never be.
    Refused(String),
    /// It may be later, not before so long.
    Later { why: String, wait: Option<Duration> },
}

/// Sends to one endpoint.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    client: reqwest::Client,
}

impl Client {
    /// Redirects are not followed, so that the headers go nowhere else.
    pub(crate) fn new(endpoint: Endpoint) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { endpoint, client })
    }

    pub(crate) fn shown(&self) -> String {
        self.endpoint.shown()
    }

    pub(crate) async fn send(&self, body: Vec<u8>) -> Answer {
        let request = self.client.post(self.endpoint.url.clone()).headers(self.endpoint.headers.clone());
        let sent = request.header(CONTENT_TYPE, "application/x-protobuf").body(body).send().await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                let why = if error.is_timeout() { "it did not answer in time" } else { "it could not be reached" };
                return Answer::Later { why: why.into(), wait: None };
            }
        };
        let status = response.status();
        if status.is_success() {
            return Answer::Taken { rejected: rejected(response).await };
        }
        let why = format!("it answered {}", status.as_u16());
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Answer::Later { why, wait: asked(response.headers()) },
            _ => Answer::Refused(why),
        }
    }
}

/// How long the receiver wants to be left alone.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Spans that a receiver did not take of a request that it took. One that says nothing of it took all.
async fn rejected(mut response: Response) -> u64 {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > BODY {
            return 0;
        }
    }
    let parsed = ExportTraceServiceResponse::decode(body.as_slice()).ok();
    let partial = parsed.and_then(|response| response.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or_default()
}
