//! Messages on the model: appended, edited, removed.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, Message, MessageId, MessageStatus, Role, is_blank};

use super::state::body_of;
use super::transaction::{Work, invalid};
use crate::{Applied, Command, Conflict, IfMoved, StoppingRun, StoreResult, TITLE_REACH, title_of};

impl Work<'_> {
    pub(super) fn append(&mut self, command: &Command) -> StoreResult<Applied> {
        let Command::Append { branch, after, if_moved, message, fork, .. } = command else {
            return Err(invalid("not an append"));
        };
        let mut line = self.thread.named_or_default(branch.as_ref())?;
        let moved = match after {
            Some(after) => self.moved_past(line, after)?,
            None => None,
        };
        let forks = moved.is_some() && *if_moved == IfMoved::Fork;
        match moved {
            Some(_) if *if_moved == IfMoved::Refuse => return Err(Conflict::TipMoved.into()),
            Some(depth) if forks => line = self.fork_before(line, depth + 1, fork)?,
            _ => self.refuse_if_busy(line)?,
        }
        let fresh = self.fresh(&message.id, message.role, &message.body);
        let placed = self.place(line, fresh)?;
        if forks {
            self.log_fork(line, &placed);
        }
        self.log_appended(&placed);
        if forks {
            self.open_on(line);
        }
        Ok(Applied::Message { message: placed, stopping: None })
    }

    /// The depth of `after`, if a message that still stands follows it on the line.
    fn moved_past(&self, branch: usize, after: &MessageId) -> StoreResult<Option<u64>> {
        let after = self.thread.message(after)?;
        if !self.thread.is_on(branch, after) {
            return Err(Conflict::NotOnBranch.into());
        }
        let line = &self.thread.branches[branch].line;
        let next = usize::try_from(after.depth).unwrap_or(usize::MAX) + 1;
        for id in &line[next..] {
            if self.thread.message(id)?.status != MessageStatus::Removed {
                return Ok(Some(after.depth));
            }
        }
        Ok(None)
    }

    pub(super) fn refuse_if_busy(&self, branch: usize) -> StoreResult<()> {
        match self.thread.run_on(&self.thread.branches[branch].id) {
            Some(_) => Err(Conflict::RunInProgress.into()),
            None => Ok(()),
        }
    }

    /// A message as it begins.
    pub(super) fn fresh(&self, id: &MessageId, role: Role, body: &Body) -> Message {
        Message {
            id: id.clone(),
            role,
            parts: body.parts.clone(),
            metadata: body.metadata.clone(),
            status: MessageStatus::Complete,
            branch: self.thread.branches[0].id.clone(),
            depth: 0,
            rev: 1,
            created_at: self.at,
            previews: Vec::new(),
        }
    }

    pub(super) fn place(&mut self, branch: usize, message: Message) -> StoreResult<Message> {
        self.thread.updated_at = self.at;
        self.thread.place(branch, message)
    }

    fn log_appended(&mut self, message: &Message) {
        let reference = self.reference(message);
        self.log(Change::MessageAppended(reference), Some(message.clone()));
        let title = title_of(&body_of(message));
        if is_blank(&self.thread.title) && message.role == Role::User && !title.is_empty() {
            self.retitle(Some(title), None);
        }
    }

    /// A title that was made of a text goes on with what is asked first now.
    fn retitle_after(&mut self, role: Role, before: &Body) -> StoreResult<()> {
        if role != Role::User || self.thread.title.is_empty() || self.thread.title != title_of(before) {
            return Ok(());
        }
        let line = &self.thread.branches[self.thread.default_branch].line;
        let first = line.iter().take(usize::try_from(TITLE_REACH).unwrap_or(usize::MAX));
        let mut title = String::new();
        for id in first {
            let message = self.thread.message(id)?;
            if title.is_empty() && message.role == Role::User && message.status != MessageStatus::Removed {
                title = title_of(&body_of(message));
            }
        }
        self.retitle(Some(title), None);
        Ok(())
    }

    pub(super) fn edit(&mut self, command: &Command) -> StoreResult<Applied> {
        let Command::Edit { message, branch, body, rev, fork, copy, .. } = command else {
            return Err(invalid("not an edit"));
        };
        let old = self.thread.message(message)?.clone();
        let line = self.line_of(&old, branch.as_ref())?;
        refuse_unless_settled(&old)?;
        if rev.is_some_and(|rev| rev != old.rev) {
            return Err(Conflict::MessageChanged.into());
        }
        let tip = &self.thread.branches[line];
        if old.branch == tip.id && tip.line.last() == Some(&old.id) {
            return self.edit_in_place(&old.id, body);
        }
        let run = self.thread.run_on(&tip.id).map(|run| run.info.clone());
        let stopping = match run {
            Some(run) if run.depth >= old.depth => Some(self.seal_run(&run.id)?),
            _ => None,
        };
        let forked = self.fork_before(line, old.depth, fork)?;
        let fresh = self.fresh(copy, old.role, body);
        let placed = self.place(forked, fresh)?;
        self.log_fork(forked, &placed);
        self.log_appended(&placed);
        self.open_on(forked);
        Ok(Applied::Message { message: placed, stopping })
    }

    /// The line a message is seen on: the one named, else the default one, else its own.
    pub(super) fn line_of(&self, message: &Message, named: Option<&BranchId>) -> StoreResult<usize> {
        let line = self.thread.named_or_default(named)?;
        if self.thread.is_on(line, message) {
            return Ok(line);
        }
        match named {
            Some(_) => Err(Conflict::NotOnBranch.into()),
            None => self.branch_at(&message.branch),
        }
    }

    fn edit_in_place(&mut self, id: &MessageId, body: &Body) -> StoreResult<Applied> {
        let before = body_of(self.thread.message(id)?);
        let message = self.thread.message_mut(id)?;
        message.parts.clone_from(&body.parts);
        message.metadata.clone_from(&body.metadata);
        message.rev += 1;
        let message = message.clone();
        self.thread.updated_at = self.at;
        let reference = self.reference(&message);
        self.log(Change::MessageEdited(reference), Some(message.clone()));
        self.retitle_after(message.role, &before)?;
        Ok(Applied::Message { message, stopping: None::<StoppingRun> })
    }

    pub(super) fn remove(&mut self, id: &MessageId) -> StoreResult<Applied> {
        refuse_unless_settled(self.thread.message(id)?)?;
        let before = body_of(self.thread.message(id)?);
        let message = self.thread.message_mut(id)?;
        message.status = MessageStatus::Removed;
        message.parts.clear();
        message.metadata = None;
        message.rev += 1;
        let message = message.clone();
        self.thread.updated_at = self.at;
        let reference = self.reference(&message);
        self.log(Change::MessageRemoved(reference), None);
        self.retitle_after(message.role, &before)?;
        Ok(Applied::Message { message, stopping: None })
    }
}

fn refuse_unless_settled(message: &Message) -> StoreResult<()> {
    match message.status {
        MessageStatus::Removed | MessageStatus::Streaming => Err(Conflict::NotEditable.into()),
        MessageStatus::Complete | MessageStatus::Stopped | MessageStatus::Interrupted | MessageStatus::Failed => Ok(()),
    }
}
