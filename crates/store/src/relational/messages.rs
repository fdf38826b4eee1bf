//! Messages: appended, edited, removed.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, MessageId, MessageStatus, Role, is_blank};

use super::access::{Done, Rows};
use super::codec::NONE;
use super::fail::invalid;
use super::lines::{self, Placed, Placing};
use super::rows::{BranchRow, MessageRow};
use super::work::Work;
use crate::{Applied, Command, Conflict, IfMoved, Missing, StoppingRun, TITLE_REACH, title_of};

/// Slots of one read where an append looks for what followed a message.
const STEP: u64 = 16;

impl<R: Rows> Work<'_, R> {
    pub(super) async fn append(&mut self, command: &Command) -> Done<R, Applied> {
        let Command::Append { branch, after, if_moved, message, fork, .. } = command else {
            return Err(invalid("not an append").into());
        };
        let mut line = lines::named_or_default(self.rows, &self.thread, branch.as_ref()).await?;
        let moved = match after {
            Some(after) => self.moved_past(&line, after).await?,
            None => None,
        };
        let forks = match (moved, if_moved) {
            (Some(_), IfMoved::Refuse) => return Err(Conflict::TipMoved.into()),
            (Some(after), IfMoved::Fork) => {
                line = self.fork_before(&line, after + 1, fork).await?;
                true
            }
            (Some(_), IfMoved::Append) | (None, _) => {
                self.refuse_if_busy(&line).await?;
                false
            }
        };
        let placed = self.place(&mut line, self.fresh(message.id.clone(), message.role, &message.body)).await?;
        if forks {
            self.log_fork(&line, &placed).await?;
        }
        self.log_appended(&placed.row).await?;
        if forks {
            self.open_on(line.num, &line.id).await?;
        }
        Ok(applied(placed.row, None))
    }

    /// A message of the thread.
    pub(super) async fn find_message(&mut self, id: &MessageId) -> Done<R, MessageRow> {
        Ok(self.rows.find_message(&self.thread, id).await?.ok_or(Missing::Message)?)
    }

    /// The depth of `after`, if a message that still stands follows it on the line.
    async fn moved_past(&mut self, line: &BranchRow, after: &MessageId) -> Done<R, Option<u64>> {
        let row = self.find_message(after).await?;
        if !lines::is_on(self.rows, &self.thread, line, &row).await? {
            return Err(Conflict::NotOnBranch.into());
        }
        for depth in (row.depth + 1..line.total).rev() {
            let down_to = (depth + 1).saturating_sub(STEP).max(row.depth + 1);
            let slot = self.rows.message_at(&self.thread, line, depth, down_to).await?;
            if slot.status != MessageStatus::Removed {
                return Ok(Some(row.depth));
            }
        }
        Ok(None)
    }

    pub(super) async fn refuse_if_busy(&mut self, line: &BranchRow) -> Done<R, ()> {
        match self.rows.run_on(&self.thread, line.num).await? {
            Some(_) => Err(Conflict::RunInProgress.into()),
            None => Ok(()),
        }
    }

    /// A new branch that shares the line up to `depth`.
    pub(super) async fn fork_before(&mut self, line: &BranchRow, depth: u64, id: &BranchId) -> Done<R, BranchRow> {
        let pred = lines::pred_at(self.rows, &self.thread, line, depth).await?;
        lines::make(self.rows, &mut self.thread, id, pred).await
    }

    /// A message as it begins.
    pub(super) fn fresh(&self, id: MessageId, role: Role, body: &Body) -> Placing {
        Placing { id, role, status: MessageStatus::Complete, rev: 1, created_at: self.at, body: body.clone() }
    }

    pub(super) async fn place(&mut self, line: &mut BranchRow, new: Placing) -> Done<R, Placed> {
        let placed = lines::place(self.rows, &mut self.thread, line, new).await?;
        self.rows.put_branch(&self.thread, line).await?;
        self.thread.updated_at = self.at;
        Ok(placed)
    }

    /// Says that `line` left its parent with the message just placed.
    pub(super) async fn log_fork(&mut self, line: &BranchRow, placed: &Placed) -> Done<R, ()> {
        let Some((sibling, index)) = &placed.sibling else {
            return Err(invalid("a fork without another line").into());
        };
        let parent = match line.parent {
            NONE => None,
            parent => Some(self.rows.branch_id(&self.thread, parent).await?),
        };
        let after = match lines::pred_at(self.rows, &self.thread, line, line.fork_depth).await? {
            None => None,
            Some(pred) => Some(self.rows.sibling(&self.thread, pred.num).await?.id),
        };
        let forked = Change::BranchForked {
            branch: line.id.clone(),
            parent,
            depth: line.fork_depth,
            after,
            message: placed.row.id.clone(),
            sibling: sibling.id.clone(),
            sibling_branch: sibling.branch.clone(),
            index: *index,
        };
        self.log(forked, None).await
    }

    /// Says that a message was appended; the first of a user names a thread without a title.
    async fn log_appended(&mut self, row: &MessageRow) -> Done<R, ()> {
        let reference = self.reference(row);
        self.log(Change::MessageAppended(reference), Some(row.clone().shown())).await?;
        if is_blank(&self.thread.title) && row.role == Role::User {
            let title = title_of(&row.body);
            if !title.is_empty() {
                self.retitle(Some(&title), None).await?;
            }
        }
        Ok(())
    }

    /// A title that was made of a text goes on with what is asked first now, since nobody shall read there what was
    /// removed. One that somebody gave stays, unless it says the same.
    async fn retitle_after(&mut self, role: Role, before: &Body) -> Done<R, ()> {
        if role != Role::User || self.thread.title.is_empty() || self.thread.title != title_of(before) {
            return Ok(());
        }
        let line = self.rows.branch(&self.thread, self.thread.default_branch).await?;
        let mut title = String::new();
        for depth in (0..line.total.min(TITLE_REACH)).rev() {
            let down_to = (depth + 1).saturating_sub(TITLE_REACH);
            let slot = self.rows.message_at(&self.thread, &line, depth, down_to).await?;
            if slot.role == Role::User && slot.status != MessageStatus::Removed {
                let asked = title_of(&slot.body);
                title = if asked.is_empty() { title } else { asked };
            }
        }
        self.retitle(Some(&title), None).await
    }

    pub(super) async fn edit(&mut self, command: &Command) -> Done<R, Applied> {
        let Command::Edit { message, branch, body, rev, fork, copy, .. } = command else {
            return Err(invalid("not an edit").into());
        };
        let row = self.find_message(message).await?;
        let line = self.line_of(&row, branch.as_ref()).await?;
        refuse_unless_settled(&row)?;
        if rev.is_some_and(|rev| rev != row.rev) {
            return Err(Conflict::MessageChanged.into());
        }
        if row.branch == line.num && row.depth + 1 == line.total {
            return self.edit_in_place(row, body).await;
        }
        let stopping = self.seal_run_on(&line, row.depth).await?;
        let mut forked = self.fork_before(&line, row.depth, fork).await?;
        let placed = self.place(&mut forked, self.fresh(copy.clone(), row.role, body)).await?;
        self.log_fork(&forked, &placed).await?;
        self.log_appended(&placed.row).await?;
        self.open_on(forked.num, &forked.id).await?;
        Ok(applied(placed.row, stopping))
    }

    /// The line a message is seen on: the one named, else the default one, else its own.
    pub(super) async fn line_of(&mut self, row: &MessageRow, named: Option<&BranchId>) -> Done<R, BranchRow> {
        let line = lines::named_or_default(self.rows, &self.thread, named).await?;
        if lines::is_on(self.rows, &self.thread, &line, row).await? {
            return Ok(line);
        }
        match named {
            Some(_) => Err(Conflict::NotOnBranch.into()),
            None => self.rows.branch(&self.thread, row.branch).await,
        }
    }

    /// Writes a message that changed; returns how a record names it.
    pub(super) async fn rewrite(
        &mut self,
        row: &mut MessageRow,
        status: MessageStatus,
        body: &Body,
    ) -> Done<R, threadmill_proto::change::MessageRef> {
        row.status = status;
        row.body = body.clone();
        row.rev += 1;
        self.rows.put_message(&self.thread, row).await?;
        self.thread.updated_at = self.at;
        Ok(self.reference(row))
    }

    async fn edit_in_place(&mut self, mut row: MessageRow, body: &Body) -> Done<R, Applied> {
        let (status, before) = (row.status, row.body.clone());
        let reference = self.rewrite(&mut row, status, body).await?;
        self.log(Change::MessageEdited(reference), Some(row.clone().shown())).await?;
        self.retitle_after(row.role, &before).await?;
        Ok(applied(row, None))
    }

    /// Seals the branch's run if it writes at or after `depth`.
    async fn seal_run_on(&mut self, line: &BranchRow, depth: u64) -> Done<R, Option<StoppingRun>> {
        match self.rows.run_on(&self.thread, line.num).await? {
            Some(run) if run.depth >= depth => self.seal_run(run).await.map(Some),
            _ => Ok(None),
        }
    }

    pub(super) async fn remove(&mut self, id: &MessageId) -> Done<R, Applied> {
        let mut row = self.find_message(id).await?;
        refuse_unless_settled(&row)?;
        let before = row.body.clone();
        let reference = self.rewrite(&mut row, MessageStatus::Removed, &Body::default()).await?;
        self.log(Change::MessageRemoved(reference), None).await?;
        self.retitle_after(row.role, &before).await?;
        Ok(applied(row, None))
    }
}

fn refuse_unless_settled(row: &MessageRow) -> Result<(), Conflict> {
    match row.status {
        MessageStatus::Removed | MessageStatus::Streaming => Err(Conflict::NotEditable),
        MessageStatus::Complete | MessageStatus::Stopped | MessageStatus::Interrupted | MessageStatus::Failed => Ok(()),
    }
}

fn applied(row: MessageRow, stopping: Option<StoppingRun>) -> Applied {
    Applied::Message { message: row.shown(), stopping }
}
