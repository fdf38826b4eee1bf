//! Runs: started, stopped, ended.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, MessageId, MessageStatus, Outcome, Role, RunId, RunStatus};
use threadmill_store::{Applied, Command, Conflict, StoppingRun, StoreError, next_fence};

use super::lines::{Placed, Placing};
use super::work::Work;
use crate::codec::fits;
use crate::fail::{Done, damage, invalid};
use crate::rows::{BranchRow, RunRow};
use crate::sheet::{RunSheet, Sheet};

/// The first token of a run.
const FIRST_FENCE: u64 = 1;

impl Work<'_> {
    pub(super) async fn start_run(&mut self, sheet: &mut Sheet, command: &Command) -> Done<Applied> {
        let Command::StartRun { branch, regenerate, fork, run: id, message, lease, .. } = command else {
            return Err(invalid("not a start"));
        };
        fits(lease.until)?;
        let known = sheet.run(self.who.tenant, id).is_some();
        if known || self.runs.values().any(|run| run.row.id == *id) {
            return Err(Conflict::IdTaken.into());
        }
        let mut line = match regenerate {
            None => {
                let named = branch.clone().or_else(|| self.wrote_on.clone());
                let line = self.thread.named_or_default(self.db, named.as_ref()).await?;
                self.refuse_if_busy(&line)?;
                (*line).clone()
            }
            Some(old) => {
                let (line, depth) = self.answer_line(old, branch.as_ref()).await?;
                self.fork_before(&line, depth, fork).await?
            }
        };
        let placed = self.place(&mut line, self.answer(message.clone())).await?;
        if regenerate.is_some() {
            self.log_fork(&line, &placed).await?;
        }
        let num = sheet.runs_reserved.pop().ok_or_else(|| damage("no number is reserved for a run"))?;
        self.begin_run(num, command, &line, placed, regenerate.is_some())
    }

    /// The line and depth of an answer that may be given anew.
    async fn answer_line(&mut self, old: &MessageId, named: Option<&BranchId>) -> Done<(BranchRow, u64)> {
        let row = self.thread.find_message(self.db, old).await?;
        let line = self.line_of(&row, named).await?;
        match row.status {
            MessageStatus::Removed => Err(Conflict::NotEditable.into()),
            MessageStatus::Streaming => Err(Conflict::RunInProgress.into()),
            _ if row.role != Role::Assistant => Err(invalid("only an assistant's message can be answered anew")),
            _ => Ok((line, row.depth)),
        }
    }

    fn answer(&self, id: MessageId) -> Placing {
        Placing { status: MessageStatus::Streaming, ..self.fresh(id, Role::Assistant, &Body::default()) }
    }

    fn begin_run(
        &mut self,
        num: i64,
        command: &Command,
        line: &BranchRow,
        placed: Placed,
        forked: bool,
    ) -> Done<Applied> {
        let Command::StartRun { run: id, provider, request, lease, .. } = command else {
            return Err(invalid("not a start"));
        };
        let row = RunRow {
            num,
            tenant: self.who.tenant,
            id: id.clone(),
            owner: self.who.user,
            thread: self.thread.row.num,
            thread_id: self.thread.row.id.clone(),
            branch: line.num,
            branch_id: line.id.clone(),
            message: placed.row.num,
            message_id: placed.row.id.clone(),
            depth: placed.row.depth,
            status: RunStatus::Live,
            outcome: None,
            fence: FIRST_FENCE,
            holder: lease.owner.clone(),
            until: lease.until,
            provider: provider.clone(),
            request: request.clone(),
            folded: 0,
            length: 0,
            error: None,
            started_at: self.at,
            ended_at: None,
        };
        let (info, fence) = (row.shown(0), row.fence);
        self.runs.insert(num, RunSheet::fresh(row, self.thread.row.base));
        let message = self.reference(&placed.row);
        let shown = placed.row.shown();
        self.log(Change::RunStarted { run: id.clone(), message, provider: provider.clone() }, Some(shown.clone()));
        if forked {
            self.open_on(line.num, &line.id);
        }
        Ok(Applied::Started { run: info, message: shown, fence })
    }

    pub(super) fn stop_run(&mut self, id: &RunId) -> Done<Applied> {
        let run = self.find_run(id)?;
        match run.row.status {
            RunStatus::Live => self.seal_run(id).map(Applied::Stopping),
            RunStatus::Stopping | RunStatus::Ended => Ok(Applied::AlreadyOver(run.row.shown(run.length))),
        }
    }

    /// Seals a run: nothing is appended any more, and whoever seals it has the only valid token. One that is
    /// sealed already keeps its state and changes hands.
    pub(super) fn seal_run(&mut self, id: &RunId) -> Done<StoppingRun> {
        let epoch = self.thread.row.base;
        let run = self.find_run(id)?;
        let was_live = run.row.status == RunStatus::Live;
        let row = run.change();
        row.status = RunStatus::Stopping;
        row.fence = next_fence(row.fence, epoch);
        let stopping = StoppingRun { run: id.clone(), fence: row.fence };
        self.thread.change().updated_at = self.at;
        if was_live {
            self.log(Change::RunStopping { run: id.clone() }, None);
        }
        Ok(stopping)
    }

    pub(super) async fn end_run(&mut self, command: &Command) -> Done<Applied> {
        let Command::EndRun { run: id, fence, outcome, body, error } = command else {
            return Err(invalid("not an end"));
        };
        let at = self.at;
        let run = self.find_run(id)?;
        if run.row.status == RunStatus::Ended {
            return Err(Conflict::RunEnded.into());
        }
        if run.row.fence != *fence {
            return Err(StoreError::Fenced.into());
        }
        let length = run.length;
        let row = run.change();
        row.length = length;
        row.folded = length;
        row.status = RunStatus::Ended;
        row.outcome = Some(*outcome);
        row.error.clone_from(error);
        row.ended_at = Some(at);
        let info = row.shown(length);
        self.finish_message(id, *outcome, body, error.as_ref(), length)
            .await
            .map(|message| Applied::Ended { run: info, message })
    }

    /// Makes the run's message final and says so.
    async fn finish_message(
        &mut self,
        id: &RunId,
        outcome: Outcome,
        body: &Body,
        error: Option<&String>,
        offset: u64,
    ) -> Done<threadmill_proto::Message> {
        let mut written = self.written_by(id).await?;
        written.body = body.clone();
        written.rev += 1;
        written.status = status_after(outcome);
        self.thread.put_message(written.clone());
        self.thread.change().updated_at = self.at;
        let message = self.reference(&written);
        let shown = written.shown();
        self.log(
            Change::RunEnded { run: id.clone(), outcome, message, offset, error: error.cloned() },
            Some(shown.clone()),
        );
        Ok(shown)
    }
}

fn status_after(outcome: Outcome) -> MessageStatus {
    match outcome {
        Outcome::Complete => MessageStatus::Complete,
        Outcome::Stopped => MessageStatus::Stopped,
        Outcome::Interrupted => MessageStatus::Interrupted,
        Outcome::Failed => MessageStatus::Failed,
    }
}
