//! Runs: started, stopped, ended; their chunks and their leases.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Change, MessageId, MessageStatus, Millis, Outcome, Role, RunId, RunStatus};

use super::access::{Done, Rows, RunChange};
use super::budgets;
use super::fail::{fits, invalid};
use super::lines::{self, Placed, Placing};
use super::locks::admit;
use super::rows::{BranchRow, RunRow};
use super::work::Work;
use crate::{
    Applied, ChunkAppend, ChunkBatch, Command, Committing, Conflict, Lease, LeasedRun, Missing, StoppingRun,
    StoreError, next_fence,
};

impl<R: Rows> Work<'_, R> {
    pub(super) async fn start_run(&mut self, command: &Command) -> Done<R, Applied> {
        let Command::StartRun { branch, regenerate, fork, run: id, message, lease, .. } = command else {
            return Err(invalid("not a start").into());
        };
        fits(lease.until)?;
        if self.rows.run(self.who.tenant, id).await?.is_some() {
            return Err(Conflict::IdTaken.into());
        }
        let mut line = match regenerate {
            None => {
                let named = branch.clone().or_else(|| self.wrote_on.clone());
                let line = lines::named_or_default(self.rows, &self.thread, named.as_ref()).await?;
                self.refuse_if_busy(&line).await?;
                line
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
        self.begin_run(command, &line, placed, regenerate.is_some()).await
    }

    /// The line and depth of an answer that may be given anew.
    async fn answer_line(&mut self, old: &MessageId, named: Option<&BranchId>) -> Done<R, (BranchRow, u64)> {
        let row = self.find_message(old).await?;
        let line = self.line_of(&row, named).await?;
        match row.status {
            MessageStatus::Removed => Err(Conflict::NotEditable.into()),
            MessageStatus::Streaming => Err(Conflict::RunInProgress.into()),
            _ if row.role != Role::Assistant => Err(invalid("only an assistant's message can be answered anew").into()),
            _ => Ok((line, row.depth)),
        }
    }

    fn answer(&self, id: MessageId) -> Placing {
        Placing { status: MessageStatus::Streaming, ..self.fresh(id, Role::Assistant, &Body::default()) }
    }

    async fn begin_run(
        &mut self,
        command: &Command,
        line: &BranchRow,
        placed: Placed,
        forked: bool,
    ) -> Done<R, Applied> {
        let Command::StartRun { run: id, provider, request, lease, hold, .. } = command else {
            return Err(invalid("not a start").into());
        };
        let held = match hold {
            Some(hold) => Some(budgets::hold(self.rows, hold).await?),
            None => None,
        };
        let row = RunRow {
            num: 0,
            tenant: self.who.tenant,
            id: id.clone(),
            owner: self.who.user,
            thread: self.thread.num,
            thread_id: self.thread.id.clone(),
            branch: line.num,
            branch_id: line.id.clone(),
            message: placed.row.num,
            message_id: placed.row.id.clone(),
            depth: placed.row.depth,
            status: RunStatus::Live,
            outcome: None,
            fence: next_fence(0, self.thread.base),
            holder: lease.owner.clone(),
            until: lease.until,
            provider: provider.clone(),
            request: request.clone(),
            folded: 0,
            length: 0,
            error: None,
            started_at: self.at,
            ended_at: None,
            held,
        };
        let (info, fence) = (row.shown(0), row.fence);
        self.rows.add_run(self.scope, row).await?;
        let message = self.reference(&placed.row);
        let shown = placed.row.shown();
        let started = Change::RunStarted { run: id.clone(), message, provider: provider.clone() };
        self.log(started, Some(shown.clone())).await?;
        if forked {
            self.open_on(line.num, &line.id).await?;
        }
        Ok(Applied::Started { run: info, message: shown, fence })
    }

    pub(super) async fn stop_run(&mut self, id: &RunId) -> Done<R, Applied> {
        let row = self.find_run(id).await?;
        match row.status {
            RunStatus::Live => self.seal_run(row).await.map(Applied::Stopping),
            RunStatus::Stopping => Ok(Applied::AlreadyOver(row.shown(self.rows.stream_length(&row).await?))),
            RunStatus::Ended => Ok(Applied::AlreadyOver(row.shown(row.length))),
        }
    }

    /// Seals a run: nothing is appended any more, and whoever seals it has the only valid token. One that is
    /// sealed already keeps its state and changes hands.
    pub(super) async fn seal_run(&mut self, mut row: RunRow) -> Done<R, StoppingRun> {
        let was_live = row.status == RunStatus::Live;
        row.status = RunStatus::Stopping;
        row.fence = next_fence(row.fence, self.thread.base);
        self.rows.put_run(&row, RunChange::Sealed).await?;
        self.thread.updated_at = self.at;
        if was_live {
            self.log(Change::RunStopping { run: row.id.clone() }, None).await?;
        }
        Ok(StoppingRun { run: row.id, fence: row.fence })
    }

    pub(super) async fn end_run(&mut self, command: &Command) -> Done<R, Applied> {
        let Command::EndRun { run: id, fence, outcome, body, error, spent } = command else {
            return Err(invalid("not an end").into());
        };
        let mut row = self.find_run(id).await?;
        if row.status == RunStatus::Ended {
            return Err(Conflict::RunEnded.into());
        }
        if row.fence != *fence {
            return Err(StoreError::Fenced.into());
        }
        row.length = self.rows.stream_length(&row).await?;
        row.folded = row.length;
        row.status = RunStatus::Ended;
        row.outcome = Some(*outcome);
        row.error.clone_from(error);
        row.ended_at = Some(self.at);
        if let Some(held) = row.held.take() {
            budgets::settle(self.rows, held, *spent).await?;
        }
        self.rows.put_run(&row, RunChange::Ended).await?;
        self.finish(&row, *outcome, body).await
    }

    /// Makes the run's message final and says so.
    async fn finish(&mut self, row: &RunRow, outcome: Outcome, body: &Body) -> Done<R, Applied> {
        let mut written = self.rows.message(&self.thread, row.message).await?;
        let message = self.rewrite(&mut written, status_after(outcome), body).await?;
        let shown = written.shown();
        let (run, error) = (row.id.clone(), row.error.clone());
        self.log(Change::RunEnded { run, outcome, message, offset: row.length, error }, Some(shown.clone())).await?;
        Ok(Applied::Ended { run: row.shown(row.length), message: shown })
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

/// Adds chunks to a run's stream, checked against its newest token and its end.
///
/// # Errors
/// Why they are refused, or what the store says.
pub async fn append<R: Rows>(rows: &mut R, append: &ChunkAppend) -> Done<R, Option<Committing>> {
    let target = rows.target(&append.scope, &append.run).await?.ok_or(Missing::Run)?;
    if !target.live || target.fence != append.fence {
        return Err(StoreError::Fenced.into());
    }
    admit(rows, &append.scope, append.under.as_ref()).await?;
    if target.length != append.from {
        let detail = format_args!("the stream ends at {}, not at {}", target.length, append.from);
        return Err(invalid(detail).into());
    }
    if let Some(body) = &append.checkpoint {
        rows.fold(&target, body, append.from + append.chunks.len() as u64).await?;
    }
    if append.chunks.is_empty() {
        return Ok(None);
    }
    rows.add_chunks(&target, &append.chunks).await?;
    Ok(Some(Committing::Chunks(ChunkBatch {
        tenant: append.scope.tenant.clone(),
        thread: target.thread.1,
        run: append.run.clone(),
        message: target.message.1,
        from: append.from,
        chunks: append.chunks.clone(),
    })))
}

/// Extends the lease of every run that an owner writes.
///
/// # Errors
/// What the store says.
pub async fn renew<R: Rows>(rows: &mut R, lease: &Lease) -> Done<R, ()> {
    fits(lease.until)?;
    rows.renew_leases(&lease.owner, lease.until).await
}

/// Takes a run over if nobody holds it any more, or if it is stopping: the new token, if so.
///
/// # Errors
/// What the store says.
pub async fn claim<R: Rows>(rows: &mut R, claimed: &LeasedRun, lease: &Lease, now: Millis) -> Done<R, Option<u64>> {
    fits(lease.until)?;
    let Some(who) = rows.principal(&claimed.scope).await? else {
        return Ok(None);
    };
    let Some(mut row) = rows.run(who.tenant, &claimed.run).await?.filter(|run| run.owner == who.user) else {
        return Ok(None);
    };
    let free = match row.status {
        RunStatus::Ended => false,
        RunStatus::Stopping => true,
        RunStatus::Live => row.until < now,
    };
    if !free {
        return Ok(None);
    }
    row.fence = next_fence(row.fence, rows.epoch(&row).await?);
    row.holder.clone_from(&lease.owner);
    row.until = lease.until;
    rows.put_run(&row, RunChange::Leased).await?;
    Ok(Some(row.fence))
}
