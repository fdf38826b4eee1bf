//! Peers that are idle, slow, deaf or loud, hundreds of each kind at once: the node's memory stays within bounds and comes
//! back, a good client is answered, and the log says what was refused.
//!
//! `THREADMILL_FULL=1` takes 2,000 of each kind, the deadlines of production and the gates of a quiet machine.

mod peers;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use self::peers::{Kind, Mask, flood};
use crate::api::{Api, text, until};
use crate::auth::{self, token};
use crate::node::Node;

const MIB: u64 = 1 << 20;
/// What a flood may add to the memory of an idle node.
const ADDED: u64 = 200 * MIB;
/// How long after it the memory is back within a fifth of what it was.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// A good client's p99 on a quiet machine.
const P99: Duration = Duration::from_millis(50);
/// Users that the peers act for, so that no user's share hides what a node's limits do.
const MASKS: usize = 8;
/// Good clients that read windows and follow threads before a flood, all at once.
const READERS: usize = 64;
/// How long they follow.
const FOLLOWED: Duration = Duration::from_secs(1);
/// Between two questions of the good client.
const PACE: Duration = Duration::from_millis(10);

struct Size {
    peers: usize,
    /// How long a flood lasts at least.
    hold: Duration,
    /// How long a good client is served before it.
    warm: Duration,
    /// When the last of them is gone.
    gone_within: Duration,
    full: bool,
}

fn size() -> Size {
    let full = std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1");
    if full {
        Size {
            peers: 2_000,
            hold: Duration::from_secs(10),
            warm: Duration::from_secs(10),
            gone_within: Duration::from_secs(200),
            full,
        }
    } else {
        Size {
            peers: 100,
            hold: Duration::from_secs(1),
            warm: Duration::from_millis(200),
            gone_within: Duration::from_secs(60),
            full,
        }
    }
}

/// Small: the deadlines are shorter, so that each kind comes to its end.
fn node(size: &Size) -> Node {
    let limits = "[limits]\nhead_seconds = 2\nidle_seconds = 8\nbody_pause_seconds = 2\nbody_seconds = 4\n\
        write_pause_seconds = 3\nunsent_bytes = 16777216\nbody_bytes = 33554432\nbody_bytes_per_tenant = 25165824\n";
    let setup = if size.full { auth::setup() } else { auth::setup().more(limits) };
    setup.start()
}

fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}

fn user(node: &Node, name: &str) -> Api {
    node.api("whoever").bearing(&token(name, 3_600.0))
}

/// A user and a thread of theirs whose window is as large as windows get.
async fn mask(node: &Node, number: usize) -> Mask {
    let (name, thread) = (format!("mask-{number}"), format!("thread-{number}"));
    let api = user(node, &name);
    api.thread(&thread).await;
    for _ in 0..20 {
        api.post(&format!("/threads/{thread}/messages"), json!({"parts": [text(&"x".repeat(16_000))]})).await;
    }
    Mask { token: token(&name, 3_600.0), thread }
}

/// A client that means well: it writes a little and reads a little, and notes how long each took.
fn good_client(node: &Node) -> JoinHandle<Vec<Duration>> {
    let (api, quits) = (user(node, "good"), node.address().to_owned());
    tokio::spawn(async move {
        let mut took = Vec::new();
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            let begun = Instant::now();
            let said = json!({"parts": [text("hello")]});
            let (status, value) = api.ask(Method::POST, "/threads/good/messages", Some(&said)).await;
            assert_eq!(status, 201, "at {quits}: {value}");
            took.push(begun.elapsed());
            let begun = Instant::now();
            let (status, value) = api.ask(Method::GET, "/threads/good/messages?before=5", None).await;
            assert_eq!(status, 200, "at {quits}: {value}");
            took.push(begun.elapsed());
            if STOP.load(std::sync::atomic::Ordering::Relaxed) {
                return took;
            }
        }
    })
}

static STOP: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

async fn metric(api: &Api, name: &str) -> f64 {
    let request = api.request(Method::GET, "/../metrics");
    let text = request.send().await.expect("an answer").text().await.expect("text");
    let line = text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with([' ', '{']));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Waits for a condition for longer than tests usually do.
async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    while !holds().await {
        assert!(begun.elapsed() < limit, "{what} took longer than {limit:?}");
        looks.tick().await;
    }
    begun.elapsed()
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[(took.len() * 99 / 100).min(took.len() - 1)]
}

/// What a node takes that has served good clients for a while, who read the same windows and follow the same threads as the flood will: its pools are
/// filled and its caches warm. What a flood leaves behind is judged by that, and not by what a process takes that has done
/// nothing yet.
async fn at_rest(node: &Node, masks: &[Mask], size: &Size) -> u64 {
    STOP.store(false, std::sync::atomic::Ordering::Relaxed);
    let good = good_client(node);
    let mut readers = JoinSet::new();
    for mask in masks.iter().cycle().take(READERS).cloned() {
        let api = node.api("whoever").bearing(&mask.token);
        readers.spawn(async move {
            api.get(&format!("/threads/{}/messages", mask.thread)).await;
            let events = format!("/threads/{}/events?before=50", mask.thread);
            let mut events = api.request(Method::GET, &events).send().await.expect("events");
            let comes = async { while events.chunk().await.expect("what comes").is_some() {} };
            let _ = tokio::time::timeout(FOLLOWED, comes).await;
        });
    }
    readers.join_all().await;
    tokio::time::sleep(size.warm).await;
    STOP.store(true, std::sync::atomic::Ordering::Relaxed);
    good.await.expect("the good client was always answered");
    memory(node)
}

/// One kind's flood, from an idle node to an idle node.
async fn endure(node: &Node, kind: Kind, masks: &[Mask], size: &Size) {
    let watch = user(node, "watch");
    let to: SocketAddr = node.address().parse().expect("an address");
    let logged = node.log().len();
    let idle = at_rest(node, masks, size).await;
    STOP.store(false, std::sync::atomic::Ordering::Relaxed);
    let good = good_client(node);
    let mut peers = flood(kind, size.peers, to, masks);
    let (begun, mut peak) = (Instant::now(), idle);
    // A peer that does not read does not see that it was cut; the node knows how many it still has.
    within(size.gone_within, &format!("{kind:?}: letting the last one go"), async || {
        peak = peak.max(memory(node));
        begun.elapsed() >= size.hold && metric(&watch, "threadmill_peers").await <= 8.0
    })
    .await;
    let gone = begun.elapsed();
    STOP.store(true, std::sync::atomic::Ordering::Relaxed);
    let took = good.await.expect("the good client was always answered");
    peers.shutdown().await;
    let (begun, enough) = (Instant::now(), idle.max(idle_floor(size)) / 5 * 6);
    while memory(node) > enough {
        let words = [idle, peak, memory(node)].map(|bytes| format!("{} MiB", bytes / MIB)).join(", ");
        assert!(begun.elapsed() < BACK_WITHIN, "{kind:?}: idle, at most and after {BACK_WITHIN:?}: {words}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let back = begun.elapsed();
    let (answers, p99) = (took.len(), p99(took));
    println!(
        "proof: {} × {kind:?} | +{} MiB at most, gone in {gone:.0?}, back in {back:.0?}; good client p99 {p99:.1?} of {answers}",
        size.peers,
        peak.saturating_sub(idle) / MIB
    );
    assert!(peak <= idle + ADDED, "{kind:?}: {} MiB more than {} MiB", (peak - idle) / MIB, idle / MIB);
    assert!(!size.full || p99 <= P99, "{kind:?}: p99 {p99:?}");
    // A line of the same kind may have been written just before; then the next one is due within five seconds.
    let wanted = kind.refusals();
    let log = until("the log says what was refused", async || {
        let log = node.log()[logged..].to_owned();
        (wanted.is_empty() || wanted.iter().any(|line| log.contains(line))).then_some(log)
    })
    .await;
    assert!(log.lines().count() < 100, "{kind:?}: a flood of peers is a flood of lines: {log}");
}

/// Small machines' noise: below it a fifth is less than what an allocator rounds.
fn idle_floor(size: &Size) -> u64 {
    if size.full { 0 } else { 64 * MIB }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_peers_of_every_kind_are_endured() {
    let size = size();
    let node = node(&size);
    user(&node, "good").thread("good").await;
    let mut masks = Vec::new();
    for number in 0..MASKS {
        masks.push(mask(&node, number).await);
    }
    // A node is idle once it has done everything once.
    let chosen = std::env::var("THREADMILL_HOSTILE").ok();
    for kind in Kind::ALL {
        if chosen.as_ref().is_none_or(|chosen| *chosen == format!("{kind:?}")) {
            endure(&node, kind, &masks, &size).await;
        }
    }
}

/// Where every place is taken, the one that has asked for nothing for longest makes room, and the node still says that it
/// is well.
#[tokio::test(flavor = "multi_thread")]
async fn idle_sockets_do_not_lock_others_out() {
    let words = ["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"].map(str::to_owned);
    let node = auth::setup().under(words).start();
    let to: SocketAddr = node.address().parse().expect("an address");
    let mut idle = Vec::new();
    for _ in 0..400 {
        // Those that were let go for others still count for this side.
        idle.push(tokio::net::TcpStream::connect(to).await.expect("the node accepts"));
    }
    for _ in 0..20 {
        let api = user(&node, "ada");
        let answer = api.request(Method::GET, "/../livez").timeout(Duration::from_secs(10)).send().await;
        assert_eq!(answer.expect("the node says that it is well").status(), 200);
        assert_eq!(api.ask(Method::GET, "/threads", None).await.0, 200);
    }
    until("the log says so", async || node.log().contains("closed to make room").then_some(())).await;
    drop(idle);
}
