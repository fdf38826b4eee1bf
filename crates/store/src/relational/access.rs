//! What the rules ask of a store: single rows, read and written inside one operation of a commit.
//!
//! An operation that is refused must leave no trace: SQLite runs each in a savepoint, PostgreSQL works on copies that
//! take their place when the operation has passed. A store whose answers need no waiting is run by [`at_once`].

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, Chunk, LockName, MessageId, Millis, Record, RunId, Scope, Summary, ThreadId};

use super::fail::Refusal;
use super::rows::{
    BranchRow, Followers, MessageRow, Pred, Principal, ReceiptRow, RunRow, Sibling, Standing, ThreadRow,
};
use crate::{BudgetRow, Held, IdempotencyKey, LockRow};

/// What asking a store's rows gives.
pub type Done<R, T> = Result<T, <R as Rows>::Fail>;

/// Runs a future that never waits.
///
/// # Panics
/// If it does.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("rows that are there at once are waited for"),
    }
}

/// What becomes of a run that is written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunChange {
    /// It passed to another holder.
    Leased,
    /// It is stopping, and takes no more chunks.
    Sealed,
    /// It is over: its stream is closed.
    Ended,
}

/// A run that chunks come for, with what is checked of each append.
#[derive(Debug)]
pub struct Target {
    /// The run's number.
    pub num: i64,
    /// The thread's number and id.
    pub thread: (i64, ThreadId),
    /// The message's number and id.
    pub message: (i64, MessageId),
    /// It takes chunks.
    pub live: bool,
    /// The only token that may append.
    pub fence: u64,
    /// Chunks in its stream, those of this commit included.
    pub length: u64,
}

/// The rows of one operation. A thread must be opened ([`Rows::thread`], [`Rows::thread_of`], [`Rows::add_thread`])
/// before what is in it is asked for; an operation has one.
pub trait Rows {
    /// The store's own error.
    type Fail: Refusal;

    /// The numbers of a scope, if it ever wrote.
    fn principal(&mut self, scope: &Scope) -> impl Future<Output = Done<Self, Option<Principal>>>;
    /// The numbers of a scope, given now if need be.
    fn intern(&mut self, scope: &Scope) -> impl Future<Output = Done<Self, Principal>>;

    /// A thread of a tenant, whoever owns it and even if an import still hides it.
    fn thread(&mut self, tenant: i64, id: &ThreadId) -> impl Future<Output = Done<Self, Option<ThreadRow>>>;
    /// The thread of a run.
    fn thread_of(&mut self, run: &RunRow) -> impl Future<Output = Done<Self, ThreadRow>>;
    /// Adds a thread; its number, secret and base are given here.
    fn add_thread(&mut self, row: ThreadRow) -> impl Future<Output = Done<Self, ThreadRow>>;
    /// Writes a thread back.
    fn put_thread(&mut self, row: &ThreadRow) -> impl Future<Output = Done<Self, ()>>;
    /// Takes a thread with its runs away: nothing leads to its rows any more, which are removed later. Returns what its
    /// runs held that had not ended.
    fn bury(&mut self, row: &ThreadRow) -> impl Future<Output = Done<Self, Vec<Held>>>;
    /// Remembers that its owner deleted a thread: by its id, and by the key of the request that made it.
    fn remember(&mut self, row: &ThreadRow) -> impl Future<Output = Done<Self, ()>>;
    /// Whether a user deleted a thread of this id.
    fn is_remembered(&mut self, user: i64, id: &ThreadId) -> impl Future<Output = Done<Self, bool>>;
    /// Forgets that its owner deleted a thread, which is there again. The receipt that made the one before it is this
    /// one's from now on: what repeats that request makes nothing as long as the thread or its tombstone is there.
    fn unremember(&mut self, row: &ThreadRow) -> impl Future<Output = Done<Self, ()>>;

    /// A branch by its number.
    fn branch(&mut self, thread: &ThreadRow, num: i64) -> impl Future<Output = Done<Self, BranchRow>>;
    /// The id of a branch.
    fn branch_id(&mut self, thread: &ThreadRow, num: i64) -> impl Future<Output = Done<Self, BranchId>>;
    /// A branch by its id.
    fn find_branch(&mut self, thread: &ThreadRow, id: &BranchId)
    -> impl Future<Output = Done<Self, Option<BranchRow>>>;
    /// Adds a branch.
    fn add_branch(&mut self, thread: &ThreadRow, row: &BranchRow) -> impl Future<Output = Done<Self, ()>>;
    /// Writes a branch's length and tip back.
    fn put_branch(&mut self, thread: &ThreadRow, row: &BranchRow) -> impl Future<Output = Done<Self, ()>>;
    /// Gives a branch that is being made slots of its own, of the messages from a depth to where it forks.
    fn copy_slots(&mut self, thread: &ThreadRow, row: &BranchRow, from: u64) -> impl Future<Output = Done<Self, ()>>;
    /// The number of the message in a slot of a line.
    fn slot(
        &mut self,
        thread: &ThreadRow,
        line: &BranchRow,
        depth: u64,
    ) -> impl Future<Output = Done<Self, Option<i64>>>;

    /// A message by its number.
    fn message(&mut self, thread: &ThreadRow, num: i64) -> impl Future<Output = Done<Self, MessageRow>>;
    /// A message by its id.
    fn find_message(
        &mut self,
        thread: &ThreadRow,
        id: &MessageId,
    ) -> impl Future<Output = Done<Self, Option<MessageRow>>>;
    /// Whether the thread has a message of this id.
    fn has_message(&mut self, thread: &ThreadRow, id: &MessageId) -> impl Future<Output = Done<Self, bool>>;
    /// The message in a slot of a line, which is read down to a depth at most: a store may read some of those at once.
    fn message_at(
        &mut self,
        thread: &ThreadRow,
        line: &BranchRow,
        depth: u64,
        down_to: u64,
    ) -> impl Future<Output = Done<Self, MessageRow>>;
    /// The branch that a message was first written on.
    fn written_on(&mut self, thread: &ThreadRow, num: i64) -> impl Future<Output = Done<Self, i64>>;
    /// A message as its siblings know it.
    fn sibling(&mut self, thread: &ThreadRow, num: i64) -> impl Future<Output = Done<Self, Sibling>>;
    /// Adds a message and its slot.
    fn add_message(&mut self, thread: &ThreadRow, row: &MessageRow) -> impl Future<Output = Done<Self, ()>>;
    /// Writes what can change of a message back: status, revision and body.
    fn put_message(&mut self, thread: &ThreadRow, row: &MessageRow) -> impl Future<Output = Done<Self, ()>>;
    /// How a message of this tenant's thread stands now, for an answer that is given again.
    fn standing(
        &mut self,
        tenant: i64,
        thread: i64,
        id: &MessageId,
    ) -> impl Future<Output = Done<Self, Option<Standing>>>;

    /// What follows a message, or begins a line.
    fn followers(&mut self, thread: &ThreadRow, pred: Option<Pred>) -> impl Future<Output = Done<Self, Followers>>;
    /// Notes that a message follows `pred` after those that did, of which `last` was the last. Places among siblings
    /// are kept only where there are at least two.
    fn link(
        &mut self,
        thread: &ThreadRow,
        pred: Option<Pred>,
        before: Followers,
        last: Option<&Sibling>,
        new: &Sibling,
    ) -> impl Future<Output = Done<Self, ()>>;

    /// Adds the record that the thread's log now ends with.
    fn add_record(&mut self, thread: &ThreadRow, record: &Record) -> impl Future<Output = Done<Self, ()>>;
    /// Drops records older than that. A log is pruned as it grows: one that rests keeps its last ones.
    fn prune_records(&mut self, thread: &ThreadRow, before: Millis) -> impl Future<Output = Done<Self, ()>>;
    /// Moves a thread's entry to the end of a user's summary log, or leaves that to the end of the commit.
    fn add_summary(&mut self, who: Principal, summary: &mut Summary) -> impl Future<Output = Done<Self, ()>>;

    /// A run of a tenant by its id.
    fn run(&mut self, tenant: i64, id: &RunId) -> impl Future<Output = Done<Self, Option<RunRow>>>;
    /// The run on a branch that has not ended.
    fn run_on(&mut self, thread: &ThreadRow, branch: i64) -> impl Future<Output = Done<Self, Option<RunRow>>>;
    /// Whether a run of the thread has not ended.
    fn any_unended(&mut self, thread: &ThreadRow) -> impl Future<Output = Done<Self, bool>>;
    /// Chunks in the stream of a run that has not ended.
    fn stream_length(&mut self, run: &RunRow) -> impl Future<Output = Done<Self, u64>>;
    /// Adds a run; its number is given here.
    fn add_run(&mut self, scope: &Scope, row: RunRow) -> impl Future<Output = Done<Self, ()>>;
    /// Writes a run back.
    fn put_run(&mut self, row: &RunRow, change: RunChange) -> impl Future<Output = Done<Self, ()>>;
    /// The store's epoch, where a run's tokens begin.
    fn epoch(&mut self, run: &RunRow) -> impl Future<Output = Done<Self, u64>>;
    /// Extends the lease of every run that an owner writes.
    fn renew_leases(&mut self, owner: &str, until: Millis) -> impl Future<Output = Done<Self, ()>>;
    /// The run that chunks come for, if the scope may see it.
    fn target(&mut self, scope: &Scope, id: &RunId) -> impl Future<Output = Done<Self, Option<Target>>>;
    /// Moves a streaming message's checkpoint to this body, which holds so many chunks.
    fn fold(&mut self, target: &Target, body: &Body, folded: u64) -> impl Future<Output = Done<Self, ()>>;
    /// Adds chunks to a run's stream.
    fn add_chunks(&mut self, target: &Target, chunks: &[Chunk]) -> impl Future<Output = Done<Self, ()>>;

    /// The answer kept under a key, if it holds: what belongs to a deleted thread is only not removed yet.
    fn receipt(&mut self, who: Principal, key: &IdempotencyKey)
    -> impl Future<Output = Done<Self, Option<ReceiptRow>>>;
    /// Keeps an answer.
    fn add_receipt(
        &mut self,
        who: Principal,
        key: &IdempotencyKey,
        row: ReceiptRow,
    ) -> impl Future<Output = Done<Self, ()>>;

    /// A budget in a period, if anything was ever counted in it.
    fn budget(&mut self, key: &str, start: Millis) -> impl Future<Output = Done<Self, Option<BudgetRow>>>;
    /// Writes a budget.
    fn put_budget(&mut self, key: &str, start: Millis, row: &BudgetRow) -> impl Future<Output = Done<Self, ()>>;

    /// A lock with the store's epoch; one that was never granted is as good as none.
    fn lock(&mut self, scope: &Scope, name: &LockName) -> impl Future<Output = Done<Self, (LockRow, u64)>>;
    /// Writes a lock.
    fn put_lock(&mut self, scope: &Scope, name: &LockName, row: &LockRow) -> impl Future<Output = Done<Self, ()>>;
}
