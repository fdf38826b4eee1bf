//! Traces of runs, at a receiver that reads them with OpenTelemetry's own message types; and receivers that hang, refuse or
//! are not there, which cost nobody anything.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::api::{Api, string, text, until};
use crate::node::{Node, PROVIDER_KEY, Setup};

/// In no span and no log may these be seen.
const TOKEN: &str = "otlp-canary-5d1c";
const TEXT: &str = "text-canary-77aa";
const USER: &str = "user-canary-9b3e";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What was received: bodies of requests for traces, and the headers of both kinds of requests.
#[derive(Clone, Default)]
struct Seen {
    bodies: Arc<Mutex<Vec<Bytes>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Seen {
    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().expect("bodies");
        let requests = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).expect("OTLP"));
        let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

/// A provider that says two words and its account, and a receiver of traces, at one address.
async fn seen() -> (String, Seen) {
    const ANSWER: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n\
        data: [DONE]\n\n";
    let seen = Seen::default();
    let chat = async |State(seen): State<Seen>, headers: HeaderMap| {
        seen.asked.lock().expect("headers").push(headers);
        ([(header::CONTENT_TYPE, "text/event-stream")], ANSWER)
    };
    let traces = async |State(seen): State<Seen>, headers: HeaderMap, body: Bytes| {
        seen.headers.lock().expect("headers").push(headers);
        seen.bodies.lock().expect("bodies").push(body);
        let answer = ExportTraceServiceResponse::default().encode_to_vec();
        ([(header::CONTENT_TYPE, "application/x-protobuf")], answer)
    };
    let app = Router::new().route("/v1/chat/completions", post(chat)).route("/v1/traces", post(traces));
    (serve(app.with_state(seen.clone())).await, seen)
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// A node whose runs are traced to an address; its answers come from there, too.
fn traced(address: &str, provider: &str, more: &str) -> Setup {
    Setup::new()
        .providers(&format!("{provider}/v1"), &[("gateway", "grand-1")])
        .more(&format!("[telemetry]\notlp_endpoint = '{address}'\n{more}"))
}

/// Asks, as part of a trace if one is named.
async fn ask(api: &Api, traceparent: Option<&str>) -> String {
    let mut request = api.request(Method::POST, "/threads/t/messages");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let answer = request.json(&json!({"parts": [text(TEXT)], "run": {}})).send().await.expect("an answer");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    let run = string(&answer["run"]["id"]);
    api.ended(&run).await;
    run
}

fn attribute(span: &Span, name: &str) -> Option<Any> {
    span.attributes.iter().find(|pair| pair.key == name)?.value.clone()?.value
}

fn said(span: &Span, name: &str) -> Option<String> {
    match attribute(span, name)? {
        Any::StringValue(text) => Some(text),
        other => panic!("{name} is {other:?}"),
    }
}

async fn fates(node: &Node, outcome: &str) -> u64 {
    let text = reqwest::get(format!("http://{}/metrics", node.address())).await.expect("an answer");
    let text = text.text().await.expect("text");
    let name = format!("threadmill_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name)).expect("it is exported");
    line.parse().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_run_reaches_its_receiver_under_the_names_of_the_conventions() {
    let (address, seen) = seen().await;
    let directory = tempfile::tempdir().expect("a directory");
    let headers = directory.path().join("headers");
    std::fs::write(&headers, format!("# of the collector\nAuthorization: Bearer {TOKEN}\n")).expect("a file");
    let more = format!("otlp_headers_file = '{}'\npropagate_to = ['gateway']\nsample = 0.0\n", headers.display());
    let node = traced(&address, &address, &more)
        .environment("OTEL_SERVICE_NAME", "chat")
        .environment("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test%20one,service.name=other")
        .start();
    let api = node.api(USER);
    api.thread("t").await;
    // Of none of these is there a trace: no share is taken, and one caller keeps nothing.
    ask(&api, None).await;
    ask(&api, Some(&format!("00-{TRACE}-{PARENT}-00"))).await;
    let run = ask(&api, Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
    let spans = until("the spans come", async || Some(seen.spans()).filter(|spans| !spans.is_empty())).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["chat grand-1", "run.prepare", "run.first_byte", "run.first_commit", "run.stream"]);
    let whole = &spans[0];
    assert_eq!((hex(&whole.parent_span_id), whole.kind, whole.flags), (PARENT.into(), 3, 0x301));
    for (name, want) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "grand-1"),
        ("gen_ai.conversation.id", "t"),
        ("threadmill.run.id", run.as_str()),
        ("threadmill.provider", "gateway"),
        ("threadmill.outcome", "complete"),
    ] {
        assert_eq!(said(whole, name).as_deref(), Some(want), "{name}");
    }
    assert_eq!(attribute(whole, "gen_ai.usage.input_tokens"), Some(Any::IntValue(7)));
    assert_eq!(attribute(whole, "gen_ai.usage.output_tokens"), Some(Any::IntValue(2)));
    assert!(matches!(attribute(whole, "gen_ai.response.finish_reasons"), Some(Any::ArrayValue(reasons))
        if reasons.values.len() == 1 && reasons.values[0].value == Some(Any::StringValue("length".into()))));
    assert!(
        matches!(attribute(whole, "gen_ai.response.time_to_first_chunk"), Some(Any::DoubleValue(seconds)) if seconds > 0.0)
    );
    assert_eq!((attribute(whole, "error.type"), &whole.status), (None, &None));
    for pair in spans[1..].windows(2) {
        assert_eq!(pair[0].end_time_unix_nano, pair[1].start_time_unix_nano, "each begins where the one before ends");
        assert_eq!(pair[0].parent_span_id, whole.span_id);
    }
    assert_eq!(spans[1].start_time_unix_nano, whole.start_time_unix_nano);
    assert!(spans[4].end_time_unix_nano <= whole.end_time_unix_nano);
    // The provider was told, in its span; of the others it was told whose trace they were in.
    let asked: Vec<_> = {
        let asked = seen.asked.lock().expect("headers");
        asked
            .iter()
            .map(|headers| headers.get("traceparent").map(|value| value.to_str().expect("text").to_owned()))
            .collect()
    };
    let ours = format!("00-{TRACE}-{}-01", hex(&whole.span_id));
    assert_eq!(asked, [None, Some(format!("00-{TRACE}-{PARENT}-00")), Some(ours)]);
    let bearer = seen.headers.lock().expect("headers")[0][header::AUTHORIZATION].clone();
    assert_eq!(bearer.to_str().expect("text"), format!("Bearer {TOKEN}"));
    let bodies = seen.bodies.lock().expect("bodies").concat();
    let body = String::from_utf8_lossy(&bodies);
    assert!(body.contains("deployment.environment.name") && body.contains("test one") && !body.contains("other"));
    for secret in [TOKEN, TEXT, USER, PROVIDER_KEY, "Hello"] {
        assert!(!body.contains(secret), "{secret} is in a span");
        assert!(!node.log().contains(secret), "{secret} is in the log");
    }
    let runs = reqwest::get(format!("http://{}/ops/api/runs", node.address())).await.expect("an answer");
    let runs: serde_json::Value = runs.json().await.expect("JSON");
    assert_eq!((&runs["runs"][0]["trace"], &runs["runs"][1]["trace"]), (&json!(TRACE), &json!(null)));
    until("they are counted", async || (fates(&node, "sent").await == 5).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_slows_no_run_and_no_stop() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", hanging.local_addr().expect("an address"));
    let held: Arc<Mutex<Vec<tokio::net::TcpStream>>> = Arc::default();
    let keep = Arc::clone(&held);
    tokio::spawn(async move {
        while let Ok((socket, _)) = hanging.accept().await {
            keep.lock().expect("sockets").push(socket);
        }
    });
    let (provider, _) = seen().await;
    let node = traced(&address, &provider, "").start();
    let api = node.api("ada");
    api.thread("t").await;
    ask(&api, None).await;
    until("it is asked", async || (!held.lock().expect("sockets").is_empty()).then_some(())).await;
    let begun = Instant::now();
    for _ in 0..10 {
        ask(&api, None).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "ten runs took {:?}", begun.elapsed());
    let stopping = Instant::now();
    node.signal("-INT");
    until("it stops", async || node.log().contains("threadmill: stopped").then_some(())).await;
    assert!(stopping.elapsed() < Duration::from_secs(5), "a stop took {:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_nobody_takes_are_dropped_and_counted() {
    let busy = async || (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")]).into_response();
    let address = serve(Router::new().route("/v1/traces", post(busy))).await;
    let (provider, _) = seen().await;
    let node = traced(&address, &provider, "").start();
    let api = node.api("ada");
    api.thread("t").await;
    ask(&api, None).await;
    until("they are dropped", async || (fates(&node, "dropped").await == 5).then_some(())).await;
    assert_eq!((fates(&node, "sent").await, fates(&node, "refused").await), (0, 0));
    assert!(node.log().contains("otlp_failed") && node.log().contains("it answered 503"));
    let refuses = async || StatusCode::UNAUTHORIZED.into_response();
    let address = serve(Router::new().route("/v1/traces", post(refuses))).await;
    let node = traced(&address, &provider, "").start();
    let api = node.api("ada");
    api.thread("t").await;
    ask(&api, None).await;
    until("they are refused", async || (fates(&node, "refused").await == 5).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_traces_leave_with_the_node() {
    let (address, seen) = seen().await;
    // Named as every OpenTelemetry program is told of it.
    let node = Setup::new()
        .providers(&format!("{address}/v1"), &[("gateway", "grand-1")])
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("{address}/"))
        .environment("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=of%20mine")
        .start();
    let api = node.api("ada");
    api.thread("t").await;
    ask(&api, None).await;
    node.signal("-TERM");
    until("it stops", async || node.log().contains("threadmill: stopped").then_some(())).await;
    assert_eq!(seen.spans().len(), 5);
    assert_eq!(seen.headers.lock().expect("headers")[0]["x-scope"], "of mine");
}
