//! One node of the deployment, as its users reach it: typed calls, and plain requests where headers are what is looked at.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use threadmill_client::{Client, Http, Options, Retry};

use crate::clock;

/// What is asked for in a plain request may be as long as a script of the page.
const LONGEST: usize = 16 << 20;
/// How long a plain request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A run must outlive no token: what takes longer gets a fresh one with each connection.
const TOKEN_SECONDS: u64 = 3_600;
/// A busy node is asked again: that it is busy is no fault of what is checked.
const PATIENT: Retry = Retry { times: 10, pause: Duration::from_millis(500) };

/// Whom the checks are, and how that is shown.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) credential: Credential,
}

/// What shows it.
#[derive(Clone)]
pub(crate) enum Credential {
    /// Nothing: the server believes its callers.
    None,
    /// A token that was given.
    Token(Arc<str>),
    /// Tokens of the run's own, for a tenant of its own.
    Secret(Arc<str>),
}

/// The tenant of those who have the secret.
pub(crate) const TENANT: &str = "threadmill-verify";

impl Caller {
    /// A user of the checks' own, as far as the server lets one choose. It is the same each time, so that no run leaves
    /// another user behind.
    pub(crate) fn new(credential: Credential) -> Self {
        Self { user: "threadmill-verify".into(), credential }
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        match &self.credential {
            Credential::None => Ok(None),
            Credential::Token(token) => Ok(Some(token.to_string())),
            Credential::Secret(secret) => {
                let exp = clock::unix_seconds() + TOKEN_SECONDS;
                let claims = json!({"sub": self.user, "tenant": TENANT, "exp": exp});
                let key = EncodingKey::from_secret(secret.as_bytes());
                let token =
                    encode(&Header::new(Algorithm::HS256), &claims, &key).context("a token cannot be signed")?;
                Ok(Some(token))
            }
        }
    }

    fn options(&self, url: &str) -> Options {
        let options = Options::new(url).user(&self.user);
        match self.credential {
            Credential::None => options,
            Credential::Token(_) | Credential::Secret(_) => {
                let caller = self.clone();
                options.token(move || {
                    let token = caller.token().map(Option::unwrap_or_default);
                    async move { Ok(token.map_err(|error| error.to_string())?) }
                })
            }
        }
    }
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Node {
    pub(super) url: Url,
    pub(super) http: Http,
    pub(super) caller: Caller,
    plain: reqwest::Client,
}

/// The answer to a plain request.
pub(crate) struct Plain {
    pub(crate) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Plain {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is no JSON")
    }
}

impl Node {
    pub(crate) fn new(url: &str, caller: &Caller) -> anyhow::Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        if !["http", "https"].contains(&parsed.scheme()) || parsed.host_str().is_none() {
            bail!("{url} must begin with http:// or https:// and name a host");
        }
        let http = caller.options(url.trim_end_matches('/')).retry(PATIENT).http()?;
        let plain = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { url: parsed, http, caller: caller.clone(), plain })
    }

    /// How it is called: host and port.
    pub(super) fn name(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.url.host_str().unwrap_or_default())
    }

    /// Whether it is reached without leaving the machine.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    }

    /// A live connection, held until it is dropped.
    pub(super) fn connect(&self) -> anyhow::Result<Client> {
        Ok(self.caller.options(self.base()).connect()?)
    }

    fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// A request by nobody.
    pub(crate) async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> anyhow::Result<Plain> {
        self.ask(reqwest::Method::GET, path, headers, None).await
    }

    /// A request by the caller.
    pub(super) async fn get_as(&self, path: &str, headers: &[(&'static str, &str)]) -> anyhow::Result<Plain> {
        self.as_caller(reqwest::Method::GET, path, headers, None).await
    }

    /// A request by the caller, with a body.
    pub(super) async fn post_as(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &Value,
    ) -> anyhow::Result<Plain> {
        self.as_caller(reqwest::Method::POST, path, headers, Some(body.to_string())).await
    }

    /// What makes a request the caller's.
    pub(super) fn headers(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut all = vec![("x-threadmill-user".to_owned(), self.caller.user.clone())];
        all.extend(self.caller.token()?.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
        Ok(all)
    }

    async fn as_caller(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<String>,
    ) -> anyhow::Result<Plain> {
        let token = self.caller.token()?.map(|token| format!("Bearer {token}"));
        let mut all = headers.to_vec();
        all.push(("x-threadmill-user", &self.caller.user));
        all.extend(token.as_deref().map(|token| ("authorization", token)));
        self.ask(method, path, &all, body).await
    }

    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<String>,
    ) -> anyhow::Result<Plain> {
        let mut request = self.plain.request(method, format!("{}{path}", self.base()));
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let failed = |error: reqwest::Error| threadmill_client::Error::from(error);
        let mut answer = request.send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > LONGEST {
                bail!("the answer to {path} is longer than {} MiB", LONGEST >> 20);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Plain { status, headers, body })
    }
}
