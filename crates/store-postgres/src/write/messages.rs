//! Messages: appended, edited, removed.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, MessageId, MessageStatus, Role, RunId, RunStatus};
use threadmill_store::{Applied, Command, Conflict, IfMoved, StoppingRun, title_of};

use super::lines::{self, Placed, Placing};
use super::work::Work;
use crate::fail::{Done, damage, invalid};
use crate::rows::{BranchRow, MessageRow};
use crate::schema::NONE;
use crate::sheet::RunSheet;

/// Slots read at once where an append looks for what followed a message.
const STEP: u64 = 16;

impl Work<'_> {
    pub(super) async fn append(&mut self, command: &Command) -> Done<Applied> {
        let Command::Append { branch, after, if_moved, message, fork, .. } = command else {
            return Err(invalid("not an append"));
        };
        let mut line = (*self.thread.named_or_default(self.db, branch.as_ref()).await?).clone();
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
                self.refuse_if_busy(&line)?;
                false
            }
        };
        let placed = self.place(&mut line, self.fresh(message.id.clone(), message.role, &message.body)).await?;
        if forks {
            self.log_fork(&line, &placed).await?;
        }
        self.log_appended(&placed.row);
        if forks {
            self.open_on(line.num, &line.id);
        }
        Ok(applied(placed.row, None))
    }

    /// The depth of `after`, if a message that still stands follows it on the line.
    async fn moved_past(&mut self, line: &BranchRow, after: &MessageId) -> Done<Option<u64>> {
        let row = self.thread.find_message(self.db, after).await?;
        if !lines::is_on(self.db, &mut self.thread, line, &row).await? {
            return Err(Conflict::NotOnBranch.into());
        }
        for depth in (row.depth + 1..line.total).rev() {
            if self.thread.known_at(line, depth)?.is_none() {
                let from = (depth + 1).saturating_sub(STEP).max(row.depth + 1);
                self.thread.read_messages(self.db, line, from, depth + 1).await?;
            }
            let slot = self.thread.known_at(line, depth)?.ok_or_else(|| damage("a slot is empty"))?;
            if slot.status != MessageStatus::Removed {
                return Ok(Some(row.depth));
            }
        }
        Ok(None)
    }

    /// The run on a branch that has not ended.
    fn run_on(&self, line: &BranchRow) -> Option<&RunSheet> {
        self.runs.values().find(|run| run.row.branch == line.num && run.row.status != RunStatus::Ended)
    }

    pub(super) fn refuse_if_busy(&self, line: &BranchRow) -> Done<()> {
        match self.run_on(line) {
            Some(_) => Err(Conflict::RunInProgress.into()),
            None => Ok(()),
        }
    }

    /// A new branch that shares the line up to `depth`.
    pub(super) async fn fork_before(&mut self, line: &BranchRow, depth: u64, id: &BranchId) -> Done<BranchRow> {
        let pred = self.thread.pred_at(self.db, line, depth).await?;
        lines::make(self.db, &mut self.thread, id, pred).await
    }

    /// A message as it begins.
    pub(super) fn fresh(&self, id: MessageId, role: Role, body: &Body) -> Placing {
        Placing { id, role, status: MessageStatus::Complete, rev: 1, created_at: self.at, body: body.clone() }
    }

    pub(super) async fn place(&mut self, line: &mut BranchRow, new: Placing) -> Done<Placed> {
        let placed = lines::place(self.db, &mut self.thread, line, new).await?;
        self.thread.change().updated_at = self.at;
        Ok(placed)
    }

    /// Says that `line` left its parent with the message just placed.
    pub(super) async fn log_fork(&mut self, line: &BranchRow, placed: &Placed) -> Done<()> {
        let Some((sibling, index)) = &placed.sibling else {
            return Err(invalid("a fork without another line"));
        };
        let parent = match line.parent {
            NONE => None,
            parent => Some(self.thread.branch(self.db, parent).await?.id.clone()),
        };
        let after = match self.thread.pred_at(self.db, line, line.fork_depth).await? {
            None => None,
            Some(pred) => Some(self.thread.message(self.db, pred.num).await?.id.clone()),
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
        );
        Ok(())
    }

    /// Says that a message was appended; the first of a user names a thread without a title.
    fn log_appended(&mut self, row: &MessageRow) {
        let reference = self.reference(row);
        self.log(Change::MessageAppended(reference), Some(row.clone().shown()));
        let title = title_of(&row.body);
        if self.thread.row.title.is_empty() && row.role == Role::User && !title.is_empty() {
            self.retitle(Some(&title), None);
        }
    }

    pub(super) async fn edit(&mut self, command: &Command) -> Done<Applied> {
        let Command::Edit { message, branch, body, rev, fork, copy, .. } = command else {
            return Err(invalid("not an edit"));
        };
        let row = (*self.thread.find_message(self.db, message).await?).clone();
        let line = self.line_of(&row, branch.as_ref()).await?;
        refuse_unless_settled(&row)?;
        if rev.is_some_and(|rev| rev != row.rev) {
            return Err(Conflict::MessageChanged.into());
        }
        if row.branch == line.num && row.depth + 1 == line.total {
            return Ok(self.edit_in_place(row, body));
        }
        let stopping = self.seal_run_on(&line, row.depth)?;
        let mut forked = self.fork_before(&line, row.depth, fork).await?;
        let placed = self.place(&mut forked, self.fresh(copy.clone(), row.role, body)).await?;
        self.log_fork(&forked, &placed).await?;
        self.log_appended(&placed.row);
        self.open_on(forked.num, &forked.id);
        Ok(applied(placed.row, stopping))
    }

    /// The line a message is seen on: the one named, else the default one, else its own.
    pub(super) async fn line_of(&mut self, row: &MessageRow, named: Option<&BranchId>) -> Done<BranchRow> {
        let line = self.thread.named_or_default(self.db, named).await?;
        if lines::is_on(self.db, &mut self.thread, &line, row).await? {
            return Ok((*line).clone());
        }
        match named {
            Some(_) => Err(Conflict::NotOnBranch.into()),
            None => Ok((*self.thread.branch(self.db, row.branch).await?).clone()),
        }
    }

    fn edit_in_place(&mut self, mut row: MessageRow, body: &Body) -> Applied {
        row.body = body.clone();
        row.rev += 1;
        self.thread.put_message(row.clone());
        self.thread.change().updated_at = self.at;
        let reference = self.reference(&row);
        self.log(Change::MessageEdited(reference), Some(row.clone().shown()));
        applied(row, None)
    }

    /// Seals the branch's run if it writes at or after `depth`.
    fn seal_run_on(&mut self, line: &BranchRow, depth: u64) -> Done<Option<StoppingRun>> {
        let run = self.run_on(line).filter(|run| run.row.depth >= depth);
        match run.map(|run| run.row.id.clone()) {
            Some(run) => self.seal_run(&run).map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn remove(&mut self, id: &MessageId) -> Done<Applied> {
        let mut row = (*self.thread.find_message(self.db, id).await?).clone();
        refuse_unless_settled(&row)?;
        row.status = MessageStatus::Removed;
        row.body = Body::default();
        row.rev += 1;
        self.thread.put_message(row.clone());
        self.thread.change().updated_at = self.at;
        let reference = self.reference(&row);
        self.log(Change::MessageRemoved(reference), None);
        Ok(applied(row, None))
    }

    /// Makes a run's message final, or moves its checkpoint.
    pub(super) async fn written_by(&mut self, run: &RunId) -> Done<MessageRow> {
        let num = self.find_run(run)?.row.message;
        Ok((*self.thread.message(self.db, num).await?).clone())
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
