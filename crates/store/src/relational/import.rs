//! Imports: threads that come whole from elsewhere, hidden until they are finished.

use std::collections::HashMap;

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, Message, MessageStatus, Scope, Thread, ThreadId};

use super::access::{Done, Rows};
use super::fail::{fits, invalid};
use super::lines::{self, Placing};
use super::rows::{BranchRow, Principal, ThreadRow};
use super::threads::make;
use super::work::{Outcome, add_record, summary_of};
use crate::{Committing, ImportRow, ImportState, ImportThread, Missing, unknown_parent};

/// Begins an import.
///
/// # Errors
/// What the store says.
pub async fn import_begin<R: Rows>(rows: &mut R, scope: &Scope, import: &ImportThread) -> Done<R, ImportState> {
    fits(import.updated_at)?;
    let who = rows.intern(scope).await?;
    if let Some(row) = rows.thread(who.tenant, &import.id).await? {
        if row.owner != who.user {
            return Ok(ImportState::Taken);
        }
        if !row.hidden {
            return Ok(ImportState::AlreadyThere);
        }
        rows.bury(&row).await?;
    }
    let mut row = make(rows, who, import.created_at, &import.id, &import.title, import.metadata.as_ref()).await?;
    row.hidden = true;
    row.archived = import.archived;
    row.updated_at = import.updated_at;
    rows.put_thread(&row).await?;
    Ok(ImportState::Begun)
}

/// The thread of an import that has begun and is not finished.
async fn begun<R: Rows>(rows: &mut R, scope: &Scope, id: &ThreadId) -> Done<R, (Principal, ThreadRow)> {
    let who = rows.principal(scope).await?.ok_or(Missing::Thread)?;
    match rows.thread(who.tenant, id).await? {
        Some(row) if row.owner == who.user && row.hidden => Ok((who, row)),
        Some(row) if row.owner == who.user => Err(invalid("the import is finished").into()),
        _ => Err(Missing::Thread.into()),
    }
}

/// Adds rows.
///
/// # Errors
/// Which row is refused and why, or what the store says.
pub async fn import_rows<R: Rows>(rows: &mut R, scope: &Scope, id: &ThreadId, added: &[ImportRow]) -> Done<R, ()> {
    let (_, thread) = begun(rows, scope, id).await?;
    let mut importing = Importing { rows, thread, lines: HashMap::new() };
    for row in added {
        match row {
            ImportRow::Branch { id, parent, fork_depth } => importing.branch(id, parent.as_ref(), *fork_depth).await?,
            ImportRow::Message(message) => importing.message(message).await?,
        }
    }
    let Importing { rows, thread, lines } = importing;
    for line in lines.values() {
        rows.put_branch(&thread, line).await?;
    }
    rows.put_thread(&thread).await
}

/// A batch under way.
struct Importing<'w, R> {
    rows: &'w mut R,
    thread: ThreadRow,
    /// Branches as this batch left them; their rows are written at its end.
    lines: HashMap<BranchId, BranchRow>,
}

impl<R: Rows> Importing<'_, R> {
    async fn line(&mut self, id: &BranchId) -> Done<R, Option<BranchRow>> {
        match self.lines.get(id) {
            Some(line) => Ok(Some(line.clone())),
            None => self.rows.find_branch(&self.thread, id).await,
        }
    }

    async fn branch(&mut self, id: &BranchId, parent: Option<&BranchId>, depth: u64) -> Done<R, ()> {
        let parent = match parent {
            None if depth == 0 => None,
            None => return Err(invalid("a branch without a parent begins at depth 0").into()),
            Some(parent) => Some(self.line(parent).await?.ok_or_else(|| invalid(unknown_parent(id, parent)))?),
        };
        let pred = match parent {
            Some(line) if depth > line.total => return Err(invalid("a branch forks past the end of its parent").into()),
            Some(line) => lines::pred_at(self.rows, &self.thread, &line, depth).await?,
            None => None,
        };
        let line = lines::make(self.rows, &mut self.thread, id, pred).await?;
        self.lines.insert(id.clone(), line);
        Ok(())
    }

    async fn message(&mut self, message: &Message) -> Done<R, ()> {
        if !self.lines.contains_key(&message.branch) {
            let line = self.rows.find_branch(&self.thread, &message.branch).await?.ok_or(Missing::Branch)?;
            self.lines.insert(message.branch.clone(), line);
        }
        let line = self.lines.get_mut(&message.branch).ok_or(Missing::Branch)?;
        if message.depth != line.total {
            let detail =
                format_args!("message {} names depth {}, its slot has {}", message.id, message.depth, line.total);
            return Err(invalid(detail).into());
        }
        if !message.previews.is_empty() {
            return Err(invalid("a message comes whole or not at all").into());
        }
        lines::place(self.rows, &mut self.thread, line, placing(message)).await?;
        // Whatever the import says, a thread is as young as its newest message.
        fits(message.created_at)?;
        self.thread.updated_at = self.thread.updated_at.max(message.created_at);
        Ok(())
    }
}

fn placing(message: &Message) -> Placing {
    let status = match message.status {
        MessageStatus::Streaming => MessageStatus::Interrupted,
        settled => settled,
    };
    let body = match status {
        MessageStatus::Removed => Body::default(),
        _ => Body { parts: message.parts.clone(), metadata: message.metadata.clone() },
    };
    Placing {
        id: message.id.clone(),
        role: message.role,
        status,
        rev: message.rev.max(1),
        created_at: message.created_at,
        body,
    }
}

/// Shows an imported thread.
///
/// # Errors
/// Why it cannot be, or what the store says.
pub async fn import_finish<R: Rows>(
    rows: &mut R,
    scope: &Scope,
    id: &ThreadId,
    default_branch: Option<&BranchId>,
) -> Done<R, Outcome<Thread>> {
    let (who, mut row) = begun(rows, scope, id).await?;
    if row.branches == 0 {
        return Err(invalid("an imported thread has at least one branch").into());
    }
    let line = lines::named_or_default(rows, &row, default_branch).await?;
    row.default_branch = line.num;
    row.hidden = false;
    let change = Change::ThreadImported {
        branch: line.id.clone(),
        branches: row.branches.unsigned_abs(),
        messages: row.messages.unsigned_abs(),
    };
    rows.unremember(&row).await?;
    let at = row.updated_at;
    let event = add_record(rows, &mut row, at, change, None).await?;
    rows.put_thread(&row).await?;
    let mut summary = summary_of(rows, &row).await?;
    rows.add_summary(who, &mut summary).await?;
    let event = Committing::Event { tenant: scope.tenant.clone(), thread: row.id.clone(), event };
    let out = vec![event, Committing::Summary { scope: scope.clone(), summary }];
    Ok(Outcome { answer: row.shown(line.id), out })
}

/// Removes an import that is not finished.
///
/// # Errors
/// If there is none, or what the store says.
pub async fn import_abort<R: Rows>(rows: &mut R, scope: &Scope, id: &ThreadId) -> Done<R, ()> {
    let (_, row) = begun(rows, scope, id).await?;
    rows.bury(&row).await?;
    Ok(())
}
