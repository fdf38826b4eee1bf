//! Retention on PostgreSQL: one node deletes, and the readers of another hear of it.

use super::Cluster;
use crate::retention::{POLICY, is_cleared};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_at_all_nodes() {
    let mut cluster = Cluster::start(0).await;
    for _ in 0..2 {
        cluster.join_with(|setup| setup.more(POLICY).flag("--ops-write"));
    }
    is_cleared(cluster.node(0), cluster.node(1)).await;
}
