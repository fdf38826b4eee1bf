//! The HTTP API as a client sees it, and waiting for conditions.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

/// No condition of these tests takes this long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// One user at one server.
#[derive(Clone)]
pub(crate) struct Api {
    client: reqwest::Client,
    pub(crate) address: String,
    pub(crate) user: String,
    token: Option<String>,
}

/// An answer: its status and its body, null if it has none.
pub(crate) type Answer = (u16, Value);

impl Api {
    pub(crate) fn new(address: &str, user: &str) -> Self {
        threadmill_engine::providers::openai::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { client, address: address.into(), user: user.into(), token: None }
    }

    /// The same, with a token.
    pub(crate) fn bearing(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A request to fill in.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request_at(method, &format!("/v1{path}"))
    }

    /// The same at a path of its own.
    pub(crate) fn request_at(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method, url).header("x-threadmill-user", &self.user);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// What the server answers; an error if it does not.
    pub(crate) async fn try_ask(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_ask(method, path, body).await.expect("the server answers")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {value}");
        value
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.ask(Method::POST, path, Some(&body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {value}");
        value
    }

    /// A thread with one message in it.
    pub(crate) async fn thread(&self, id: &str) {
        let message = json!({"id": format!("{id}-0"), "parts": [text("begin")]});
        self.post("/threads", json!({"id": id, "title": id, "message": message})).await;
    }

    /// A thread as [`Self::thread`] makes it, of an id whose thread was deleted: that is brought back by an import alone.
    pub(crate) async fn thread_back(&self, id: &str) {
        self.post("/import/threads", json!({"id": id, "title": id})).await;
        let message = json!({
            "id": format!("{id}-0"), "role": "user", "parts": [text("begin")], "status": "complete", "branch": "again",
            "depth": 0, "rev": 1, "createdAt": "2024-01-01T00:00:00Z",
        });
        let rows = json!({"rows": [{"branch": {"id": "again"}}, {"message": message}]});
        self.post(&format!("/import/threads/{id}/rows"), rows).await;
        self.post(&format!("/import/threads/{id}/finish"), json!({})).await;
    }

    /// Asks something, and has it answered: the run and the message it writes.
    pub(crate) async fn run(&self, thread: &str, question: &str, provider: &str) -> (String, String) {
        let body = json!({"parts": [text(question)], "run": {"provider": provider}});
        let answer = self.post(&format!("/threads/{thread}/messages"), body).await;
        (string(&answer["run"]["id"]), string(&answer["runMessage"]["id"]))
    }

    pub(crate) async fn message(&self, thread: &str, message: &str) -> Value {
        self.get(&format!("/threads/{thread}/messages/{message}")).await["message"].clone()
    }

    /// A run once it has ended.
    pub(crate) async fn ended(&self, run: &str) -> Value {
        until("the run ends", async || {
            let run = self.get(&format!("/runs/{run}")).await["run"].clone();
            (run["status"] == "ended").then_some(run)
        })
        .await
    }

    /// A message once it says something.
    pub(crate) async fn said(&self, thread: &str, message: &str) -> String {
        until("the first token", async || {
            let text = text_of(&self.message(thread, message).await);
            (!text.is_empty()).then_some(text)
        })
        .await
    }

    /// Every live message of a branch, the first one first.
    pub(crate) async fn branch(&self, thread: &str, branch: Option<&str>) -> Vec<Value> {
        let branch = branch.map(|branch| format!("&branch={branch}")).unwrap_or_default();
        let (mut depth, mut all) = (0, Vec::new());
        loop {
            let path = format!("/threads/{thread}/messages?anchor=depth:{depth}&before=0&after=100{branch}");
            let mut page = self.get(&path).await;
            let Value::Array(messages) = page["messages"].take() else { panic!("no messages: {page}") };
            all.extend(messages);
            depth = page["nextDepth"].as_u64().expect("a depth");
            if page["hasNewer"] == false {
                return all;
            }
        }
    }
}

/// A text part.
pub(crate) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

pub(crate) fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// The text parts of a message, joined.
pub(crate) fn text_of(message: &Value) -> String {
    let parts = message["parts"].as_array().into_iter().flatten();
    parts.filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect()
}

/// Looks again and again until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The code of a problem, once its shape is checked.
pub(crate) fn code(answer: &Answer) -> String {
    let (status, problem) = answer;
    assert_eq!(problem["status"], *status, "{problem}");
    for field in ["type", "title", "detail", "hint"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "`{field}` of {problem}");
    }
    string(&problem["code"])
}
