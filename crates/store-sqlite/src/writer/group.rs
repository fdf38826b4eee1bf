//! One commit: the operations in it, what they leave for the sink, and the answers that wait for it.

use std::time::Instant;

use threadmill_store::{Committing, KEEP_BUDGETS, StoreError};

use super::job::{Answer, Job, Turn, Verdict};
use super::plant::{Plant, planted};
use super::{Op, State};
use crate::db::Db;
use crate::fail::{Fail, again, unavailable};
use crate::live::Effect;
use crate::rows::budget;
use crate::write::Operation;
use crate::write::chunks::Journal;

/// What a commit gathers.
#[derive(Default)]
pub(super) struct Group {
    out: Vec<Committing>,
    gone: Vec<i64>,
    journal: Journal,
    answers: Vec<Answer>,
    /// A thread was deleted, or an import given up: its rows are to be removed.
    buried: bool,
}

impl Group {
    /// Takes operations that are not run.
    pub(super) fn skip(&mut self, ops: Vec<Op>) {
        self.answers.extend(ops.into_iter().map(skip));
    }

    /// Whether there are rows to be removed now.
    pub(super) fn buried(&self) -> bool {
        self.buried
    }

    /// Answers everybody in the order of their asking.
    pub(super) fn answer(&mut self, failure: Option<&StoreError>) {
        for answer in self.answers.drain(..) {
            answer(failure.map(again));
        }
    }
}

impl State {
    /// Fails for good if what was committed is not in the log. Returns whether it is.
    fn look_at_log(&mut self) -> bool {
        let holds = self.log.holds(self.checkpoints.frames()) || self.log.is_moved(&self.conn);
        if !holds {
            self.shared.fail_for_good("threadmill.db-wal was cut or written over while it was in use".to_owned());
        }
        holds
    }

    /// Runs the operations and commits. On an error nothing of them is known to be kept.
    pub(super) fn commit(&mut self, ops: Vec<Op>, group: &mut Group) -> Result<(), StoreError> {
        let mut broken = self.begin().err();
        for op in ops {
            let (verdict, answer) = self.operate(op, group, broken.is_some());
            group.answers.push(answer);
            match verdict {
                Verdict::Kept { out, effects } => {
                    group.out.extend(out);
                    self.note(&effects, group);
                }
                Verdict::Refused => {}
                Verdict::Broken(error) => broken = broken.or(Some(error)),
            }
        }
        match broken.map_or_else(|| self.seal(group), Err) {
            // What went into a file that nobody finds again is not durable.
            Ok(()) if !(self.shared.look_for_files() && self.look_at_log()) => {
                Err(self.shared.why_not().unwrap_or_else(|| unavailable("a file")))
            }
            Ok(()) => {
                self.note_commit();
                self.publish(group);
                Ok(())
            }
            Err(error) => {
                // The transaction may be gone already; either way its effect is not acknowledged.
                let _ = self.conn.execute_batch("ROLLBACK");
                Err(self.fail(&error))
            }
        }
    }

    /// Runs one operation, unless the group has failed already.
    fn operate(&mut self, op: Op, group: &mut Group, failed: bool) -> (Verdict, Answer) {
        match op {
            op if failed => (Verdict::Refused, skip(op)),
            // Chunks alone change nothing in the file before the commit's one row of them.
            Op::Append(job) => {
                let db = Db::at(&self.conn, self.settings.epoch);
                let done = job(Turn::Run(Operation::new(&db, &self.live, &mut group.journal)));
                self.shared.count(&db);
                done
            }
            Op::Job(job) | Op::Checkpoint(job) => self.in_savepoint(job, &mut group.journal),
            Op::Close(reply) => (Verdict::Refused, super::job::answer(Ok(()), reply)),
        }
    }

    fn in_savepoint(&self, job: Job, journal: &mut Journal) -> (Verdict, Answer) {
        let run = |sql| self.conn.execute_batch(sql);
        let begun = run("SAVEPOINT op");
        let db = Db::at(&self.conn, self.settings.epoch);
        let (mut verdict, answer) = job(Turn::Run(Operation::new(&db, &self.live, journal)));
        self.shared.count(&db);
        let ended = match &verdict {
            Verdict::Kept { .. } => run("RELEASE op"),
            Verdict::Refused => run("ROLLBACK TO op; RELEASE op"),
            Verdict::Broken(_) => Ok(()),
        };
        if let Err(error) = begun.and(ended) {
            verdict = Verdict::Broken(error);
        }
        (verdict, answer)
    }

    /// What later operations of the same group must know already.
    fn note(&mut self, effects: &[Effect], group: &mut Group) {
        for effect in effects {
            match effect {
                // Readers find the run only once it is committed, so its stream may be there before.
                Effect::Started(run) => self.shared.streams.put(run.num, run.stream.clone()),
                Effect::Gone(run) => group.gone.push(*run),
                Effect::Buried => group.buried = true,
                Effect::Fenced { .. } => {}
            }
            self.live.apply(effect);
        }
    }

    /// Writes the journal row and commits.
    fn seal(&mut self, group: &mut Group) -> Result<(), rusqlite::Error> {
        let db = Db::new(&self.conn);
        let row = group.journal.write(&db).map_err(broken)?;
        self.shared.count(&db);
        for run in group.journal.runs() {
            if let Some(run) = self.live.get_mut(*run) {
                run.journal_from = run.journal_from.or(row);
            }
        }
        if self.checkpoints.due() {
            self.collect(&db).map_err(broken)?;
        }
        if planted(Plant::PublishBeforeCommit) {
            self.tell_sink(group);
        }
        if planted(Plant::AckBeforeSync) {
            group.answer(None);
        }
        let began = Instant::now();
        self.conn.execute_batch("COMMIT")?;
        if let Some(sink) = self.shared.sink() {
            sink.synced(group.answers.len(), began.elapsed());
        }
        Ok(())
    }

    /// Removes chunks that no run needs any more: journal rows older than every unended run's, and the streams of
    /// runs that ended long ago.
    fn collect(&self, db: &Db<'_>) -> Result<(), Fail> {
        let oldest = self.live.oldest_journal_row().unwrap_or(i64::MAX);
        db.change("DELETE FROM journal WHERE num < ?1", [oldest])?;
        let before = self.now.saturating_sub(self.settings.keep_streams);
        db.change("DELETE FROM streams WHERE ended_at < ?1", [before])?;
        budget::remove_old(db, self.now.saturating_sub(KEEP_BUDGETS))?;
        Ok(())
    }

    /// After the commit: readers first, so that whoever hears of something can read it.
    fn publish(&mut self, group: &mut Group) {
        group.journal.show();
        for run in group.gone.drain(..) {
            self.shared.streams.remove(run);
        }
        self.observe_time(group);
        if !planted(Plant::PublishBeforeCommit) {
            self.tell_sink(group);
        }
    }

    fn tell_sink(&self, group: &mut Group) {
        if group.out.is_empty() {
            return;
        }
        assert!(!planted(Plant::WriterPanics), "planted");
        if let Some(sink) = self.shared.sink() {
            sink.committed(std::mem::take(&mut group.out));
        }
    }

    fn observe_time(&mut self, group: &Group) {
        for committing in &group.out {
            if let Committing::Event { event, .. } = committing {
                self.now = self.now.max(event.record.at);
            }
        }
    }
}

pub(super) fn broken(fail: Fail) -> rusqlite::Error {
    match fail {
        Fail::Broken(error) => error,
        Fail::Refused(error) => rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
    }
}

/// The answer to an operation that is not run because the file has failed: why, as everybody in the group is told.
fn skip(op: Op) -> Answer {
    let told = unavailable("an earlier write of the same commit failed");
    match op {
        Op::Append(job) | Op::Checkpoint(job) | Op::Job(job) => job(Turn::Skipped(told)).1,
        Op::Close(reply) => super::job::answer(Err(told), reply),
    }
}
