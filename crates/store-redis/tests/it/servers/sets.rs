//! Servers that belong together: a cluster, and a primary that sentinels watch.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Redis, free_port};

/// Until servers have found each other.
const PATIENCE: Duration = Duration::from_secs(30);

fn redis_cli(args: &[&str]) -> String {
    let done = Command::new("redis-cli").args(args).output().expect("redis-cli");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{args:?}: {said}");
    said
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

impl Redis {
    /// What it says to a command, as text.
    fn says(&self, words: &[&str]) -> String {
        redis_cli(&[&["-p", &self.port().to_string()], words].concat())
    }
}

/// A cluster of three.
pub(crate) struct Cluster(pub(crate) Vec<Redis>);

impl Cluster {
    pub(crate) fn start(binary: &str) -> Self {
        Self::with(binary, &[])
    }

    /// One whose servers have more settings.
    pub(crate) fn with(binary: &str, more: &[&str]) -> Self {
        let cluster = Self((0..3).map(|_| Self::server(binary, more)).collect());
        let hosts: Vec<String> = cluster.0.iter().map(Redis::host).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        redis_cli(&[&["--cluster", "create"], &hosts[..], &["--cluster-replicas", "0", "--cluster-yes"]].concat());
        until("every server knows all slots", || cluster.is_in_order());
        cluster
    }

    fn server(binary: &str, more: &[&str]) -> Redis {
        Redis::of(binary, &[&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"], more].concat())
    }

    fn is_in_order(&self) -> bool {
        self.0.iter().all(|server| server.says(&["cluster", "info"]).contains("cluster_state:ok"))
    }

    /// Adds a replica of one of the three, and waits until it is in step and the others know of it.
    pub(crate) fn add_replica(&self, binary: &str, more: &[&str], of: usize) -> Redis {
        let replica = Self::server(binary, more);
        let id = self.0[of].says(&["cluster", "myid"]);
        let (new, there) = (replica.host(), self.0[of].host());
        redis_cli(&["--cluster", "add-node", &new, &there, "--cluster-slave", "--cluster-master-id", id.trim()]);
        let name = format!("{new}@");
        let known = |server: &Redis| {
            let nodes = server.says(&["cluster", "nodes"]);
            nodes.lines().any(|line| line.contains(&name) && line.contains("slave") && !line.contains("handshake"))
        };
        until("the replica is known and in step", || {
            self.0.iter().all(known) && replica.says(&["info", "replication"]).contains("master_link_status:up")
        });
        replica
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.iter().map(Redis::url).collect()
    }

    /// How the nodes' settings name it, with what goes before the first `@`.
    pub(crate) fn url(&self, credentials: &str) -> String {
        let hosts: Vec<_> = self.0.iter().map(Redis::host).collect();
        format!("redis+cluster://{credentials}{}", hosts.join(","))
    }
}

/// A primary, its replica, and three sentinels that call it `tm`. Two must agree that it is gone.
pub(crate) struct Watched {
    pub(crate) primary: Redis,
    pub(crate) replica: Redis,
    pub(crate) sentinels: Vec<Redis>,
}

impl Watched {
    /// Starts them, and waits until all know each other and the replica is in step.
    pub(crate) fn start() -> Self {
        let primary = Redis::start();
        let replica = Redis::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
        let sentinels = (0..3).map(|_| sentinel(primary.port())).collect();
        let watched = Self { primary, replica, sentinels };
        until("the sentinels have met", || watched.sentinels.iter().all(has_met));
        until("the replica is in step", || {
            watched.replica.says(&["info", "replication"]).contains("master_link_status:up")
        });
        watched
    }

    /// How the nodes' settings name it.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(Redis::host).collect();
        format!("redis+sentinel://{}/tm", hosts.join(","))
    }
}

fn sentinel(primary: u16) -> Redis {
    let port = free_port();
    let settings = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor tm 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds tm 500\nsentinel failover-timeout tm 3000\n"
    );
    Redis::with_file("redis-server", port, &settings, &["--sentinel"])
}

/// Whether a sentinel knows the other two and the replica.
fn has_met(sentinel: &Redis) -> bool {
    let said = sentinel.says(&["sentinel", "master", "tm"]);
    let words: Vec<_> = said.lines().collect();
    let value = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    value("num-other-sentinels") == Some("2") && value("num-slaves") == Some("1")
}
