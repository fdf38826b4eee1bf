//! The hot tier in the memory of one process: bounded in bytes, and what the others are held against.

mod lru;
mod marks;
mod tail;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use threadmill_proto::{BranchId, RunId};
use tokio::time::Instant;

use super::{
    Extended, Hint, HintSender, HintStream, HotInfo, HotMode, HotResult, HotRole, HotStore, Lifetimes, LockAnswer,
    LockKey, Mark, PageKey, Partition, Place, Present, Sent, TailAppend, TailKey, TailRead, ThreadKey, Told,
    hint_channel,
};

use lru::Lru;
use marks::Marks;
use tail::Tail;

/// How many unread events a listener may leave.
const LISTENER: usize = 4096;

/// A hot tier in memory.
pub struct MemoryHot {
    lifetimes: Lifetimes,
    inner: Mutex<Inner>,
}

struct Inner {
    held: Lru<Key, Held>,
    locks: HashMap<LockKey, (String, Instant)>,
    marks: Marks,
    listeners: Vec<HintSender>,
}

/// The thread comes first, so that a thread's entries stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(ThreadKey, Part);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Log,
    Page(BranchId, u64),
    Run(RunId),
}

enum Held {
    Page { epoch: u64, revision: u64, bytes: Bytes },
    Tail(Tail),
}

impl Held {
    fn bytes(&self) -> usize {
        match self {
            Self::Page { bytes, .. } => bytes.len(),
            Self::Tail(tail) => tail.bytes(),
        }
    }
}

fn page_key(key: &PageKey) -> Key {
    Key(key.thread.clone(), Part::Page(key.branch.clone(), key.page))
}

fn tail_key(key: &TailKey) -> Key {
    match key {
        TailKey::Log(thread) => Key(thread.clone(), Part::Log),
        TailKey::Run(thread, run) => Key(thread.clone(), Part::Run(run.clone())),
    }
}

impl std::fmt::Debug for MemoryHot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryHot").finish_non_exhaustive()
    }
}

impl MemoryHot {
    /// An empty tier that holds at most about `max_bytes` of pages and tails.
    #[must_use]
    pub fn new(max_bytes: usize, lifetimes: Lifetimes) -> Self {
        let inner =
            Inner { held: Lru::new(max_bytes), locks: HashMap::new(), marks: Marks::default(), listeners: Vec::new() };
        Self { lifetimes, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn extend(&mut self, append: &TailAppend, until: Instant) -> Extended {
        let key = tail_key(&append.tail);
        // It is taken out and put back, so that its bytes are counted anew.
        let mut tail = match self.held.remove(&key) {
            Some(Held::Tail(tail)) => tail,
            Some(Held::Page { .. }) | None => Tail::starting(append.after),
        };
        let answer = tail.extend(append);
        let bytes = tail.bytes();
        self.held.put(key, Held::Tail(tail), bytes, until);
        if let (Extended::Accepted, Some(word)) = (answer, append.word(Told::WithEntries)) {
            self.tell(&word);
        }
        answer
    }

    fn tell(&mut self, word: &Hint) {
        self.listeners.retain(|listener| !listener.is_closed());
        for listener in &self.listeners {
            listener.hint(word.clone());
        }
    }

    fn lock_state(&mut self, lock: &LockKey, now: Instant) -> Option<(String, Duration)> {
        self.locks.retain(|_, (_, until)| *until > now);
        self.locks.get(lock).map(|(owner, until)| (owner.clone(), *until - now))
    }

    fn take(&mut self, lock: &LockKey, owner: &str, until: Instant) -> LockAnswer {
        self.locks.insert(lock.clone(), (owner.to_owned(), until));
        LockAnswer::Held
    }
}

fn refused(holder: Option<(String, Duration)>) -> LockAnswer {
    match holder {
        Some((owner, left)) => LockAnswer::Refused { owner: Some(owner), left },
        None => LockAnswer::Refused { owner: None, left: Duration::ZERO },
    }
}

#[async_trait]
impl HotStore for MemoryHot {
    async fn put_pages(&self, pages: Vec<(PageKey, Bytes)>) -> HotResult<()> {
        let until = Instant::now() + self.lifetimes.page;
        let mut inner = self.lock();
        for (key, bytes) in pages {
            let held = Held::Page { epoch: key.epoch, revision: key.revision, bytes };
            let size = held.bytes();
            inner.held.put(page_key(&key), held, size, until);
        }
        Ok(())
    }

    async fn pages(&self, keys: &[PageKey]) -> HotResult<Vec<Option<Bytes>>> {
        let now = Instant::now();
        let until = now + self.lifetimes.page;
        let mut inner = self.lock();
        Ok(keys
            .iter()
            .map(|key| match inner.held.touch(&page_key(key), now, Some(until)) {
                Some(Held::Page { epoch, revision, bytes }) if (*epoch, *revision) == (key.epoch, key.revision) => {
                    Some(bytes.clone())
                }
                Some(_) | None => None,
            })
            .collect())
    }

    async fn extend(&self, appends: Vec<TailAppend>) -> HotResult<Vec<Extended>> {
        for append in &appends {
            append.check()?;
        }
        let now = Instant::now();
        let until = now + self.lifetimes.tail;
        let mut inner = self.lock();
        for append in &appends {
            inner.held.expire(&tail_key(&append.tail), now);
        }
        Ok(appends.iter().map(|append| inner.extend(append, until)).collect())
    }

    async fn read_tail(&self, tail: &TailKey, after: Place, limit: u32) -> HotResult<TailRead> {
        let mut inner = self.lock();
        Ok(match inner.held.touch(&tail_key(tail), Instant::now(), None) {
            Some(Held::Tail(tail)) => tail.read(after, limit),
            Some(Held::Page { .. }) | None => TailRead::Gap { there: None },
        })
    }

    async fn publish(&self, hints: Vec<Hint>) -> HotResult<()> {
        let mut inner = self.lock();
        hints.iter().for_each(|hint| inner.tell(hint));
        Ok(())
    }

    fn subscribe(&self, partitions: Vec<Partition>) -> HintStream {
        let (sender, stream) = hint_channel(partitions, LISTENER);
        sender.ready(&sender.watched());
        let mut inner = self.lock();
        inner.listeners.retain(|listener| !listener.is_closed());
        inner.listeners.push(sender);
        stream
    }

    async fn acquire(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer> {
        lock.check(owner)?;
        let now = Instant::now();
        let mut inner = self.lock();
        Ok(match inner.lock_state(lock, now) {
            Some(holder) if holder.0 != owner => refused(Some(holder)),
            Some(_) | None => inner.take(lock, owner, now + ttl),
        })
    }

    async fn renew(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer> {
        lock.check(owner)?;
        let now = Instant::now();
        let mut inner = self.lock();
        Ok(match inner.lock_state(lock, now) {
            Some(holder) if holder.0 == owner => inner.take(lock, owner, now + ttl),
            holder => refused(holder),
        })
    }

    async fn release(&self, lock: &LockKey, owner: &str) -> HotResult<bool> {
        lock.check(owner)?;
        let mut inner = self.lock();
        let held = inner.lock_state(lock, Instant::now()).is_some_and(|(holder, _)| holder == owner);
        if held {
            inner.locks.remove(lock);
        }
        Ok(held)
    }

    async fn set_presence(&self, marks: Vec<Mark>, ttl: Duration) -> HotResult<()> {
        for mark in &marks {
            mark.check()?;
        }
        let now = Instant::now();
        let mut inner = self.lock();
        for mark in marks {
            inner.marks.set(mark, now, now + ttl);
        }
        Ok(())
    }

    async fn presence(&self, thread: &ThreadKey) -> HotResult<Vec<Present>> {
        Ok(self.lock().marks.list(thread, Instant::now()))
    }

    async fn flush_thread(&self, thread: &ThreadKey) -> HotResult<()> {
        let mut inner = self.lock();
        inner.held.remove_from(&Key(thread.clone(), Part::Log), |key| key.0 == *thread);
        inner.marks.forget(thread);
        Ok(())
    }

    async fn ping(&self) -> HotResult<()> {
        Ok(())
    }

    async fn info(&self) -> HotResult<HotInfo> {
        let inner = self.lock();
        Ok(HotInfo {
            software: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: HotMode::Process,
            role: HotRole::Primary,
            used_bytes: Some(inner.held.bytes() as u64),
            max_bytes: Some(inner.held.max_bytes() as u64),
            unverified: 0,
        })
    }

    fn is_pushed(&self) -> bool {
        true
    }

    fn unverified(&self) -> u64 {
        0
    }

    fn sent(&self) -> Sent {
        Sent::default()
    }
}
