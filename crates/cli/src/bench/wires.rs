//! What benches say on a connection, and how long they wait for what it says.

use std::time::Duration;

use anyhow::{Context as _, bail};
use threadmill_client::Wire;
use threadmill_proto::{Anchor, ClientFrame, ServerFrame, ThreadId};

/// A server that says nothing for so long has lost what was asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows a thread until its window is there.
pub(super) async fn follow(wire: &mut Wire, thread: &ThreadId) -> anyhow::Result<()> {
    let (thread, anchor) = (thread.clone(), Anchor::Tip);
    let (branch, cursor, from, to) = (None, None, 0, None);
    wire.say(&ClientFrame::Subscribe { sub: 1, thread, branch, anchor, before: 1, after: 0, cursor, from, to }).await?;
    heard(wire, |frame| matches!(frame, ServerFrame::Window { .. })).await
}

/// Has a ping answered.
pub(super) async fn answered(wire: &mut Wire) -> anyhow::Result<()> {
    wire.say(&ClientFrame::Ping { token: 7 }).await?;
    heard(wire, |frame| matches!(frame, ServerFrame::Pong { token: 7, .. })).await
}

/// Listens until a frame comes.
pub(super) async fn heard(wire: &mut Wire, mut is: impl FnMut(&ServerFrame) -> bool) -> anyhow::Result<()> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, wire.hear()).await.context("the server says nothing")??;
        match &frame {
            ServerFrame::Failed { problem, .. } | ServerFrame::Refused(problem) => bail!(problem.detail.clone()),
            frame if is(frame) => return Ok(()),
            _ => {}
        }
    }
}
