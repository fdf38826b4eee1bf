//! One operation as the writer sees it: something to run in a savepoint, and an answer to give after the commit.

use threadmill_store::{Committing, StoreError};

use super::Reply;
use crate::db::Db;
use crate::fail::{Done, Fail};
use crate::live::{Effect, LiveRuns};
use crate::write::Outcome;

/// Gives the answer: the operation's own, or the group's failure instead.
pub(super) type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// How an operation went.
pub(super) enum Verdict {
    /// Its changes stay.
    Kept { out: Vec<Committing>, effects: Vec<Effect> },
    /// Its changes are undone; the others' stay.
    Refused,
    /// The file failed: everything in the group is undone.
    Broken(rusqlite::Error),
}

/// What an operation is given: what it runs on, or why it is not run.
pub(super) enum Turn<'t> {
    Run(&'t Db<'t>, &'t LiveRuns, u64),
    Skipped(StoreError),
}

/// An operation.
pub(super) type Job = Box<dyn FnOnce(Turn<'_>) -> (Verdict, Answer) + Send>;

/// Answers with `result`, unless the group fails. Whoever asked may have gone away: that is no error.
pub(super) fn answer<T: Send + 'static>(result: Result<T, StoreError>, reply: Reply<T>) -> Answer {
    Box::new(move |failure| {
        let _ = reply.send(failure.map_or(result, Err));
    })
}

/// Makes an operation of a function and the place its answer goes.
pub(super) fn boxed<T: Send + 'static>(
    work: impl FnOnce(&Db<'_>, &LiveRuns, u64) -> Done<Outcome<T>> + Send + 'static,
    reply: Reply<T>,
) -> Job {
    Box::new(move |turn| match turn {
        Turn::Run(db, live, epoch) => judge(work(db, live, epoch), reply),
        Turn::Skipped(why) => judge(Err(why.into()), reply),
    })
}

/// Splits a result into what the writer and what the caller needs.
pub(super) fn judge<T: Send + 'static>(done: Done<Outcome<T>>, reply: Reply<T>) -> (Verdict, Answer) {
    match done {
        Ok(Outcome { answer: value, out, effects }) => (Verdict::Kept { out, effects }, answer(Ok(value), reply)),
        Err(Fail::Refused(error)) => (Verdict::Refused, answer(Err(error), reply)),
        Err(Fail::Broken(error)) => {
            let told = crate::fail::unavailable(&error);
            (Verdict::Broken(error), answer(Err(told), reply))
        }
    }
}
