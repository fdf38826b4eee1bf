//! Locks: one holder at a time over all nodes, tokens that only grow, and writes that a stale token does not pass.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use serde_json::{Value, json};
use threadmill_client::{Error, Http, Method, mint};
use threadmill_proto::ErrorCode;

use super::node::Node;
use super::scene::{Scene, text};
use crate::checks::Verdict;

type Found = anyhow::Result<Verdict>;

const CONTENDERS: usize = 20;
/// A lock's row stays for good, so there are so many of them, whatever runs at once.
const NAMES: u32 = 64;
/// How long a holder that is gone keeps a lock.
const TTL: u64 = 1_500;

/// A lock that nobody else is likely to use now.
struct Lock {
    path: String,
    name: String,
}

impl Lock {
    fn any() -> Self {
        // The end of a fresh id is chance.
        let chance =
            mint().bytes().rev().take(8).fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let name = format!("threadmill-verify-{}", chance % NAMES);
        Self { path: format!("/locks/{name}"), name }
    }

    /// The token, if it was granted.
    async fn take(&self, http: &Http, ttl: u64, wait: u64) -> anyhow::Result<Option<u64>> {
        match http.call(Method::POST, &self.path, Some(json!({"ttl": ttl, "wait": wait}))).await {
            Ok(answer) => Ok(Some(answer["lock"]["token"].as_u64().context("a grant without a token")?)),
            Err(Error::Problem(problem)) if problem.code == ErrorCode::LockHeld => Ok(None),
            Err(error) => Err(error).context("a lock cannot be asked for"),
        }
    }

    async fn give_back(&self, http: &Http, token: u64) -> anyhow::Result<()> {
        http.call(Method::DELETE, &self.path, Some(json!({"token": token})))
            .await
            .context("a lock cannot be given back")?;
        Ok(())
    }

    /// Another run may hold it: it is waited for.
    async fn taken(&self, node: &Node, ttl: u64) -> anyhow::Result<u64> {
        self.take(&node.http, ttl, 15_000).await?.context("a lock is held by somebody else, and for longer than 15 s")
    }
}

pub(super) async fn exclusive(scene: &Scene) -> Found {
    let lock = Lock::any();
    // Nobody's, as far as it goes: taken and given back.
    let token = lock.taken(scene.first(), 10_000).await?;
    lock.give_back(&scene.first().http, token).await?;
    let wishes = (0..CONTENDERS).map(|n| {
        let (node, lock) = (&scene.nodes[n % scene.nodes.len()], &lock);
        async move { (n, lock.take(&node.http, 10_000, 0).await) }
    });
    let answers = join_all(wishes).await;
    let mut granted = Vec::new();
    for (n, answer) in answers {
        granted.extend(answer?.map(|token| (n, token)));
    }
    for (n, token) in &granted {
        let http = &scene.nodes[n % scene.nodes.len()].http;
        // Of several, all but one are stale by now: that is told below.
        let _ = lock.give_back(http, *token).await;
    }
    let saw = format!("{} of {CONTENDERS} who asked at once were granted the lock", granted.len());
    Ok(if granted.len() == 1 { Verdict::passed(saw) } else { Verdict::failed(saw) })
}

pub(super) async fn tokens(scene: &Scene) -> Found {
    let (lock, mut last) = (Lock::any(), 0);
    for n in 0..6 {
        let node = &scene.nodes[n % scene.nodes.len()];
        let token = lock.taken(node, 5_000).await?;
        lock.give_back(&node.http, token).await?;
        if token <= last {
            return Ok(Verdict::failed(format!("token {token} was granted after {last}")));
        }
        last = token;
    }
    Ok(Verdict::passed("six grants, each with a greater token"))
}

async fn say(node: &Node, thread: &str, lock: &Lock, token: u64) -> anyhow::Result<bool> {
    let (fence, body) = (format!("{}:{token}", lock.name), json!({"parts": [text("under a lock")]}).to_string());
    let path = format!("/threads/{thread}/messages");
    match node.http.call_under(&fence, Method::POST, &path, Some(body)).await {
        Ok(_) => Ok(true),
        Err(Error::Problem(problem)) if problem.code == ErrorCode::Fenced => Ok(false),
        Err(error) => Err(error).context("a write under a lock"),
    }
}

pub(super) async fn fence(scene: &Scene) -> Found {
    let (lock, thread) = (Lock::any(), scene.thread().await?);
    let stale = lock.taken(scene.first(), 5_000).await?;
    lock.give_back(&scene.first().http, stale).await?;
    let newer = lock.taken(scene.other(), 5_000).await?;
    let passed = say(scene.first(), thread.as_str(), &lock, newer).await?;
    let slipped = say(scene.other(), thread.as_str(), &lock, stale).await?;
    lock.give_back(&scene.other().http, newer).await?;
    ensure!(passed, "the holder's own write was refused");
    Ok(if slipped {
        Verdict::failed("a write with a stale token was taken: two workers can undo each other's work")
    } else {
        Verdict::passed("the newest token writes, a stale one is refused")
    })
}

/// A holder that is gone lets the next one in when its time is over, and not before.
pub(super) async fn expiry(scene: &Scene) -> Found {
    let (lock, began) = (Lock::any(), Instant::now());
    let first = lock.taken(scene.first(), TTL).await?;
    let early = lock.take(&scene.other().http, TTL, 0).await?;
    let over = began.elapsed() >= Duration::from_millis(TTL);
    if let Some(token) = early.filter(|_| !over) {
        lock.give_back(&scene.other().http, token).await?;
        return Ok(Verdict::failed("a lock that was granted for 1.5 s was granted to somebody else at once"));
    }
    let next = match early {
        // It was not asked for in time.
        Some(token) => Some(token),
        None => lock.take(&scene.other().http, TTL, 10_000).await?,
    };
    let next = next.context("a lock that was granted for 1.5 s is still held after ten")?;
    lock.give_back(&scene.other().http, next).await?;
    ensure!(next > first, "token {next} was granted after {first}");
    Ok(Verdict::passed("a lock that nobody gives back passes on when its time is over"))
}

/// How many went without, as the nodes counted.
pub(super) async fn failures(scene: &Scene) -> Found {
    const LEAST: u64 = 500;
    let (mut said, mut high) = (Vec::new(), false);
    for node in &scene.nodes {
        let stats: Value = node.http.call(Method::GET, "/locks", None).await?;
        let waits =
            ["granted", "expired", "again", "timedOut"].iter().filter_map(|name| stats[*name].as_u64()).sum::<u64>();
        let (rate, most) =
            (stats["failureRate"].as_f64().unwrap_or_default(), stats["threshold"].as_f64().unwrap_or(0.05));
        high |= waits >= LEAST && rate > most;
        said.push(format!("{:.1} % of {waits} at {}", rate * 100.0, node.name()));
    }
    let saw = format!("went without a lock: {}", said.join(", "));
    Ok(if high { Verdict::warned(saw) } else { Verdict::passed(saw) })
}
