//! The change log and the summary log.

use rusqlite::params;
use threadmill_proto::change::MessageRef;
use threadmill_proto::{Change, Event, Message, MessageStatus, Position, Record, Summary, to_cbor};
use threadmill_store::{Committing, KEEP_CHANGES, SNIPPET_REACH, chain, commitment, snippet_of};

use super::work::Work;
use crate::db::Db;
use crate::fail::{Done, damage};
use crate::rows::{MessageRow, Principal, ThreadRow, branch, message, run};

/// A user's next place in the summary log.
fn next_pos(db: &Db<'_>, who: Principal) -> Done<u64> {
    db.one(
        "UPDATE users SET pos = pos + 1 WHERE tenant = ?1 AND num = ?2 RETURNING pos",
        params![who.tenant, who.user],
        |row| Ok(row.get(0)?),
    )?
    .ok_or_else(|| damage("a user is not there"))
}

/// Moves a thread's entry to the end of its owner's summary log.
pub(crate) fn write_summary(db: &Db<'_>, who: Principal, mut summary: Summary) -> Done<Summary> {
    summary.pos = next_pos(db, who)?;
    db.change(
        "DELETE FROM summaries WHERE tenant = ?1 AND user = ?2 AND thread = ?3",
        params![who.tenant, who.user, summary.thread.as_str()],
    )?;
    db.change(
        "INSERT INTO summaries (tenant, user, pos, thread, title, snippet, running, archived, deleted, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            who.tenant,
            who.user,
            summary.pos,
            summary.thread.as_str(),
            summary.title,
            summary.snippet,
            summary.running,
            summary.archived,
            summary.deleted,
            summary.updated_at,
        ],
    )?;
    Ok(summary)
}

/// What a list shows of a thread now.
pub(crate) fn summary_of(db: &Db<'_>, thread: &ThreadRow) -> Done<Summary> {
    Ok(Summary {
        thread: thread.id.clone(),
        pos: 0,
        title: thread.title.clone(),
        snippet: snippet(db, thread)?,
        running: run::any_unended(db, thread.num)?,
        archived: thread.archived,
        deleted: false,
        updated_at: thread.updated_at,
    })
}

/// The beginning of the last message with text on the default branch, which is neither removed nor streaming.
fn snippet(db: &Db<'_>, thread: &ThreadRow) -> Done<String> {
    let line = branch::get(db, thread.num, thread.default_branch)?;
    for depth in (line.total.saturating_sub(SNIPPET_REACH)..line.total).rev() {
        let row = message::slot(db, &line, depth)?.message;
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

/// Writes one record after the log's head.
pub(crate) fn write_record(db: &Db<'_>, thread: &mut ThreadRow, record: &Record) -> Done<()> {
    thread.seq = record.seq;
    thread.hash = chain(thread.hash, record);
    db.change(
        "INSERT INTO changes (tenant, thread, seq, at, hash, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![thread.tenant, thread.num, record.seq, record.at, thread.hash.0, to_cbor(record)],
    )?;
    Ok(())
}

impl Work<'_> {
    /// Adds a change to the log; `body` goes to those who follow, not to the disk.
    pub(crate) fn log(&mut self, change: Change, body: Option<Message>) -> Done<()> {
        let record = Record { seq: self.thread.seq + 1, at: self.at, change };
        write_record(self.db, &mut self.thread, &record)?;
        let Position { epoch, hash, .. } = self.thread.position(self.epoch);
        self.out.push(Committing::Event {
            tenant: self.scope.tenant.clone(),
            thread: self.thread.id.clone(),
            event: Event { epoch, hash, record, body },
        });
        Ok(())
    }

    /// The message as a record names it.
    pub(crate) fn reference(&self, row: &MessageRow) -> MessageRef {
        MessageRef {
            id: row.id.clone(),
            branch: row.branch_id.clone(),
            depth: row.depth,
            rev: row.rev,
            commitment: commitment(&self.thread.secret, &row.body),
        }
    }

    /// Brings the owner's summary log up to date.
    pub(crate) fn summarise(&mut self) -> Done<()> {
        let summary = summary_of(self.db, &self.thread)?;
        self.push_summary(summary)
    }

    /// Adds an entry to the owner's summary log.
    pub(crate) fn push_summary(&mut self, summary: Summary) -> Done<()> {
        let summary = write_summary(self.db, self.who, summary)?;
        self.out.push(Committing::Summary { scope: self.scope.clone(), summary });
        Ok(())
    }

    /// Drops changes that are older than anybody may resume from. A log is pruned as it grows: a thread that
    /// rests keeps its last ones, which harms nobody.
    pub(crate) fn prune_changes(&self) -> Done<()> {
        let before = self.at.saturating_sub(KEEP_CHANGES);
        let oldest: Option<u64> = self.db.one(
            "SELECT at FROM changes WHERE tenant = ?1 AND thread = ?2 ORDER BY seq LIMIT 1",
            params![self.thread.tenant, self.thread.num],
            |row| Ok(row.get(0)?),
        )?;
        if oldest.is_some_and(|at| at < before) {
            self.db.change(
                "DELETE FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq < coalesce(
                    (SELECT seq FROM changes WHERE tenant = ?1 AND thread = ?2 AND at >= ?3 ORDER BY seq LIMIT 1), 0)",
                params![self.thread.tenant, self.thread.num, before],
            )?;
        }
        Ok(())
    }
}
