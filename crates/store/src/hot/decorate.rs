//! What all decorators share: every call of the trait goes through one function of theirs.

use bytes::Bytes;

use super::{Extended, HotInfo, LockAnswer, Present, TailRead};

/// A call of the trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `put_pages`
    PutPages,
    /// `pages`
    Pages,
    /// `extend`
    Extend,
    /// `read_tail`
    ReadTail,
    /// `publish`
    Publish,
    /// `acquire`, `renew` or `release`
    Lock,
    /// `set_presence`
    SetPresence,
    /// `presence`
    Presence,
    /// `flush_thread`
    FlushThread,
    /// `ping`
    Ping,
    /// `info`
    Info,
}

impl Op {
    /// Every call, in order.
    pub const ALL: [Self; 11] = [
        Self::PutPages,
        Self::Pages,
        Self::Extend,
        Self::ReadTail,
        Self::Publish,
        Self::Lock,
        Self::SetPresence,
        Self::Presence,
        Self::FlushThread,
        Self::Ping,
        Self::Info,
    ];

    /// Its name in graphs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PutPages => "put_pages",
            Self::Pages => "pages",
            Self::Extend => "extend",
            Self::ReadTail => "read_tail",
            Self::Publish => "publish",
            Self::Lock => "lock",
            Self::SetPresence => "set_presence",
            Self::Presence => "presence",
            Self::FlushThread => "flush_thread",
            Self::Ping => "ping",
            Self::Info => "info",
        }
    }
}

/// What an answer says about how useful the tier is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Pages found, appends accepted, tails that could be read on.
    pub hits: u64,
    /// Pages missing, appends refused, gaps.
    pub misses: u64,
}

/// An answer that can be counted.
pub(super) trait Answer {
    fn seen(&self) -> Seen {
        Seen::default()
    }
}

impl Answer for () {}
impl Answer for bool {}
impl Answer for LockAnswer {}
impl Answer for Vec<Present> {}
impl Answer for HotInfo {}

fn count(of: usize, hits: usize) -> Seen {
    Seen { hits: hits as u64, misses: (of - hits) as u64 }
}

impl Answer for Vec<Option<Bytes>> {
    fn seen(&self) -> Seen {
        count(self.len(), self.iter().flatten().count())
    }
}

impl Answer for Vec<Extended> {
    fn seen(&self) -> Seen {
        count(self.len(), self.iter().filter(|answer| **answer == Extended::Accepted).count())
    }
}

impl Answer for TailRead {
    fn seen(&self) -> Seen {
        count(1, usize::from(matches!(self, Self::Entries(_))))
    }
}

/// Implements the trait for a decorator over `self.inner` whose every call goes through `self.around(op, call)`, and
/// whose listeners go through `self.listen(stream)`.
macro_rules! decorate {
    ($decorator:ident) => {
        #[async_trait::async_trait]
        impl $crate::hot::HotStore for $decorator {
            async fn put_pages(&self, pages: Vec<(PageKey, Bytes)>) -> HotResult<()> {
                self.around(Op::PutPages, self.inner.put_pages(pages)).await
            }

            async fn pages(&self, keys: &[PageKey]) -> HotResult<Vec<Option<Bytes>>> {
                self.around(Op::Pages, self.inner.pages(keys)).await
            }

            async fn extend(&self, appends: Vec<TailAppend>) -> HotResult<Vec<Extended>> {
                self.around(Op::Extend, self.inner.extend(appends)).await
            }

            async fn read_tail(&self, tail: &TailKey, after: Place, limit: u32) -> HotResult<TailRead> {
                self.around(Op::ReadTail, self.inner.read_tail(tail, after, limit)).await
            }

            async fn publish(&self, hints: Vec<Hint>) -> HotResult<()> {
                self.around(Op::Publish, self.inner.publish(hints)).await
            }

            fn subscribe(&self, partitions: Vec<Partition>) -> HintStream {
                self.listen(partitions)
            }

            async fn acquire(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer> {
                self.around(Op::Lock, self.inner.acquire(lock, owner, ttl)).await
            }

            async fn renew(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer> {
                self.around(Op::Lock, self.inner.renew(lock, owner, ttl)).await
            }

            async fn release(&self, lock: &LockKey, owner: &str) -> HotResult<bool> {
                self.around(Op::Lock, self.inner.release(lock, owner)).await
            }

            async fn set_presence(&self, marks: Vec<Mark>, ttl: Duration) -> HotResult<()> {
                self.around(Op::SetPresence, self.inner.set_presence(marks, ttl)).await
            }

            async fn presence(&self, thread: &ThreadKey) -> HotResult<Vec<Present>> {
                self.around(Op::Presence, self.inner.presence(thread)).await
            }

            async fn flush_thread(&self, thread: &ThreadKey) -> HotResult<()> {
                self.around(Op::FlushThread, self.inner.flush_thread(thread)).await
            }

            async fn ping(&self) -> HotResult<()> {
                self.around(Op::Ping, self.inner.ping()).await
            }

            async fn info(&self) -> HotResult<HotInfo> {
                self.around(Op::Info, self.inner.info()).await
            }

            fn is_pushed(&self) -> bool {
                self.inner.is_pushed()
            }

            fn unverified(&self) -> u64 {
                self.inner.unverified()
            }

            fn sent(&self) -> $crate::hot::Sent {
                self.inner.sent()
            }
        }
    };
}

pub(super) use decorate;
