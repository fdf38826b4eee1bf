//! Messages: appended, edited, removed.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, MessageId, MessageStatus, Role};
use threadmill_store::{Applied, Command, Conflict, IfMoved, StoppingRun, title_of};

use super::lines::{self, Placed, Placing};
use super::work::Work;
use crate::fail::{Done, invalid};
use crate::rows::{BranchRow, MessageRow, branch, message, run};

impl Work<'_> {
    pub(crate) fn append(&mut self, command: &Command) -> Done<Applied> {
        let Command::Append { branch, after, if_moved, message, fork, .. } = command else {
            return Err(invalid("not an append"));
        };
        let mut line = branch::named_or_default(self.db, &self.thread, branch.as_ref())?;
        let moved = match after {
            Some(after) => self.moved_past(&line, after)?,
            None => None,
        };
        let forks = match (moved, if_moved) {
            (Some(_), IfMoved::Refuse) => return Err(Conflict::TipMoved.into()),
            (Some(after), IfMoved::Fork) => {
                line = self.fork_before(&line, after + 1, fork)?;
                true
            }
            (Some(_), IfMoved::Append) | (None, _) => {
                self.refuse_if_busy(&line)?;
                false
            }
        };
        let placed = self.place(&mut line, self.fresh(message.id.clone(), message.role, &message.body))?;
        if forks {
            self.log_fork(&line, &placed)?;
        }
        self.log_appended(&placed.row)?;
        if forks {
            self.open_on(line.num, &line.id)?;
        }
        Ok(applied(placed.row, None))
    }

    /// The depth of `after`, if a message that still stands follows it on the line.
    fn moved_past(&self, line: &BranchRow, after: &MessageId) -> Done<Option<u64>> {
        let row = message::find(self.db, &self.thread, after)?;
        self.must_be_on(line, &row)?;
        for depth in (row.depth + 1..line.total).rev() {
            if message::slot(self.db, line, depth)?.message.status != MessageStatus::Removed {
                return Ok(Some(row.depth));
            }
        }
        Ok(None)
    }

    pub(crate) fn is_on(&self, line: &BranchRow, row: &MessageRow) -> Done<bool> {
        Ok(line.message_at(self.db, row.depth)? == Some(row.num))
    }

    pub(crate) fn must_be_on(&self, line: &BranchRow, row: &MessageRow) -> Done<()> {
        if self.is_on(line, row)? { Ok(()) } else { Err(Conflict::NotOnBranch.into()) }
    }

    pub(crate) fn refuse_if_busy(&self, line: &BranchRow) -> Done<()> {
        match run::on_branch(self.db, self.thread.num, line.num)? {
            Some(_) => Err(Conflict::RunInProgress.into()),
            None => Ok(()),
        }
    }

    /// A new branch that shares the line up to `depth`.
    pub(crate) fn fork_before(&mut self, line: &BranchRow, depth: u64, id: &BranchId) -> Done<BranchRow> {
        let pred = lines::pred_at(self.db, line, depth)?;
        lines::make(self.db, &mut self.thread, id, pred)
    }

    /// A message as it begins.
    pub(crate) fn fresh(&self, id: MessageId, role: Role, body: &Body) -> Placing {
        Placing { id, role, status: MessageStatus::Complete, rev: 1, created_at: self.at, body: body.clone() }
    }

    pub(crate) fn place(&mut self, line: &mut BranchRow, new: Placing) -> Done<Placed> {
        let placed = lines::place(self.db, &mut self.thread, line, new)?;
        branch::update_total(self.db, line)?;
        self.thread.updated_at = self.at;
        Ok(placed)
    }

    /// Says that `line` left its parent with the message just placed.
    pub(crate) fn log_fork(&mut self, line: &BranchRow, placed: &Placed) -> Done<()> {
        let Some((sibling, index)) = &placed.sibling else {
            return Err(invalid("a fork without another line"));
        };
        let parent = match line.parent {
            branch::NO_PARENT => None,
            parent => Some(branch::id_of(self.db, self.thread.num, parent)?),
        };
        let after = match lines::pred_at(self.db, line, line.fork_depth)? {
            None => None,
            Some(pred) => Some(message::get(self.db, self.thread.num, pred.num)?.id),
        };
        self.log(
            Change::BranchForked {
                branch: line.id.clone(),
                parent,
                depth: line.fork_depth,
                after,
                message: placed.row.id.clone(),
                sibling: sibling.id.clone(),
                sibling_branch: sibling.branch.clone(),
                index: *index,
            },
            None,
        )
    }

    /// Says that a message was appended; the first of a user names a thread without a title.
    fn log_appended(&mut self, row: &MessageRow) -> Done<()> {
        let reference = self.reference(row);
        self.log(Change::MessageAppended(reference), Some(row.clone().shown()))?;
        let title = title_of(&row.body);
        if self.thread.title.is_empty() && row.role == Role::User && !title.is_empty() {
            self.update_thread(Some(&title), None, None)?;
        }
        Ok(())
    }

    pub(crate) fn edit(&mut self, command: &Command) -> Done<Applied> {
        let Command::Edit { message, branch, body, rev, fork, copy, .. } = command else {
            return Err(invalid("not an edit"));
        };
        let row = message::find(self.db, &self.thread, message)?;
        let line = self.line_of(&row, branch.as_ref())?;
        refuse_unless_settled(&row)?;
        if rev.is_some_and(|rev| rev != row.rev) {
            return Err(Conflict::MessageChanged.into());
        }
        if row.branch == line.num && row.depth + 1 == line.total {
            return self.edit_in_place(row, body);
        }
        let stopping = self.seal_run_on(&line, row.depth)?;
        let mut forked = self.fork_before(&line, row.depth, fork)?;
        let placed = self.place(&mut forked, self.fresh(copy.clone(), row.role, body))?;
        self.log_fork(&forked, &placed)?;
        self.log_appended(&placed.row)?;
        self.open_on(forked.num, &forked.id)?;
        Ok(applied(placed.row, stopping))
    }

    /// The line a message is seen on: the one named, else the default one, else its own.
    pub(crate) fn line_of(&self, row: &MessageRow, named: Option<&BranchId>) -> Done<BranchRow> {
        let line = branch::named_or_default(self.db, &self.thread, named)?;
        if self.is_on(&line, row)? {
            return Ok(line);
        }
        match named {
            Some(_) => Err(Conflict::NotOnBranch.into()),
            None => branch::get(self.db, self.thread.num, row.branch),
        }
    }

    fn edit_in_place(&mut self, mut row: MessageRow, body: &Body) -> Done<Applied> {
        row.body = body.clone();
        row.rev += 1;
        message::update(self.db, self.thread.num, &row)?;
        self.thread.updated_at = self.at;
        let reference = self.reference(&row);
        self.log(Change::MessageEdited(reference), Some(row.clone().shown()))?;
        Ok(applied(row, None))
    }

    /// Seals the branch's run if it writes at or after `depth`.
    fn seal_run_on(&mut self, line: &BranchRow, depth: u64) -> Done<Option<StoppingRun>> {
        match run::on_branch(self.db, self.thread.num, line.num)? {
            Some(run) if run.depth >= depth => self.seal_run(run).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn remove(&mut self, id: &MessageId) -> Done<Applied> {
        let mut row = message::find(self.db, &self.thread, id)?;
        refuse_unless_settled(&row)?;
        row.status = MessageStatus::Removed;
        row.body = Body::default();
        row.rev += 1;
        message::update(self.db, self.thread.num, &row)?;
        self.thread.updated_at = self.at;
        let reference = self.reference(&row);
        self.log(Change::MessageRemoved(reference), None)?;
        Ok(applied(row, None))
    }
}

fn refuse_unless_settled(row: &MessageRow) -> Done<()> {
    match row.status {
        MessageStatus::Removed | MessageStatus::Streaming => Err(Conflict::NotEditable.into()),
        MessageStatus::Complete | MessageStatus::Stopped | MessageStatus::Interrupted | MessageStatus::Failed => Ok(()),
    }
}

fn applied(row: MessageRow, stopping: Option<StoppingRun>) -> Applied {
    Applied::Message { message: row.shown(), stopping }
}
