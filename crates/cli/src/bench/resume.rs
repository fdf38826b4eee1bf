//! `threadmill bench resume`: a reader comes back after many changes and gets each of them, in one round trip.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use threadmill_client::{Form, Http, Method, Wire};
use threadmill_proto::{Anchor, ClientFrame, Cursor, ServerFrame, ThreadId, Window, from_cbor};

use super::stats::{Stats, print};
use crate::connect::Target;

/// Appends at a time while the thread is made.
const WRITING: usize = 50;
const SUB: u32 = 1;
const PATIENCE: Duration = Duration::from_secs(60);

/// Appends messages to a thread of its own, then resumes again and again from where it was before them, over one WebSocket.
/// A time is from sending the subscription to having every change, decoded and in order. The thread is deleted afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill bench resume\n  \
    threadmill bench resume --url http://127.0.0.1:7430 --changes 1000 --times 200 --json")]
pub(crate) struct Resume {
    #[command(flatten)]
    target: Target,
    /// Changes that the reader missed. A server repeats at most 512 KiB of them
    #[arg(long, default_value_t = 1000)]
    changes: u64,
    /// Times that it comes back
    #[arg(long, default_value_t = 100)]
    times: usize,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

impl Resume {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.changes > 0 && self.times > 0, "nothing is measured of nothing");
        let http = self.target.http("bench")?;
        let thread = http.create_thread("the first message", None).await?.thread;
        let cursor = cursor(&http, &thread).await?;
        let writes = (0..self.changes).map(|_| http.send(&thread, "a message", None));
        stream::iter(writes).buffer_unordered(WRITING).try_for_each(|_| async { Ok(()) }).await?;
        let mut wire = Wire::greeted(&http).await?;
        let mut stats = Stats::default();
        let mut over = Duration::ZERO;
        for _ in 0..self.times {
            let took = self.resumed(&mut wire, &thread, &cursor).await?;
            over += took;
            stats.add(took);
        }
        http.call(Method::DELETE, &format!("/threads/{thread}"), None).await?;
        let mut row = stats.row(&format!("resume, {} changes", self.changes), over);
        row["changes"] = self.changes.into();
        print(&[row], self.json);
        Ok(ExitCode::SUCCESS)
    }

    async fn resumed(&self, wire: &mut Wire, thread: &ThreadId, cursor: &Cursor) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        wire.say(&ClientFrame::Subscribe {
            sub: SUB,
            thread: thread.clone(),
            branch: None,
            anchor: Anchor::Tip,
            before: 1,
            after: 0,
            cursor: Some(cursor.clone()),
            from: 0,
            to: None,
        })
        .await?;
        let (mut seq, last) = (cursor.position.seq, cursor.position.seq + self.changes);
        while seq < last {
            match tokio::time::timeout(PATIENCE, wire.hear()).await.context("the server says nothing")?? {
                ServerFrame::Event { event, .. } => {
                    ensure!(event.record.seq == seq + 1, "change {} after {seq}", event.record.seq);
                    seq += 1;
                }
                ServerFrame::Reset { reason, .. } => bail!("{} changes are not repeated: {reason:?}", self.changes),
                ServerFrame::Failed { problem, .. } | ServerFrame::Refused(problem) => bail!(problem.detail),
                _ => {}
            }
        }
        let took = begun.elapsed();
        wire.say(&ClientFrame::Unsubscribe { sub: SUB }).await?;
        Ok(took)
    }
}

async fn cursor(http: &Http, thread: &ThreadId) -> anyhow::Result<Cursor> {
    let path = format!("/threads/{thread}/messages?anchor=tip&before=1");
    let window: Window = from_cbor(&http.bytes(&path, Form::Cbor).await?)?;
    Ok(window.cursor)
}
