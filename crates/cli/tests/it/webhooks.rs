//! Webhooks from outside: a receiver that believes nothing but the official library, a server that is killed between a fact
//! and its delivery, and operators who look and send again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::node::{BINARY, Node, Setup};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A node that was killed holds the sending for 15 s, the next attempt is due in 5.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a receiver got: the id, and the body.
pub(crate) type Got = (String, Value);

#[derive(Clone, Default)]
struct Heard {
    answers: Arc<Mutex<VecDeque<u16>>>,
    got: Arc<Mutex<Vec<Got>>>,
}

/// Takes what is signed, and answers as it is told.
pub(crate) struct Receiver {
    port: u16,
    heard: Heard,
}

async fn take(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signed = Webhook::new(SECRET).expect("a secret").verify(&body, &headers);
    if signed.is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers["webhook-id"].to_str().expect("text").to_owned();
    heard.got.lock().expect("what was got").push((id, serde_json::from_slice(&body).expect("JSON")));
    let answer = heard.answers.lock().expect("answers").pop_front().unwrap_or(204);
    StatusCode::from_u16(answer).expect("a status")
}

impl Receiver {
    pub(crate) async fn start(answers: &[u16]) -> Self {
        let heard = Heard { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), ..Heard::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let app = Router::new().route("/canary-path", post(take)).with_state(heard.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, heard }
    }

    /// A server that tells it everything.
    pub(crate) fn told(&self, setup: Setup) -> Setup {
        let table = format!(
            "[[webhooks]]\nname = 'pager'\nurl = 'http://127.0.0.1:{}/canary-path'\nsecret_env = 'PAGER'\n\
             allow_http = true\nallow_private = true\n",
            self.port
        );
        setup.more(&table).environment("PAGER", SECRET).flag("--ops-write")
    }

    /// Waits until it got so many.
    pub(crate) async fn until(&self, many: usize) -> Vec<Got> {
        let began = Instant::now();
        loop {
            let got = self.heard.got.lock().expect("what was got").clone();
            if got.len() >= many {
                return got;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {many} came: {got:?}", got.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A command of an operator's: whether it succeeded, and what it said.
pub(crate) fn operate(node: &Node, words: &[&str]) -> (bool, String) {
    let url = format!("http://{}", node.address());
    let mut command = std::process::Command::new(BINARY);
    command.args(words).args(["--url", &url]).env_remove("THREADMILL_OPS_TOKEN");
    let output = command.output().expect("the command runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("UTF-8"))
}

pub(crate) fn done(node: &Node, words: &[&str]) -> String {
    let (ok, said) = operate(node, words);
    assert!(ok, "{words:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_told_after_a_kill_and_a_retry_has_its_id() {
    let receiver = Receiver::start(&[500]).await;
    let mut node = receiver.told(Setup::new()).start();
    done(&node, &["rollout", "start", "new-list", "--stages", "off:1h", "--who", "ada", "--why", "a trial"]);
    node.restart();
    let began = Instant::now();
    let got = receiver.until(2).await;
    println!("proof: told after a kill, failing once | {:?}", began.elapsed());
    assert_eq!(got[0], got[1], "the same id, the same body");
    let (id, body) = &got[0];
    assert_eq!(body["type"], "rollout.moved");
    let data = json!({"flag": "new-list", "move": "start", "who": "ada", "why": "a trial", "status": "running", "stage": "off"});
    assert_eq!(body["data"], data);
    let shown = done(&node, &["webhooks", "show", id]);
    assert!(shown.contains("delivered after 2 attempts: 204"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_look_test_and_send_again_and_nobody_sees_a_secret() {
    let receiver = Receiver::start(&[]).await;
    let mut node = receiver.told(Setup::new()).start();
    assert!(done(&node, &["webhooks", "test", "pager"]).contains("msg_"));
    let (id, body) = receiver.until(1).await.remove(0);
    assert_eq!((&body["type"], &body["data"]["endpoint"]), (&json!("webhook.test"), &json!("pager")));
    let (ok, said) = operate(&node, &["webhooks", "test", "nobody"]);
    assert!(!ok && said.contains("no endpoint"), "{said}");
    let began = Instant::now();
    let list = loop {
        let list = done(&node, &["webhooks", "list"]);
        if list.contains("delivered after 1 attempts: 204") {
            break list;
        }
        assert!(began.elapsed() < PATIENCE, "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(list.starts_with("pager: http://127.0.0.1:") && list.contains("\n0 waiting\n"), "{list}");
    assert!(done(&node, &["webhooks", "replay", &id, "--why", "lost"]).contains("1 deliveries"));
    let got = receiver.until(2).await;
    assert_eq!(got[0], got[1]);
    let said =
        [list, done(&node, &["webhooks", "list", "--json"]), done(&node, &["webhooks", "show", &id]), node.log()];
    for text in said {
        assert!(!text.contains("canary-path") && !text.contains(&SECRET[6..]), "{text}");
    }
    let audit = std::fs::read_to_string(node.data().join("ops-audit.jsonl")).expect("an audit");
    for what in ["webhook_test", "webhook_body", "webhook_replay"] {
        assert!(audit.contains(what), "{what} in {audit}");
    }
    node.restart_as(Setup::new());
    let (ok, said) = operate(&node, &["webhooks", "replay", &id]);
    assert!(!ok && said.contains("--ops-write"), "{said}");
}
