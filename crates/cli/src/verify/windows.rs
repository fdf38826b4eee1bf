//! Windows of a long thread: as many messages as asked for, in order, without a hole, and the right ones.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use threadmill_client::{Side, View};
use threadmill_core::window::PageRequest;
use threadmill_proto::{Anchor, Message, MessageId, ThreadId, Window};

use super::node::Node;
use super::scene::{LONG, LONG_SINCE, Scene, long_id, long_text};
use crate::checks::Verdict;

type Found = anyhow::Result<Verdict>;

/// Messages of a first window and of a page, as the page asks for them.
const FIRST: u32 = 50;
const PAGE: u32 = 25;
/// What the checklist allows a thread.
const MOST_BYTES: usize = 10 << 20;
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn seed(scene: &Scene) -> Found {
    let thread = scene.long_or_why().await?;
    let read = scene.first().http.call(threadmill_client::Method::GET, &format!("/threads/{thread}"), None).await?;
    let messages = read["thread"]["messages"].as_u64();
    ensure!(messages == Some(LONG), "{LONG} messages were brought in, and the thread has {messages:?}");
    Ok(Verdict::passed(format!("{LONG} messages were brought in")))
}

async fn window(node: &Node, thread: &ThreadId, anchor: Anchor, (before, after): (u32, u32)) -> anyhow::Result<Window> {
    let request = PageRequest { thread: thread.clone(), branch: None, anchor, before, after };
    node.http.window(&request).await.with_context(|| format!("a window cannot be read at {}", node.name()))
}

/// Whether messages are those of the long thread from one depth to another: none missing, doubled, moved or changed.
fn exactly(thread: &ThreadId, messages: &[&Message], want: Range<u64>) -> anyhow::Result<()> {
    let count = want.end - want.start;
    ensure!(messages.len() as u64 == count, "{} messages instead of {count}", messages.len());
    for (message, depth) in messages.iter().zip(want) {
        if message.depth != depth || message.id.as_str() != long_id(thread, depth) {
            bail!("at depth {depth} stands {} of depth {}: there is a hole or a repetition", message.id, message.depth);
        }
        ensure!(message.text() == long_text(depth), "the message at depth {depth} does not say what was written");
    }
    Ok(())
}

fn holds(thread: &ThreadId, window: &Window, want: Range<u64>) -> anyhow::Result<()> {
    exactly(thread, &window.messages.iter().collect::<Vec<_>>(), want.clone())?;
    ensure!(window.total == LONG, "the window counts {} messages instead of {LONG}", window.total);
    ensure!((window.from, window.to) == (want.start, want.end), "the window says {}..{}", window.from, window.to);
    Ok(())
}

pub(super) async fn first(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    for node in &scene.nodes {
        let newest = window(node, thread, Anchor::Tip, (FIRST, 0)).await?;
        holds(thread, &newest, LONG - u64::from(FIRST)..LONG)
            .with_context(|| format!("the newest window of {}", node.name()))?;
    }
    Ok(Verdict::passed(format!("the newest {FIRST} of {LONG} messages, and no other")))
}

/// Windows that no other check reads: a node keeps those that it has sent, and asks the hot tier for the others.
pub(super) async fn unread(scene: &Scene) -> anyhow::Result<()> {
    let thread = scene.long().await?;
    for node in &scene.nodes {
        for end in [97, 197, 297] {
            let few = window(node, thread, Anchor::Depth(end), (3, 0)).await?;
            holds(thread, &few, end - 3..end).with_context(|| format!("three messages of {}", node.name()))?;
        }
    }
    Ok(())
}

pub(super) async fn page(scene: &Scene) -> Found {
    let (thread, page) = (scene.long().await?, u64::from(PAGE));
    let mut end = LONG - u64::from(FIRST);
    for _ in 0..4 {
        let older = window(scene.other(), thread, Anchor::Depth(end), (PAGE, 0)).await?;
        holds(thread, &older, end - page..end).with_context(|| format!("the page before depth {end}"))?;
        end -= page;
    }
    let newer = window(scene.first(), thread, Anchor::Depth(end), (0, PAGE)).await?;
    holds(thread, &newer, end..end + page).with_context(|| format!("the page after depth {end}"))?;
    Ok(Verdict::passed(format!("pages of {PAGE} both ways, each beginning where the last one ended")))
}

pub(super) async fn anywhere(scene: &Scene) -> Found {
    let (thread, node) = (scene.long().await?, scene.first());
    let oldest = window(node, thread, Anchor::Depth(0), (0, FIRST)).await?;
    holds(thread, &oldest, 0..u64::from(FIRST)).context("by depth, at the beginning")?;
    ensure!(!oldest.has_older(), "there is said to be something before the first message");
    let id = MessageId::parse(&long_id(thread, 500))?;
    let around = window(node, thread, Anchor::Message(id), (10, 11)).await?;
    holds(thread, &around, 490..511).context("around a message")?;
    let dated = window(node, thread, Anchor::Time(LONG_SINCE + 300_000), (0, 5)).await?;
    holds(thread, &dated, 300..305).context("from a time on")?;
    Ok(Verdict::passed("by depth, around a message and from a time on"))
}

fn rows(view: &View) -> Vec<&Message> {
    view.rows().map(|row| &row.message).collect()
}

pub(super) async fn live(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let client = scene.first().connect()?;
    let view = client.open(thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| view.rows().len() >= FIRST as usize).await.context("the view does not open")?;
    view.with(|view| exactly(thread, &rows(view), LONG - 50..LONG)).context("the view as it opened")?;
    view.load(Side::Older);
    view.until(PATIENCE, |view| view.rows().len() >= 75).await.context("no older page came")?;
    view.with(|view| exactly(thread, &rows(view), LONG - 75..LONG)).context("the view after one page")?;
    Ok(Verdict::passed("a view opens with 50 rows and grows by 25"))
}

/// A view that is scrolled from one end of the thread to the other holds no more than its window.
pub(super) async fn thread_memory(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let client = scene.first().connect()?;
    let view = client.open(thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| view.rows().len() >= FIRST as usize).await.context("the view does not open")?;
    let (mut most, mut rows) = (client.held().1, FIRST as usize);
    for _ in 0..8 {
        let from = view.with(|view| view.head().from);
        view.load(Side::Older);
        view.until(PATIENCE, |view| view.head().from < from).await.context("no older page came")?;
        most = most.max(client.held().1);
        rows = rows.max(view.with(|view| view.rows().len()));
    }
    let saw = format!("{} KiB and at most {rows} rows, of a thread of {LONG}", most >> 10);
    Ok(if most <= MOST_BYTES && rows <= 150 { Verdict::passed(saw) } else { Verdict::failed(saw) })
}
