//! Imports: threads that come whole from elsewhere, hidden until they are finished.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, Message, MessageStatus, Scope, Thread, ThreadId};
use threadmill_store::{Committing, ImportRow, ImportState, ImportThread, Missing, unknown_parent};

use super::lines::{self, Placing};
use super::log::{add_record, summary_of};
use super::threads::make;
use crate::codec::fits;
use crate::db::Db;
use crate::fail::{Done, damage, invalid};
use crate::sheet::{Sheet, ThreadSheet};

/// Begins an import.
pub(crate) fn begin(sheet: &mut Sheet, scope: &Scope, import: &ImportThread) -> Done<ImportState> {
    let who = *sheet.who.get(scope).ok_or_else(|| damage("a user that was just made is not there"))?;
    fits(import.updated_at)?;
    fits(import.created_at)?;
    if let Some(thread) = sheet.thread(who.tenant, &import.id).cloned() {
        if thread.row.owner != who.user {
            return Ok(ImportState::Taken);
        }
        if !thread.row.hidden {
            return Ok(ImportState::AlreadyThere);
        }
        sheet.bury(&thread);
    }
    let mut thread = make(sheet, who, import.created_at, &import.id, &import.title, import.metadata.as_ref())?;
    let row = thread.change();
    row.hidden = true;
    row.archived = import.archived;
    row.updated_at = import.updated_at;
    sheet.put_thread(thread);
    Ok(ImportState::Begun)
}

/// A copy of the thread of an import that has begun and is not finished.
fn begun(sheet: &Sheet, scope: &Scope, id: &ThreadId) -> Done<ThreadSheet> {
    let who = sheet.who.get(scope).ok_or(Missing::Thread)?;
    match sheet.thread(who.tenant, id) {
        Some(thread) if thread.row.owner == who.user && thread.row.hidden => Ok(thread.clone()),
        Some(thread) if thread.row.owner == who.user => Err(invalid("the import is finished")),
        _ => Err(Missing::Thread.into()),
    }
}

/// Adds rows.
pub(crate) async fn rows(db: &Db<'_>, sheet: &mut Sheet, scope: &Scope, id: &ThreadId, rows: &[ImportRow]) -> Done<()> {
    let mut thread = begun(sheet, scope, id)?;
    for row in rows {
        match row {
            ImportRow::Branch { id, parent, fork_depth } => {
                branch(db, &mut thread, id, parent.as_ref(), *fork_depth).await?;
            }
            ImportRow::Message(row) => message(db, &mut thread, row).await?,
        }
    }
    sheet.put_thread(thread);
    Ok(())
}

async fn branch(
    db: &Db<'_>,
    thread: &mut ThreadSheet,
    id: &BranchId,
    parent: Option<&BranchId>,
    depth: u64,
) -> Done<()> {
    let pred = match (parent, depth) {
        (None, 0) => None,
        (Some(parent), 0) => {
            thread.find_branch(db, parent).await?.ok_or_else(|| invalid(unknown_parent(id, parent)))?;
            None
        }
        (None, _) => return Err(invalid("a branch without a parent begins at depth 0")),
        (Some(parent), _) => {
            let line = thread.find_branch(db, parent).await?.ok_or_else(|| invalid(unknown_parent(id, parent)))?;
            if depth > line.total {
                return Err(invalid("a branch forks past the end of its parent"));
            }
            thread.pred_at(db, &line, depth).await?
        }
    };
    lines::make(db, thread, id, pred).await?;
    Ok(())
}

async fn message(db: &Db<'_>, thread: &mut ThreadSheet, message: &Message) -> Done<()> {
    let line = thread.find_branch(db, &message.branch).await?.ok_or(Missing::Branch)?;
    if message.depth != line.total {
        return Err(invalid(format_args!(
            "message {} names depth {}, its slot has {}",
            message.id, message.depth, line.total
        )));
    }
    if !message.previews.is_empty() {
        return Err(invalid("a message comes whole or not at all"));
    }
    lines::place(db, thread, &mut (*line).clone(), placing(message)).await?;
    Ok(())
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
pub(crate) async fn finish(
    db: &Db<'_>,
    sheet: &mut Sheet,
    scope: &Scope,
    id: &ThreadId,
    default_branch: Option<&BranchId>,
) -> Done<(Thread, Vec<Committing>)> {
    let mut thread = begun(sheet, scope, id)?;
    if thread.row.branches == 0 {
        return Err(invalid("an imported thread has at least one branch"));
    }
    let line = thread.named_or_default(db, default_branch).await?;
    let row = thread.change();
    row.default_branch = line.num;
    row.hidden = false;
    let change = Change::ThreadImported {
        branch: line.id.clone(),
        branches: row.branches.unsigned_abs(),
        messages: row.messages.unsigned_abs(),
    };
    let at = row.updated_at;
    let event = add_record(&mut thread, at, change, None);
    let summary = summary_of(db, &mut thread, false).await?;
    let shown = thread.row.shown(line.id.clone());
    let tenant = scope.tenant.clone();
    sheet.unremember(&thread);
    sheet.put_thread(thread);
    let event = Committing::Event { tenant, thread: id.clone(), event };
    Ok((shown, vec![event, Committing::Summary { scope: scope.clone(), summary }]))
}

/// Removes an import that is not finished.
pub(crate) fn abort(sheet: &mut Sheet, scope: &Scope, id: &ThreadId) -> Done<()> {
    let thread = begun(sheet, scope, id)?;
    sheet.bury(&thread);
    Ok(())
}
