//! The change log and the summary log.

use threadmill_proto::change::MessageRef;
use threadmill_proto::{Change, Event, Message, MessageStatus, Millis, Position, Record, RunStatus, Summary, to_cbor};
use threadmill_store::{Committing, KEEP_CHANGES, SNIPPET_REACH, chain, commitment, snippet_of};

use super::work::Work;
use crate::db::Db;
use crate::fail::{Done, damage};
use crate::rows::MessageRow;
use crate::sheet::{ChangeRow, ThreadSheet};

/// Slots read at once where a summary looks for a text beyond what is known.
const STEP: u64 = 8;

/// Adds one record after the log's head; returns it as it is delivered.
pub(super) fn add_record(thread: &mut ThreadSheet, at: Millis, change: Change, body: Option<Message>) -> Event {
    let record = Record { seq: thread.row.seq + 1, at, change };
    let row = thread.change();
    row.seq = record.seq;
    row.hash = chain(row.hash, &record);
    let Position { epoch, hash, .. } = row.position();
    thread.changes.push(ChangeRow { seq: record.seq, at, hash, record: to_cbor(&record) });
    Event { epoch, hash, record, body }
}

/// The beginning of the last message with text on the default branch, which is neither removed nor streaming.
async fn snippet(db: &Db<'_>, thread: &mut ThreadSheet) -> Done<String> {
    let line = thread.branch(db, thread.row.default_branch).await?;
    for depth in (line.total.saturating_sub(SNIPPET_REACH)..line.total).rev() {
        if thread.known_at(&line, depth)?.is_none() {
            thread.read_messages(db, &line, (depth + 1).saturating_sub(STEP), depth + 1).await?;
        }
        let row = thread.known_at(&line, depth)?.ok_or_else(|| damage("a slot is empty"))?;
        if row.status == MessageStatus::Removed || row.status == MessageStatus::Streaming {
            continue;
        }
        let snippet = snippet_of(&row.body);
        if !snippet.is_empty() {
            return Ok(snippet);
        }
    }
    Ok(String::new())
}

/// What a list shows of a thread now. Its place is given at the commit, under the lock of the user's row.
pub(super) async fn summary_of(db: &Db<'_>, thread: &mut ThreadSheet, running: bool) -> Done<Summary> {
    Ok(Summary {
        thread: thread.row.id.clone(),
        pos: 0,
        title: thread.row.title.clone(),
        snippet: snippet(db, thread).await?,
        running,
        archived: thread.row.archived,
        deleted: false,
        updated_at: thread.row.updated_at,
    })
}

impl Work<'_> {
    /// Adds a change to the log; `body` goes to those who follow, not to the disk.
    pub(super) fn log(&mut self, change: Change, body: Option<Message>) {
        let event = add_record(&mut self.thread, self.at, change, body);
        self.out.push(Committing::Event {
            tenant: self.scope.tenant.clone(),
            thread: self.thread.row.id.clone(),
            event,
        });
    }

    /// The message as a record names it.
    pub(super) fn reference(&self, row: &MessageRow) -> MessageRef {
        MessageRef {
            id: row.id.clone(),
            branch: row.branch_id.clone(),
            depth: row.depth,
            rev: row.rev,
            commitment: commitment(&self.thread.row.secret, &row.body),
        }
    }

    /// Brings the owner's summary log up to date.
    pub(super) async fn summarise(&mut self) -> Done<()> {
        let running = self.runs.values().any(|run| run.row.status != RunStatus::Ended);
        let summary = summary_of(self.db, &mut self.thread, running).await?;
        self.push_summary(summary);
        Ok(())
    }

    /// Adds an entry to the owner's summary log.
    pub(super) fn push_summary(&mut self, summary: Summary) {
        self.out.push(Committing::Summary { scope: self.scope.clone(), summary });
    }

    /// Drops changes that are older than anybody may resume from. A log is pruned as it grows: a thread that
    /// rests keeps its last ones, which harms nobody.
    pub(super) fn prune_changes(&mut self) {
        let before = self.at.saturating_sub(KEEP_CHANGES);
        if before > 0 {
            self.thread.prune_before = Some(before);
        }
    }
}
