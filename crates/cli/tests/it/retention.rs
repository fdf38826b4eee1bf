//! Retention from outside: old threads are brought in with their dates, somebody looks, pins one and confirms, and what is
//! old goes, at every node and for every reader.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, until};
use crate::node::{Node, Setup};
use crate::socket::Socket;
use crate::webhooks::{done, operate};

pub(crate) const POLICY: &str = "[retention]\ndays = 30\n[retention.tenants]\nother = 0\n";
const WHY: [&str; 4] = ["--who", "ada", "--why", "agreed"];

/// A thread that was last changed in 2024.
pub(crate) async fn old_thread(api: &Api, id: &str) {
    let times = ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    api.post("/import/threads", json!({"id": id, "title": id, "createdAt": times.0, "updatedAt": times.1})).await;
    let rows = json!({"rows": [{"branch": {"id": "main"}}]});
    api.post(&format!("/import/threads/{id}/rows"), rows).await;
    api.post(&format!("/import/threads/{id}/finish"), json!({})).await;
}

pub(crate) async fn status(api: &Api, id: &str) -> u16 {
    api.ask(Method::GET, &format!("/threads/{id}"), None).await.0
}

/// The mark of a node's policy.
fn mark(node: &Node) -> String {
    let preview: Value = serde_json::from_str(&done(node, &["retention", "preview", "--json"])).expect("JSON");
    preview["mark"].as_str().expect("a mark").to_owned()
}

/// Previews, confirms, and waits until only what is to stay is there; a reader at another node hears of it.
pub(crate) async fn is_cleared(node: &Node, reads: &Node) {
    let (ada, bob, far) = (node.api("ada"), node.api("bob"), reads.api("ada"));
    for (api, id) in [(&ada, "old"), (&ada, "pinned"), (&bob, "bobs-old")] {
        old_thread(api, id).await;
    }
    ada.thread("young").await;
    let pin = json!({"metadata": {"pinned": true, "colour": "red"}});
    let (status_code, pinned) = ada.ask(Method::PATCH, "/threads/pinned", Some(&pin)).await;
    assert_eq!((status_code, &pinned["thread"]["metadata"]), (200, &pin["metadata"]));
    let mut watching = Socket::open(&far).await;
    watching.subscribe(1, "old").await;
    watching.frame().await;

    let preview = done(node, &["retention", "preview"]);
    assert!(preview.contains("Threads are kept 30 days, other for ever."), "{preview}");
    assert!(
        preview.contains(
            "default: 2 of more than 30 days, the oldest last changed 2024-02-01T00:00:00.000Z; 1 as old are pinned"
        ),
        "{preview}"
    );
    assert!(preview.contains("2 of 4 threads would go.\nNothing goes"), "{preview}");
    let (ok, said) = operate(node, &[&["retention", "confirm", "0123456789ab"], &WHY[..]].concat());
    assert!(!ok && said.contains("preview it"), "{said}");
    assert_eq!((status(&ada, "old").await, status(&bob, "bobs-old").await), (200, 200));
    done(node, &[&["retention", "confirm", &mark(node)], &WHY[..]].concat());
    until("what is old is gone", async || {
        (status(&ada, "old").await == 404 && status(&bob, "bobs-old").await == 404).then_some(())
    })
    .await;
    until("the other node knows", async || (status(&far, "old").await == 404).then_some(())).await;
    assert_eq!((status(&ada, "pinned").await, status(&ada, "young").await), (200, 200));
    let list = ada.get("/threads").await;
    let listed: Vec<_> = list["threads"].as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    assert!(!listed.contains(&json!("old")) && listed.len() == 2, "{list}");
    let frame = watching.frame().await;
    println!("a reader is told: {frame:?}");
    assert!(done(node, &["retention", "preview"]).contains("0 of 2 threads would go.\nThey go: ada confirmed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_after_somebody_has_looked_and_confirmed() {
    let mut node = Setup::new().more(POLICY).flag("--ops-write").start();
    is_cleared(&node, &node).await;
    done(&node, &[&["retention", "stop"], &WHY[..]].concat());
    let audit = std::fs::read_to_string(node.data().join("ops-audit.jsonl")).expect("an audit");
    assert!(audit.contains("retention_confirm") && audit.contains("retention_stop"), "{audit}");
    let ada = node.api("ada");
    old_thread(&ada, "another").await;
    done(&node, &[&["retention", "confirm", &mark(&node)], &WHY[..]].concat());
    // Another policy, which nobody has confirmed.
    node.restart_as(Setup::new().more("[retention]\ndays = 31\n").flag("--ops-write"));
    let ada = node.api("ada");
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(status(&ada, "another").await, 200);
    assert!(done(&node, &["retention", "preview"]).contains("Nothing goes: confirmed is"));
}
