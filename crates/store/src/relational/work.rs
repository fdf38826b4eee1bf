//! One transaction under way: on whose behalf, on which thread, what it has brought about so far; and what it writes
//! into the change log and the summary log.

use threadmill_proto::change::MessageRef;
use threadmill_proto::{
    BranchId, Change, Event, Message, MessageStatus, Millis, Position, Record, RunId, Scope, Summary, Thread,
};

use super::access::{Done, Rows};
use super::rows::{MessageRow, Principal, RunRow, ThreadRow};
use crate::{Committing, KEEP_CHANGES, Missing, SNIPPET_REACH, chain, commitment, snippet_of};

/// What an operation leaves.
#[derive(Debug)]
pub struct Outcome<T> {
    /// The answer.
    pub answer: T,
    /// What to tell the sink once it is durable.
    pub out: Vec<Committing>,
}

impl<T> Outcome<T> {
    /// An answer and nothing else.
    pub fn quiet(answer: T) -> Self {
        Self { answer, out: Vec::new() }
    }
}

/// A transaction under way.
pub(super) struct Work<'w, R> {
    pub(super) rows: &'w mut R,
    pub(super) scope: &'w Scope,
    pub(super) who: Principal,
    pub(super) at: Millis,
    pub(super) thread: ThreadRow,
    pub(super) out: Vec<Committing>,
    /// The branch the transaction wrote a message on last.
    pub(super) wrote_on: Option<BranchId>,
    /// The run that led to the thread, until it is asked for.
    pub(super) opened_by: Option<RunRow>,
}

/// Slots of one read where a summary looks for a text beyond what is known.
const STEP: u64 = 8;

/// The beginning of the last message with text on the default branch, which is neither removed nor streaming.
async fn snippet<R: Rows>(rows: &mut R, thread: &ThreadRow) -> Done<R, String> {
    let line = rows.branch(thread, thread.default_branch).await?;
    for depth in (line.total.saturating_sub(SNIPPET_REACH)..line.total).rev() {
        let row = rows.message_at(thread, &line, depth, (depth + 1).saturating_sub(STEP)).await?;
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

/// What a list shows of a thread now.
pub(super) async fn summary_of<R: Rows>(rows: &mut R, thread: &ThreadRow) -> Done<R, Summary> {
    Ok(Summary {
        thread: thread.id.clone(),
        pos: 0,
        title: thread.title.clone(),
        snippet: snippet(rows, thread).await?,
        running: rows.any_unended(thread).await?,
        archived: thread.archived,
        deleted: false,
        updated_at: thread.updated_at,
    })
}

/// Adds one record after the log's head; returns it as it is delivered. `body` goes to those who follow, not to the disk.
pub(super) async fn add_record<R: Rows>(
    rows: &mut R,
    thread: &mut ThreadRow,
    at: Millis,
    change: Change,
    body: Option<Message>,
) -> Done<R, Event> {
    let record = Record { seq: thread.seq + 1, at, change };
    thread.seq = record.seq;
    thread.hash = chain(thread.hash, &record);
    rows.add_record(thread, &record).await?;
    let Position { epoch, hash, .. } = thread.position();
    Ok(Event { epoch, hash, record, body })
}

impl<R: Rows> Work<'_, R> {
    /// Adds a change to the log.
    pub(super) async fn log(&mut self, change: Change, body: Option<Message>) -> Done<R, ()> {
        let event = add_record(self.rows, &mut self.thread, self.at, change, body).await?;
        let (tenant, thread) = (self.scope.tenant.clone(), self.thread.id.clone());
        self.out.push(Committing::Event { tenant, thread, event });
        Ok(())
    }

    /// The message as a record names it.
    pub(super) fn reference(&self, row: &MessageRow) -> MessageRef {
        MessageRef {
            id: row.id.clone(),
            branch: row.branch_id.clone(),
            depth: row.depth,
            rev: row.rev,
            commitment: commitment(&self.thread.secret, &row.body),
        }
    }

    /// Brings the owner's summary log up to date, and drops records that are older than anybody may resume from.
    pub(super) async fn summarise(&mut self) -> Done<R, ()> {
        let before = self.at.saturating_sub(KEEP_CHANGES);
        if before > 0 {
            self.rows.prune_records(&self.thread, before).await?;
        }
        let summary = summary_of(self.rows, &self.thread).await?;
        self.push_summary(summary).await
    }

    /// Adds an entry to the owner's summary log.
    pub(super) async fn push_summary(&mut self, mut summary: Summary) -> Done<R, ()> {
        self.rows.add_summary(self.who, &mut summary).await?;
        self.out.push(Committing::Summary { scope: self.scope.clone(), summary });
        Ok(())
    }

    /// The thread as its owner reads it.
    pub(super) async fn shown(&mut self) -> Done<R, Thread> {
        Ok(self.thread.shown(self.rows.branch_id(&self.thread, self.thread.default_branch).await?))
    }

    /// A run of this transaction's thread.
    pub(super) async fn find_run(&mut self, id: &RunId) -> Done<R, RunRow> {
        if let Some(row) = self.opened_by.take().filter(|row| row.id == *id) {
            return Ok(row);
        }
        let row = self.rows.run(self.who.tenant, id).await?;
        Ok(row.filter(|row| row.thread == self.thread.num).ok_or(Missing::Run)?)
    }
}
