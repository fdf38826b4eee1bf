//! Runs: started, stopped, ended.

use std::sync::{Arc, Mutex};

use rusqlite::params;
use threadmill_proto::message::Body;
use threadmill_proto::{Change, MessageId, MessageStatus, Outcome, Role, RunId, RunStatus};
use threadmill_store::{Applied, Command, Conflict, StoppingRun, StoreError, next_fence};

use super::lines::{Placed, Placing};
use super::work::Work;
use crate::codec::Chunks;
use crate::fail::{Done, invalid};
use crate::live::{Effect, LiveRun, lock};
use crate::rows::{BranchRow, RunRow, branch, message, run};
use crate::stream::Stream;

/// The first token of a run.
const FIRST_FENCE: u64 = 1;

impl Work<'_> {
    pub(crate) fn start_run(&mut self, command: &Command) -> Done<Applied> {
        let Command::StartRun { branch, regenerate, fork, run: id, message, .. } = command else {
            return Err(invalid("not a start"));
        };
        if run::find(self.db, self.who.tenant, id)?.is_some() {
            return Err(Conflict::IdTaken.into());
        }
        let mut line = match regenerate {
            None => {
                let named = branch.as_ref().or(self.wrote_on.as_ref());
                let line = branch::named_or_default(self.db, &self.thread, named)?;
                self.refuse_if_busy(&line)?;
                line
            }
            Some(old) => {
                let (line, depth) = self.answer_line(old, branch.as_ref())?;
                self.fork_before(&line, depth, fork)?
            }
        };
        let placed = self.place(&mut line, self.answer(message.clone()))?;
        if regenerate.is_some() {
            self.log_fork(&line, &placed)?;
        }
        self.begin(command, &line, placed, regenerate.is_some())
    }

    /// The line and depth of an answer that may be given anew.
    fn answer_line(&self, old: &MessageId, named: Option<&threadmill_proto::BranchId>) -> Done<(BranchRow, u64)> {
        let row = message::find(self.db, &self.thread, old)?;
        let line = self.line_of(&row, named)?;
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

    fn begin(&mut self, command: &Command, line: &BranchRow, placed: Placed, forked: bool) -> Done<Applied> {
        let Command::StartRun { run: id, provider, request, lease, .. } = command else {
            return Err(invalid("not a start"));
        };
        let mut row = RunRow {
            num: 0,
            id: id.clone(),
            thread: self.thread.num,
            branch: line.num,
            branch_id: line.id.clone(),
            message: placed.row.num,
            message_id: placed.row.id.clone(),
            depth: placed.row.depth,
            status: RunStatus::Live,
            outcome: None,
            fence: FIRST_FENCE,
            owner: lease.owner.clone(),
            until: lease.until,
            provider: provider.clone(),
            request: request.clone(),
            folded: 0,
            length: 0,
            error: None,
            started_at: self.at,
        };
        row.num = run::insert(self.db, self.who.tenant, &row)?;
        self.effects.push(Effect::Started(Box::new(LiveRun {
            num: row.num,
            scope: self.scope.clone(),
            run: row.id.clone(),
            thread: self.thread.id.clone(),
            message: row.message_id.clone(),
            message_key: row.message_key(),
            fence: row.fence,
            sealed: false,
            stream: Arc::new(Mutex::new(Stream::default())),
            journal_from: None,
        })));
        let message = self.reference(&placed.row);
        let shown = placed.row.shown();
        self.log(Change::RunStarted { run: id.clone(), message, provider: provider.clone() }, Some(shown.clone()))?;
        if forked {
            self.open_on(line.num, &line.id)?;
        }
        Ok(Applied::Started { run: row.shown(0), message: shown, fence: row.fence })
    }

    pub(crate) fn stop_run(&mut self, id: &RunId) -> Done<Applied> {
        let row = self.find_run(id)?;
        match row.status {
            RunStatus::Live => self.seal_run(row).map(Applied::Stopping),
            RunStatus::Stopping => {
                let length = lock(&*self.stream(row.num)?).length();
                Ok(Applied::AlreadyOver(row.shown(length)))
            }
            RunStatus::Ended => Ok(Applied::AlreadyOver(row.shown(row.length))),
        }
    }

    /// Seals a run: nothing is appended any more, and whoever seals it has the only valid token. One that is
    /// sealed already keeps its state and changes hands.
    pub(crate) fn seal_run(&mut self, mut row: RunRow) -> Done<StoppingRun> {
        let was_live = row.status == RunStatus::Live;
        row.status = RunStatus::Stopping;
        row.fence = next_fence(row.fence, self.epoch);
        run::update(self.db, &row, None)?;
        self.effects.push(Effect::Fenced { run: row.num, fence: row.fence, sealed: true });
        self.thread.updated_at = self.at;
        if was_live {
            self.log(Change::RunStopping { run: row.id.clone() }, None)?;
        }
        Ok(StoppingRun { run: row.id, fence: row.fence })
    }

    pub(crate) fn end_run(&mut self, command: &Command) -> Done<Applied> {
        let Command::EndRun { run: id, fence, outcome, body, error } = command else {
            return Err(invalid("not an end"));
        };
        let mut row = self.find_run(id)?;
        if row.status == RunStatus::Ended {
            return Err(Conflict::RunEnded.into());
        }
        if row.fence != *fence {
            return Err(StoreError::Fenced.into());
        }
        row.length = self.keep_stream(row.num)?;
        row.folded = row.length;
        row.status = RunStatus::Ended;
        row.outcome = Some(*outcome);
        row.error.clone_from(error);
        run::update(self.db, &row, Some(self.at))?;
        self.finish(&row, *outcome, body)
    }

    /// Makes the run's message final and says so.
    fn finish(&mut self, row: &RunRow, outcome: Outcome, body: &Body) -> Done<Applied> {
        let mut written = message::get(self.db, self.thread.num, row.message)?;
        written.body = body.clone();
        written.rev += 1;
        written.status = status_after(outcome);
        message::update(self.db, self.thread.num, &written)?;
        self.thread.updated_at = self.at;
        let message = self.reference(&written);
        let shown = written.shown();
        self.log(
            Change::RunEnded { run: row.id.clone(), outcome, message, offset: row.length, error: row.error.clone() },
            Some(shown.clone()),
        )?;
        Ok(Applied::Ended { run: row.shown(row.length), message: shown })
    }

    /// Moves a run's chunks from the journal to a row of their own. Returns how many they are.
    fn keep_stream(&mut self, run: i64) -> Done<u64> {
        let shared = self.stream(run)?;
        let stream = lock(&shared);
        self.db.change(
            "INSERT INTO streams (run, ended_at, body) VALUES (?1, ?2, ?3)",
            params![run, self.at, Chunks::Stream(run).summed(stream.bytes())],
        )?;
        self.effects.push(Effect::Gone(run));
        Ok(stream.length())
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
