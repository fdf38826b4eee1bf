//! The hot tier's trait.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Extended, Hint, HintStream, HotInfo, HotResult, LockAnswer, LockKey, Mark, PageKey, Partition, Place, Present,
    Sent, TailAppend, TailKey, TailRead, ThreadKey,
};

/// The hot tier: a cache of pages and tails, hints, advisory locks and presence.
///
/// # Trust
/// - Callers hold epochs, revisions, heads and grants from the durable tier; this one is asked for bytes only. A value
///   that does not verify against the key it was asked for by is a miss.
/// - Everything may vanish at any time. After an error it is unknown whether a write took effect, and that is harmless.
///
/// # Time
/// - Every call ends by the deadline that the backend was opened with (250 ms by default), with an error if need be.
///   [`HotStore::flush_thread`] may take ten times as long.
/// - A call that is dropped may still take effect.
///
/// # Calls that take several things
/// - They are sent together. If one fails for the tier's sake the call fails, and the others may have taken effect.
#[async_trait]
pub trait HotStore: Send + Sync {
    /// Stores pages. A page takes the place of the one of another revision.
    async fn put_pages(&self, pages: Vec<(PageKey, Bytes)>) -> HotResult<()>;

    /// The pages asked for, in that order, `None` for those that are not there. Reading one keeps it for a while.
    async fn pages(&self, keys: &[PageKey]) -> HotResult<Vec<Option<Bytes>>>;

    /// Extends tails; the answers come in the order of the appends. An append is accepted if its epoch is the tail's
    /// and it begins at the next number, or if its epoch is higher, or if there is no tail: the last two begin a tail.
    /// What is accepted of a run is told to every node that listens, in the same step: [`TailAppend::word`]. As with
    /// [`HotStore::publish`], that may be lost.
    async fn extend(&self, appends: Vec<TailAppend>) -> HotResult<Vec<Extended>>;

    /// What follows a place, at most `limit` entries.
    async fn read_tail(&self, tail: &TailKey, after: Place, limit: u32) -> HotResult<TailRead>;

    /// Tells every node that listens. May be lost.
    async fn publish(&self, hints: Vec<Hint>) -> HotResult<()>;

    /// Listens on these partitions until the stream is dropped; goes on trying however long the tier is away. Needs
    /// a tokio runtime. See [`super::HintEvent`] for what a listener must do.
    fn subscribe(&self, partitions: Vec<Partition>) -> HintStream;

    /// Takes a lock for `ttl`, or extends it for the owner who has it. Advisory: it keeps nodes from doing the same
    /// work, and the durable tier's fencing token decides who may write.
    async fn acquire(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer>;

    /// Extends a lock, for its owner only.
    async fn renew(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer>;

    /// Gives a lock back: true if this owner had it.
    async fn release(&self, lock: &LockKey, owner: &str) -> HotResult<bool>;

    /// Shows members as present for `ttl`. A member's later mark replaces the earlier one.
    async fn set_presence(&self, marks: Vec<Mark>, ttl: Duration) -> HotResult<()>;

    /// Who is present in a thread, by name.
    async fn presence(&self, thread: &ThreadKey) -> HotResult<Vec<Present>>;

    /// Forgets a thread: its pages, its log's tail, its runs' tails, its presence. What another node puts at
    /// the same moment may stay until it expires; nobody can ask for it.
    async fn flush_thread(&self, thread: &ThreadKey) -> HotResult<()>;

    /// Whether the tier answers.
    async fn ping(&self) -> HotResult<()>;

    /// What the tier says of itself.
    async fn info(&self) -> HotResult<HotInfo>;

    /// Whether listeners hear anything at all: word may go no way that is not billed.
    fn is_pushed(&self) -> bool;

    /// Values found under this deployment's keys that did not verify, since this process began. Costs nothing.
    fn unverified(&self) -> u64;

    /// What was sent since this process began. Costs nothing.
    fn sent(&self) -> Sent;
}
