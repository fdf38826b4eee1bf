//! Several nodes on one PostgreSQL: real processes, a real database, what is between them cut and killed.

mod budgets;
mod chat;
mod cost;
mod drain;
mod encrypted;
mod faults;
mod hot;
mod metrics;
mod modes;
mod order;
mod outside;
mod pages;
mod position;
mod postgres;
mod presence;
mod retention;
mod rollout;
mod runs;
mod streams;
mod tiers;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use threadmill_mock_provider::Mock;

use crate::api::Api;
use crate::node::{Node, Setup};
use crate::postgres::Database;
use crate::servers as redis;

/// A loss of the hot tier is noticed and made up for within 2 seconds: a gate where the full size runs, on a machine that
/// has nothing else to do. Elsewhere it is printed, and this bounds what takes too long on any machine.
pub(crate) fn switch() -> Duration {
    let full = std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1");
    Duration::from_secs(if full { 2 } else { 12 })
}

/// Providers of these tests.
const PROVIDERS: [(&str, &str); 3] = [
    ("quick", "mock,tokens=80,rate=400,jitter=1"),
    ("slow", "mock,tokens=3000,rate=50"),
    ("steady", "mock,tokens=150,rate=60"),
];

/// Names a Redis or Valkey to a node.
const HOT: &str = "THREADMILL_HOT_URL";

/// Nodes that share a database and a provider.
pub(crate) struct Cluster {
    /// First, so that they end before the database is handed on.
    nodes: Vec<Node>,
    database: Database,
    mock: Arc<Mock>,
    /// What the nodes are told of the hot tier, if there is one.
    hot: Vec<(&'static str, String)>,
}

impl Cluster {
    /// Starts nodes on a database of their own.
    async fn start(count: usize) -> Self {
        Self::start_over(count, None).await
    }

    /// The same with a hot tier.
    pub(crate) async fn start_over(count: usize, hot: Option<String>) -> Self {
        Self::start_on(Database::fresh().await, count, hot).await
    }

    async fn start_on(database: Database, count: usize, hot: Option<String>) -> Self {
        Self::start_told(database, count, hot.map(|url| (HOT, url)).into_iter().collect()).await
    }

    /// The same with a hot tier that is named otherwise.
    async fn start_told(database: Database, count: usize, hot: Vec<(&'static str, String)>) -> Self {
        let mock = Arc::new(Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider"));
        let mut cluster = Self { nodes: Vec::new(), database, mock, hot };
        for _ in 0..count {
            let url = cluster.database.url();
            cluster.join(&url);
        }
        cluster
    }

    /// Starts one more, which reaches the database by this URL.
    fn join(&mut self, url: &str) {
        let setup = self.setup(url);
        self.nodes.push(setup.start());
    }

    /// Starts one more that is otherwise set up.
    fn join_with(&mut self, change: impl FnOnce(Setup) -> Setup) {
        let setup = change(self.setup(&self.database.url()));
        self.nodes.push(setup.start());
    }

    fn setup(&self, url: &str) -> Setup {
        let setup = Setup::new().providers(&self.mock.base_url(), &PROVIDERS);
        let setup = self.hot.iter().fold(setup, |setup, (name, value)| setup.environment(name, value));
        setup.environment("THREADMILL_STORE_URL", url)
    }

    /// A node's process.
    pub(crate) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// A user at a node.
    pub(crate) fn api(&self, node: usize) -> Api {
        self.nodes[node].api("ada")
    }

    /// What a node says of its readiness.
    pub(crate) async fn readyz(&self, node: usize) -> (u16, Value) {
        threadmill_engine::providers::openai::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}/readyz", self.nodes[node].address());
        let response = client.get(url).send().await.expect("the node answers");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// A user at every node.
    fn apis(&self) -> Vec<Api> {
        (0..self.nodes.len()).map(|node| self.api(node)).collect()
    }
}
