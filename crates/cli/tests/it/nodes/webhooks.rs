//! Webhooks of several nodes: one sends what any of them queues, and when it is killed another does, within 30 s.

use std::time::{Duration, Instant};

use super::Cluster;
use crate::webhooks::{Receiver, done};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_queues_another_delivers_and_a_killed_senders_work_is_taken_over() {
    let receiver = Receiver::start(&[]).await;
    let mut cluster = Cluster::start(0).await;
    cluster.join_with(|setup| receiver.told(setup));
    done(cluster.node(0), &["webhooks", "test", "pager"]);
    receiver.until(1).await;
    cluster.join_with(|setup| receiver.told(setup));
    done(cluster.node(1), &["webhooks", "test", "pager"]);
    receiver.until(2).await;
    cluster.nodes[0].kill();
    let began = Instant::now();
    done(cluster.node(1), &["rollout", "start", "new-list", "--stages", "off:1h", "--who", "ada", "--why", "a trial"]);
    // What was delivered as its sender died may come once more, under its id.
    let mut wanted = 3;
    let got = loop {
        let got = receiver.until(wanted).await;
        if got.iter().any(|(_, event)| event["type"] == "rollout.moved") {
            break got;
        }
        wanted = got.len() + 1;
    };
    println!("proof: webhooks of a killed sender taken over | {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
    let mut ids: Vec<_> = got.iter().map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{got:?}");
}
