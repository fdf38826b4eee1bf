//! Who is in a thread is known at every node for as long as it is so.

use reqwest::Method;
use serde_json::{Value, json};

use super::Cluster;
use super::redis::Redis;
use crate::api::{Api, code, until};
use crate::node::Setup;

async fn be(api: &Api, device: &str, state: &str) {
    let body = json!({"device": device, "state": state});
    let (status, answer) = api.ask(Method::POST, "/threads/t/presence", Some(&body)).await;
    assert_eq!(status, 204, "{answer}");
}

async fn present(api: &Api) -> Vec<(String, String)> {
    let answer = api.get("/threads/t/presence").await;
    let text = |value: &Value| crate::api::string(value);
    let all = answer["present"].as_array().expect("a list").iter();
    all.map(|one| (text(&one["device"]), text(&one["state"]))).collect()
}

fn pair(device: &str, state: &str) -> (String, String) {
    (device.to_owned(), state.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_at_different_nodes_see_each_other() {
    let redis = Redis::start();
    let cluster = Cluster::start_over(2, Some(redis.url())).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    be(&a, "phone", "typing").await;
    assert_eq!(present(&a).await, [pair("phone", "typing")], "it is known here at once");
    be(&b, "desk", "viewing").await;
    for api in [&a, &b] {
        until("both are seen", async || {
            (present(api).await == [pair("desk", "viewing"), pair("phone", "typing")]).then_some(())
        })
        .await;
    }
    be(&a, "phone", "viewing").await;
    until("it stops typing", async || (present(&b).await[1] == pair("phone", "viewing")).then_some(())).await;
    // Nobody is in the thread that takes the name.
    a.ask(Method::DELETE, "/threads/t", None).await;
    a.thread_back("t").await;
    assert_eq!(present(&b).await, []);
    let eve = cluster.nodes[0].api("eve");
    let refused = eve.ask(Method::GET, "/threads/t/presence", None).await;
    assert_eq!(code(&refused), "thread_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_more_is_gone() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    be(&api, "phone", "typing").await;
    assert_eq!(present(&api).await, [pair("phone", "typing")]);
    until("it is forgotten", async || present(&api).await.is_empty().then_some(())).await;
    let refused = api.ask(Method::POST, "/threads/t/presence", Some(&json!({"device": ""}))).await;
    assert_eq!(code(&refused), "invalid_request");
    let refused = api.ask(Method::POST, "/threads/t/presence", Some(&json!({"device": "a", "state": "away"}))).await;
    assert_eq!(code(&refused), "invalid_request");
}
