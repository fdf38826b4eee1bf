//! Budgets over several nodes: what is held is never more than there is, and a dead node's part is let go. And what the hot tier
//! is asked, by its own count.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Cluster;
use super::redis::Redis;
use crate::api::{string, text, until};
use crate::node::Setup;

/// A run may cost about $0.0081: 4,000 tokens of an answer at $2 a million, and the bytes of a short question.
const LIMITS: &str =
    "[budgets]\nunknown_price = 'ceiling'\nceiling_input = 1\nceiling_output = 2\nanswer_tokens = 4000\n";

fn limited(setup: Setup, more: &str, money: &str) -> Setup {
    let limit = format!("[[budgets.limits]]\nscope = 'tenant'\nper = 'month'\nmoney = {money}\n");
    setup.more(&format!("{LIMITS}{more}{limit}"))
}

impl Cluster {
    async fn limited(count: usize, more: &str, money: &str) -> Self {
        let mut cluster = Self::start(0).await;
        for _ in 0..count {
            cluster.join_with(|setup| limited(setup, more, money));
        }
        cluster
    }

    /// What operators are told of something at a node.
    async fn operators(&self, node: usize, path: &str) -> Value {
        threadmill_engine::providers::openai::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}/ops/api/{path}", self.node(node).address());
        let response = client.get(url).send().await.expect("the node answers");
        assert_eq!(response.status(), 200);
        response.json().await.expect("JSON")
    }

    /// What of the budget is spent, what is held and what there is, in millionths of a dollar.
    async fn budget(&self, node: usize) -> [u64; 3] {
        let usage = self.operators(node, "usage?tenant=default").await;
        let line = usage["budgets"].as_array().expect("a list").first().cloned().unwrap_or_default();
        ["spent", "held", "limit"].map(|name| line[name].as_u64().unwrap_or(0))
    }
}

fn asks(id: &str) -> Value {
    json!({"id": format!("{id}-q"), "parts": [text("tell me")], "run": {"provider": "steady"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_runs_at_two_nodes_the_one_is_admitted_that_there_is_room_for() {
    let cluster = Cluster::limited(2, "", "0.012").await;
    for user in 0..50 {
        cluster.node(user % 2).api(&format!("user-{user}")).thread(&format!("t{user}")).await;
    }
    let mut begin = JoinSet::new();
    for user in 0..50 {
        let api = cluster.node(user % 2).api(&format!("user-{user}"));
        begin.spawn(async move {
            let id = format!("t{user}");
            (api.ask(reqwest::Method::POST, &format!("/threads/{id}/messages"), Some(&asks(&id))).await, api, id)
        });
    }
    let all = begin.join_all().await;
    let (admitted, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(|((status, _), ..)| *status < 300);
    assert_eq!((admitted.len(), refused.len()), (1, 49));
    for ((status, problem), api, id) in &refused {
        assert_eq!((*status, &problem["code"]), (402, &json!("budget_exhausted")), "{problem}");
        let messages = api.get(&format!("/threads/{id}/messages")).await["messages"].clone();
        assert_eq!(messages.as_array().map(Vec::len), Some(1), "what was refused wrote nothing");
    }
    let [spent, held, limit] = cluster.budget(1).await;
    assert!(spent == 0 && held > 8_000 && held <= limit, "{spent} {held} {limit}");
    let ((_, answer), api, _) = &admitted[0];
    let run = string(&answer["run"]["id"]);
    assert_eq!(api.ended(&run).await["outcome"], "complete");
    let [spent, held, limit] = cluster.budget(0).await;
    // 150 tokens of the answer and those of the question, as the provider counts them.
    assert!((300..2_000).contains(&spent) && held == 0, "{spent} {held} {limit}");
    let usage = cluster.operators(0, "usage").await;
    let day = usage["days"].as_object().expect("days").values().next().expect("a day").clone();
    assert_eq!((&day["runs"], &day["money"]), (&json!(1), &json!(spent)));
    // What is left is enough for another.
    let again = cluster.node(1).api("user-7");
    again.post("/threads/t7/messages", asks("t7-again")).await;
    let metrics = reqwest::get(format!("http://{}/metrics", cluster.node(0).address())).await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let refusals = metrics.lines().find_map(|line| line.strip_prefix("threadmill_budget_refusals_total "));
    assert!(refusals.is_some_and(|count| count.parse::<f64>().expect("a number") >= 24.0), "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_held_is_let_go_within_thirty_seconds() {
    let mut cluster = Cluster::limited(2, "unreported = 'seen'\n", "0.012").await;
    let (a, b) = (cluster.node(0).api("ada"), cluster.node(1).api("bob"));
    a.thread("t").await;
    b.thread("u").await;
    let (_, message) = a.run("t", "tell me", "slow").await;
    a.said("t", &message).await;
    let path = "/threads/u/messages";
    assert_eq!(b.ask(reqwest::Method::POST, path, Some(&asks("u"))).await.0, 402);
    let killed = Instant::now();
    cluster.nodes[0].kill();
    until("the budget has room again", async || {
        let (status, _) = b.ask(reqwest::Method::POST, path, Some(&asks("u"))).await;
        (status < 300).then_some(())
    })
    .await;
    let took = killed.elapsed();
    println!("proof: budgets | a killed node's hold was let go after {:.1} s", took.as_secs_f64());
    assert!(took <= Duration::from_secs(30), "{took:?}");
    let [spent, ..] = cluster.budget(1).await;
    assert!(spent > 0, "what had come of it counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reports_counts_whole_and_a_refusal_of_the_provider_counts_nothing() {
    let mut cluster = Cluster::start(0).await;
    let base = cluster.mock.base_url();
    cluster.join_with(|setup| limited(setup.providers(&base, &[("refusing", "mock,fault=status-401")]), "", "0.012"));
    let ada = cluster.api(0);
    ada.thread("t").await;
    let (run, _) = ada.run("t", "tell me", "refusing").await;
    assert_eq!(ada.ended(&run).await["outcome"], "failed");
    assert_eq!(cluster.budget(0).await[..2], [0, 0]);
    let (run, message) = ada.run("t", "tell me", "slow").await;
    ada.said("t", &message).await;
    let held = cluster.budget(0).await[1];
    ada.post(&format!("/runs/{run}/stop"), json!({})).await;
    assert_eq!(ada.ended(&run).await["outcome"], "stopped");
    assert_eq!(cluster.budget(0).await[..2], [held, 0]);
}

/// Commands that a Redis was sent, by itself listened to until it is let go; those that its scripts made are not.
struct Listening(std::process::Child, tempfile::NamedTempFile);

impl Listening {
    fn start(redis: &Redis) -> Self {
        let port = redis.port().to_string();
        // Into a file: a pipe that nobody reads yet would stop it after 64 KiB.
        let heard = tempfile::NamedTempFile::new().expect("a file");
        let out = heard.reopen().expect("the same file");
        let child = Command::new("redis-cli").args(["-p", &port, "monitor"]).stdout(out).spawn();
        Self(child.expect("redis-cli"), heard)
    }

    /// All that was sent, and of that how often scripts were called.
    fn end(mut self) -> (usize, usize) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ended");
        let heard = std::fs::read(self.1.path()).expect("what it wrote");
        let heard = String::from_utf8_lossy(&heard).into_owned();
        let lines: Vec<_> = heard.lines().filter(|line| line.contains('"') && !line.contains(" lua]")).collect();
        let scripts = lines.iter().filter(|line| line.to_ascii_lowercase().contains("\"evalsha\"")).count();
        (lines.len(), scripts)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_six_hundred_pieces_is_gathered_into_a_hundred_commands_and_the_count_is_right() {
    let redis = Redis::start();
    let mut cluster = Cluster::start_over(0, Some(redis.url())).await;
    let base = cluster.mock.base_url();
    for _ in 0..2 {
        cluster.join_with(|setup| {
            setup
                .providers(&base, &[("long", "mock,tokens=600,rate=60")])
                .more("[hot]\ngather_ms = 150\ncommand_price = 200000\n")
        });
    }
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let sent = async || {
        let mut sum = 0;
        for node in 0..2 {
            sum += cluster.operators(node, "hot").await["commands"].as_u64().expect("a count");
        }
        usize::try_from(sum).expect("few")
    };
    // Nothing may be sent while the listening begins, or it is counted and not heard.
    let (before, listening) = loop {
        let (before, listening) = (sent().await, Listening::start(&redis));
        if sent().await == before {
            break (before, listening);
        }
        listening.end();
    };
    let mut socket = crate::socket::Socket::open(&b).await;
    socket.subscribe(1, "t").await;
    let (run, _) = a.run("t", "tell me", "long").await;
    assert_eq!(a.ended(&run).await["outcome"], "complete");
    let chunks = cluster.operators(0, "runs").await["runs"][0]["chunks"].as_u64();
    let (counted, (heard, scripts)) = (sent().await - before, listening.end());
    println!(
        "proof: budgets | {chunks:?} pieces in {scripts} calls of scripts; {counted} commands counted, {heard} heard by Redis"
    );
    assert!(scripts <= 100, "{scripts} for an answer of 600 pieces");
    let off = counted.abs_diff(heard);
    assert!(off * 50 <= heard.max(100), "{counted} are counted where Redis heard {heard}");
    let hot = cluster.operators(0, "hot").await;
    assert!(hot["commandsPer1000Answers"].as_f64().is_some() && hot["moneyPer1000Answers"].as_f64().is_some(), "{hot}");
}
