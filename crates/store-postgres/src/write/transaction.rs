//! Applies a transaction: its receipt, its thread, its commands, its summary.

use threadmill_proto::{Position, ThreadId};
use threadmill_store::{Applied, Command, Committed, Committing, Missing, StoreError, Transaction};

use super::receipt;
use super::threads;
use super::work::Work;
use crate::codec::fits;
use crate::db::Db;
use crate::fail::{Done, damage, invalid};
use crate::rows::Principal;
use crate::sheet::{Sheet, ThreadSheet};

/// Applies a transaction; returns the answer and what is to be told.
pub(crate) async fn apply(
    db: &Db<'_>,
    sheet: &mut Sheet,
    transaction: &Transaction,
) -> Done<(Committed, Vec<Committing>)> {
    let who = sheet.who.get(&transaction.scope).copied();
    let who = who.ok_or_else(|| damage("a user that was just made is not there"))?;
    if let Some(key) = &transaction.key
        && let Some(answer) = receipt::replay(db, sheet, who, key).await?
    {
        return Ok((answer, Vec::new()));
    }
    sheet.admit(who.tenant, transaction.under.as_ref())?;
    check_shape(&transaction.commands)?;
    fits(transaction.at)?;
    let thread = open(sheet, who, transaction)?;
    let before = thread.row.seq;
    let mut work = Work::begin(db, sheet, &transaction.scope, who, transaction.at, thread);
    let mut applied = Vec::with_capacity(transaction.commands.len());
    for command in &transaction.commands {
        let done = work.command(sheet, command).await?;
        if let Applied::Message { message, .. } = &done {
            work.wrote_on = Some(message.branch.clone());
        }
        applied.push(done);
    }
    let committed = work.seal(before, applied).await?;
    let thread = work.thread.row.num;
    let deleted = committed.applied.contains(&Applied::Deleted);
    let out = if deleted {
        sheet.remember(&work.thread);
        sheet.bury(&work.thread);
        work.out
    } else {
        work.settle(sheet)
    };
    if let Some(key) = &transaction.key {
        let makes = matches!(transaction.commands[0], Command::CreateThread { .. });
        receipt::keep(sheet, who, key, (!deleted).then_some(thread), makes, &committed);
    }
    Ok((committed, out))
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

/// A copy of the first command's thread, made now if that is what it asks.
fn open(sheet: &mut Sheet, who: Principal, transaction: &Transaction) -> Done<ThreadSheet> {
    let first = &transaction.commands[0];
    if let Command::CreateThread { id, title, metadata, .. } = first {
        if sheet.remembered.contains(&(who.user, id.clone())) {
            return Err(StoreError::Deleted.into());
        }
        return threads::make(sheet, who, transaction.at, id, title, metadata.as_ref());
    }
    if let Some(id) = thread_named(first) {
        let thread = sheet.thread(who.tenant, id);
        let visible = thread.filter(|thread| thread.row.owner == who.user && !thread.row.hidden);
        return Ok(visible.ok_or(Missing::Thread)?.clone());
    }
    let (Command::StopRun { run } | Command::EndRun { run, .. }) = first else {
        return Err(Missing::Thread.into());
    };
    let run = sheet.run(who.tenant, run).filter(|run| run.row.owner == who.user).ok_or(Missing::Run)?;
    let thread = sheet.threads.get(&run.row.thread).cloned();
    thread.ok_or_else(|| damage("a run's thread is not there"))
}

/// The thread that a command names.
pub(crate) fn thread_named(command: &Command) -> Option<&ThreadId> {
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
    async fn command(&mut self, sheet: &mut Sheet, command: &Command) -> Done<Applied> {
        if thread_named(command).is_some_and(|id| *id != self.thread.row.id) {
            return Err(invalid("a transaction concerns one thread"));
        }
        match command {
            Command::CreateThread { branch, .. } => self.first_branch(branch).await,
            Command::UpdateThread { title, archived, default_branch, .. } => {
                self.update_thread(title.as_deref(), *archived, default_branch.as_ref()).await
            }
            Command::DeleteThread { .. } => Ok(self.delete_thread()),
            Command::Append { .. } => self.append(command).await,
            Command::Edit { .. } => self.edit(command).await,
            Command::Remove { message, .. } => self.remove(message).await,
            Command::StartRun { .. } => self.start_run(sheet, command).await,
            Command::StopRun { run } => self.stop_run(run),
            Command::EndRun { .. } => self.end_run(command).await,
        }
    }

    /// Brings the summary up to date if the log grew, and says where the log is.
    async fn seal(&mut self, before: u64, applied: Vec<Applied>) -> Done<Committed> {
        let deleted = applied.contains(&Applied::Deleted);
        if !deleted && self.thread.row.seq > before {
            self.prune_changes();
            self.summarise().await?;
        }
        let position = if deleted { Position::default() } else { self.thread.row.position() };
        Ok(Committed { applied, position, replayed: false })
    }
}
