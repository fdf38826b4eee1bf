//! A writer outside that changes nodes, loses one in the middle, and is stopped at another.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Cluster;
use crate::api::{text_of, until};
use crate::chat::client::{Stream, resume, stop};
use crate::outside::{Outside, answered, delta, finish};

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_what_is_written_and_each_line_once() {
    let mut cluster = Cluster::start(3).await;
    let apis = [cluster.api(0), cluster.api(1), cluster.api(2)];
    apis[0].thread("t").await;
    let outside = Outside::begin(&apis[0], "t").await;
    let reader = Stream::of(resume(&apis[2], "t").await);
    let lines: Vec<_> = (0..60).map(|n| delta(&format!("{n} "))).collect();
    for at in (0..40_u64).step_by(5) {
        // Each is sent to two nodes at once: one of them finds it taken.
        let (one, two) = (outside.at(&apis[(at / 5 % 3) as usize]), outside.at(&apis[(at / 5 % 2) as usize]));
        let part = &lines[at as usize..at as usize + 5];
        let (one, two) = tokio::join!(one.lines(at, part), two.lines(at, part));
        assert_eq!((one.status().as_u16(), two.status().as_u16()), (200, 200), "from {at}");
    }
    // The node that began it is gone: the run is not its own.
    cluster.nodes[0].kill();
    let rest = outside.at(&apis[1]);
    for at in (38..60_u64).step_by(2) {
        let (status, taken) = answered(rest.lines(at, &lines[at as usize..at as usize + 2]).await).await;
        assert_eq!((status, &taken["seq"]), (200, &json!((at + 1).max(39))));
    }
    let (_, end) = answered(rest.lines(60, &[finish()]).await).await;
    assert_eq!(end["run"]["outcome"], "complete");
    let want: String = (0..60).map(|n| format!("{n} ")).collect();
    assert_eq!(reader.end().await.text, want);
    assert_eq!(text_of(&apis[2].message("t", &outside.message).await), want);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_another_node_refuses_the_next_append() {
    let cluster = Cluster::start(2).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    a.thread("t").await;
    let outside = Outside::begin(&a, "t").await;
    assert_eq!(outside.lines(0, &[delta("x")]).await.status(), 200);
    let asked = Instant::now();
    assert_eq!(stop(&b, "t", json!({})).await["stopped"], true);
    assert_eq!(outside.lines(1, &[delta("y")]).await.status(), 409);
    assert!(asked.elapsed() < Duration::from_secs(1), "it took {:?}", asked.elapsed());
    until("it ends", async || (a.ended(&outside.run).await["outcome"] == "stopped").then_some(())).await;
}
