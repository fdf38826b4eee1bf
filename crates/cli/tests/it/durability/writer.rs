//! The embedded store's writer ends by a panic that is planted in the test binary: the node says that it takes no requests.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{text, until};
use crate::node::Setup;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_writer_has_died_is_not_ready() {
    let mut node = Setup::new().start();
    node.api("ada").thread("t").await;
    let readyz = format!("http://{}/readyz", node.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ready = async || {
        let response = client.get(&readyz).send().await.expect("the node answers");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON")["status"].clone())
    };
    assert_eq!(ready().await, (200, json!("ready")));
    node.restart_as(Setup::new().environment("THREADMILL_PLANT", "writer-panics"));
    let readyz = format!("http://{}/readyz", node.address());
    let ready = async || {
        let response = client.get(&readyz).send().await.expect("the node answers");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON")["status"].clone())
    };
    assert_eq!(ready().await, (200, json!("ready")), "nothing was written yet");
    let answer =
        node.api("ada").ask(Method::POST, "/threads/t/messages", Some(&json!({"parts": [text("last")]}))).await;
    assert!(answer.0 >= 500, "{answer:?}");
    until("the node says so", async || (ready().await == (503, json!("no write can be made"))).then_some(())).await;
}
