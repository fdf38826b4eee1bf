//! Rollouts on several nodes: a kill is everywhere within five seconds with Redis down, and what each node counts is judged
//! together.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::Cluster;
use super::redis::Redis;
use crate::api::{Api, until};
use crate::rollout::{EVERYWHERE, at};

async fn operate(cluster: &Cluster, node: usize, step: &str, body: Value) -> Value {
    let path = format!("/ops/api/rollouts/new-list{step}");
    let method = if body.is_null() { Method::GET } else { Method::POST };
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = at(cluster.nodes[node].address(), method, &path, &[], body.as_ref()).await;
    assert_eq!(status, 200, "{step}: {answer}");
    answer
}

async fn has(api: &Api) -> bool {
    api.get("/flags").await["flags"]["new-list"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_everywhere_within_five_seconds_with_redis_down() {
    let mut redis = Redis::start();
    let mut cluster = Cluster::start_over(0, Some(redis.url())).await;
    for _ in 0..2 {
        cluster.join_with(|setup| setup.flag("--ops-write"));
    }
    let (a, b) = (cluster.api(0), cluster.api(1));
    let start = json!({"who": "ada", "why": "a trial", "stages": ["100%:1h"]});
    operate(&cluster, 0, "/start", start).await;
    until("the other node has it", async || has(&b).await.then_some(())).await;
    assert!(has(&a).await);
    redis.kill();
    for (kills, sees) in [(0, &b), (1, &a)] {
        let began = Instant::now();
        operate(&cluster, kills, "/kill", json!({"who": "ada", "why": "blank pages"})).await;
        assert!(!has(&cluster.api(kills)).await, "who is told does it at once");
        until("the other node is off", async || (!has(sees).await).then_some(())).await;
        println!("proof: kill switch with Redis down, told at node {kills} | {:?}", began.elapsed());
        assert!(began.elapsed() < EVERYWHERE, "it took {:?}", began.elapsed());
        operate(&cluster, kills, "/end", json!({"who": "ada", "why": "again"})).await;
        operate(&cluster, kills, "/start", json!({"who": "ada", "why": "again", "stages": ["100%:1h"]})).await;
        until("it is on again", async || (has(&a).await && has(&b).await).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_all_nodes_are_judged_together() {
    let mut cluster = Cluster::start(0).await;
    for _ in 0..2 {
        cluster.join_with(|setup| setup.flag("--ops-write"));
    }
    // As many as one node alone does not see of either side.
    let plan = json!({
        "who": "ada", "why": "a trial", "stages": ["off:0s", "50%:0s", "100%:1h"], "gates": ["errors"], "least": 300,
    });
    operate(&cluster, 0, "/start", plan).await;
    until("the other node knows", async || {
        (!cluster.api(1).get("/flags").await["flags"]["new-list"].is_null()).then_some(())
    })
    .await;
    let visit = async |node: usize| {
        for number in 0..450 {
            cluster.nodes[node].api(&format!("user-{number}")).get("/flags").await;
        }
    };
    let stage = async || operate(&cluster, 0, "", Value::Null).await;
    tokio::join!(visit(0), visit(1));
    until("the baseline has passed", async || (stage().await["stage"] == "50 %").then_some(())).await;
    until("the other node knows", async || {
        let body = json!({"context": {"targetingKey": "ada"}});
        let path = "/ofrep/v1/evaluate/flags/new-list";
        let (_, flag) =
            at(cluster.nodes[1].address(), Method::POST, path, &[("x-threadmill-user", "ada")], Some(&body)).await;
        (flag["reason"] == "SPLIT").then_some(())
    })
    .await;
    tokio::join!(visit(0), visit(1));
    let passed = until("half has passed", async || {
        let standing = stage().await;
        (standing["stage"] == "100 %").then_some(standing)
    })
    .await;
    let log = passed["log"].as_array().expect("a log");
    let steps: Vec<_> = log.iter().map(|entry| entry["what"].as_str().unwrap_or_default()).collect();
    assert_eq!(steps, ["start", "advance", "advance"], "each was done once: {log:?}");
    assert!(log[1..].iter().all(|entry| entry["who"] == "threadmill"), "{log:?}");
}
