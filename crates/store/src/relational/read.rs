//! What the rules ask of a store where it is read: rows in one snapshot, as many of a kind as one statement gives.

use std::collections::{HashMap, VecDeque};
use std::future::Future;

use threadmill_proto::{BranchId, ChainHash, MessageId, Millis, Record, Scope, Summary, ThreadId};

use super::fail::Refusal;
use super::rows::{BranchRow, MessageRow, Principal, RunRow, Slot, ThreadRow};

/// What reading a store's rows gives.
pub type Got<R, T> = Result<T, <R as Reads>::Fail>;

/// The way a page grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To greater depths.
    Up,
    /// To smaller ones.
    Down,
}

/// Slots of a line from a depth to one after it, wanted in an order. Bodies beyond a number of bytes need not come.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The order.
    pub way: Way,
    /// The smallest depth.
    pub from: u64,
    /// One more than the greatest.
    pub to: u64,
    /// Bytes of bodies.
    pub bytes: usize,
}

/// The rows of one snapshot.
pub trait Reads {
    /// The store's own error.
    type Fail: Refusal;

    /// Levels of a bisection that are worth reading at once: as many as a round trip is worth slots.
    const LEVELS: u32;

    /// The numbers of a scope, if it ever wrote.
    fn principal(&self, scope: &Scope) -> impl Future<Output = Got<Self, Option<Principal>>>;
    /// A thread that this scope may see.
    fn visible(&self, scope: &Scope, id: &ThreadId) -> impl Future<Output = Got<Self, ThreadRow>>;
    /// A thread that this scope may see, with the branch named or its default one.
    fn opened(
        &self,
        scope: &Scope,
        id: &ThreadId,
        branch: Option<&BranchId>,
    ) -> impl Future<Output = Got<Self, (ThreadRow, BranchRow)>>;
    /// A branch by its number.
    fn branch(&self, thread: &ThreadRow, num: i64) -> impl Future<Output = Got<Self, BranchRow>>;
    /// The ids of branches by their numbers.
    fn branch_ids(&self, thread: &ThreadRow, nums: &[i64]) -> impl Future<Output = Got<Self, HashMap<i64, BranchId>>>;
    /// Branches in the order of their making, from a number on.
    fn branches(&self, thread: &ThreadRow, from: i64, limit: u32) -> impl Future<Output = Got<Self, Vec<BranchRow>>>;
    /// Messages in the order of their making, from a number on.
    fn messages(&self, thread: &ThreadRow, from: i64, limit: u32) -> impl Future<Output = Got<Self, Vec<MessageRow>>>;
    /// Messages by their ids, as far as they are there, in any order.
    fn messages_named(
        &self,
        thread: &ThreadRow,
        ids: &[&MessageId],
    ) -> impl Future<Output = Got<Self, Vec<MessageRow>>>;
    /// The number of the message in a slot of a line.
    fn slot(&self, thread: &ThreadRow, line: &BranchRow, depth: u64) -> impl Future<Output = Got<Self, Option<i64>>>;
    /// When the messages in these slots were made.
    fn made_at(
        &self,
        thread: &ThreadRow,
        line: &BranchRow,
        depths: &[u64],
    ) -> impl Future<Output = Got<Self, HashMap<u64, Millis>>>;
    /// The first of these slots, as many as one statement gives; at least one.
    fn slots(
        &self,
        thread: &ThreadRow,
        line: &BranchRow,
        wanted: Wanted,
    ) -> impl Future<Output = Got<Self, VecDeque<Slot>>>;
    /// What a page will likely be made of, on both ways; nothing where reading ahead gains nothing.
    fn slots_ahead(
        &self,
        thread: &ThreadRow,
        line: &BranchRow,
        wanted: [Option<Wanted>; 2],
    ) -> impl Future<Output = Got<Self, [VecDeque<Slot>; 2]>>;
    /// The unended runs that write these messages.
    fn runs_writing(&self, thread: &ThreadRow, messages: &[i64]) -> impl Future<Output = Got<Self, Vec<RunRow>>>;
    /// Records of a thread's log in order, from one on, each with the hash after it.
    fn records(
        &self,
        thread: &ThreadRow,
        from: u64,
        limit: u32,
    ) -> impl Future<Output = Got<Self, Vec<(ChainHash, Record)>>>;
    /// Threads of a user's list below a place, newest first.
    fn listed(
        &self,
        who: Principal,
        below: u64,
        archived: bool,
        limit: usize,
    ) -> impl Future<Output = Got<Self, Vec<Summary>>>;
    /// A user's summary log after a place, oldest first.
    fn summaries_after(&self, who: Principal, since: u64, limit: u64) -> impl Future<Output = Got<Self, Vec<Summary>>>;
    /// The newest place in a user's summary log.
    fn newest(&self, who: Principal) -> impl Future<Output = Got<Self, u64>>;
    /// Everybody who ever wrote, by tenant and user.
    fn scopes(&self) -> impl Future<Output = Got<Self, Vec<(Scope, Principal)>>>;
    /// A user's threads that no import hides, by id.
    fn threads_of(&self, who: Principal) -> impl Future<Output = Got<Self, Vec<ThreadRow>>>;
    /// Every run of a thread, by id, with the chunks that readers see of it.
    fn runs_of(&self, thread: &ThreadRow) -> impl Future<Output = Got<Self, Vec<(RunRow, u64)>>>;
}
