//! Applies a transaction: its receipt, its thread, its commands, its summary.

use threadmill_proto::{Position, ThreadId};
use threadmill_store::{Applied, Command, Committed, Missing, StoreError, Transaction};

use super::work::{Outcome, Work};
use super::{lock, receipt, removal, threads};
use crate::db::Db;
use crate::fail::{Done, invalid};
use crate::live::LiveRuns;
use crate::rows::{Principal, ThreadRow, principal, run, thread};

/// Applies a transaction; `epoch` is the store's part of the epoch.
pub(crate) fn apply(db: &Db<'_>, live: &LiveRuns, epoch: u64, transaction: &Transaction) -> Done<Outcome<Committed>> {
    let who = principal::intern(db, &transaction.scope)?;
    if let Some(key) = &transaction.key
        && let Some(answer) = receipt::replay(db, who, key)?
    {
        return Ok(Outcome::plain(answer));
    }
    lock::admit(db, &transaction.scope, transaction.under.as_ref(), epoch)?;
    check_shape(&transaction.commands)?;
    let thread = open(db, who, transaction)?;
    let before = thread.seq;
    let mut work = Work {
        db,
        live,
        epoch,
        scope: &transaction.scope,
        who,
        at: transaction.at,
        thread,
        out: Vec::new(),
        effects: Vec::new(),
        wrote_on: None,
    };
    let mut applied = Vec::with_capacity(transaction.commands.len());
    for command in &transaction.commands {
        let done = work.command(command)?;
        if let Applied::Message { message, .. } = &done {
            work.wrote_on = Some(message.branch.clone());
        }
        applied.push(done);
    }
    let committed = work.seal(before, applied)?;
    if let Some(key) = &transaction.key {
        let makes = matches!(transaction.commands[0], Command::CreateThread { .. });
        receipt::keep(db, who, key, work.thread.num, makes, &committed)?;
    }
    Ok(Outcome { answer: committed, out: work.out, effects: work.effects })
}

/// Making a thread comes first, and deleting one stands alone: so a transaction has one thread throughout.
fn check_shape(commands: &[Command]) -> Done<()> {
    if commands.is_empty() {
        return Err(invalid("a transaction has at least one command"));
    }
    for (index, command) in commands.iter().enumerate() {
        match command {
            Command::CreateThread { .. } if index > 0 => {
                return Err(invalid("a thread is made first in its transaction"));
            }
            Command::DeleteThread { .. } if commands.len() > 1 => {
                return Err(invalid("a thread is deleted in a transaction of its own"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The thread of the first command, made now if that is what it asks.
fn open(db: &Db<'_>, who: Principal, transaction: &Transaction) -> Done<ThreadRow> {
    let first = &transaction.commands[0];
    if let Command::CreateThread { id, title, metadata, .. } = first {
        if removal::is_remembered(db, who.user, id)? {
            return Err(StoreError::Deleted.into());
        }
        return threads::make(db, who, transaction.at, id, title, metadata.as_ref());
    }
    if let Some(id) = thread_named(first) {
        return thread::owned(db, who, id);
    }
    let (Command::StopRun { run } | Command::EndRun { run, .. }) = first else {
        return Err(Missing::Thread.into());
    };
    let row = run::find(db, who.tenant, run)?.ok_or(Missing::Run)?;
    let thread = thread::by_num(db, row.thread)?;
    if thread.owner == who.user { Ok(thread) } else { Err(Missing::Run.into()) }
}

fn thread_named(command: &Command) -> Option<&ThreadId> {
    match command {
        Command::CreateThread { id, .. } | Command::UpdateThread { id, .. } | Command::DeleteThread { id } => Some(id),
        Command::Append { thread, .. }
        | Command::Edit { thread, .. }
        | Command::Remove { thread, .. }
        | Command::StartRun { thread, .. } => Some(thread),
        Command::StopRun { .. } | Command::EndRun { .. } => None,
    }
}

impl Work<'_> {
    fn command(&mut self, command: &Command) -> Done<Applied> {
        if thread_named(command).is_some_and(|id| *id != self.thread.id) {
            return Err(invalid("a transaction concerns one thread"));
        }
        match command {
            Command::CreateThread { branch, .. } => self.first_branch(branch),
            Command::UpdateThread { title, archived, default_branch, .. } => {
                self.update_thread(title.as_deref(), *archived, default_branch.as_ref())
            }
            Command::DeleteThread { .. } => self.delete_thread(),
            Command::Append { .. } => self.append(command),
            Command::Edit { .. } => self.edit(command),
            Command::Remove { message, .. } => self.remove(message),
            Command::StartRun { .. } => self.start_run(command),
            Command::StopRun { run } => self.stop_run(run),
            Command::EndRun { .. } => self.end_run(command),
        }
    }

    /// Writes the thread and its summary if the log grew, and says where the log is.
    fn seal(&mut self, before: u64, applied: Vec<Applied>) -> Done<Committed> {
        let deleted = applied.contains(&Applied::Deleted);
        if !deleted && self.thread.seq > before {
            thread::update(self.db, &self.thread)?;
            self.prune_changes()?;
            self.summarise()?;
        }
        let position = if deleted { Position::default() } else { self.thread.position(self.epoch) };
        Ok(Committed { applied, position, replayed: false })
    }
}
