//! What the model holds.

use std::collections::BTreeMap;

use threadmill_proto::{
    BranchId, ChainHash, Chunk, JsonText, LockName, Message, MessageId, MessageStatus, Millis, Position, Record, RunId,
    RunInfo, RunStatus, Scope, Segment, Summary, TenantId, Thread, ThreadId, UserId,
};

use super::budgets::Budgets;
use crate::{Committed, Held, IdempotencyKey, Lease, LockRow, Missing, SNIPPET_REACH, Secret, StoreResult, snippet_of};

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The epoch of the store: every position's, and where the tokens of locks begin.
    pub(super) epoch: u64,
    pub(super) threads: BTreeMap<(TenantId, ThreadId), ThreadState>,
    pub(super) users: BTreeMap<Scope, UserState>,
    pub(super) locks: BTreeMap<(TenantId, LockName), LockRow>,
    /// The deployment's, by key: version and value.
    pub(super) settings: BTreeMap<String, (u64, String)>,
    pub(super) budgets: Budgets,
    /// Secrets given so far.
    pub(super) secrets: u64,
}

impl Default for State {
    fn default() -> Self {
        let (threads, users, locks, settings, budgets) = Default::default();
        Self { epoch: 1, threads, users, locks, settings, budgets, secrets: 0 }
    }
}

/// What a user has beside threads.
#[derive(Debug, Clone, Default)]
pub(super) struct UserState {
    pub(super) pos: u64,
    pub(super) summaries: BTreeMap<ThreadId, Summary>,
    pub(super) receipts: BTreeMap<String, Receipt>,
    /// Threads that were deleted, the last one last, each with the key that made it.
    pub(super) tombstones: Vec<(ThreadId, Option<String>)>,
}

/// A kept answer; it goes with its thread, unless it made it.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    pub(super) key: IdempotencyKey,
    pub(super) thread: Option<ThreadId>,
    /// None: it made a thread that was deleted.
    pub(super) answer: Option<Committed>,
    /// It made its thread.
    pub(super) makes: bool,
}

/// A thread.
#[derive(Debug, Clone)]
pub(super) struct ThreadState {
    pub(super) id: ThreadId,
    pub(super) owner: UserId,
    pub(super) hidden: bool,
    pub(super) title: String,
    pub(super) metadata: Option<JsonText>,
    pub(super) archived: bool,
    pub(super) default_branch: usize,
    pub(super) created_at: Millis,
    pub(super) updated_at: Millis,
    pub(super) secret: Secret,
    /// The store's epoch.
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) hash: ChainHash,
    /// The records still kept, with the hash after each.
    pub(super) log: Vec<(ChainHash, Record)>,
    /// In the order of their making.
    pub(super) branches: Vec<BranchState>,
    /// In the order of their making.
    pub(super) messages: Vec<Message>,
    /// In the order of their making.
    pub(super) runs: Vec<RunState>,
}

/// A branch.
#[derive(Debug, Clone)]
pub(super) struct BranchState {
    pub(super) id: BranchId,
    pub(super) parent: Option<BranchId>,
    pub(super) fork_depth: u64,
    /// Messages the thread had when it was made.
    pub(super) made: usize,
    /// The whole line, inherited slots included.
    pub(super) line: Vec<MessageId>,
    pub(super) lineage: Vec<Segment>,
}

/// A run.
#[derive(Debug, Clone)]
pub(super) struct RunState {
    /// Its offset is the stream's length.
    pub(super) info: RunInfo,
    pub(super) fence: u64,
    pub(super) lease: Lease,
    pub(super) request: JsonText,
    pub(super) chunks: Vec<Chunk>,
    pub(super) folded: u64,
    pub(super) held: Option<Held>,
}

impl State {
    /// A thread that this scope may see.
    pub(super) fn visible(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<&ThreadState> {
        self.threads
            .get(&(scope.tenant.clone(), thread.clone()))
            .filter(|thread| thread.owner == scope.user && !thread.hidden)
            .ok_or_else(|| Missing::Thread.into())
    }

    /// The thread of a run that this scope may see.
    pub(super) fn thread_of_run(&self, scope: &Scope, run: &RunId) -> StoreResult<&ThreadState> {
        self.tenant_threads(&scope.tenant)
            .find(|thread| thread.find_run(run).is_some() && thread.owner == scope.user)
            .ok_or_else(|| Missing::Run.into())
    }

    /// A run that this scope may see.
    pub(super) fn run_mut(&mut self, scope: &Scope, run: &RunId) -> StoreResult<&mut RunState> {
        let thread = self.thread_of_run(scope, run)?.id.clone();
        self.threads
            .get_mut(&(scope.tenant.clone(), thread))
            .and_then(|thread| thread.runs.iter_mut().find(|known| known.info.id == *run))
            .ok_or_else(|| Missing::Run.into())
    }

    pub(super) fn tenant_threads(&self, tenant: &TenantId) -> impl Iterator<Item = &ThreadState> {
        let tenant = tenant.clone();
        self.threads.iter().filter(move |((of, _), _)| *of == tenant).map(|(_, thread)| thread)
    }

    /// Begins an epoch, as an opening does.
    pub(super) fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.threads.values_mut().for_each(|thread| thread.epoch = epoch);
    }

    /// A secret nobody else has; this store keeps none.
    pub(super) fn next_secret(&mut self) -> Secret {
        self.secrets += 1;
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.secrets.to_le_bytes());
        secret
    }
}

impl ThreadState {
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.seq, hash: self.hash }
    }

    pub(super) fn shown(&self) -> Thread {
        Thread {
            id: self.id.clone(),
            title: self.title.clone(),
            metadata: self.metadata.clone(),
            archived: self.archived,
            default_branch: self.branches[self.default_branch].id.clone(),
            branches: self.branches.len() as u64,
            messages: self.messages.len() as u64,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    pub(super) fn message(&self, id: &MessageId) -> StoreResult<&Message> {
        self.messages.iter().find(|message| message.id == *id).ok_or_else(|| Missing::Message.into())
    }

    pub(super) fn message_mut(&mut self, id: &MessageId) -> StoreResult<&mut Message> {
        self.messages.iter_mut().find(|message| message.id == *id).ok_or_else(|| Missing::Message.into())
    }

    pub(super) fn find_run(&self, id: &RunId) -> Option<&RunState> {
        self.runs.iter().find(|run| run.info.id == *id)
    }

    /// The run on a branch that has not ended.
    pub(super) fn run_on(&self, branch: &BranchId) -> Option<&RunState> {
        self.unended().find(|run| run.info.branch == *branch)
    }

    pub(super) fn unended(&self) -> impl Iterator<Item = &RunState> {
        self.runs.iter().filter(|run| run.info.status != RunStatus::Ended)
    }

    /// What a list shows of it, but for its place.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            thread: self.id.clone(),
            pos: 0,
            title: self.title.clone(),
            snippet: self.snippet(),
            running: self.unended().next().is_some(),
            archived: self.archived,
            deleted: false,
            updated_at: self.updated_at,
        }
    }

    fn snippet(&self) -> String {
        let line = &self.branches[self.default_branch].line;
        line.iter()
            .rev()
            .take(usize::try_from(SNIPPET_REACH).unwrap_or(usize::MAX))
            .filter_map(|id| self.message(id).ok())
            .filter(|message| !matches!(message.status, MessageStatus::Removed | MessageStatus::Streaming))
            .map(|message| snippet_of(&body_of(message)))
            .find(|snippet| !snippet.is_empty())
            .unwrap_or_default()
    }
}

/// What of a message is its body.
pub(super) fn body_of(message: &Message) -> threadmill_proto::message::Body {
    threadmill_proto::message::Body { parts: message.parts.clone(), metadata: message.metadata.clone() }
}
