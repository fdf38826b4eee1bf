//! The configuration read again by a running server: what changes at once, what waits, and a file that changes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::post;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::{Api, string, text, until};
use crate::node::{Node, Setup};

const TOKEN: &str = "ops-canary-0123456789abcdef-0123456789";
const OTHER: &str = "ops-canary-of-the-next-one-0123456789abc";

/// A provider that answers a word, and the keys that it was shown.
async fn provider() -> (String, Arc<Mutex<Vec<String>>>) {
    const ANSWER: &str =
        "data: {\"choices\":[{\"delta\":{\"content\":\"word\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let keys = Arc::<Mutex<Vec<String>>>::default();
    let answer = async |State(keys): State<Arc<Mutex<Vec<String>>>>, headers: HeaderMap| {
        let key = headers.get(header::AUTHORIZATION).map(|key| key.to_str().expect("text").to_owned());
        keys.lock().expect("keys").push(key.unwrap_or_default());
        ([(header::CONTENT_TYPE, "text/event-stream")], ANSWER)
    };
    let app = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&keys));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/v1"), keys)
}

fn write(node: &Node, name: &str, text: &str) {
    std::fs::write(node.directory().join(name), text).expect("a file");
}

async fn reload(node: &Node, token: &str) -> (u16, Value) {
    let url = format!("http://{}/ops/api/reload", node.address());
    let mut request = reqwest::Client::new().post(url).json(&json!({"why": "a new key"}));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

async fn look(node: &Node, path: &str, token: &str) -> u16 {
    let url = format!("http://{}/ops/api/{path}", node.address());
    reqwest::Client::new().get(url).bearer_auth(token).send().await.expect("an answer").status().as_u16()
}

/// Whether pages of an origin may ask.
async fn is_allowed(api: &Api, origin: &str) -> bool {
    let request = api.request(Method::GET, "/info").header("origin", origin);
    request.send().await.expect("an answer").status() == 200
}

async fn names(api: &Api) -> Vec<String> {
    let info = api.get("/info").await;
    info["providers"].as_array().expect("a list").iter().map(|provider| string(&provider["name"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_change_changes_at_once_and_the_rest_is_named() {
    let (url, keys) = provider().await;
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(at("key"), "key-one").expect("a file");
    std::fs::write(at("ops"), TOKEN).expect("a file");
    let of = |name: &str, model: &str| {
        format!(
            "[[providers]]\nkind = 'openai'\nname = '{name}'\nbase_url = '{url}'\nmodel = '{model}'\nkey_file = '{}'\n",
            at("key")
        )
    };
    let ops = format!("[ops]\ntoken_file = '{}'\n", at("ops"));
    let node = Setup::new().more(&format!("{ops}{}", of("first", "one"))).flag("--ops-write").start();
    let api = node.api("ada");
    api.thread("t").await;
    let ask = async || {
        let answer = api.post("/threads/t/messages", json!({"parts": [text("x")], "run": {}})).await;
        api.ended(&string(&answer["run"]["id"])).await
    };
    assert_eq!(ask().await["outcome"], "complete");
    assert_eq!(reload(&node, TOKEN).await, (200, json!({"changed": [], "restart": []})));
    assert!(!is_allowed(&api, "https://app.example").await);
    // A key and a token in files of their own, and most of what may change.
    std::fs::write(at("key"), "key-two").expect("a file");
    std::fs::write(at("ops"), OTHER).expect("a file");
    let new = format!(
        "allow_origins = ['https://app.example']\nlog = 'debug'\ndrain_seconds = 1\n{ops}rum = 'off'\n[limits]\nruns_per_user = 0\n\
        [hot]\nttl_seconds = 60\n[context]\ntokens = 99\n{}{}",
        of("second", "two"),
        of("first", "one")
    );
    write(&node, "threadmill.toml", &new);
    assert_eq!(look(&node, "summary", OTHER).await, 401, "nothing is taken over unasked");
    let (status, answer) = reload(&node, TOKEN).await;
    assert_eq!(
        (status, answer),
        (
            200,
            json!({
                "changed": ["allow_origins", "drain_seconds", "log", "limits.runs_per_user", "ops.rum", "providers"],
                "restart": ["hot.ttl_seconds", "context.tokens"],
            })
        )
    );
    assert_eq!((look(&node, "summary", OTHER).await, look(&node, "summary", TOKEN).await), (200, 401));
    assert!(is_allowed(&api, "https://app.example").await);
    assert_eq!(
        (names(&api).await, api.get("/info").await["rum"].clone()),
        (vec!["second".into(), "first".into()], json!("off"))
    );
    let (status, problem) =
        api.ask(Method::POST, "/threads/t/messages", Some(&json!({"parts": [text("x")], "run": {}}))).await;
    assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")), "no user may have a run");
    write(&node, "threadmill.toml", &new.replace("runs_per_user = 0", "runs_per_user = 5"));
    assert_eq!(reload(&node, OTHER).await.1["changed"], json!(["limits.runs_per_user"]));
    assert_eq!(ask().await["outcome"], "complete");
    assert_eq!(*keys.lock().expect("keys"), ["Bearer key-one", "Bearer key-two"]);
    let log = node.log();
    assert!(log.contains("config_reloaded") && log.contains("hot.ttl_seconds, context.tokens"), "{log}");
    for secret in [TOKEN, OTHER, "key-one", "key-two"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let audit = reqwest::Client::new().get(format!("http://{}/ops/api/audit", node.address())).bearer_auth(OTHER);
    let audit: Value = audit.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&audit["audit"][0]["what"], &audit["audit"][0]["why"]), (&json!("config_reload"), &json!("a new key")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_says_why() {
    let node = Setup::new().flag("--ops-write").start();
    let api = node.api("ada");
    let good = "allow_origins = ['https://app.example']\n";
    for (text, why) in [
        ("allow_origins = ['https://app.example'\n", "TOML parse error"),
        ("allow_origins = ['https://app.example']\nlisten_on = 'canary'\n", "there is no setting `listen_on`"),
        ("allow_origins = ['https://app.example']\nlog = 'canary=nonsense=1'\n", "`log` is no filter"),
        ("allow_origins = ['https://app.example']\nauth = 'token'\n", "auth_secret_file"),
        ("allow_origins = ['https://app.example']\n[telemetry]\nsample = 7.0\n", "telemetry.sample"),
        (
            "allow_origins = ['https://app.example']\n[[providers]]\nkind = 'openai'\nname = 'a'\nbase_url = 'http://x'\n\
            model = 'm'\nkey_env = 'NO_SUCH_VARIABLE'\n",
            "NO_SUCH_VARIABLE",
        ),
    ] {
        write(&node, "threadmill.toml", text);
        let (status, problem) = reload(&node, "").await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")), "{problem}");
        assert!(string(&problem["detail"]).contains(why), "{problem}");
        assert!(!problem.to_string().contains("canary") && !node.log().contains("canary"));
        assert!(!is_allowed(&api, "https://app.example").await, "{text} was taken over in part");
        assert!(node.log().contains("config_refused"));
    }
    // By a signal, as whoever runs services does it.
    write(&node, "threadmill.toml", good);
    node.signal("-HUP");
    until("the signal is heard", async || is_allowed(&api, "https://app.example").await.then_some(())).await;
    let read_only = Setup::new().start();
    let (status, problem) = reload(&read_only, "").await;
    assert_eq!((status, &problem["code"]), (403, &json!("ops_read_only")));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_while_the_configuration_is_read_again_and_again() {
    let node = Setup::new().flag("--ops-write").start();
    let api = node.api("ada");
    let enough = Arc::new(AtomicBool::new(false));
    let asked_enough = Arc::clone(&enough);
    let asking = tokio::spawn(async move {
        let mut answered = 0;
        while !asked_enough.load(Ordering::Relaxed) {
            api.get("/info").await;
            answered += 1;
        }
        answered
    });
    for count in 1..=50 {
        write(&node, "threadmill.toml", &format!("[limits]\nruns = {count}\nrequests_per_user = {}\n", 10_000 + count));
        assert_eq!(reload(&node, "").await.0, 200);
    }
    enough.store(true, Ordering::Relaxed);
    assert!(asking.await.expect("all were answered") > 1, "nothing was asked meanwhile");
}

/// A trace that is open shows nothing to whoever's token was taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_ends_with_its_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ops");
    std::fs::write(&file, TOKEN).expect("a file");
    let node = Setup::new().more(&format!("[ops]\ntoken_file = '{}'\n", file.display())).flag("--ops-write").start();
    let api = node.api("ada");
    api.thread("t").await;
    let url = format!("http://{}/ops/api/trace?thread=t&text=1", node.address());
    let mut trace = reqwest::Client::new().get(url).bearer_auth(TOKEN).send().await.expect("an answer");
    assert_eq!(trace.status(), 200);
    std::fs::write(&file, OTHER).expect("a file");
    assert_eq!(reload(&node, TOKEN).await.0, 200);
    api.post("/threads/t/messages", json!({"parts": [text("between friends")]})).await;
    let mut shown = String::new();
    let read = async {
        while let Some(bytes) = trace.chunk().await.expect("what comes") {
            shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    };
    tokio::time::timeout(Duration::from_secs(5), read).await.expect("it ends");
    assert!(shown.contains("the operators' token was changed") && !shown.contains("between friends"), "{shown}");
}

/// A key that nobody writes must not keep the next reload from what it is for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_the_place_of_a_key_is_refused_at_once_and_the_next_reload_passes() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = directory.path().join("key");
    std::fs::write(&key, "key-one").expect("a file");
    let provider = format!(
        "[[providers]]\nkind = 'openai'\nname = 'a'\nbase_url = 'http://127.0.0.1:9'\nmodel = 'm'\nkey_file = '{}'\n",
        key.display()
    );
    let node = Setup::new().more(&provider).flag("--ops-write").start();
    std::fs::remove_file(&key).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(&key).status().expect("there is mkfifo").success());
    let (status, problem) = reload(&node, "").await;
    assert_eq!(status, 400, "{problem}");
    assert!(string(&problem["detail"]).contains("no regular file"), "{problem}");
    assert!(node.log().contains("config_refused"));
    std::fs::remove_file(&key).expect("removed");
    std::fs::write(&key, "key-two").expect("a file");
    assert_eq!(reload(&node, "").await.0, 200);
    // A configuration that is no file any more is not one of defaults.
    let file = node.directory().join("threadmill.toml");
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("a directory");
    let (status, problem) = reload(&node, "").await;
    assert!(status == 400 && string(&problem["detail"]).contains("is a directory"), "{problem}");
}
