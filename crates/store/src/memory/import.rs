//! Imports on the model.

use threadmill_proto::{BranchId, Change, Message, MessageStatus, Scope, Thread, ThreadId};

use super::state::{State, ThreadState};
use super::transaction::{append_record, blank, invalid, summarise};
use crate::{Committing, ImportRow, ImportState, ImportThread, Missing, StoreResult, unknown_parent};

pub(super) fn begin(state: &mut State, scope: &Scope, import: ImportThread) -> ImportState {
    let place = (scope.tenant.clone(), import.id.clone());
    if let Some(known) = state.threads.get(&place) {
        if known.owner != scope.user {
            return ImportState::Taken;
        }
        if !known.hidden {
            return ImportState::AlreadyThere;
        }
    }
    let mut thread = blank(state, scope, import.id, import.created_at);
    thread.hidden = true;
    thread.title = import.title;
    thread.metadata = import.metadata;
    thread.archived = import.archived;
    thread.updated_at = import.updated_at;
    state.threads.insert(place, thread);
    ImportState::Begun
}

/// A copy of the thread of an import that has begun and is not finished.
fn begun(state: &State, scope: &Scope, id: &ThreadId) -> StoreResult<ThreadState> {
    let place = (scope.tenant.clone(), id.clone());
    match state.threads.get(&place) {
        Some(thread) if thread.owner == scope.user && thread.hidden => Ok(thread.clone()),
        Some(thread) if thread.owner == scope.user => Err(invalid("the import is finished")),
        _ => Err(Missing::Thread.into()),
    }
}

pub(super) fn rows(state: &mut State, scope: &Scope, id: &ThreadId, rows: &[ImportRow]) -> StoreResult<()> {
    let mut thread = begun(state, scope, id)?;
    for row in rows {
        match row {
            ImportRow::Branch { id, parent, fork_depth } => add_branch(&mut thread, id, parent.as_ref(), *fork_depth)?,
            ImportRow::Message(message) => add_message(&mut thread, message)?,
        }
    }
    state.threads.insert((scope.tenant.clone(), id.clone()), thread);
    Ok(())
}

fn add_branch(thread: &mut ThreadState, id: &BranchId, parent: Option<&BranchId>, depth: u64) -> StoreResult<()> {
    let after = match (parent, depth) {
        (None, 0) => None,
        (Some(parent), 0) => {
            thread.find_branch(parent).map_err(|_| invalid(unknown_parent(id, parent)))?;
            None
        }
        (None, _) => return Err(invalid("a branch without a parent begins at depth 0")),
        (Some(parent), _) => {
            let parent =
                &thread.branches[thread.find_branch(parent).map_err(|_| invalid(unknown_parent(id, parent)))?];
            let before = usize::try_from(depth - 1).unwrap_or(usize::MAX);
            let after = parent.line.get(before).cloned();
            Some(after.ok_or_else(|| invalid("a branch forks past the end of its parent"))?)
        }
    };
    thread.make_branch(id, after.as_ref())?;
    Ok(())
}

fn add_message(thread: &mut ThreadState, message: &Message) -> StoreResult<()> {
    let branch = thread.find_branch(&message.branch)?;
    if message.depth != thread.branches[branch].line.len() as u64 {
        return Err(invalid("a message names another depth than its slot's"));
    }
    if !message.previews.is_empty() {
        return Err(invalid("a message comes whole or not at all"));
    }
    thread.updated_at = thread.updated_at.max(message.created_at);
    let mut message = message.clone();
    message.rev = message.rev.max(1);
    if message.status == MessageStatus::Streaming {
        message.status = MessageStatus::Interrupted;
    }
    if message.status == MessageStatus::Removed {
        message.parts.clear();
        message.metadata = None;
    }
    thread.place(branch, message)?;
    Ok(())
}

pub(super) fn finish(
    state: &mut State,
    out: &mut Vec<Committing>,
    scope: &Scope,
    id: &ThreadId,
    default_branch: Option<&BranchId>,
) -> StoreResult<Thread> {
    let mut thread = begun(state, scope, id)?;
    if thread.branches.is_empty() {
        return Err(invalid("an imported thread has at least one branch"));
    }
    thread.default_branch = thread.named_or_default(default_branch)?;
    thread.hidden = false;
    let change = Change::ThreadImported {
        branch: thread.branches[thread.default_branch].id.clone(),
        branches: thread.branches.len() as u64,
        messages: thread.messages.len() as u64,
    };
    let at = thread.updated_at;
    let event = append_record(&mut thread, at, change, None);
    out.push(Committing::Event { tenant: scope.tenant.clone(), thread: id.clone(), event });
    summarise(state, out, scope, thread.summary());
    let user = state.users.entry(scope.clone()).or_default();
    // What made the one before it makes nothing as long as this one, or its tombstone, is there.
    let makers: Vec<String> =
        user.tombstones.extract_if(.., |(gone, _)| gone == id).filter_map(|(_, maker)| maker).collect();
    for maker in makers {
        user.receipts.entry(maker).and_modify(|receipt| receipt.thread = Some(id.clone()));
    }
    let shown = thread.shown();
    state.threads.insert((scope.tenant.clone(), id.clone()), thread);
    Ok(shown)
}

pub(super) fn abort(state: &mut State, scope: &Scope, id: &ThreadId) -> StoreResult<()> {
    begun(state, scope, id)?;
    state.threads.remove(&(scope.tenant.clone(), id.clone()));
    Ok(())
}
