//! Imports: threads that come whole from elsewhere, hidden until they are finished.

use std::collections::HashMap;

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, Event, Message, MessageStatus, Record, Scope, Thread, ThreadId};
use threadmill_store::{Committing, ImportRow, ImportState, ImportThread, Missing, unknown_parent};

use super::lines::{self, Placing};
use super::log::{summary_of, write_record, write_summary};
use super::removal;
use super::threads::make;
use super::work::Outcome;
use crate::db::Db;
use crate::fail::{Done, invalid};
use crate::rows::{BranchRow, Principal, ThreadRow, branch, principal, thread};

/// Begins an import.
pub(crate) fn begin(db: &Db<'_>, scope: &Scope, import: &ImportThread) -> Done<Outcome<ImportState>> {
    let who = principal::intern(db, scope)?;
    let mut effects = Vec::new();
    if let Some(row) = thread::any(db, who.tenant, &import.id)? {
        if row.owner != who.user {
            return Ok(Outcome::plain(ImportState::Taken));
        }
        if !row.hidden {
            return Ok(Outcome::plain(ImportState::AlreadyThere));
        }
        effects = removal::bury(db, &row)?;
    }
    let mut row = make(db, who, import.created_at, &import.id, &import.title, import.metadata.as_ref())?;
    row.hidden = true;
    row.archived = import.archived;
    row.updated_at = import.updated_at;
    thread::update(db, &row)?;
    Ok(Outcome { answer: ImportState::Begun, out: Vec::new(), effects })
}

/// The thread of an import that has begun and is not finished.
fn begun(db: &Db<'_>, scope: &Scope, id: &ThreadId) -> Done<(Principal, ThreadRow)> {
    let who = principal::find(db, scope)?.ok_or(Missing::Thread)?;
    match thread::any(db, who.tenant, id)? {
        Some(row) if row.owner == who.user && row.hidden => Ok((who, row)),
        Some(row) if row.owner == who.user => Err(invalid("the import is finished")),
        _ => Err(Missing::Thread.into()),
    }
}

/// Adds rows.
pub(crate) fn rows(db: &Db<'_>, scope: &Scope, id: &ThreadId, rows: &[ImportRow]) -> Done<()> {
    let (_, thread) = begun(db, scope, id)?;
    let mut lines = HashMap::new();
    let mut importing = Importing { db, thread };
    for row in rows {
        match row {
            ImportRow::Branch { id, parent, fork_depth } => {
                importing.branch(&mut lines, id, parent.as_ref(), *fork_depth)?;
            }
            ImportRow::Message(message) => importing.message(&mut lines, message)?,
        }
    }
    for line in lines.values() {
        branch::update_total(db, line)?;
    }
    thread::update(db, &importing.thread)
}

/// Branches as this batch left them; their rows are written at its end.
type Lines = HashMap<BranchId, BranchRow>;

struct Importing<'w> {
    db: &'w Db<'w>,
    thread: ThreadRow,
}

impl Importing<'_> {
    fn line<'l>(&self, lines: &'l mut Lines, id: &BranchId) -> Done<&'l mut BranchRow> {
        if !lines.contains_key(id) {
            let line = branch::find(self.db, &self.thread, id)?.ok_or(Missing::Branch)?;
            lines.insert(id.clone(), line);
        }
        Ok(lines.get_mut(id).ok_or(Missing::Branch)?)
    }

    fn parent<'l>(&self, lines: &'l mut Lines, id: &BranchId, parent: &BranchId) -> Done<&'l mut BranchRow> {
        if !lines.contains_key(parent) && branch::find(self.db, &self.thread, parent)?.is_none() {
            return Err(invalid(unknown_parent(id, parent)));
        }
        self.line(lines, parent)
    }

    fn branch(&mut self, lines: &mut Lines, id: &BranchId, parent: Option<&BranchId>, depth: u64) -> Done<()> {
        let pred = match (parent, depth) {
            (None, 0) => None,
            (Some(parent), 0) => {
                self.parent(lines, id, parent)?;
                None
            }
            (None, _) => return Err(invalid("a branch without a parent begins at depth 0")),
            (Some(parent), _) => {
                let line = self.parent(lines, id, parent)?;
                if depth > line.total {
                    return Err(invalid("a branch forks past the end of its parent"));
                }
                lines::pred_at(self.db, line, depth)?
            }
        };
        let line = lines::make(self.db, &mut self.thread, id, pred)?;
        lines.insert(id.clone(), line);
        Ok(())
    }

    fn message(&mut self, lines: &mut Lines, message: &Message) -> Done<()> {
        let line = self.line(lines, &message.branch)?;
        if message.depth != line.total {
            return Err(invalid(format_args!(
                "message {} names depth {}, its slot has {}",
                message.id, message.depth, line.total
            )));
        }
        if !message.previews.is_empty() {
            return Err(invalid("a message comes whole or not at all"));
        }
        lines::place(self.db, &mut self.thread, line, placing(message))?;
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
pub(crate) fn finish(
    db: &Db<'_>,
    epoch: u64,
    scope: &Scope,
    id: &ThreadId,
    default_branch: Option<&BranchId>,
) -> Done<Outcome<Thread>> {
    let (who, mut row) = begun(db, scope, id)?;
    if row.branches == 0 {
        return Err(invalid("an imported thread has at least one branch"));
    }
    let line = branch::named_or_default(db, &row, default_branch)?;
    row.default_branch = line.num;
    row.hidden = false;
    let record = Record {
        seq: row.seq + 1,
        at: row.updated_at,
        change: Change::ThreadImported {
            branch: line.id,
            branches: row.branches.unsigned_abs(),
            messages: row.messages.unsigned_abs(),
        },
    };
    removal::unremember(db, &row)?;
    write_record(db, &mut row, &record)?;
    thread::update(db, &row)?;
    let summary = write_summary(db, who, summary_of(db, &row)?)?;
    let position = row.position(epoch);
    let event = Committing::Event {
        tenant: scope.tenant.clone(),
        thread: row.id.clone(),
        event: Event { epoch: position.epoch, hash: position.hash, record, body: None },
    };
    Ok(Outcome {
        answer: row.shown(db)?,
        out: vec![event, Committing::Summary { scope: scope.clone(), summary }],
        effects: Vec::new(),
    })
}

/// Removes an import that is not finished.
pub(crate) fn abort(db: &Db<'_>, scope: &Scope, id: &ThreadId) -> Done<Outcome<()>> {
    let (_, row) = begun(db, scope, id)?;
    Ok(Outcome { answer: (), out: Vec::new(), effects: removal::bury(db, &row)? })
}
