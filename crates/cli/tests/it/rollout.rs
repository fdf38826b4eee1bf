//! Rollouts from outside: operators start, look at and kill them; every node learns of it; OpenFeature's protocol tells
//! users what they have and who decided it.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::api::{Api, until};
use crate::auth;
use crate::node::{BINARY, Node, Setup};

/// Nothing that is changed takes longer than this to be so everywhere.
pub(crate) const EVERYWHERE: Duration = Duration::from_secs(5);
const TOKEN: &str = "operators-0123456789-0123456789-0123456789";

/// What a server answers under a path of its root.
pub(crate) async fn at(
    address: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> (u16, Value) {
    threadmill_engine::providers::openai::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method, format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or(Value::Null))
}

/// A `threadmill rollout` command: whether it succeeded, and what it said.
fn rollout(node: &Node, words: &[&str]) -> (bool, String) {
    let url = format!("http://{}", node.address());
    let mut command = std::process::Command::new(BINARY);
    command.arg("rollout").args(words).args(["--url", &url]).env_remove("THREADMILL_OPS_TOKEN");
    let output = command.output().expect("the command runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("UTF-8"))
}

fn done(node: &Node, words: &[&str]) -> String {
    let (ok, said) = rollout(node, words);
    assert!(ok, "{words:?}: {said}");
    said
}

async fn has(api: &Api, flag: &str) -> bool {
    api.get("/flags").await["flags"][flag] == true
}

const WHY: [&str; 4] = ["--who", "ada", "--why", "a trial"];

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_started_advanced_and_killed_by_command() {
    let mut node = Setup::new().flag("--ops-write").start();
    let (ada, bob) = (node.api("ada"), node.api("bob"));
    assert!(has(&bob, "scalable-sync").await && done(&node, &["list"]).contains("no rollout"));
    let started = [&["start", "scalable-sync", "--internal", "ada"], &WHY[..]].concat();
    assert!(done(&node, &started).contains("running at off"));
    assert!(!has(&ada, "scalable-sync").await, "the baseline is without it");
    assert!(done(&node, &[&["advance", "scalable-sync"], &WHY[..]].concat()).contains("running at internal"));
    assert!(has(&ada, "scalable-sync").await && !has(&bob, "scalable-sync").await);
    node.restart();
    let (ada, bob) = (node.api("ada"), node.api("bob"));
    until("it is read again", async || has(&ada, "scalable-sync").await.then_some(())).await;
    assert!(!has(&bob, "scalable-sync").await);
    let shown = done(&node, &["show", "scalable-sync"]);
    assert!(shown.contains("too little data") || shown.contains("dwells"), "{shown}");
    assert!(shown.contains("ada: start, now running at off: a trial"), "{shown}");
    let (ok, said) = rollout(&node, &[&["resume", "scalable-sync"], &WHY[..]].concat());
    assert!(!ok && said.contains("rollout_refused"), "{said}");
    let (ok, said) = rollout(&node, &["kill", "scalable-sync", "--who", "ada"]);
    assert!(!ok && said.contains("--why"), "{said}");
    done(&node, &[&["kill", "scalable-sync"], &WHY[..]].concat());
    assert!(!has(&ada, "scalable-sync").await);
    let report = done(&node, &["report", "scalable-sync", "--week1"]);
    assert!(report.contains("[?] The hot tier answers at least 99 % of the time: no data"), "{report}");
    assert!(report.contains("0 met, 0 missed, 12 without data"), "{report}");
    done(&node, &[&["end", "scalable-sync"], &WHY[..]].concat());
    assert!(has(&bob, "scalable-sync").await, "the default decides again");
    assert!(node.log().contains("rollout_changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_goes_before_a_rollout_and_a_kill_before_the_environment() {
    let forced = |value: &str| {
        let setup = Setup::new().flag("--ops-write").environment("THREADMILL_FLAG_NEW_LIST", value);
        setup.more("[flags.new-list]\non = true\n").start()
    };
    let decided = async |node: &Node| {
        let body = json!({"context": {"targetingKey": "ada"}});
        let user = [("x-threadmill-user", "ada")];
        let path = "/ofrep/v1/evaluate/flags/new-list";
        let (status, flag) = at(node.address(), Method::POST, path, &user, Some(&body)).await;
        assert_eq!(status, 200, "{flag}");
        (flag["value"] == true, flag["metadata"]["decidedBy"].as_str().unwrap_or_default().to_owned())
    };
    let node = forced("on");
    done(&node, &[&["start", "new-list", "--stages", "off"], &WHY[..]].concat());
    assert_eq!(decided(&node).await, (true, "environment".into()));
    done(&node, &[&["kill", "new-list"], &WHY[..]].concat());
    assert_eq!(decided(&node).await, (false, "kill-switch".into()));
    let both = Setup::new().flag("--ops-write").environment("USE_SCALABLE_SYNC_ENGINE", "false");
    let both = both.environment("THREADMILL_FLAG_SCALABLE_SYNC", "on").start();
    assert!(!has(&both.api("ada"), "scalable-sync").await, "the emergency always wins");
    done(&both, &[&["start", "scalable-sync", "--stages", "100%"], &WHY[..]].concat());
    assert!(!has(&both.api("ada"), "scalable-sync").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_need_their_token_and_users_tokens_open_nothing() {
    let address = |node: &Node| node.address().to_owned();
    let get = async |node: &Node, headers: &[(&str, &str)]| {
        at(&address(node), Method::GET, "/ops/api/rollouts", headers, None).await.0
    };
    let body = json!({"who": "ada", "why": "x"});
    let kill = async |node: &Node, headers: &[(&str, &str)]| {
        let path = "/ops/api/rollouts/scalable-sync/kill";
        let (status, answer) = at(&address(node), Method::POST, path, headers, Some(&body)).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let bearer = format!("Bearer {TOKEN}");
    let right: [(&str, &str); 1] = [("authorization", &bearer)];
    let user = format!("Bearer {}", auth::token("ada", 600.0));
    let wrong: [(&str, &str); 1] = [("authorization", &user)];

    let open = Setup::new().start();
    assert_eq!((get(&open, &[]).await, kill(&open, &[]).await), (200, (403, "ops_read_only".into())));
    assert_eq!(get(&open, &[("x-forwarded-for", "10.0.0.1")]).await, 403, "not through a proxy");

    let hidden = auth::setup().start();
    assert_eq!((get(&hidden, &[]).await, get(&hidden, &wrong).await), (404, 404));

    let guarded = auth::setup().flag("--ops-write").environment("THREADMILL_OPS_TOKEN", TOKEN).start();
    assert_eq!((get(&guarded, &[]).await, get(&guarded, &wrong).await, get(&guarded, &right).await), (401, 401, 200));
    assert_eq!(kill(&guarded, &wrong).await.0, 401);
    assert_eq!(at(&address(&guarded), Method::GET, "/v1/threads", &right, None).await.0, 401, "it is no user's");
    assert_eq!(kill(&guarded, &right).await.0, 200);
    let other = json!({"context": {"targetingKey": "bob"}});
    let evaluate = async |headers: &[(&str, &str)]| {
        at(&address(&guarded), Method::POST, "/ofrep/v1/evaluate/flags/scalable-sync", headers, Some(&other)).await
    };
    assert_eq!(evaluate(&wrong).await.0, 403, "bob's flags are bob's");
    assert_eq!(evaluate(&[("x-api-key", "x")]).await.0, 401);
    let (status, flag) = evaluate(&[("x-api-key", TOKEN)]).await;
    assert_eq!((status, &flag["value"], &flag["reason"]), (200, &json!(false), &json!("DISABLED")));
    assert!(!guarded.log().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn openfeature_evaluates_and_is_told_of_changes() {
    let node = auth::setup().flag("--ops-write").environment("THREADMILL_OPS_TOKEN", TOKEN).start();
    let token = auth::token("ada", 600.0);
    threadmill_engine::providers::openai::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = |path: &str| format!("http://{}{path}", node.address());
    let all = |body: &Value| client.post(url("/ofrep/v1/evaluate/flags")).bearer_auth(&token).json(body);
    let whole = json!({"context": {"targetingKey": "ada", "plan": {"deep": [1, 2]}}});
    let answer = all(&whole).send().await.expect("an answer");
    let tag = answer.headers()[header::ETAG].to_str().expect("a tag").to_owned();
    let flags: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    let one = &flags["flags"][0];
    assert_eq!((&one["key"], &one["value"], &one["variant"]), (&json!("scalable-sync"), &json!(true), &json!("on")));
    assert_eq!((&one["reason"], &one["metadata"]["decidedBy"]), (&json!("STATIC"), &json!("default")));
    let again = all(&whole).header(header::IF_NONE_MATCH, &tag).send().await.expect("an answer");
    assert_eq!(again.status(), 304);
    for (body, code) in [
        (json!({}), "INVALID_CONTEXT"),
        (json!({"context": 5}), "INVALID_CONTEXT"),
        (json!({"context": {}}), "TARGETING_KEY_MISSING"),
        (json!([1]), "PARSE_ERROR"),
    ] {
        let refused = all(&body).send().await.expect("an answer");
        assert_eq!(refused.status(), 400);
        let said: Value = serde_json::from_slice(&refused.bytes().await.expect("a body")).expect("JSON");
        assert_eq!(said["errorCode"], code, "{body}");
    }
    let missing = client.post(url("/ofrep/v1/evaluate/flags/nothing")).bearer_auth(&token).json(&whole);
    assert_eq!(missing.send().await.expect("an answer").status(), 404);

    // As a browser's EventSource does: without headers.
    let stream = flags["eventStreams"][0]["endpoint"]["requestUri"].as_str().expect("an address");
    let forged = stream.replace("&key=", "&key=A");
    assert_eq!(client.get(url(&forged)).send().await.expect("an answer").status(), 401);
    assert_eq!(client.get(url("/ofrep/v1/events")).send().await.expect("an answer").status(), 401);
    let threads = url(&stream.replace("/ofrep/v1/events", "/v1/threads"));
    assert_eq!(client.get(threads).send().await.expect("an answer").status(), 401, "the address opens nothing else");
    let mut told = client.get(url(stream)).send().await.expect("an answer").bytes_stream();
    let bearer = format!("Bearer {TOKEN}");
    let kill = json!({"who": "ada", "why": "x"});
    let path = "/ops/api/rollouts/scalable-sync/kill";
    let killed = at(node.address(), Method::POST, path, &[("authorization", &bearer)], Some(&kill)).await;
    assert_eq!(killed.0, 200);
    let event = tokio::time::timeout(EVERYWHERE, told.next()).await.expect("it is told").expect("an event");
    let event = String::from_utf8(event.expect("bytes").to_vec()).expect("UTF-8");
    assert!(event.contains("\"type\":\"refetchEvaluation\""), "{event}");
    let again = all(&whole).header(header::IF_NONE_MATCH, &tag).send().await.expect("an answer");
    assert_eq!(again.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbs_count_and_texts_are_kept_with_consent_alone() {
    let node = Setup::new().flag("--ops-write").start();
    let ada = node.api("ada");
    ada.thread("t").await;
    let say = async |body: Value| ada.ask(Method::POST, "/feedback", Some(&body)).await.0;
    let on = |kind: &str| json!({"kind": kind, "thread": "t", "message": "t-0"});
    assert_eq!((say(on("up")).await, say(on("down")).await), (202, 202));
    assert_eq!(say(json!({"kind": "problem", "text": "it is slow"})).await, 400, "without consent");
    assert_eq!(say(json!({"kind": "problem", "text": "it is slow", "consent": true})).await, 202);
    assert_eq!(say(json!({"kind": "problem", "text": "x".repeat(2_001), "consent": true})).await, 400);
    assert_eq!((say(json!({"kind": "up"})).await, say(json!({"kind": "sideways"})).await), (400, 400));
    let others = json!({"kind": "down", "thread": "t", "message": "t-0"});
    assert_eq!(
        node.api("eve").ask(Method::POST, "/feedback", Some(&others)).await.0,
        404,
        "a message that eve cannot see"
    );
    let (status, kept) = at(node.address(), Method::GET, "/ops/api/feedback", &[], None).await;
    assert_eq!(
        (status, &kept["reports"][0]["text"], kept["reports"].as_array().map(Vec::len)),
        (200, &json!("it is slow"), Some(1))
    );
    assert!(!node.log().contains("it is slow"));
}
