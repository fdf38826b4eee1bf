//! What `--deep` adds: the caller's whole library compared with itself and between nodes, many readers at once, and a reader
//! that is watched while nodes are restarted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;
use threadmill_client::{Events, Method};
use threadmill_proto::ThreadId;

use super::node::Node;
use super::scene::Scene;
use crate::checks::{NotDone, Verdict};

type Found = anyhow::Result<Verdict>;

/// Threads of a library that are walked: more would be a load of its own.
const THREADS: usize = 1_000;
/// How often a thread is looked at that is being written to.
const TRIES: usize = 3;
const READERS: usize = 24;
const WRITES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two writes while a restart is watched, and two tries of one that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A thread's rows as an export has them: their digest, and each message's revision and depth.
struct Exported {
    digest: blake3::Hash,
    messages: BTreeMap<String, (u64, u64)>,
}

async fn exported(node: &Node, thread: &str) -> anyhow::Result<Exported> {
    let (mut from, mut digest, mut messages) = ("0".to_owned(), blake3::Hasher::new(), BTreeMap::new());
    loop {
        let page = node.http.call(Method::GET, &format!("/threads/{thread}/export?from={from}"), None).await?;
        for row in page["rows"].as_array().context("an export without rows")? {
            digest.update(row.to_string().as_bytes());
            let message = &row["message"];
            if let (Some(id), Some(rev), Some(depth)) =
                (message["id"].as_str(), message["rev"].as_u64(), message["depth"].as_u64())
            {
                messages.insert(id.to_owned(), (rev, depth));
            }
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut from),
            None => return Ok(Exported { digest: digest.finalize(), messages }),
        }
    }
}

/// Reads the default branch window by window, and holds each message to the export. Returns how many there were.
async fn windows(node: &Node, thread: &str, exported: &Exported) -> anyhow::Result<usize> {
    let (mut depth, mut read) = (0, 0);
    loop {
        let path = format!("/threads/{thread}/messages?anchor=depth:{depth}&before=0&after=200");
        let page = node.http.call(Method::GET, &path, None).await?;
        for message in page["messages"].as_array().context("a window without messages")? {
            let id = message["id"].as_str().unwrap_or_default();
            let here = (message["rev"].as_u64(), message["depth"].as_u64());
            let there = exported.messages.get(id).map(|(rev, depth)| (Some(*rev), Some(*depth)));
            // A tombstone at which the thread forks has no row of its own worth comparing.
            if message["status"] != "removed" && there != Some(here) {
                bail!("message {id} of thread {thread} stands otherwise in a window than in the export");
            }
            read += 1;
        }
        let next = page["nextDepth"].as_u64().context("a window without its end")?;
        if page["hasNewer"] != true {
            return Ok(read);
        }
        ensure!(next > depth, "a window of thread {thread} ends where it began");
        depth = next;
    }
}

async fn one(nodes: &[Node], thread: &str) -> anyhow::Result<usize> {
    let first = exported(&nodes[0], thread).await?;
    for node in &nodes[1..] {
        let there = exported(node, thread).await?;
        ensure!(
            there.digest == first.digest,
            "thread {thread} differs between {} and {}",
            nodes[0].name(),
            node.name()
        );
    }
    windows(&nodes[nodes.len() - 1], thread, &first).await
}

pub(super) async fn library(scene: &Scene) -> Found {
    let (nodes, mut page, mut threads) = (&scene.library, None::<String>, Vec::new());
    loop {
        let after = page.map(|page| format!("&page={page}")).unwrap_or_default();
        let list = nodes[0].http.call(Method::GET, &format!("/threads?limit=200{after}"), None).await?;
        let ids = list["threads"].as_array().into_iter().flatten().filter_map(|thread| thread["id"].as_str());
        threads.extend(ids.map(str::to_owned));
        page = list["nextPage"].as_str().map(str::to_owned);
        if page.is_none() || threads.len() >= THREADS {
            break;
        }
    }
    let more = page.is_some() || threads.len() > THREADS;
    threads.truncate(THREADS);
    let (mut messages, mut moving) = (0, 0);
    for thread in &threads {
        match settled(nodes, thread).await? {
            Some(read) => messages += read,
            None => moving += 1,
        }
    }
    let rest = if more { "; there are more, which were not looked at" } else { "" };
    let busy = if moving > 0 { format!("; {moving} were written to all the while") } else { String::new() };
    let all = threads.len();
    Ok(Verdict::passed(format!(
        "{all} threads with {messages} messages are the same in windows, exports and nodes{busy}{rest}"
    )))
}

/// The messages of a thread that are the same everywhere; nothing if it was written to whenever it was looked at.
async fn settled(nodes: &[Node], thread: &str) -> anyhow::Result<Option<usize>> {
    let newest = async || {
        let window = nodes[0].http.call(Method::GET, &format!("/threads/{thread}/messages?before=1"), None).await?;
        anyhow::Ok(window["cursor"].as_str().map(str::to_owned))
    };
    for _ in 0..TRIES {
        let before = newest().await?;
        match one(nodes, thread).await {
            Ok(read) => return Ok(Some(read)),
            Err(error) if newest().await? == before => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

async fn hears(node: &Node, thread: &ThreadId, mut events: Events, first: &str) -> anyhow::Result<Vec<String>> {
    let mut heard = Vec::new();
    while heard.len() < WRITES {
        let event = events.next().await?.with_context(|| format!("{} ended a stream", node.name()))?;
        if event.name() != b"change" {
            continue;
        }
        let data: Value = serde_json::from_slice(event.data())?;
        if data["change"]["type"] == "message-appended" && data["message"]["id"] != first {
            heard.push(
                data["message"]["id"]
                    .as_str()
                    .with_context(|| format!("an event of {thread} without its message"))?
                    .to_owned(),
            );
        }
    }
    Ok(heard)
}

pub(super) async fn fan_out(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    let node = |n: usize| &scene.nodes[n % scene.nodes.len()];
    let streams =
        try_join_all((0..READERS).map(|n| node(n).http.events(&thread))).await.context("a reader is refused")?;
    let first = format!("{thread}-0");
    let readers = streams.into_iter().enumerate().map(|(n, events)| hears(node(n), &thread, events, &first));
    let began = Instant::now();
    let ids: Vec<_> = (1..=WRITES).map(|n| format!("{thread}-{n}")).collect();
    let writes = async {
        for (n, id) in ids.iter().enumerate() {
            scene.say(node(n), &thread, id, "to everybody").await?;
        }
        anyhow::Ok(())
    };
    let all = tokio::time::timeout(PATIENCE, futures_util::future::try_join(try_join_all(readers), writes)).await;
    let (heard, ()) =
        all.with_context(|| format!("not all of {READERS} readers heard all {WRITES} messages in 30 s"))??;
    ensure!(
        heard.iter().all(|heard| *heard == ids),
        "a reader heard the messages in another order than they were written in"
    );
    Ok(Verdict::passed(format!(
        "{READERS} readers heard {WRITES} messages in order, in {} ms",
        began.elapsed().as_millis()
    )))
}

/// What a reader of a thread heard over as many connections as it took.
#[derive(Default)]
struct Watched {
    heard: Vec<String>,
    connections: usize,
    resets: usize,
}

async fn watch(nodes: &[Node], thread: &ThreadId, until: &str) -> anyhow::Result<Watched> {
    let (mut watched, mut cursor) = (Watched::default(), None::<String>);
    loop {
        let node = &nodes[watched.connections % nodes.len()];
        watched.connections += 1;
        let events = match &cursor {
            Some(cursor) => node.http.events_after(thread, cursor).await,
            None => node.http.events(thread).await,
        };
        let Ok(mut events) = events else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while let Ok(Some(event)) = events.next().await {
            if !event.id().is_empty() {
                cursor = Some(String::from_utf8_lossy(event.id()).into_owned());
            }
            let data: Value = serde_json::from_slice(event.data()).unwrap_or_default();
            match event.name() {
                b"reset" => watched.resets += 1,
                b"change" if data["change"]["type"] == "message-appended" => {
                    let id = data["message"]["id"].as_str().or_else(|| data["change"]["messageId"].as_str());
                    watched.heard.extend(id.map(str::to_owned));
                }
                _ => {}
            }
            if watched.heard.last().is_some_and(|last| last == until) {
                return Ok(watched);
            }
        }
    }
}

/// Writes and reads on for as long as it was told to, whatever is restarted meanwhile.
pub(super) async fn rolling(scene: &Scene) -> Found {
    if scene.watch.is_zero() {
        return Err(NotDone("no --watch SECONDS was given; restart the nodes one by one while it runs".into()).into());
    }
    let thread = scene.thread().await?;
    let last = format!("{thread}-last");
    let (mut wrote, mut refused) = (Vec::new(), 0);
    let writing = async {
        let began = Instant::now();
        while began.elapsed() < scene.watch {
            let id = format!("{thread}-{}", wrote.len() + 1);
            refused += insist(scene, &thread, &id).await;
            wrote.push(id);
            tokio::time::sleep(PAUSE).await;
        }
        refused += insist(scene, &thread, &last).await;
        wrote.push(last.clone());
    };
    // The check's own time ends it where a write or the reader does not come through.
    let watched = tokio::join!(watch(&scene.nodes, &thread, &last), writing).0?;
    let mut heard = watched.heard.clone();
    heard.retain(|id| *id != format!("{thread}-0"));
    if watched.resets == 0 {
        ensure!(
            heard == wrote,
            "the reader heard {} of {} messages, or heard them in another order or twice",
            heard.len(),
            wrote.len()
        );
    }
    let breaks = watched.connections - 1;
    Ok(Verdict::passed(format!(
        "{} messages, each heard once and in order; the reader was cut {breaks} times, {refused} tries to write failed",
        wrote.len()
    )))
}

/// Writes until it is acknowledged, somewhere. Returns how often it was not.
async fn insist(scene: &Scene, thread: &ThreadId, id: &str) -> usize {
    let mut refused = 0;
    while scene.say(&scene.nodes[refused % scene.nodes.len()], thread, id, "through a restart").await.is_err() {
        refused += 1;
        tokio::time::sleep(PAUSE).await;
    }
    refused
}
