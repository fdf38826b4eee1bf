//! What many nodes cost, measured on release builds by `scripts/prove.sh`: how much the hot tier saves, what it is asked
//! for that, and what crosses between nodes without it. Numbers are printed; little of them is a gate.

mod crossing;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Cluster;
use super::redis::Redis;
use crate::api::{Api, text};

/// Processor seconds of the nodes so far.
fn processor(cluster: &Cluster) -> f64 {
    let of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        // The 14th and 15th of all, in hundredths of a second; the first two were cut off.
        fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number") / 100.0).sum::<f64>()
    };
    cluster.nodes.iter().map(|node| of(node.pid())).sum()
}

/// What nodes send a Redis for windows, and for the word of what changes.
const SENT: [&str; 5] = ["evalsha", "getex", "set", "publish", "spublish"];

/// Commands that nodes have sent a Redis so far.
fn operations(redis: Option<&Redis>) -> f64 {
    let Some(redis) = redis else { return 0.0 };
    let url = redis.url();
    let port = url.rsplit(':').next().expect("a port").to_owned();
    let info = Command::new("redis-cli").args(["-p", &port, "info", "commandstats"]).output().expect("redis-cli");
    let lines = String::from_utf8_lossy(&info.stdout).into_owned();
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        SENT.contains(&name).then(|| rest.split(',').next()?.parse::<f64>().ok())?
    };
    lines.lines().filter_map(calls).sum()
}

/// What all nodes have counted of something.
async fn counted(cluster: &Cluster, name: &str) -> f64 {
    let mut sum = 0.0;
    for node in 0..cluster.nodes.len() {
        sum += cluster.readyz(node).await.1["hot"][name].as_f64().unwrap_or_default();
    }
    sum
}

fn quantile(sorted: &[Duration], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[at].as_secs_f64() * 1e3
}

const THREADS: usize = 10_000;
const OPENS: usize = 40_000;
const READERS: usize = 16;

/// A small generator, so that every run does the same.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }

    /// A rank by Zipf's law with exponent 1, from its sums.
    fn rank(&mut self, sums: &[f64]) -> usize {
        let at = self.next() * sums.last().expect("threads");
        sums.partition_point(|sum| *sum < at).min(sums.len() - 1)
    }
}

fn zipf() -> Vec<f64> {
    let weight = |rank: u32| 1.0 / f64::from(rank);
    (1..=u32::try_from(THREADS).expect("few"))
        .scan(0.0, |sum, rank| {
            Some({
                *sum += weight(rank);
                *sum
            })
        })
        .collect()
}

/// Every tenth thread is long enough to be scrolled.
fn length(thread: usize) -> usize {
    if thread.is_multiple_of(10) { 140 } else { 20 }
}

async fn fill(api: &Api, thread: usize) {
    let id = format!("z{thread}");
    api.post("/import/threads", json!({"id": id, "title": id})).await;
    let branch = json!({"branch": {"id": "main", "parent": null, "forkDepth": 0}});
    let message = |depth: usize| {
        let words = format!("{depth} {}", "some words of a message ".repeat(12));
        json!({"message": {"id": format!("{id}-{depth}"), "role": if depth.is_multiple_of(2) { "user" } else { "assistant" },
            "parts": [text(&words)], "status": "complete", "branch": "main", "depth": depth, "rev": 1,
            "createdAt": "2026-01-01T00:00:00.000Z"}})
    };
    let rows: Vec<Value> = std::iter::once(branch).chain((0..length(thread)).map(message)).collect();
    api.post(&format!("/import/threads/{id}/rows"), json!({"rows": rows})).await;
    api.post(&format!("/import/threads/{id}/finish"), json!({})).await;
}

/// Opens threads for a while; gives how long each window took.
async fn read(apis: Vec<Api>, opens: usize, seed: u64, sums: Arc<Vec<f64>>) -> Vec<Duration> {
    let (mut chance, mut took, mut again) = (Chance(seed), Vec::new(), Vec::new());
    for open in 0..opens {
        let api = &apis[open % apis.len()];
        let thread = match again.pop() {
            Some(thread) if chance.next() < 0.5 => thread,
            other => {
                again.extend(other);
                chance.rank(&sums)
            }
        };
        if chance.next() < 0.3 {
            again.push(thread);
        }
        let mut window = async |anchor: String| {
            let began = Instant::now();
            let window = api.get(&format!("/threads/z{thread}/messages?{anchor}")).await;
            took.push(began.elapsed());
            window
        };
        let mut page = window("anchor=tip&before=50".into()).await;
        if chance.next() < 0.1 {
            for _ in 0..3 {
                let first = page["firstDepth"].as_u64().expect("a depth");
                if first == 0 {
                    break;
                }
                page = window(format!("anchor=depth:{first}&before=25")).await;
            }
        }
        if chance.next() < 0.05 {
            api.post(&format!("/threads/z{thread}/messages"), json!({"parts": [text("one more")]})).await;
        }
    }
    took
}

async fn library(redis: Option<Redis>) {
    let cluster = Cluster::start_over(3, redis.as_ref().map(Redis::url)).await;
    let api = cluster.api(0);
    let next = Arc::new(AtomicU64::new(0));
    let fillers = (0..READERS).map(|_| {
        let (api, next) = (api.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            while let thread @ 0..THREADS = usize::try_from(next.fetch_add(1, Relaxed)).expect("few") {
                fill(&api, thread).await;
            }
        })
    });
    for filler in fillers.collect::<Vec<_>>() {
        filler.await.expect("a filler");
    }
    // Cold, and then as it goes on.
    open(&cluster, redis.as_ref(), "cold").await;
    let rate = open(&cluster, redis.as_ref(), "warm").await;
    assert!(redis.is_none() || rate > 0.8, "hit rate {rate}");
}

/// Opens threads from many clients and tells what that took; gives the hit rate.
async fn open(cluster: &Cluster, redis: Option<&Redis>, state: &str) -> f64 {
    let calls = operations(redis);
    let (hits, misses) = (counted(cluster, "pageHits").await, counted(cluster, "pageMisses").await);
    let (apis, sums, busy, began) = (cluster.apis(), Arc::new(zipf()), processor(cluster), Instant::now());
    let seed = hits + misses;
    let readers = (0..READERS).map(|reader| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number will do")]
        let seed = 1 + reader as u64 + 1_000 * seed as u64;
        tokio::spawn(read(apis.clone(), OPENS / READERS, seed, Arc::clone(&sums)))
    });
    let mut took = Vec::new();
    for reader in readers.collect::<Vec<_>>() {
        took.extend(reader.await.expect("a reader"));
    }
    let (seconds, busy) = (began.elapsed().as_secs_f64(), processor(cluster) - busy);
    took.sort();
    #[expect(clippy::cast_precision_loss, reason = "ratios")]
    let windows = took.len() as f64;
    let calls = operations(redis) - calls;
    let hits = counted(cluster, "pageHits").await - hits;
    let misses = counted(cluster, "pageMisses").await - misses;
    let rate = hits / f64::max(hits + misses, 1.0);
    println!(
        "proof: library by Zipf, {state}, {} a hot tier | {windows} windows at {:.0}/s, p50 {:.2} ms, p99 {:.2} ms; {:.2} ms of processor \
        and {:.2} calls of Redis a window; hit rate {:.1} %",
        if redis.is_some() { "with" } else { "without" },
        windows / seconds,
        quantile(&took, 0.5),
        quantile(&took, 0.99),
        busy / windows * 1e3,
        calls / windows,
        rate * 100.0
    );
    rate
}

#[ignore = "minutes, and its numbers are those of a release build: scripts/prove.sh runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_is_read_as_people_do() {
    library(None).await;
    library(Some(Redis::start())).await;
}
