//! `--auth token`: who is let in, for how long, and that no credential is written down.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use threadmill_proto::{ClientFrame, ErrorCode, ServerFrame, from_cbor, to_cbor};

use crate::api::{Api, PATIENCE, code, text};
use crate::node::{BINARY, Node, Setup};
use crate::socket::{Came, Socket, subscribe};

pub(crate) const SECRET: &str = "canary-secret-0123456789abcdef-0123456789";

pub(crate) fn setup() -> Setup {
    Setup::new().environment("THREADMILL_AUTH_SECRET", SECRET).flag("--auth").flag("token")
}

/// The time now and a while, in seconds.
#[expect(clippy::disallowed_methods, reason = "tokens are issued by the clock, and the server is another process")]
fn after(seconds: f64) -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() + seconds
}

fn mint(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
}

/// A token of a user that runs out after a while.
pub(crate) fn token(user: &str, seconds: f64) -> String {
    mint(&json!({"sub": user, "exp": after(seconds)}), SECRET)
}

/// A token of a tenant's user that runs out after a while.
pub(crate) fn token_of(tenant: &str, user: &str, seconds: f64) -> String {
    mint(&json!({"sub": user, "tenant": tenant, "exp": after(seconds)}), SECRET)
}

/// A token of these claims, good for a minute.
pub(crate) fn mint_for(claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["exp"] = after(60.0).into();
    mint(&claims, SECRET)
}

/// A client with a token, which says it is somebody else.
fn api(node: &Node, token: Option<&str>) -> Api {
    let api = node.api("somebody-else");
    match token {
        Some(token) => api.bearing(token),
        None => api,
    }
}

fn hello(token: Option<&str>) -> ClientFrame {
    ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: token.map(Into::into) }
}

async fn connect(node: &Node, token: Option<&str>) -> Socket {
    let mut socket = Socket::raw(&api(node, None)).await;
    socket.say(&hello(token)).await;
    socket
}

/// A connection that was welcomed as `ada`.
async fn welcomed(node: &Node, seconds: f64) -> Socket {
    let mut socket = connect(node, Some(&token("ada", seconds))).await;
    assert!(matches!(socket.frame().await, ServerFrame::Welcome { user, .. } if user == "ada"));
    socket
}

/// The refusal that ends a connection.
async fn refused(socket: &mut Socket) -> String {
    let ServerFrame::Refused(problem) = socket.frame().await else { panic!("it was not refused") };
    assert_eq!(problem.code, ErrorCode::Unauthorized);
    assert!(matches!(socket.next(PATIENCE).await, Came::Closed(4401, reason) if reason == "unauthorized"));
    problem.detail
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_need_a_token_and_are_its_users() {
    let node = setup().start();
    let (forged, old) = (mint(&json!({"sub": "ada", "exp": after(60.0)}), &SECRET.to_uppercase()), token("ada", -1.0));
    for bad in [None, Some(forged.as_str()), Some(&old), Some("nonsense")] {
        for path in ["/threads", "/info", "/flags", "/me/connections", "/threads/t/events", "/threads/t/messages"] {
            let answer = api(&node, bad).request(Method::GET, path).send().await.expect("an answer");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            let status = answer.status().as_u16();
            let problem = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("a problem");
            assert_eq!(code(&(status, problem)), "unauthorized", "{path} {bad:?}");
        }
        assert_eq!(api(&node, bad).ask(Method::POST, "/threads", Some(&json!({"id": "t"}))).await.0, 401);
    }
    let ada = api(&node, Some(&token("ada", 60.0)));
    assert_eq!(ada.get("/info").await["user"], "ada");
    ada.thread("t").await;
    let eve = api(&node, Some(&token("eve", 60.0)));
    assert_eq!(code(&eve.ask(Method::GET, "/threads/t", None).await), "thread_not_found");
    let elsewhere = mint(&json!({"sub": "ada", "tenant": "acme", "exp": after(60.0)}), SECRET);
    let elsewhere = api(&node, Some(&elsewhere));
    assert_eq!(elsewhere.get("/info").await["tenant"], "acme");
    assert_eq!(code(&elsewhere.ask(Method::GET, "/threads/t", None).await), "thread_not_found");
    // A proxy is no reason to refuse any more, and what needs no caller is there without a token.
    let through = ada.request(Method::GET, "/threads").header("x-forwarded-for", "10.0.0.1").send().await;
    assert_eq!(through.expect("an answer").status(), 200);
    for path in ["/../livez", "/../docs", "/../"] {
        let answer = api(&node, None).request(Method::GET, path).send().await.expect("an answer");
        assert_ne!(answer.status(), 401, "{path}");
    }
    assert_eq!(
        ada.request(Method::GET, "/threads").header("origin", "http://evil").send().await.expect("an answer").status(),
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_need_a_token_in_their_first_frame() {
    let node = setup().start();
    for bad in [None, Some(token("ada", -1.0)), Some("nonsense".into())] {
        refused(&mut connect(&node, bad.as_deref()).await).await;
        let body = to_cbor(&hello(bad.as_deref()));
        for accept in ["text/event-stream", "application/cbor-seq"] {
            let request = api(&node, None).request(Method::POST, "/sync").header("accept", accept);
            let request = request.header("content-type", "application/cbor-seq").body(body.clone());
            assert_eq!(request.send().await.expect("an answer").status(), 401);
        }
    }
    // Nothing is read before the greeting.
    let mut early = Socket::raw(&api(&node, None)).await;
    early.say(&subscribe(1, "t")).await;
    assert!(matches!(early.frame().await, ServerFrame::Refused(problem) if problem.code == ErrorCode::HelloExpected));
    let ada = api(&node, Some(&token("ada", 60.0)));
    ada.thread("t").await;
    let mut socket = welcomed(&node, 60.0).await;
    socket.subscribe(1, "t").await;
    assert!(matches!(socket.frame().await, ServerFrame::Window { .. }));
    assert_eq!(ada.get("/me/connections").await, json!({"connections": 1, "opened": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_token_unless_it_is_renewed() {
    let node = setup().start();
    api(&node, Some(&token("ada", 60.0))).thread("t").await;
    let (mut short, mut renewed) = (welcomed(&node, 2.0).await, welcomed(&node, 2.0).await);
    renewed.subscribe(1, "t").await;
    assert!(matches!(renewed.frame().await, ServerFrame::Window { .. }));
    renewed.say(&ClientFrame::Authenticate { token: token("ada", 5.0) }).await;
    assert!(refused(&mut short).await.contains("expired"));
    api(&node, Some(&token("ada", 60.0))).post("/threads/t/messages", json!({"parts": [text("after")]})).await;
    assert!(matches!(renewed.frame().await, ServerFrame::Event { .. }), "the renewed one goes on");
    assert!(refused(&mut renewed).await.contains("expired"), "the renewal runs out too");
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_end_with_their_token() {
    let node = setup().start();
    api(&node, Some(&token("ada", 60.0))).thread("t").await;
    let greeting = to_cbor(&hello(Some(&token("ada", 2.0))));
    let short = api(&node, Some(&token("ada", 2.0)));
    let posted = short.request(Method::POST, "/sync").header("content-type", "application/cbor-seq").body(greeting);
    let posted = posted.header("accept", "text/event-stream").send();
    let followed = short.request(Method::GET, "/threads/t/events").send();
    let (posted, followed) = tokio::join!(posted, followed);
    let ended = async |answer: reqwest::Result<reqwest::Response>| {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        let whole = tokio::time::timeout(Duration::from_secs(10), answer.text()).await.expect("it ends");
        whole.expect("it ends well")
    };
    assert!(ended(followed).await.contains("unauthorized"));
    let posted = ended(posted).await;
    let last = posted.trim_end().rsplit("data: ").next().expect("an event");
    let last = from_cbor(&BASE64_STANDARD.decode(last).expect("base64")).expect("a frame");
    assert!(matches!(last, ServerFrame::Refused(problem) if problem.code == ErrorCode::Unauthorized));
}

/// Whoever waits, for a lock or for a run to end, is known for as long as they wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_held_ends_with_its_token() {
    let node = setup().start();
    let ada = api(&node, Some(&token("ada", 60.0)));
    ada.post("/locks/door", json!({"holder": "a", "ttl": 60_000})).await;
    let short = api(&node, Some(&token("ada", 2.0)));
    let wish = json!({"holder": "b", "wait": 60_000});
    let asked = short.ask(Method::POST, "/locks/door", Some(&wish));
    let refused = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it ends with the token");
    assert_eq!((refused.0, code(&refused)), (401, "unauthorized".into()));
    assert!(refused.1["detail"].as_str().is_some_and(|detail| detail.contains("expired")), "{}", refused.1);
    assert_eq!(ada.get("/locks").await["waiting"], 0, "nobody waits on");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_token_renews_nothing() {
    let node = setup().start();
    let elsewhere = mint(&json!({"sub": "ada", "tenant": "acme", "exp": after(60.0)}), SECRET);
    for (newer, why) in [(token("eve", 60.0), "another"), (elsewhere, "another"), (token("ada", -1.0), "expired")] {
        let mut socket = welcomed(&node, 60.0).await;
        socket.say(&ClientFrame::Authenticate { token: newer }).await;
        assert!(refused(&mut socket).await.contains(why));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_written_nowhere() {
    let node = setup().environment("THREADMILL_LOG", "debug").start();
    let good = token("ada", 60.0);
    let ada = api(&node, Some(&good));
    ada.thread("t").await;
    welcomed(&node, 60.0).await;
    let forged = mint(&json!({"sub": "ada", "exp": after(60.0)}), "another secret of more than 32 bytes");
    refused(&mut connect(&node, Some(&forged)).await).await;
    let (_, said) = api(&node, Some(&forged)).ask(Method::GET, "/threads", None).await;
    let log = node.log();
    for secret in [SECRET, &good, &forged, "eyJ"] {
        assert!(!log.contains(secret), "the log holds a credential");
        assert!(!said.to_string().contains(secret), "an answer holds a credential");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_it_listens_anywhere() {
    let node = setup().listen("0.0.0.0:0").start();
    let port = node.address().rsplit_once(':').expect("a port").1;
    let api = Api::new(&format!("127.0.0.1:{port}"), "ada").bearing(&token("ada", 60.0));
    assert_eq!(api.get("/threads").await["threads"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_take_their_token_from_a_variable() {
    let node = setup().start();
    api(&node, Some(&token("ada", 60.0))).thread("t").await;
    let export = |token: Option<&str>| {
        let mut command = Command::new(BINARY);
        command.args(["export", "--url", &format!("http://{}", node.address())]).env_remove("THREADMILL_TOKEN");
        let output = command.envs(token.map(|token| ("THREADMILL_TOKEN", token))).output().expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (done, lines, errors) = export(Some(&token("ada", 60.0)));
    assert!(done && lines.contains("begin"), "{lines} {errors}");
    let (done, lines, errors) = export(None);
    assert!(!done && lines.is_empty() && errors.contains("THREADMILL_TOKEN"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_somebody_else_is_refused() {
    let status = async |node: &Node, aud: Option<&str>| {
        let mut claims = json!({"sub": "ada", "exp": after(60.0)});
        if let Some(aud) = aud {
            claims["aud"] = aud.into();
        }
        let api = api(node, Some(&mint(&claims, SECRET)));
        api.request(Method::GET, "/threads").send().await.expect("an answer").status().as_u16()
    };
    let node = setup().start();
    assert_eq!((status(&node, None).await, status(&node, Some("other")).await), (200, 401));
    let node = setup().environment("THREADMILL_AUTH_AUDIENCE", "chat").start();
    assert_eq!((status(&node, Some("chat")).await, status(&node, Some("other")).await), (200, 401));
    assert_eq!(status(&node, None).await, 401);
}

#[test]
fn a_secret_that_is_missing_or_short_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    for (secret, word) in [(None, "needs a secret"), (Some("canary-short"), "shorter than 32 bytes")] {
        let mut setup = Setup::new().flag("--auth").flag("token");
        if let Some(secret) = secret {
            let file = directory.path().join("secret");
            std::fs::write(&file, secret).expect("a file");
            setup = setup.flag("--auth-secret-file").flag(file.to_str().expect("a path"));
        }
        let output = setup.command(directory.path()).stdin(Stdio::null()).output().expect("the server runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(word) && !errors.contains("canary"), "{errors}");
    }
}
