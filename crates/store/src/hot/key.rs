//! What the hot tier's entries are known by, and the partition each belongs to.

use threadmill_proto::{BranchId, RunId, Scope, TenantId, ThreadId};

/// How many partitions there are. Frozen: all nodes of a deployment must agree, and stored keys carry the number.
/// 128 spread evenly over the few primaries of a cluster, and one node can subscribe to all of them.
pub const PARTITIONS: u8 = 128;

/// A thread's share of the tier: all its keys are in one, and its hints come on that one's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u8);

impl Partition {
    /// Every partition, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// Its number, below [`PARTITIONS`].
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The partition with this number, if there is one.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// `/` is in no id, so that no two names run together.
    fn of(tenant: &TenantId, kind: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for text in [tenant.as_str(), "/", kind, "/", name] {
            hasher.update(text.as_bytes());
        }
        Self(hasher.finalize().as_bytes()[0] % PARTITIONS)
    }

    /// Where a user's summary log is announced.
    #[must_use]
    pub fn of_user(scope: &Scope) -> Self {
        Self::of(&scope.tenant, "user", scope.user.as_str())
    }
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The thread.
    pub thread: ThreadId,
    /// A number drawn when the thread was made. A deleted thread's id may be used again; this keeps the new thread
    /// from finding what a tier that was down at the deletion still holds of the old one.
    pub birth: u64,
}

impl ThreadKey {
    /// The thread's partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::of(&self.tenant, "thread", self.thread.as_str())
    }
}

/// An encoded page of a branch. What is stored under a key never differs, so a page needs no invalidation: who asks
/// knows epoch and revision from the durable tier, and any other is a miss.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    /// The thread.
    pub thread: ThreadKey,
    /// The branch.
    pub branch: BranchId,
    /// Which page of the branch.
    pub page: u64,
    /// The thread's epoch: after a restore, revisions may come again with other contents.
    pub epoch: u64,
    /// The page's revision in that epoch.
    pub revision: u64,
}

/// A log whose last entries the tier holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TailKey {
    /// A thread's changes; an entry's number is its seq.
    Log(ThreadKey),
    /// A run's chunks; the number of a chunk is the stream's offset after it, so the first one's is 1.
    Run(ThreadKey, RunId),
}

impl TailKey {
    /// Whose it is.
    #[must_use]
    pub fn thread(&self) -> &ThreadKey {
        match self {
            Self::Log(thread) | Self::Run(thread, _) => thread,
        }
    }
}

/// An advisory lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name in the tenant, at most [`crate::hot::MAX_NAME_BYTES`] long.
    pub name: String,
}

impl LockKey {
    /// The lock's partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::of(&self.tenant, "lock", &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(name: &str) -> ThreadKey {
        ThreadKey {
            tenant: TenantId::parse("acme").expect("an id"),
            thread: ThreadId::parse(name).expect("an id"),
            birth: 1,
        }
    }

    /// The numbers are frozen: stored keys and other nodes depend on them.
    #[test]
    fn partitions_do_not_move() {
        let found: Vec<u8> = ["t1", "t2", "t3"].iter().map(|name| thread(name).partition().number()).collect();
        assert_eq!(found, [119, 89, 123]);
    }

    #[test]
    fn partitions_are_used_evenly() {
        let mut load = [0_u32; PARTITIONS as usize];
        for n in 0..12_800 {
            load[usize::from(thread(&format!("t{n}")).partition().number())] += 1;
        }
        assert!(load.iter().all(|count| (50..=160).contains(count)), "{load:?}");
    }

    #[test]
    fn the_birth_does_not_move_a_thread() {
        let again = ThreadKey { birth: 2, ..thread("t1") };
        assert_eq!(again.partition(), thread("t1").partition());
    }
}
