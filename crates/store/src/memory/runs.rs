//! Runs on the model: started, stopped, ended; their chunks and leases.

use threadmill_proto::{
    Change, Message, MessageStatus, Millis, Outcome, Role, RunId, RunInfo, RunStatus, Scope, StreamOffset,
};

use super::state::{RunState, State, body_of};
use super::transaction::{Work, invalid};
use super::{budgets, locks};
use crate::{
    Applied, ChunkAppend, ChunkBatch, Command, Committing, Conflict, Lease, LeasedRun, Missing, RunRead, StoppingRun,
    StoreError, StoreResult, StreamPage,
};

impl Work<'_> {
    fn run_at(&self, id: &RunId) -> StoreResult<usize> {
        self.thread.runs.iter().position(|run| run.info.id == *id).ok_or_else(|| Missing::Run.into())
    }

    pub(super) fn start_run(&mut self, command: &Command) -> StoreResult<Applied> {
        let Command::StartRun { branch, regenerate, fork, run, message, provider, request, lease, hold, .. } = command
        else {
            return Err(invalid("not a start"));
        };
        if self.taken_runs.contains(run) || self.thread.find_run(run).is_some() {
            return Err(Conflict::IdTaken.into());
        }
        let mut line = match regenerate {
            None => self.thread.named_or_default(branch.as_ref().or(self.wrote_on.as_ref()))?,
            Some(old) => {
                let old = self.thread.message(old)?.clone();
                let line = self.line_of(&old, branch.as_ref())?;
                refuse_unless_answer(&old)?;
                line
            }
        };
        match regenerate {
            None => self.refuse_if_busy(line)?,
            Some(old) => {
                let depth = self.thread.message(old)?.depth;
                line = self.fork_before(line, depth, fork)?;
            }
        }
        let mut answer = self.fresh(message, Role::Assistant, &threadmill_proto::message::Body::default());
        answer.status = MessageStatus::Streaming;
        let placed = self.place(line, answer)?;
        if regenerate.is_some() {
            self.log_fork(line, &placed);
        }
        let info = self.run_info(run, provider, &placed);
        let held = hold.as_ref().map(|hold| budgets::hold(&mut self.budgets, hold)).transpose()?;
        let fence = next_fence(0, self.thread.epoch);
        self.thread.runs.push(RunState {
            info: info.clone(),
            fence,
            lease: lease.clone(),
            request: request.clone(),
            chunks: Vec::new(),
            folded: 0,
            held,
        });
        let started =
            Change::RunStarted { run: run.clone(), message: self.reference(&placed), provider: provider.clone() };
        self.log(started, Some(placed.clone()));
        if regenerate.is_some() {
            self.open_on(line);
        }
        Ok(Applied::Started { run: info, message: placed, fence })
    }

    fn run_info(&self, run: &RunId, provider: &str, message: &Message) -> RunInfo {
        RunInfo {
            id: run.clone(),
            branch: message.branch.clone(),
            message: message.id.clone(),
            depth: message.depth,
            status: RunStatus::Live,
            outcome: None,
            offset: 0,
            provider: provider.to_owned(),
            started_at: self.at,
            error: None,
        }
    }

    pub(super) fn stop_run(&mut self, id: &RunId) -> StoreResult<Applied> {
        let at = self.run_at(id)?;
        let info = &self.thread.runs[at].info;
        if info.status == RunStatus::Live {
            self.seal_run(id).map(Applied::Stopping)
        } else {
            Ok(Applied::AlreadyOver(info.clone()))
        }
    }

    pub(super) fn seal_run(&mut self, id: &RunId) -> StoreResult<StoppingRun> {
        let at = self.run_at(id)?;
        let run = &mut self.thread.runs[at];
        let was_live = run.info.status == RunStatus::Live;
        run.info.status = RunStatus::Stopping;
        run.fence = next_fence(run.fence, self.thread.epoch);
        let stopping = StoppingRun { run: id.clone(), fence: run.fence };
        self.thread.updated_at = self.at;
        if was_live {
            self.log(Change::RunStopping { run: id.clone() }, None);
        }
        Ok(stopping)
    }

    pub(super) fn end_run(&mut self, command: &Command) -> StoreResult<Applied> {
        let Command::EndRun { run: id, fence, outcome, body, error, spent } = command else {
            return Err(invalid("not an end"));
        };
        let at = self.run_at(id)?;
        let run = &mut self.thread.runs[at];
        if run.info.status == RunStatus::Ended {
            return Err(Conflict::RunEnded.into());
        }
        if run.fence != *fence {
            return Err(StoreError::Fenced);
        }
        run.info.status = RunStatus::Ended;
        run.info.outcome = Some(*outcome);
        run.info.error.clone_from(error);
        run.folded = run.info.offset;
        budgets::settle(&mut self.budgets, run.held.take(), *spent);
        let info = run.info.clone();
        let message = self.thread.message_mut(&info.message)?;
        message.parts.clone_from(&body.parts);
        message.metadata.clone_from(&body.metadata);
        message.rev += 1;
        message.status = status_after(*outcome);
        let message = message.clone();
        self.thread.updated_at = self.at;
        let ended = Change::RunEnded {
            run: id.clone(),
            outcome: *outcome,
            message: self.reference(&message),
            offset: info.offset,
            error: error.clone(),
        };
        self.log(ended, Some(message.clone()));
        Ok(Applied::Ended { run: info, message })
    }
}

/// A token that no earlier epoch gave, either: what was lost with its history is not given again.
fn next_fence(fence: u64, epoch: u64) -> u64 {
    fence.max(epoch) + 1
}

fn refuse_unless_answer(message: &Message) -> StoreResult<()> {
    match message.status {
        MessageStatus::Removed => Err(Conflict::NotEditable.into()),
        MessageStatus::Streaming => Err(Conflict::RunInProgress.into()),
        _ if message.role != Role::Assistant => Err(invalid("only an assistant's message can be answered anew")),
        _ => Ok(()),
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

pub(super) fn append_chunks(state: &mut State, out: &mut Vec<Committing>, append: &ChunkAppend) -> StoreResult<()> {
    let thread = state.thread_of_run(&append.scope, &append.run)?.id.clone();
    let admitted = locks::admit(state, &append.scope, append.under.as_ref());
    let run = state.run_mut(&append.scope, &append.run)?;
    if run.info.status != RunStatus::Live || run.fence != append.fence {
        return Err(StoreError::Fenced);
    }
    admitted?;
    if run.info.offset != append.from {
        return Err(invalid("the stream ends elsewhere"));
    }
    run.chunks.extend(append.chunks.iter().cloned());
    run.info.offset = run.chunks.len() as u64;
    let message = run.info.message.clone();
    if let Some(body) = &append.checkpoint {
        run.folded = run.info.offset;
        let place = (append.scope.tenant.clone(), thread.clone());
        if let Some(thread) = state.threads.get_mut(&place) {
            let message = thread.message_mut(&message)?;
            message.parts.clone_from(&body.parts);
            message.metadata.clone_from(&body.metadata);
        }
    }
    if !append.chunks.is_empty() {
        out.push(Committing::Chunks(ChunkBatch {
            tenant: append.scope.tenant.clone(),
            thread,
            run: append.run.clone(),
            message,
            from: append.from,
            chunks: append.chunks.clone(),
        }));
    }
    Ok(())
}

pub(super) fn renew_leases(state: &mut State, lease: &Lease) {
    let runs = state.threads.values_mut().flat_map(|thread| &mut thread.runs);
    for run in runs {
        if run.info.status != RunStatus::Ended && run.lease.owner == lease.owner {
            run.lease.until = lease.until;
        }
    }
}

pub(super) fn claim_run(state: &mut State, claimed: &LeasedRun, lease: &Lease, now: Millis) -> Option<u64> {
    let epoch = state.epoch;
    let run = state.run_mut(&claimed.scope, &claimed.run).ok()?;
    let free = match run.info.status {
        RunStatus::Ended => false,
        RunStatus::Stopping => true,
        RunStatus::Live => run.lease.until < now,
    };
    free.then(|| {
        run.fence = next_fence(run.fence, epoch);
        run.lease = lease.clone();
        run.fence
    })
}

pub(super) fn unended_runs(state: &State) -> Vec<LeasedRun> {
    let mut leased = Vec::new();
    for ((tenant, id), thread) in &state.threads {
        for run in thread.unended() {
            leased.push(LeasedRun {
                scope: Scope { tenant: tenant.clone(), user: thread.owner.clone() },
                run: run.info.id.clone(),
                thread: id.clone(),
                message: run.info.message.clone(),
                stopping: run.info.status == RunStatus::Stopping,
                owner: run.lease.owner.clone(),
                until: run.lease.until,
            });
        }
    }
    leased
}

pub(super) fn run(state: &State, scope: &Scope, id: &RunId) -> StoreResult<RunRead> {
    let thread = state.thread_of_run(scope, id)?;
    let run = thread.find_run(id).ok_or(Missing::Run)?;
    Ok(RunRead {
        info: run.info.clone(),
        thread: thread.id.clone(),
        request: run.request.clone(),
        body: body_of(thread.message(&run.info.message)?),
        folded: StreamOffset { run: id.clone(), offset: run.folded },
    })
}

pub(super) fn stream(state: &State, scope: &Scope, id: &RunId, from: u64, bytes: usize) -> StoreResult<StreamPage> {
    let run = state.thread_of_run(scope, id)?;
    let run = run.find_run(id).ok_or(Missing::Run)?;
    let end = run.info.offset;
    let from = from.min(end);
    let (mut chunks, mut used) = (Vec::new(), 0);
    for chunk in &run.chunks[usize::try_from(from).unwrap_or(usize::MAX)..] {
        used += chunk.bytes();
        if used > bytes && !chunks.is_empty() {
            break;
        }
        chunks.push(chunk.clone());
    }
    Ok(StreamPage { to: from + chunks.len() as u64, chunks, end, closed: run.info.status == RunStatus::Ended })
}
