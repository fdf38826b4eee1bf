//! One transaction under way: on whose behalf, on which thread, and what it has brought about so far.

use threadmill_proto::{BranchId, Millis, RunId, Scope};
use threadmill_store::{Committing, Missing};

use crate::db::Db;
use crate::fail::{Done, damage};
use crate::live::{Effect, LiveRuns, SharedStream};
use crate::rows::{Principal, RunRow, ThreadRow, run};

/// What an operation leaves for the writer to do after it.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    /// The answer.
    pub(crate) answer: T,
    /// What to tell the sink once it is durable.
    pub(crate) out: Vec<Committing>,
    /// What to note about runs at once.
    pub(crate) effects: Vec<Effect>,
}

impl<T> Outcome<T> {
    /// An answer and nothing else.
    pub(crate) fn plain(answer: T) -> Self {
        Self { answer, out: Vec::new(), effects: Vec::new() }
    }
}

/// A transaction under way.
pub(crate) struct Work<'w> {
    pub(crate) db: &'w Db<'w>,
    pub(crate) live: &'w LiveRuns,
    /// The store's part of every epoch.
    pub(crate) epoch: u64,
    pub(crate) scope: &'w Scope,
    pub(crate) who: Principal,
    pub(crate) at: Millis,
    pub(crate) thread: ThreadRow,
    pub(crate) out: Vec<Committing>,
    pub(crate) effects: Vec<Effect>,
    /// The branch the transaction wrote a message on last.
    pub(crate) wrote_on: Option<BranchId>,
}

impl Work<'_> {
    /// A run of this transaction's thread.
    pub(crate) fn find_run(&self, run: &RunId) -> Done<RunRow> {
        let row = run::find(self.db, self.who.tenant, run)?.ok_or(Missing::Run)?;
        if row.thread == self.thread.num { Ok(row) } else { Err(Missing::Run.into()) }
    }

    /// The stream of an unended run, also of one that began in this very transaction.
    pub(crate) fn stream(&self, run: i64) -> Done<SharedStream> {
        let begun = self.effects.iter().find_map(|effect| match effect {
            Effect::Started(live) if live.num == run => Some(&live.stream),
            Effect::Started(_) | Effect::Fenced { .. } | Effect::Gone(_) | Effect::Buried => None,
        });
        let known = begun.or_else(|| self.live.get(run).map(|live| &live.stream));
        known.cloned().ok_or_else(|| damage("an unended run has no stream"))
    }
}
