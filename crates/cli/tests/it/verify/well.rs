//! Where all is well nothing is complained of, several times in a row, while others work; and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::verify;
use crate::api::{Api, text};
use crate::node::{Node, Setup};
use crate::nodes::Cluster;
use crate::servers::Redis;

/// How often, unless `make prove` says a hundred.
fn times(few: usize) -> usize {
    std::env::var("THREADMILL_VERIFY_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(few)
}

/// What is asked, with time for a machine that runs sixty tests at once: how long things take is measured where
/// `make prove` runs alone.
fn asked<'a>(own: &[&'a str]) -> Vec<&'a str> {
    const PATIENT: [&str; 12] = [
        "--max-load-ms",
        "20000",
        "--max-switch-ms",
        "20000",
        "--max-frame-ms",
        "5000",
        "--max-scroll-ms",
        "20000",
        "--max-stop-ms",
        "20000",
        "--max-lag-ms",
        "20000",
    ];
    let alone = std::env::var_os("THREADMILL_VERIFY_TIMES").is_some();
    own.iter().copied().chain(PATIENT.into_iter().filter(|_| !alone)).collect()
}

/// Work beside what is checked: appends and reads until it is told to stop.
async fn busy(api: Api, thread: &str, over: Arc<AtomicBool>) {
    api.thread(thread).await;
    while !over.load(Ordering::Relaxed) {
        api.post(&format!("/threads/{thread}/messages"), json!({"parts": [text("beside")]})).await;
        api.get(&format!("/threads/{thread}/messages")).await;
    }
}

fn url(node: &Node) -> String {
    format!("http://{}", node.address())
}

async fn beside<T>(apis: Vec<Api>, work: impl Future<Output = T>) -> T {
    let over = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = apis
        .into_iter()
        .enumerate()
        .map(|(n, api)| {
            let over = Arc::clone(&over);
            tokio::spawn(async move { busy(api, &format!("beside-{n}"), over).await })
        })
        .collect();
    let done = work.await;
    over.store(true, Ordering::Relaxed);
    for other in others {
        other.await.expect("it works");
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_node_is_well() {
    let node = Setup::new().start();
    let url = url(&node);
    beside(vec![node.api("ann"), node.api("bob")], async {
        for n in 0..times(2) {
            let found = verify(&[&url], &asked(&["--deep", "--library", "ann"]), &[]).await;
            found.is_well();
            for id in [
                "viewport-first",
                "viewport-page",
                "stream",
                "stream-order",
                "stream-resume",
                "stop",
                "lock-exclusive",
                "library",
            ] {
                assert_eq!(found.outcome(id), "passed", "{id}, time {n}: {found:?}");
            }
            for id in ["cross-node", "hot-tier", "page-renders"] {
                assert_eq!(found.outcome(id), "skipped", "{id}");
            }
        }
    })
    .await;
    let left = node.api("threadmill-verify").get("/threads").await;
    assert_eq!(left["threads"], json!([]), "something was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_are_well_and_a_lost_hot_tier_is_named() {
    let mut redis = Redis::start();
    let cluster = Cluster::start_over(3, Some(redis.url())).await;
    let urls: Vec<_> = (0..3).map(|node| url(cluster.node(node))).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let provider = asked(&["--provider", "steady"]);
    beside(vec![cluster.api(0), cluster.api(1)], async {
        for n in 0..times(1) {
            let found = verify(&urls, &provider, &[]).await;
            // Whoever reads what was written a moment ago finds it nowhere else yet, and these do nothing else.
            found.is_well_but(&["hot-hit-rate"]);
            for id in ["cross-node", "hot-tier", "two-readers", "lock-exclusive", "stop", "read-your-writes"] {
                assert_eq!(found.outcome(id), "passed", "{id}, time {n}: {found:?}");
            }
        }
    })
    .await;
    redis.kill();
    crate::api::until("the nodes notice", async || (cluster.readyz(2).await.1["mode"] == "degraded").then_some(()))
        .await;
    let found = verify(&urls, &["--only", "degraded,read-your-writes"], &[]).await;
    assert_eq!(
        (found.outcome("degraded"), found.outcome("read-your-writes"), found.code),
        ("failed", "passed", 1),
        "{found:?}"
    );
}
