//! Tokens of one node read at another: how many cross, how late, and what that costs both nodes and the hot tier.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use threadmill_proto::ServerFrame;

use super::{Cluster, counted, processor, quantile};
use crate::api::Api;
use crate::nodes::redis::Redis;
use crate::socket::{Came, Socket};

const RUNS: usize = 120;
const SECONDS: u64 = 10;
/// Runs that are read at their own node, too.
const BOTH: usize = 8;
/// How long the hot tier's commands are listened to, which slows it down.
const SAMPLE: &str = "2";

/// When a token came: its thread and its offset.
type Times = HashMap<(usize, u64), Instant>;

/// Follows a thread and notes when each token of it comes.
async fn follow(api: Api, thread: usize, times: Arc<Mutex<Times>>) {
    let mut socket = Socket::open(&api).await;
    socket.subscribe(1, &format!("x{thread}")).await;
    while let Came::Frame(frame) = socket.next(Duration::from_secs(20)).await {
        if let ServerFrame::Chunks { from, to, .. } = *frame {
            let now = Instant::now();
            times.lock().expect("a lock").extend((from..to).map(|at| ((thread, at), now)));
        }
    }
}

/// Commands that were sent to a Redis while it was listened to, without those that its scripts made.
async fn sampled(redis: &Redis) -> usize {
    let port = redis.port().to_string();
    let listen = move || Command::new("timeout").args([SAMPLE, "redis-cli", "-p", &port, "monitor"]).output();
    let heard = tokio::task::spawn_blocking(listen).await.expect("a task").expect("redis-cli");
    String::from_utf8_lossy(&heard.stdout).lines().filter(|line| line.contains('"') && !line.contains(" lua]")).count()
}

/// Seconds of processor that a Redis has taken so far.
async fn busy(redis: Option<&Redis>) -> f64 {
    let Some(redis) = redis else { return 0.0 };
    let info: String = redis.run_command(&["INFO", "cpu"]).await;
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().parse::<f64>().expect("seconds")
    };
    of("used_cpu_user:") + of("used_cpu_sys:")
}

#[expect(clippy::cast_precision_loss, reason = "ratios")]
async fn crossing(redis: Option<Redis>) {
    let cluster = Cluster::start_over(2, redis.as_ref().map(Redis::url)).await;
    let (a, b) = (cluster.api(0), cluster.api(1));
    let (here, there) = (Arc::<Mutex<Times>>::default(), Arc::<Mutex<Times>>::default());
    for run in 0..RUNS {
        a.thread(&format!("x{run}")).await;
        tokio::spawn(follow(b.clone(), run, Arc::clone(&there)));
        if run < BOTH {
            tokio::spawn(follow(a.clone(), run, Arc::clone(&here)));
        }
    }
    for run in 0..RUNS {
        a.run(&format!("x{run}"), "tell me", "slow").await;
    }
    let arrived = || there.lock().expect("a lock").len();
    let (before, processor_before, redis_before) = (arrived(), processor(&cluster), busy(redis.as_ref()).await);
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let count = (arrived() - before) as f64;
    let nodes = processor(&cluster) - processor_before;
    let hot = busy(redis.as_ref()).await - redis_before;
    let rate = count / SECONDS as f64;
    let mut late: Vec<Duration> = {
        let (here, there) = (here.lock().expect("a lock"), there.lock().expect("a lock"));
        here.iter().filter_map(|(token, at)| Some(there.get(token)?.saturating_duration_since(*at))).collect()
    };
    late.sort_unstable();
    println!(
        "proof: crossing between nodes, {} a hot tier | {rate:.0} tokens/s of {RUNS} runs at the other node, {:.1} µs of both nodes' processor \
        and {:.1} µs of Redis's a token; later than at their own node by p50 {:.1} ms, p99 {:.1} ms",
        if redis.is_some() { "with" } else { "without" },
        nodes / count * 1e6,
        hot / count * 1e6,
        quantile(&late, 0.5),
        quantile(&late, 0.99),
    );
    if let Some(redis) = &redis {
        let before = arrived();
        let commands = sampled(redis).await;
        let (hits, fallbacks) = (counted(&cluster, "hits").await, counted(&cluster, "fallbacks").await);
        println!(
            "proof: crossing, what Redis is asked | {:.3} commands a token; {fallbacks} of {} readings fell back, {:.2} %",
            commands as f64 / (arrived() - before) as f64,
            hits + fallbacks,
            fallbacks / (hits + fallbacks) * 100.0
        );
        assert!(fallbacks < (hits + fallbacks) / 100.0, "{fallbacks} fallbacks");
    }
    assert!(rate >= 5_000.0, "{rate} tokens/s");
}

#[ignore = "its numbers are those of a release build: scripts/prove.sh runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cross_between_nodes() {
    crossing(None).await;
    crossing(Some(Redis::start())).await;
}
