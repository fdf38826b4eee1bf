//! Malformed requests, frames and imports: each is refused with a code and a hint, and changes nothing.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use threadmill_proto::{Anchor, ClientFrame, ServerFrame, to_cbor};
use tokio_tungstenite::tungstenite::Message;

use crate::api::{Api, code, string, text, text_of};
use crate::node::{Node, Setup, command};
use crate::socket::{Came, Socket, subscribe};

/// Everything that a user can see, the hash of the log included: two equal pictures are the same store.
async fn picture(node: &Node) -> String {
    let api = node.api("ada");
    let mut all = api.get("/threads?since=0").await.to_string();
    for thread in ["t", "u"] {
        for path in ["", "/messages", "/branches", "/export"] {
            all += &api.get(&format!("/threads/{thread}{path}")).await.to_string();
        }
    }
    all
}

/// Two threads with a fork, a tombstone, an answer and an idempotency key in use.
async fn library() -> (Node, Api) {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    api.thread("u").await;
    for number in 1..4 {
        let body = json!({"id": format!("m-{number}"), "parts": [text(&format!("message {number}"))]});
        api.post("/threads/t/messages", body).await;
    }
    let (status, _) = api.ask(Method::DELETE, "/threads/t/messages/m-2", None).await;
    assert_eq!(status, 200);
    let keyed = json!({"parts": [text("keyed")]}).to_string();
    let request = api.request(Method::POST, "/threads/t/messages").header("idempotency-key", "used");
    let sent = request.header("content-type", "application/json").body(keyed).send().await.expect("an answer");
    assert_eq!(sent.status(), 201);
    (node, api)
}

/// A request that must be refused.
struct Bad {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    code: &'static str,
}

fn bad(method: Method, path: &str, body: impl Into<Vec<u8>>, code: &'static str) -> Bad {
    let headers = vec![("content-type", "application/json".to_owned())];
    Bad { method, path: path.into(), headers, body: body.into(), code }
}

fn post(path: &str, body: &Value, code: &'static str) -> Bad {
    bad(Method::POST, path, body.to_string(), code)
}

fn get(path: &str, code: &'static str) -> Bad {
    bad(Method::GET, path, "", code)
}

impl Bad {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    async fn send(&self, api: &Api) -> (u16, Value) {
        let mut request = api.request(self.method.clone(), &self.path).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.expect("the server answers");
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        assert_eq!(kind, "application/problem+json", "{} {}", self.method, self.path);
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON"))
    }
}

const MESSAGES: &str = "/threads/t/messages";

fn bodies() -> Vec<Bad> {
    let say = |part: Value| json!({"parts": [part]});
    let many: Vec<_> = (0..257).map(|_| text("x")).collect();
    vec![
        bad(Method::POST, MESSAGES, "{", "invalid_json"),
        bad(Method::POST, MESSAGES, "{\"parts\":[]} trailing", "invalid_json"),
        bad(Method::POST, MESSAGES, b"{\"parts\":[{\"type\":\"text\",\"text\":\"\xff\"}]}".to_vec(), "invalid_json"),
        bad(Method::POST, MESSAGES, "[".repeat(50_000), "invalid_json"),
        bad(Method::POST, MESSAGES, "[]", "invalid_request"),
        bad(Method::POST, MESSAGES, "", "invalid_request"),
        bad(Method::POST, MESSAGES, "{}", "invalid_request"),
        post(MESSAGES, &json!({"parts": []}), "invalid_parts"),
        post(MESSAGES, &json!({"parts": "hello"}), "invalid_parts"),
        post(MESSAGES, &say(json!({"type": "text"})), "invalid_parts"),
        post(MESSAGES, &say(json!({"text": "no type"})), "invalid_parts"),
        post(MESSAGES, &json!({"parts": many}), "invalid_parts"),
        post(MESSAGES, &say(text(&"x".repeat((1 << 20) + 1))), "message_too_large"),
        bad(Method::POST, MESSAGES, vec![b' '; (2 << 20) + 1], "body_too_large"),
        post(MESSAGES, &json!({"parts": [text("x")], "colour": "red"}), "unknown_field"),
        post(MESSAGES, &json!({"parts": [text("x")], "role": "robot"}), "invalid_request"),
        post(MESSAGES, &json!({"parts": [text("x")], "metadata": [1]}), "invalid_request"),
        post(MESSAGES, &json!({"parts": [text("x")], "ifMoved": "panic"}), "invalid_request"),
        post(MESSAGES, &json!({"parts": [text("x")], "id": "a b"}), "invalid_id"),
        post(MESSAGES, &json!({"parts": [text("x")], "id": "x".repeat(129)}), "invalid_id"),
        post(MESSAGES, &json!({"parts": [text("x")], "id": 7}), "invalid_request"),
        post(MESSAGES, &json!({"parts": [text("x")], "id": "m-1"}), "id_taken"),
        post(MESSAGES, &json!({"parts": [text("x")], "branch": "nowhere"}), "branch_not_found"),
        post(MESSAGES, &json!({"parts": [text("x")], "after": "nobody"}), "message_not_found"),
        post(MESSAGES, &json!({"parts": [text("x")], "after": "m-1", "ifMoved": "refuse"}), "tip_moved"),
        post(MESSAGES, &json!({"parts": [text("x")], "run": {"provider": "nobody"}}), "provider_unknown"),
        post(MESSAGES, &json!({"parts": [text("x")], "run": {"colour": 1}}), "unknown_field"),
        post(MESSAGES, &say(text("x")), "unsupported_media_type").header("content-type", "text/plain"),
        post(MESSAGES, &say(text("x")), "invalid_key").header("idempotency-key", ""),
        post(MESSAGES, &say(text("x")), "invalid_key").header("idempotency-key", &"k".repeat(257)),
        post(MESSAGES, &say(text("x")), "idempotency_key_reused").header("idempotency-key", "used"),
        post("/threads", &json!({"title": "x".repeat(513)}), "title_too_long"),
        get(&format!("/threads?title={}", "x+".repeat(300)), "title_too_long"),
        post("/threads", &json!({"id": "t"}), "id_taken"),
        post("/threads", &json!({"id": ".."}), "invalid_id"),
        post("/threads/nowhere/messages", &say(text("x")), "thread_not_found"),
        bad(Method::PATCH, "/threads/t", "{}", "invalid_request"),
        bad(Method::PATCH, "/threads/t", r#"{"defaultBranch":"nowhere"}"#, "branch_not_found"),
        bad(Method::PATCH, "/threads/t/messages/m-2", say(text("x")).to_string(), "message_not_editable"),
        bad(Method::PATCH, "/threads/t/messages/nobody", say(text("x")).to_string(), "message_not_found"),
        bad(Method::DELETE, "/threads/t/messages/nobody", "", "message_not_found"),
        post("/threads/t/runs", &json!({"regenerate": "nobody"}), "message_not_found"),
        post("/threads/t/runs", &json!({"id": "bad id"}), "invalid_id"),
        post("/runs/nobody/stop", &json!({}), "run_not_found"),
    ]
}

fn reads_and_imports() -> Vec<Bad> {
    let begun = "/import/threads/not-begun";
    let rows = |rows: Value| json!({"rows": rows});
    vec![
        get("/threads/nowhere", "thread_not_found"),
        get("/threads/a%20b", "invalid_id"),
        get("/threads/t/messages?anchor=middle", "invalid_parameter"),
        get("/threads/t/messages?anchor=depth:-1", "invalid_parameter"),
        get("/threads/t/messages?anchor=depth:99999999999999999999", "invalid_parameter"),
        get("/threads/t/messages?anchor=message:nobody", "message_not_found"),
        get("/threads/t/messages?before=201", "invalid_parameter"),
        get("/threads/t/messages?before=many", "invalid_parameter"),
        get("/threads/t/messages?branch=nowhere", "branch_not_found"),
        get("/threads/t/messages/m-1/parts/9", "message_not_found"),
        get("/threads/t/messages/m-1/parts/x", "invalid_parameter"),
        get("/threads?limit=1000", "invalid_parameter"),
        get("/threads?page=last", "invalid_parameter"),
        get("/threads?archived=maybe", "invalid_parameter"),
        get("/threads/t/events?cursor=nonsense", "invalid_cursor"),
        get("/runs/nobody", "run_not_found"),
        get("/nothing", "route_not_found"),
        bad(Method::PUT, "/threads/t", "{}", "method_not_allowed"),
        get("/threads", "host_refused").header("host", "evil.example"),
        get("/threads", "origin_refused").header("origin", "http://evil.example"),
        get("/threads", "proxy_refused").header("x-forwarded-for", "10.0.0.1"),
        get("/sync", "invalid_request"),
        post("/import/threads", &json!({}), "invalid_import"),
        post("/import/threads", &json!({"id": "x", "createdAt": "yesterday"}), "invalid_import"),
        post("/import/threads", &json!({"id": "a/b"}), "invalid_id"),
        post(&format!("{begun}/rows"), &json!({}), "invalid_import"),
        post(&format!("{begun}/rows"), &rows(json!([7])), "invalid_import"),
        post(&format!("{begun}/rows"), &rows(json!([{"branch": {}}])), "invalid_import"),
        post(&format!("{begun}/rows"), &rows(json!([{"message": {"id": "x"}}])), "invalid_import"),
        post(&format!("{begun}/rows"), &rows(json!([{"branch": {"id": "b"}}])), "thread_not_found"),
        post(&format!("{begun}/finish"), &json!({}), "thread_not_found"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_change_nothing() {
    let (node, api) = library().await;
    let before = picture(&node).await;
    let (mut codes, mut count) = (BTreeSet::new(), 0);
    for case in bodies().into_iter().chain(reads_and_imports()) {
        let answer = case.send(&api).await;
        let shown = String::from_utf8_lossy(&case.body[..case.body.len().min(80)]).into_owned();
        assert_eq!(code(&answer), case.code, "{} {} {shown}: {}", case.method, case.path, answer.1);
        assert_eq!(picture(&node).await, before, "{} {} {shown} changed something", case.method, case.path);
        codes.insert(case.code);
        count += 1;
    }
    println!("codes: {codes:?}");
    println!("proof: malformed requests, the store unchanged by each | {count}, {} codes", codes.len());
    assert!(count >= 30 && codes.len() >= 12);
    node_still_works(&api).await;
}

async fn node_still_works(api: &Api) {
    api.post(MESSAGES, json!({"parts": [text("still here")]})).await;
    assert_eq!(api.branch("t", None).await.last().map(text_of), Some("still here".into()));
}

/// What is said, whether `Hello` was said before, and the code of the refusal.
fn frames() -> Vec<(Message, bool, &'static str)> {
    let binary = |bytes: Vec<u8>| Message::Binary(bytes.into());
    let say = |frame: &ClientFrame| binary(to_cbor(frame));
    let hello = |oldest, newest| ClientFrame::Hello { oldest, newest, client: String::new(), token: None };
    let whole = to_cbor(&subscribe(1, "t"));
    let mut trailing = whole.clone();
    trailing.push(0);
    let at = |branch: Option<&str>, anchor: Anchor, thread: &str| {
        let ClientFrame::Subscribe { thread, before, after, from, .. } = subscribe(1, thread) else {
            unreachable!("a subscribe frame")
        };
        let branch = branch.map(|branch| threadmill_proto::BranchId::parse(branch).expect("an id"));
        ClientFrame::Subscribe { sub: 1, thread, branch, anchor, before, after, cursor: None, from, to: None }
    };
    let nobody = threadmill_proto::MessageId::parse("nobody").expect("an id");
    // A subscribe frame whose thread id has a character that ids do not have.
    let mut bad_id = whole.clone();
    let place = bad_id.iter().position(|byte| *byte == b't').expect("the id");
    bad_id[place] = b' ';
    vec![
        (say(&subscribe(1, "t")), false, "HelloExpected"),
        (Message::Text("hello".into()), false, "HelloExpected"),
        (binary(vec![]), false, "InvalidFrame"),
        (binary(vec![0xff; 64]), false, "InvalidFrame"),
        (say(&hello(2, 9)), false, "VersionUnsupported"),
        (say(&hello(0, 0)), false, "VersionUnsupported"),
        (say(&hello(1, 1)), true, "InvalidFrame"),
        (Message::Text("{}".into()), true, "InvalidFrame"),
        (binary(vec![]), true, "InvalidFrame"),
        (binary(whole[..whole.len() - 1].to_vec()), true, "InvalidFrame"),
        (binary(trailing), true, "InvalidFrame"),
        (binary(bad_id), true, "InvalidFrame"),
        (binary(vec![0x9f; 1000]), true, "InvalidFrame"),
        // An array that claims to have 2^60 items.
        (binary(vec![0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0]), true, "InvalidFrame"),
        (binary(vec![0; (256 << 10) + 1]), true, "FrameTooLarge"),
        (say(&subscribe(1, "nowhere")), true, "ThreadNotFound"),
        (say(&at(Some("nowhere"), Anchor::Tip, "t")), true, "BranchNotFound"),
        (say(&at(None, Anchor::Message(nobody), "t")), true, "MessageNotFound"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_change_nothing() {
    let (node, api) = library().await;
    let before = picture(&node).await;
    let all = frames();
    let count = all.len();
    for (number, (message, greeted, want)) in all.into_iter().enumerate() {
        let mut socket = if greeted { Socket::open(&api).await } else { Socket::raw(&api).await };
        socket.message(message).await;
        let problem = match socket.frame().await {
            ServerFrame::Refused(problem) | ServerFrame::Failed { problem, .. } => problem,
            other => panic!("frame {number} was answered with {other:?}"),
        };
        assert_eq!(format!("{:?}", problem.code), want, "frame {number}: {}", problem.detail);
        assert!(!problem.detail.is_empty());
        assert_eq!(problem.hint.as_deref(), Some(problem.code.hint()), "the hint travels");
        if want.ends_with("NotFound") || problem.detail.contains("said once") {
            socket.subscribe(2, "t").await;
            assert!(matches!(socket.frame().await, ServerFrame::Window { .. }), "the connection stands");
        } else {
            let Came::Closed(code, reason) = socket.next(crate::api::PATIENCE).await else { panic!("{number}: open") };
            assert_eq!((code, reason.as_str()), (4400, problem.code.as_str()));
        }
        assert_eq!(picture(&node).await, before, "frame {number} changed something");
    }
    println!("proof: malformed frames, the store unchanged by each | {count}");

    let mut socket = Socket::open(&api).await;
    api.thread("many").await;
    for sub in 0..257 {
        socket.subscribe(sub, "many").await;
    }
    // A refusal waits for no window.
    let (mut windows, mut problems) = (0, Vec::new());
    while windows < 256 || problems.is_empty() {
        match socket.frame().await {
            ServerFrame::Window { .. } => windows += 1,
            ServerFrame::Failed { sub, problem } => problems.push((sub, problem.code.as_str())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((windows, problems), (256, vec![(Some(256), "too_many_subscriptions")]));
    node_still_works(&api).await;
}

/// Files that are no library, and a word of the reason.
fn files() -> Vec<(String, &'static str)> {
    let head = json!({"thread": {
        "id": "new", "title": "new", "archived": false, "defaultBranch": "main", "branches": 1, "messages": 1,
        "createdAt": "2024-01-01T00:00:00Z", "updatedAt": "2024-01-01T00:00:00Z",
    }});
    let branch = json!({"branch": {"id": "main", "parent": null, "forkDepth": 0}});
    let row = |id: &str, branch: &str, depth: u64| {
        json!({"message": {
            "id": id, "role": "user", "parts": [text("hello")], "status": "complete", "branch": branch, "depth": depth,
            "rev": 1, "createdAt": "2024-01-01T00:00:00Z",
        }})
    };
    let end = json!({"end": {"messages": 1, "branches": 1}});
    let lines = |lines: &[&Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let but = |mut value: Value, pointer: &str, to: Value| {
        *value.pointer_mut(pointer).expect("a field") = to;
        value
    };
    let message = row("m", "main", 0);
    let tree = |prompt: Value| lines(&[&json!({"message_tree_id": "tree", "prompt": prompt})]);
    let node =
        |id: &str, replies: Value| json!({"message_id": id, "text": "hi", "role": "prompter", "replies": replies});
    vec![
        ("not json\n".into(), "not JSON"),
        ("{\"thread\":".into(), "not JSON"),
        ("[1,2]\n".into(), "object"),
        (lines(&[&json!({"thing": 1})]), "a line has"),
        (lines(&[&json!({"thread": 7})]), "object"),
        (lines(&[&but(head.clone(), "/thread/id", json!("a b"))]), "id"),
        (lines(&[&but(head.clone(), "/thread/createdAt", json!("1969-01-01T00:00:00Z"))]), "1970"),
        (lines(&[&message]), "outside"),
        (lines(&[&head, &branch, &message]), "ends within"),
        (lines(&[&head, &branch, &message, &but(end.clone(), "/end/messages", json!(9))]), "the end says"),
        (lines(&[&head, &branch, &but(message.clone(), "/message/depth", json!(5)), &end]), ""),
        (lines(&[&head, &branch, &but(message.clone(), "/message/branch", json!("nowhere")), &end]), ""),
        (lines(&[&head, &branch, &but(message.clone(), "/message/role", json!("robot")), &end]), "role"),
        (lines(&[&head, &branch, &but(message.clone(), "/message/parts", json!([])), &end]), "part"),
        (lines(&[&head, &json!({"branch": {"id": "main", "parent": "nowhere", "forkDepth": 1}}), &message, &end]), ""),
        (lines(&[&head, &but(branch.clone(), "/branch/forkDepth", json!(3)), &message, &end]), ""),
        (lines(&[&head, &but(branch.clone(), "/branch/forkDepth", json!("3")), &message, &end]), "forkDepth"),
        (lines(&[&head, &but(branch.clone(), "/branch/parent", json!("nowhere")), &message, &end]), "nowhere"),
        (lines(&[&head, &but(branch.clone(), "/branch/parent", json!("main")), &message, &end]), "its own parent"),
        (
            lines(&[
                &head,
                &json!({"branch": {"id": "main", "parent": "other", "forkDepth": 0}}),
                &json!({"branch": {"id": "other", "parent": "main", "forkDepth": 0}}),
                &message,
                &end,
            ]),
            "other",
        ),
        (lines(&[&head, &branch, &branch, &message, &end]), ""),
        (lines(&[&but(head.clone(), "/thread/defaultBranch", json!("nowhere")), &branch, &message, &end]), ""),
        (lines(&[&head, &branch, &message, &row("m", "main", 1), &but(end, "/end/messages", json!(2))]), ""),
        (tree(json!("hello")), "object"),
        (tree(json!({"text": "no id", "role": "prompter"})), "message_id"),
        (tree(but(node("a", json!([])), "/role", json!("robot"))), "role"),
        (tree(node("a", json!("many"))), "array"),
        (tree(node("a", json!([node("a", json!([]))]))), ""),
        (tree(node("a", json!([node("b b", json!([]))]))), "id"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_imports_change_nothing() {
    let (node, api) = library().await;
    let before = picture(&node).await;
    let url = format!("http://{}", node.address());
    let exported = command(&["export", "--url", &url, "--user", "ada"]);
    assert_eq!(exported.0, 0, "{}", exported.2);
    let all = files();
    let count = all.len();
    for (number, (content, reason)) in all.into_iter().enumerate() {
        let file = node.directory().join(format!("bad-{number}.jsonl"));
        std::fs::write(&file, &content).expect("the file is written");
        let path = file.display().to_string();
        let (status, out, errors) = command(&["import", &path, "--url", &url, "--user", "ada", "--json"]);
        assert_eq!(status, 3, "file {number}: {out}{errors}");
        let summary: Value = serde_json::from_str(&out).expect("a summary");
        assert_eq!(summary["imported"], 0, "{summary}");
        let skipped = summary["skipped"].as_array().expect("what was skipped");
        assert_eq!(skipped.len(), 1, "file {number}: {summary}");
        assert_eq!(string(&skipped[0]["file"]), path);
        assert!(skipped[0]["line"].as_u64().is_some_and(|line| line > 0));
        let why = string(&skipped[0]["reason"]);
        assert!(!why.is_empty() && why.contains(reason), "file {number}: {why}");
        assert_eq!(picture(&node).await, before, "file {number} changed something: {why}");
    }
    println!("proof: malformed imports, the store unchanged by each | {count}");
    let after = command(&["export", "--url", &url, "--user", "ada"]);
    assert_eq!(after.1, exported.1, "the export is the same, byte for byte");
    node_still_works(&api).await;
}
