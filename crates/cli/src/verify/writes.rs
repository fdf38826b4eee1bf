//! Writes: acknowledged, read back at every node, once for each key, and on the branch they belong to.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use threadmill_client::{EditText, Method, ThreadView};
use threadmill_proto::{Anchor, BranchId, MessageId, ThreadId};

use super::node::Node;
use super::scene::{Scene, text};
use crate::checks::{NotDone, Verdict};

type Found = anyhow::Result<Verdict>;

const PATIENCE: Duration = Duration::from_secs(15);

/// The ids of a window's messages and what they say, in order.
fn said(window: &Value) -> Vec<(String, String)> {
    let messages = window["messages"].as_array().into_iter().flatten();
    let words = |message: &Value| message["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
    messages.map(|message| (message["id"].as_str().unwrap_or_default().to_owned(), words(message))).collect()
}

async fn newest(node: &Node, thread: &ThreadId, branch: Option<&str>) -> anyhow::Result<Vec<(String, String)>> {
    let branch = branch.map(|branch| format!("&branch={branch}")).unwrap_or_default();
    Ok(said(&node.http.call(Method::GET, &format!("/threads/{thread}/messages?before=50{branch}"), None).await?))
}

pub(super) async fn append(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    let id = format!("{thread}-1");
    let answer = scene.say(scene.first(), &thread, &id, "said").await?;
    ensure!(answer["message"]["id"] == id.as_str(), "the acknowledgement names another message");
    ensure!(answer["cursor"].is_string(), "the acknowledgement has no position");
    Ok(Verdict::passed("a message is acknowledged with its position"))
}

/// Each write is read back at once: at the node that took it, and with its position at every other one.
pub(super) async fn read_your_writes(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    for n in 1..=10 {
        let writer = &scene.nodes[n % scene.nodes.len()];
        let id = format!("{thread}-{n}");
        let answer = scene.say(writer, &thread, &id, "said").await?;
        let position = answer["cursor"].as_str().context("the acknowledgement has no position")?;
        for node in &scene.nodes {
            let path = format!("/v1/threads/{thread}/messages?before=5");
            let window = node.get_as(&path, &[("threadmill-position", position)]).await?;
            let window = window.json()?;
            let last = said(&window).pop().map(|(id, _)| id);
            if last.as_deref() != Some(&id) {
                let (writer, reader) = (writer.name(), node.name());
                return Ok(Verdict::failed(format!(
                    "message {n}, acknowledged by {writer}, is not in the next window of {reader}"
                )));
            }
        }
    }
    Ok(Verdict::passed("ten writes, each in the next window of every node"))
}

pub(super) async fn idempotent_retry(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    let path = format!("/v1/threads/{thread}/messages");
    let (body, key) = (json!({"parts": [text("once")]}), format!("{thread}-key"));
    let mut ids = Vec::new();
    for node in [scene.first(), scene.other(), scene.first()] {
        let answer = node.post_as(&path, &[("idempotency-key", &key)], &body).await?;
        ensure!(answer.status.is_success(), "a repeated write is answered with {}", answer.status);
        ids.push(answer.json()?["message"]["id"].as_str().unwrap_or_default().to_owned());
    }
    let times = newest(scene.first(), &thread, None).await?.iter().filter(|(_, words)| words == "once").count();
    if times != 1 || ids.iter().any(|id| *id != ids[0] || id.is_empty()) {
        return Ok(Verdict::failed(format!("a write that was sent three times with one key is there {times} times")));
    }
    Ok(Verdict::passed("a write that is sent three times with one key is there once"))
}

pub(super) async fn branch(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    for n in 1..=3 {
        scene.say(scene.first(), &thread, &format!("{thread}-{n}"), &format!("line {n}")).await?;
    }
    let before = newest(scene.first(), &thread, None).await?;
    let read = scene.first().http.call(Method::GET, &format!("/threads/{thread}"), None).await?;
    let old = read["thread"]["defaultBranch"].as_str().context("the thread has no branch")?.to_owned();
    let edited = MessageId::parse(&format!("{thread}-1"))?;
    let message = scene.first().http.message(&thread, &edited).await?;
    let edit = scene.first().http.edit(&thread, &edited, EditText::only(message.rev, "line 1, otherwise")).await?;
    let node = scene.other();
    let new: &BranchId = &edit.branch;
    ensure!(new.as_str() != old, "an edit of what others depend on made no branch");
    let forked = newest(node, &thread, Some(new.as_str())).await?;
    let words: Vec<_> = forked.iter().map(|(_, words)| words.as_str()).collect();
    ensure!(words == ["begin", "line 1, otherwise"], "the new branch says {words:?}");
    let kept = newest(node, &thread, Some(&old)).await?;
    ensure!(kept == before, "the branch that was left has changed");
    Ok(Verdict::passed("an edit forks, and the branch that was left is as it was"))
}

fn rows(view: &ThreadView) -> Vec<(String, String)> {
    view.with(|view| view.rows().map(|row| (row.message.id.to_string(), row.message.text())).collect())
}

/// Two live readers, at two nodes if there are, see what is written at both.
pub(super) async fn two_readers(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    let clients = [scene.first().connect()?, scene.other().connect()?];
    let views = clients.each_ref().map(|client| client.open(thread.clone(), None, Anchor::Tip));
    for view in &views {
        view.until(PATIENCE, |view| view.rows().len() == 1).await.context("a view does not open")?;
    }
    for n in 1..=10 {
        let node = &scene.nodes[n % scene.nodes.len()];
        scene.say(node, &thread, &format!("{thread}-{n}"), &format!("line {n}")).await?;
    }
    for view in &views {
        view.until(PATIENCE, |view| view.rows().len() == 11).await.context("a reader does not see ten writes")?;
    }
    let stored = newest(scene.first(), &thread, None).await?;
    ensure!(rows(&views[0]) == rows(&views[1]), "two readers of one thread see different messages");
    ensure!(rows(&views[0]) == stored, "readers see something else than what is stored");
    Ok(Verdict::passed("two readers see the same eleven messages, as they are stored"))
}

/// From the acknowledgement at one node to the reader at another.
pub(super) async fn cross_node(scene: &Scene) -> Found {
    if scene.nodes.len() < 2 {
        return Err(NotDone("one --url was named; name each node to compare them".into()).into());
    }
    let thread = scene.thread().await?;
    let most = Duration::from_millis(scene.limits.max_lag_ms);
    let mut worst = Duration::ZERO;
    let mut n = 0;
    for reader in &scene.nodes {
        let client = reader.connect()?;
        let view = client.open(thread.clone(), None, Anchor::Tip);
        view.until(PATIENCE, |view| view.rows().len() > 0).await.with_context(|| {
            format!("{} does not know what {} has: are they one deployment?", reader.name(), scene.first().name())
        })?;
        for writer in &scene.nodes {
            n += 1;
            let id = format!("{thread}-{n}");
            scene.say(writer, &thread, &id, "across").await?;
            let acknowledged = std::time::Instant::now();
            let seen = view.until(PATIENCE, |view| view.rows().any(|row| row.message.id.as_str() == id)).await;
            seen.with_context(|| format!("what {} took is not seen at {}", writer.name(), reader.name()))?;
            worst = worst.max(acknowledged.elapsed());
        }
    }
    let saw = format!("{n} ways between {} nodes, the slowest in {} ms", scene.nodes.len(), worst.as_millis());
    Ok(if worst <= most { Verdict::passed(saw) } else { Verdict::failed(saw) })
}

pub(super) async fn presence(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    let path = format!("/threads/{thread}/presence");
    scene
        .first()
        .http
        .call(Method::POST, &path, Some(json!({"device": "threadmill-verify", "state": "typing"})))
        .await?;
    let present = scene.first().http.call(Method::GET, &path, None).await?;
    let there = |present: &Value| {
        present["present"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one["device"] == "threadmill-verify" && one["state"] == "typing")
    };
    ensure!(there(&present), "who said that it is there is not said to be there");
    Ok(Verdict::passed(format!("who is there is seen, for {} s", present["ttl"])))
}
