//! A proxy before a node that tells the truth but for one lie: of a request, of an answer, or of one event of a stream.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A request on its way to the node.
pub(super) struct Asked {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer on its way back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().expect("a value"))]);
        Self { status: StatusCode::from_u16(status).expect("a status"), headers, body: body.to_string().into_bytes() }
    }

    /// Changes what the body says.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut value = serde_json::from_slice(&self.body).expect("JSON");
        change(&mut value);
        self.body = value.to_string().into_bytes();
    }
}

/// What happens to a request; an answer takes the node's place.
type Ask = Box<dyn Fn(&mut Asked) -> Option<Answer> + Send + Sync>;
type Tell = Box<dyn Fn(&Asked, &mut Answer) + Send + Sync>;
/// What comes instead of an event.
type Follow = Box<dyn Fn(String) -> Vec<String> + Send + Sync>;

/// One lie; by default there is none.
pub(super) struct Lie {
    pub(super) ask: Ask,
    pub(super) tell: Tell,
    pub(super) follow: Follow,
    pub(super) delay: Duration,
}

impl Default for Lie {
    fn default() -> Self {
        Self {
            ask: Box::new(|_| None),
            tell: Box::new(|_, _| {}),
            follow: Box::new(|event| vec![event]),
            delay: Duration::ZERO,
        }
    }
}

impl Lie {
    pub(super) fn ask(ask: impl Fn(&mut Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask), ..Self::default() }
    }

    pub(super) fn tell(tell: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), ..Self::default() }
    }

    pub(super) fn follow(follow: impl Fn(String) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self { follow: Box::new(follow), ..Self::default() }
    }

    /// What it does to a request's headers.
    pub(super) fn headers(change: impl Fn(&mut HeaderMap) + Send + Sync + 'static) -> Self {
        Self::ask(move |asked| {
            change(&mut asked.headers);
            None
        })
    }
}

struct Before {
    node: String,
    client: reqwest::Client,
    lie: Lie,
}

/// See the module.
pub(super) struct Liar {
    pub(super) url: String,
    task: AbortHandle,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    /// Stands before a node.
    pub(super) async fn before(node: &str, lie: Lie) -> Self {
        threadmill_engine::providers::openai::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let state = Arc::new(Before { node: node.into(), client, lie });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(pass).with_state(state);
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, task: task.abort_handle() }
    }
}

async fn pass(State(before): State<Arc<Before>>, mut request: Request) -> Response {
    if request.headers().contains_key(header::UPGRADE) {
        return tunnel(&before, &mut request).await;
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let path = parts.uri.path_and_query().expect("a path").to_string();
    let mut asked = Asked { method: parts.method, path, headers: parts.headers, body };
    if let Some(answer) = (before.lie.ask)(&mut asked) {
        return (answer.status, answer.headers, answer.body).into_response();
    }
    tokio::time::sleep(before.lie.delay).await;
    let url = format!("http://{}{}", before.node, asked.path);
    let sent = before.client.request(asked.method.clone(), url).headers(asked.headers.clone()).body(asked.body.clone());
    let Ok(answer) = sent.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    let events =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if events {
        return (status, headers, Body::from_stream(followed(before, answer))).into_response();
    }
    let body = answer.bytes().await.unwrap_or_default().to_vec();
    let mut answer = Answer { status, headers, body };
    (before.lie.tell)(&asked, &mut answer);
    (answer.status, answer.headers, answer.body).into_response()
}

/// The events of a stream, one by one, with what the lie makes of them.
fn followed(
    before: Arc<Before>,
    answer: reqwest::Response,
) -> impl futures_util::Stream<Item = reqwest::Result<String>> {
    let mut held = String::new();
    answer.bytes_stream().map(move |piece| {
        held.push_str(std::str::from_utf8(&piece?).expect("these are short and of letters"));
        let mut out = String::new();
        while let Some(at) = held.find("\n\n") {
            let event = held.drain(..at + 2).collect();
            out.extend((before.lie.follow)(event));
        }
        Ok(out)
    })
}

/// WebSockets pass as they are.
async fn tunnel(before: &Before, request: &mut Request) -> Response {
    let path = request.uri().path_and_query().expect("a path").to_string();
    let sent = before.client.get(format!("http://{}{path}", before.node)).headers(request.headers().clone());
    let Ok(answer) = sent.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let near = hyper::upgrade::on(request);
        tokio::spawn(async move {
            let (near, far) = (near.await.expect("an upgrade"), answer.upgrade().await);
            let (mut near, mut far) = (TokioIo::new(near), far.expect("an upgrade"));
            // It ends when either side does.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
    (status, headers).into_response()
}
