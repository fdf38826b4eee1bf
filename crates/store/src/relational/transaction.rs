//! Applies a transaction: its receipt, its thread, its commands, its summary.

use threadmill_proto::{Position, ThreadId};

use super::access::{Done, Rows};
use super::fail::{fits, invalid};
use super::rows::{Principal, RunRow, ThreadRow};
use super::work::{Outcome, Work};
use super::{locks, receipts, threads};
use crate::{Applied, Command, Committed, Missing, StoreError, Transaction};

/// Applies a transaction.
///
/// # Errors
/// Why it is refused, or what the store says.
pub async fn apply<R: Rows>(rows: &mut R, transaction: &Transaction) -> Done<R, Outcome<Committed>> {
    let who = rows.intern(&transaction.scope).await?;
    if let Some(key) = &transaction.key
        && let Some(answer) = receipts::replay(rows, who, key).await?
    {
        return Ok(Outcome::quiet(answer));
    }
    locks::admit(rows, &transaction.scope, transaction.under.as_ref()).await?;
    check_shape(&transaction.commands)?;
    fits(transaction.at)?;
    let (thread, opened_by) = open(rows, who, transaction).await?;
    let before = thread.seq;
    let (scope, at) = (&transaction.scope, transaction.at);
    let mut work = Work { rows, scope, who, at, thread, out: Vec::new(), wrote_on: None, opened_by };
    let mut applied = Vec::with_capacity(transaction.commands.len());
    for command in &transaction.commands {
        let done = work.command(command).await?;
        if let Applied::Message { message, .. } = &done {
            work.wrote_on = Some(message.branch.clone());
        }
        applied.push(done);
    }
    let committed = work.seal(before, applied).await?;
    let Work { rows, thread, out, .. } = work;
    if let Some(key) = &transaction.key {
        let makes = matches!(transaction.commands[0], Command::CreateThread { .. });
        receipts::keep(rows, who, key, thread.num, makes, &committed).await?;
    }
    Ok(Outcome { answer: committed, out })
}

/// Making a thread comes first, and deleting one stands alone: so a transaction has one thread throughout.
fn check_shape(commands: &[Command]) -> Result<(), StoreError> {
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

/// The thread of the first command, made now if that is what it asks, and the run that it is found by.
async fn open<R: Rows>(
    rows: &mut R,
    who: Principal,
    transaction: &Transaction,
) -> Done<R, (ThreadRow, Option<RunRow>)> {
    let first = &transaction.commands[0];
    if let Command::CreateThread { id, title, metadata, .. } = first {
        if rows.is_remembered(who.user, id).await? {
            return Err(StoreError::Deleted.into());
        }
        let made = threads::make(rows, who, transaction.at, id, title, metadata.as_ref()).await?;
        return Ok((made, None));
    }
    if let Some(id) = thread_named(first) {
        let thread = rows.thread(who.tenant, id).await?;
        return Ok((thread.filter(|thread| thread.is_seen_by(who)).ok_or(Missing::Thread)?, None));
    }
    let (Command::StopRun { run } | Command::EndRun { run, .. }) = first else {
        return Err(Missing::Thread.into());
    };
    let run = rows.run(who.tenant, run).await?.filter(|run| run.owner == who.user).ok_or(Missing::Run)?;
    Ok((rows.thread_of(&run).await?, Some(run)))
}

/// The thread that a command names.
#[must_use]
pub fn thread_named(command: &Command) -> Option<&ThreadId> {
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

impl<R: Rows> Work<'_, R> {
    async fn command(&mut self, command: &Command) -> Done<R, Applied> {
        if thread_named(command).is_some_and(|id| *id != self.thread.id) {
            return Err(invalid("a transaction concerns one thread").into());
        }
        match command {
            Command::CreateThread { branch, .. } => self.first_branch(branch).await,
            Command::UpdateThread { title, archived, default_branch, metadata, .. } => {
                self.update_thread(title.as_deref(), *archived, default_branch.as_ref(), metadata.as_ref()).await
            }
            Command::DeleteThread { at, .. } => self.delete_thread(*at).await,
            Command::Append { .. } => self.append(command).await,
            Command::Edit { .. } => self.edit(command).await,
            Command::Remove { message, .. } => self.remove(message).await,
            Command::StartRun { .. } => self.start_run(command).await,
            Command::StopRun { run } => self.stop_run(run).await,
            Command::EndRun { .. } => self.end_run(command).await,
        }
    }

    /// Writes the thread and its summary if the log grew, and says where the log is.
    async fn seal(&mut self, before: u64, applied: Vec<Applied>) -> Done<R, Committed> {
        let deleted = applied.contains(&Applied::Deleted);
        if !deleted && self.thread.seq > before {
            self.rows.put_thread(&self.thread).await?;
            self.summarise().await?;
        }
        let position = if deleted { Position::default() } else { self.thread.position() };
        Ok(Committed { applied, position, replayed: false })
    }
}
