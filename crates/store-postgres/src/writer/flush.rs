//! One commit: its operations on one sheet, and how it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use threadmill_store::relational::{self, Outcome};
use threadmill_store::{Committing, StoreResult};
use tokio::time::Instant;

use super::ask::{Answer, Ask, Needs};
use super::stamp::Stamp;
use super::{lock, store};
use crate::db::{Db, Write};
use crate::fail::{Done, Fail, Trouble};
use crate::sheet::{Draft, Sheet};

/// What a commit answers and tells, once it is known to have taken effect.
pub(super) struct Flushed {
    pub(super) answers: Vec<StoreResult<Answer>>,
    pub(super) out: Vec<Committing>,
    /// How long the writing took, if there was something to write.
    pub(super) took: Option<Duration>,
}

/// How a commit ended.
pub(super) enum Ending {
    /// It took effect.
    Committed(Flushed),
    /// It had none.
    Failed(Fail),
    /// The connection was lost while it was under way.
    Unknown(Flushed, Trouble),
}

struct Flush<'f> {
    db: &'f Db<'f>,
    sheet: Sheet,
    answers: Vec<StoreResult<Answer>>,
    out: Vec<Committing>,
}

/// Runs operations and commits them together.
pub(super) async fn flush(db: &Db<'_>, asks: &[&Ask], stamp: &Stamp) -> Ending {
    match work(db, asks, stamp).await {
        Ok((mut flushed, writes)) if !writes.is_empty() => {
            let began = Instant::now();
            let done = db.commit(&writes).await;
            flushed.took = Some(began.elapsed());
            match done {
            Ok(()) => Ending::Committed(flushed),
            Err(Fail::Broken(trouble)) if trouble.kind == crate::fail::Kind::Lost => Ending::Unknown(flushed, trouble),
            Err(fail) => Ending::Failed(fail),
            }
        }
        // Nothing but refusals and repeated answers.
        Ok((flushed, _)) => match db.batch("ROLLBACK").await {
            Ok(()) => Ending::Committed(flushed),
            Err(fail) => Ending::Failed(fail),
        },
        Err(fail) => Ending::Failed(fail),
    }
}

async fn work(db: &Db<'_>, asks: &[&Ask], stamp: &Stamp) -> Done<(Flushed, Vec<Write>)> {
    let needs = Needs::of(asks.iter().copied());
    let mut sheet = lock::prepare(db, &needs).await?;
    lock::lock(db, &needs, &mut sheet, stamp).await?;
    let mut flush = Flush { db, sheet, answers: Vec::new(), out: Vec::new() };
    for ask in asks {
        flush.operate(ask).await?;
    }
    let mut positions = flush.positions().await?;
    let summaries = store::place_summaries(&flush.sheet, &mut flush.out, &mut positions);
    let writes = store::writes(&flush.sheet, &summaries, &positions);
    Ok((Flushed { answers: flush.answers, out: flush.out, took: None }, writes))
}

impl Flush<'_> {
    /// Runs one operation. What it refuses is its own answer, and no other's.
    async fn operate(&mut self, ask: &Ask) -> Done<()> {
        match self.answer(ask).await {
            Ok((answer, out)) => {
                self.answers.push(Ok(answer));
                self.out.extend(out);
                Ok(())
            }
            Err(Fail::Refused(error)) => {
                self.answers.push(Err(error));
                Ok(())
            }
            Err(broken) => Err(broken),
        }
    }

    async fn answer(&mut self, ask: &Ask) -> Done<(Answer, Vec<Committing>)> {
        let mut draft = Draft::new(self.db, &mut self.sheet);
        let rows = &mut draft;
        let mut told = Vec::new();
        let answer = match ask {
            Ask::Apply(transaction) => {
                let Outcome { answer, out } = relational::apply(rows, transaction).await?;
                told = out;
                Answer::Committed(answer)
            }
            Ask::Append(append) => {
                told.extend(relational::append(rows, append).await?);
                Answer::Done
            }
            Ask::Renew(lease) => done(relational::renew(rows, lease).await?),
            Ask::Claim(run, lease, now) => Answer::Claimed(relational::claim(rows, run, lease, *now).await?),
            Ask::Acquire(scope, request) => Answer::Lock(relational::acquire(rows, scope, request).await?),
            Ask::Prolong(scope, lock, until) => Answer::Grant(relational::renew_lock(rows, scope, lock, *until).await?),
            Ask::Release(scope, lock) => Answer::Grant(relational::release(rows, scope, lock).await?),
            Ask::ImportBegin(scope, import) => Answer::Import(relational::import_begin(rows, scope, import).await?),
            Ask::ImportRows(scope, thread, added) => done(relational::import_rows(rows, scope, thread, added).await?),
            Ask::ImportFinish(scope, thread, branch) => {
                let Outcome { answer, out } = relational::import_finish(rows, scope, thread, branch.as_ref()).await?;
                told = out;
                Answer::Thread(answer)
            }
            Ask::ImportAbort(scope, thread) => done(relational::import_abort(rows, scope, thread).await?),
        };
        draft.settle();
        Ok((answer, told))
    }

    /// The newest places in the logs of those whose log grows, under their locks.
    async fn positions(&self) -> Done<BTreeMap<i64, u64>> {
        let users = self.out.iter().filter_map(|committing| match committing {
            Committing::Summary { scope, .. } => self.sheet.who.get(scope).map(|who| who.user),
            Committing::Event { .. } | Committing::Chunks(_) => None,
        });
        let users: Vec<i64> = users.collect();
        if users.is_empty() {
            return Ok(BTreeMap::new());
        }
        Ok(lock::users(self.db, users).await?.into_iter().collect())
    }
}

fn done((): ()) -> Answer {
    Answer::Done
}
