//! Transactions on the model: worked out on a copy of the thread, which takes its place if all went well.

use threadmill_proto::change::MessageRef;
use threadmill_proto::{Change, Event, Message, MessageStatus, Millis, Position, Record, Scope, Summary, ThreadId};

use super::budgets::{self, Budgets};
use super::locks;
use super::state::{Receipt, State, ThreadState, UserState, body_of};
use crate::{
    Applied, Command, Committed, Committing, Conflict, KEEP_CHANGES, Missing, StoreError, StoreResult, TOMBSTONES,
    Transaction, chain, commitment,
};

/// One transaction under way on a copy of its thread.
pub(super) struct Work<'w> {
    pub(super) scope: &'w Scope,
    pub(super) at: Millis,
    pub(super) thread: ThreadState,
    /// A copy of all budgets.
    pub(super) budgets: Budgets,
    /// Run ids of the tenant's other threads.
    pub(super) taken_runs: Vec<threadmill_proto::RunId>,
    pub(super) out: Vec<Committing>,
    /// The branch the transaction wrote a message on last.
    pub(super) wrote_on: Option<threadmill_proto::BranchId>,
}

pub(super) fn invalid(detail: impl Into<String>) -> StoreError {
    StoreError::Invalid(detail.into())
}

pub(super) fn apply(state: &mut State, out: &mut Vec<Committing>, transaction: &Transaction) -> StoreResult<Committed> {
    if let Some(answer) = replay(state, transaction)? {
        return Ok(answer);
    }
    locks::admit(state, &transaction.scope, transaction.under.as_ref())?;
    check_shape(&transaction.commands)?;
    let thread = open(state, transaction)?;
    let before = thread.seq;
    let mut work = Work {
        scope: &transaction.scope,
        at: transaction.at,
        taken_runs: state
            .tenant_threads(&transaction.scope.tenant)
            .filter(|other| other.id != thread.id)
            .flat_map(|other| other.runs.iter().map(|run| run.info.id.clone()))
            .collect(),
        thread,
        budgets: state.budgets.clone(),
        out: Vec::new(),
        wrote_on: None,
    };
    let mut applied = Vec::new();
    for command in &transaction.commands {
        let done = work.command(command)?;
        if let Applied::Message { message, .. } = &done {
            work.wrote_on = Some(message.branch.clone());
        }
        applied.push(done);
    }
    let Work { thread, out: told, budgets, .. } = work;
    state.budgets = budgets;
    out.extend(told);
    let position = settle(state, out, transaction, thread, before, &applied);
    let committed = Committed { applied, position, replayed: false };
    keep_receipt(state, transaction, &committed);
    Ok(committed)
}

/// The first answer, with each body as its message has it now: what was removed is not answered again.
fn replay(state: &State, transaction: &Transaction) -> StoreResult<Option<Committed>> {
    let Some(key) = &transaction.key else {
        return Ok(None);
    };
    let user = state.users.get(&transaction.scope);
    let Some(receipt) = user.and_then(|user| user.receipts.get(&key.key)) else {
        return Ok(None);
    };
    if receipt.key.digest != key.digest {
        return Err(Conflict::KeyReused.into());
    }
    let mut answer = receipt.answer.clone().ok_or(StoreError::Deleted)?;
    answer.replayed = true;
    if let Some(thread) = &receipt.thread {
        let thread = state.visible(&transaction.scope, thread)?;
        for applied in &mut answer.applied {
            refresh(thread, applied)?;
        }
    }
    Ok(Some(answer))
}

fn refresh(thread: &ThreadState, applied: &mut Applied) -> StoreResult<()> {
    let message = match applied {
        Applied::Message { message, .. } | Applied::Started { message, .. } | Applied::Ended { message, .. } => message,
        Applied::Thread(_) | Applied::Stopping(_) | Applied::AlreadyOver(_) | Applied::Deleted => return Ok(()),
    };
    if !message.parts.is_empty() || message.metadata.is_some() {
        let now = thread.message(&message.id)?;
        message.parts.clone_from(&now.parts);
        message.metadata.clone_from(&now.metadata);
        if now.status == MessageStatus::Removed {
            (message.status, message.rev) = (now.status, now.rev);
        }
    }
    Ok(())
}

fn check_shape(commands: &[Command]) -> StoreResult<()> {
    let creates = |command: &Command| matches!(command, Command::CreateThread { .. });
    let deletes = |command: &Command| matches!(command, Command::DeleteThread { .. });
    if commands.is_empty() {
        return Err(invalid("a transaction has at least one command"));
    }
    if commands[1..].iter().any(creates) {
        return Err(invalid("a thread is made first in its transaction"));
    }
    if commands.len() > 1 && commands.iter().any(deletes) {
        return Err(invalid("a thread is deleted in a transaction of its own"));
    }
    Ok(())
}

fn thread_named(command: &Command) -> Option<&ThreadId> {
    match command {
        Command::CreateThread { id, .. } | Command::UpdateThread { id, .. } | Command::DeleteThread { id, .. } => {
            Some(id)
        }
        Command::Append { thread, .. }
        | Command::Edit { thread, .. }
        | Command::Remove { thread, .. }
        | Command::StartRun { thread, .. } => Some(thread),
        Command::StopRun { .. } | Command::EndRun { .. } => None,
    }
}

fn open(state: &mut State, transaction: &Transaction) -> StoreResult<ThreadState> {
    let scope = &transaction.scope;
    match &transaction.commands[0] {
        Command::CreateThread { id, title, metadata, .. } => {
            if state.users.get(scope).is_some_and(|user| user.tombstones.iter().any(|(gone, _)| gone == id)) {
                return Err(StoreError::Deleted);
            }
            if state.threads.contains_key(&(scope.tenant.clone(), id.clone())) {
                return Err(Conflict::IdTaken.into());
            }
            let mut thread = blank(state, scope, id.clone(), transaction.at);
            thread.title.clone_from(title);
            thread.metadata.clone_from(metadata);
            Ok(thread)
        }
        Command::StopRun { run } | Command::EndRun { run, .. } => state.thread_of_run(scope, run).cloned(),
        other => {
            let id = thread_named(other).ok_or(Missing::Thread)?;
            state.visible(scope, id).cloned()
        }
    }
}

/// A thread with nothing in it.
pub(super) fn blank(state: &mut State, scope: &Scope, id: ThreadId, at: Millis) -> ThreadState {
    ThreadState {
        id,
        owner: scope.user.clone(),
        hidden: false,
        title: String::new(),
        metadata: None,
        archived: false,
        default_branch: 0,
        created_at: at,
        updated_at: at,
        secret: state.next_secret(),
        epoch: state.epoch,
        seq: 0,
        hash: threadmill_proto::ChainHash::default(),
        log: Vec::new(),
        branches: Vec::new(),
        messages: Vec::new(),
        runs: Vec::new(),
    }
}

/// Puts the thread back, or away, and brings the owner's summary log up to date.
fn settle(
    state: &mut State,
    out: &mut Vec<Committing>,
    transaction: &Transaction,
    mut thread: ThreadState,
    before: u64,
    applied: &[Applied],
) -> Position {
    let scope = &transaction.scope;
    let place = (scope.tenant.clone(), thread.id.clone());
    if applied.contains(&Applied::Deleted) {
        state.threads.remove(&place);
        let user = state.users.entry(scope.clone()).or_default();
        bury(user, &thread.id);
        let tombstone = Summary {
            title: String::new(),
            snippet: String::new(),
            running: false,
            deleted: true,
            updated_at: transaction.at,
            ..thread.summary()
        };
        summarise(state, out, scope, tombstone);
        return Position::default();
    }
    if thread.seq > before {
        prune(&mut thread, transaction.at);
        summarise(state, out, scope, thread.summary());
    }
    let position = thread.position();
    state.threads.insert(place, thread);
    position
}

/// Receipts go with the thread, but for the one that made it; a tombstone stays.
fn bury(user: &mut UserState, thread: &ThreadId) {
    let mut maker = None;
    user.receipts.retain(|key, receipt| {
        if receipt.thread.as_ref() == Some(thread) {
            (receipt.thread, receipt.answer) = (None, None);
            if receipt.makes {
                maker = Some(key.clone());
            }
            return receipt.makes;
        }
        true
    });
    user.tombstones.push((thread.clone(), maker));
    if user.tombstones.len() as u64 > TOMBSTONES
        && let (_, Some(key)) = user.tombstones.remove(0)
    {
        user.receipts.remove(&key);
    }
}

fn prune(thread: &mut ThreadState, at: Millis) {
    let before = at.saturating_sub(KEEP_CHANGES);
    let young = thread.log.iter().position(|(_, record)| record.at >= before);
    thread.log.drain(..young.unwrap_or(0));
}

/// Moves a thread's entry to the end of its owner's summary log.
pub(super) fn summarise(state: &mut State, out: &mut Vec<Committing>, scope: &Scope, mut summary: Summary) {
    let user: &mut UserState = state.users.entry(scope.clone()).or_default();
    user.pos += 1;
    summary.pos = user.pos;
    user.summaries.insert(summary.thread.clone(), summary.clone());
    out.push(Committing::Summary { scope: scope.clone(), summary });
}

fn keep_receipt(state: &mut State, transaction: &Transaction, committed: &Committed) {
    let Some(key) = &transaction.key else {
        return;
    };
    let thread = match &transaction.commands[0] {
        Command::DeleteThread { .. } => None,
        Command::StopRun { run } | Command::EndRun { run, .. } => {
            state.thread_of_run(&transaction.scope, run).ok().map(|thread| thread.id.clone())
        }
        other => thread_named(other).cloned(),
    };
    let makes = matches!(transaction.commands[0], Command::CreateThread { .. });
    let receipt = Receipt { key: key.clone(), thread, answer: Some(committed.clone()), makes };
    let user = state.users.entry(transaction.scope.clone()).or_default();
    user.receipts.insert(key.key.clone(), receipt);
}

/// Adds a record to a thread's log; returns it as it is delivered.
pub(super) fn append_record(thread: &mut ThreadState, at: Millis, change: Change, body: Option<Message>) -> Event {
    let record = Record { seq: thread.seq + 1, at, change };
    thread.seq = record.seq;
    thread.hash = chain(thread.hash, &record);
    thread.log.push((thread.hash, record.clone()));
    Event { epoch: thread.epoch, hash: thread.hash, record, body }
}

impl Work<'_> {
    fn command(&mut self, command: &Command) -> StoreResult<Applied> {
        if thread_named(command).is_some_and(|id| *id != self.thread.id) {
            return Err(invalid("a transaction concerns one thread"));
        }
        match command {
            Command::CreateThread { branch, .. } => {
                let title = self.thread.title.clone();
                self.make_branch(branch, None)?;
                self.log(Change::ThreadCreated { branch: branch.clone(), title }, None);
                Ok(Applied::Thread(self.thread.shown()))
            }
            Command::UpdateThread { title, archived, default_branch, metadata, .. } => {
                let length = self.thread.log.len();
                self.retitle(title.clone(), *archived);
                if metadata.is_some() && *metadata != self.thread.metadata {
                    self.thread.metadata.clone_from(metadata);
                    if self.thread.log.len() == length {
                        let (title, archived) = (self.thread.title.clone(), self.thread.archived);
                        self.log(Change::ThreadUpdated { title, archived }, None);
                    }
                }
                if let Some(branch) = default_branch {
                    let at = self.branch_at(branch)?;
                    self.open_on(at);
                }
                Ok(Applied::Thread(self.thread.shown()))
            }
            Command::DeleteThread { at, .. } => {
                if at.is_some_and(|at| self.thread.seq != at) {
                    return Err(Conflict::TipMoved.into());
                }
                self.log(Change::ThreadDeleted, None);
                for run in &mut self.thread.runs {
                    budgets::settle(&mut self.budgets, run.held.take(), None);
                }
                Ok(Applied::Deleted)
            }
            Command::Append { .. } => self.append(command),
            Command::Edit { .. } => self.edit(command),
            Command::Remove { message, .. } => self.remove(message),
            Command::StartRun { .. } => self.start_run(command),
            Command::StopRun { run } => self.stop_run(run),
            Command::EndRun { .. } => self.end_run(command),
        }
    }

    /// Adds a change to the log.
    pub(super) fn log(&mut self, change: Change, body: Option<Message>) {
        let event = append_record(&mut self.thread, self.at, change, body);
        self.out.push(Committing::Event { tenant: self.scope.tenant.clone(), thread: self.thread.id.clone(), event });
    }

    /// The message as a record names it.
    pub(super) fn reference(&self, message: &Message) -> MessageRef {
        MessageRef {
            id: message.id.clone(),
            branch: message.branch.clone(),
            depth: message.depth,
            rev: message.rev,
            commitment: commitment(&self.thread.secret, &body_of(message)),
        }
    }

    /// Changes title and flag, if they differ.
    pub(super) fn retitle(&mut self, title: Option<String>, archived: Option<bool>) {
        let title = title.unwrap_or_else(|| self.thread.title.clone());
        let archived = archived.unwrap_or(self.thread.archived);
        if title != self.thread.title || archived != self.thread.archived {
            self.thread.title.clone_from(&title);
            self.thread.archived = archived;
            self.log(Change::ThreadUpdated { title, archived }, None);
        }
    }

    /// Makes another branch the default one.
    pub(super) fn open_on(&mut self, branch: usize) {
        if self.thread.default_branch != branch {
            self.thread.default_branch = branch;
            let branch = self.thread.branches[branch].id.clone();
            self.log(Change::DefaultBranchMoved { branch }, None);
        }
    }
}
