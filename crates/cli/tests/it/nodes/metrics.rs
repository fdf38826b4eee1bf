//! What monitoring reads of a node.

use std::collections::HashMap;

use serde_json::json;
use threadmill_proto::frame::Mode;

use super::Cluster;
use super::order::read_until;
use super::redis::Redis;
use crate::api::{Api, until};
use crate::reader::Reader;
use crate::socket::Socket;

/// The samples of a node by name and labels. Every line must be one, or describe one.
pub(super) async fn samples(api: &Api) -> HashMap<String, f64> {
    let url = format!("http://{}/metrics", api.address);
    // As a monitor in a cluster asks, which knows addresses and no names.
    let request =
        reqwest::Client::builder().no_proxy().build().expect("a client").get(url).header("host", "10.1.2.3:7430");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.status(), 200);
    let body = answer.text().await.expect("text");
    assert!(!body.contains("canary"), "{body}");
    let (mut kinds, mut found) = (HashMap::new(), HashMap::new());
    for line in body.lines().filter(|line| !line.is_empty()) {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a kind");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let family = name.split('{').next().expect("a name");
            let of_spread = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| family.strip_suffix(suffix));
            let kind = kinds.get(family).or_else(|| kinds.get(of_spread?).filter(|kind| *kind == "histogram"));
            let kind = kind.unwrap_or_else(|| panic!("nothing describes {line}"));
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            found.insert(name.to_owned(), value.parse().expect("a number"));
        }
    }
    found
}

/// The nodes are told apart by the database, each with its clock: no word between them is needed.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_knows_the_others_and_how_far_its_clock_is_from_the_databases() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let nodes = async |api: &Api| {
        let url = format!("http://{}/ops/api/nodes", api.address);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let text = client.get(url).send().await.expect("an answer").text().await.expect("text");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["nodes"].clone()
    };
    let name = nodes(&a).await[0]["name"].clone();
    // The second node saw both when it started.
    let other = until("the other is known", async || {
        nodes(&b).await.as_array()?.iter().find(|node| node["name"] == name).cloned()
    })
    .await;
    assert_eq!((&other["self"], &other["state"]), (&json!(false), &json!("awake")), "{other}");
    assert_eq!(other["version"], env!("CARGO_PKG_VERSION"));
    let own = nodes(&b).await[0].clone();
    assert!(own["self"] == true && own["skewMs"].as_f64().is_some_and(|skew| skew < 5_000.0), "{own}");
    assert_eq!(samples(&b).await["threadmill_nodes_asleep"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_reads_what_the_node_counted_and_nobodys_name() {
    let mut redis = Redis::start();
    let cluster = Cluster::start_over(2, Some(redis.url())).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("canary-thread").await;
    let mut socket = Socket::open(&b).await;
    socket.subscribe(1, "canary-thread").await;
    let mut reader = Reader::default();
    reader.take(&socket.frame().await);
    let (run, message) = a.run("canary-thread", "tell me", "slow").await;
    read_until(&mut socket, &mut reader, |reader| reader.text(&message).is_some_and(|text| text.len() > 50)).await;
    assert_eq!(samples(&a).await["threadmill_runs"], 1.0);
    a.post(&format!("/runs/{run}/stop"), json!({})).await;
    read_until(&mut socket, &mut reader, |reader| reader.cursor.runs.is_empty()).await;
    assert_eq!(a.ask(reqwest::Method::POST, "/locks/canary-lock", Some(&json!({"ttl": 60_000}))).await.0, 200);
    let refused = a.ask(reqwest::Method::POST, "/locks/canary-lock", Some(&json!({"wait": 100}))).await;
    assert_eq!((refused.0, &refused.1["code"]), (409, &json!("lock_held")));

    let at_a = samples(&a).await;
    assert_eq!(at_a["threadmill_lock_outcomes_total{outcome=\"granted\"}"], 1.0);
    assert_eq!(at_a["threadmill_lock_outcomes_total{outcome=\"timed_out\"}"], 1.0);
    assert_eq!(at_a["threadmill_lock_failure_ratio"], 0.5);
    assert!(at_a["threadmill_hot_calls_total{op=\"extend\"}"] >= 1.0);
    assert!(at_a["threadmill_hot_call_spent_seconds{op=\"extend\"}"] > 0.0);
    let (at_b, (_, readyz)) = (samples(&b).await, cluster.readyz(1).await);
    for (sample, count) in [
        ("threadmill_hot_reads_total{outcome=\"hit\"}", "hits"),
        ("threadmill_hot_reads_total{outcome=\"fallback\"}", "fallbacks"),
        ("threadmill_hot_fallback_ratio", "fallbackRatio"),
        ("threadmill_hot_windows_total{outcome=\"miss\"}", "pageMisses"),
    ] {
        assert_eq!(Some(at_b[sample]), readyz["hot"][count].as_f64(), "{sample}");
    }
    assert!(at_b["threadmill_hot_reads_total{outcome=\"hit\"}"] > 0.0);
    assert_eq!((at_b["threadmill_ready"], at_b["threadmill_connections"]), (1.0, 1.0));
    assert_eq!(at_b["threadmill_mode{mode=\"full\"}"], 1.0);

    redis.kill();
    until("the loss is counted", async || {
        let at_b = samples(&b).await;
        let modes =
            [Mode::Full, Mode::Degraded].map(|mode| at_b[&format!("threadmill_mode{{mode=\"{}\"}}", mode.name())]);
        (modes == [0.0, 1.0] && at_b["threadmill_mode_changes_total"] == 1.0).then_some(())
    })
    .await;
}
