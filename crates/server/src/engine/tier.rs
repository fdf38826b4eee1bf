//! The hot tier, as a node among others uses it: chunks that this node committed and windows that it read are left there
//! for the others, who then need not read them from the durable tier, and word of commits goes by it without a detour.
//!
//! It is beside the way of a commit, never in it: what is to be spread waits in a bounded queue, and what finds no room
//! is left out. Whoever misses something there reads the durable tier. Of a thread's log nothing but word is spread:
//! bodies may have been removed since, and only the durable log shows them as they are now.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::{Chunk, RunId, Scope, TenantId, ThreadId, from_cbor, to_cbor};
use threadmill_store::hot::{
    Breaker, BreakerPolicy, BreakerState, Extended, Hint, HotStore, Keep, Mark, OnGap, PageKey, Place, TailAppend,
    TailKey, TailRead, ThreadKey,
};
use tokio::sync::{mpsc, watch};

use super::presence::PRESENT_FOR;

/// Things that may wait to be spread. More would mean that the tier does not keep up, and help nobody.
const WAITING: usize = 8192;
/// Bytes of chunks that are sent at once. The tier takes twice as many of one tail.
const AT_ONCE: usize = 1 << 20;
/// Things that are sent at once.
const MANY: usize = 1024;
/// Chunks that are read at once.
const READ: u32 = 512;

/// What this node can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything that is configured.
    Full,
    /// The hot tier does not answer: word of commits comes by the durable tier, and everything is read there.
    Degraded,
    /// The durable tier refuses writes: only reads are answered.
    ReadOnly,
}

impl Mode {
    /// Its name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Degraded => "degraded",
            Self::ReadOnly => "read-only",
        }
    }
}

/// How the hot tier was used since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierReading {
    /// Readings of streams that it could serve.
    pub hits: u64,
    /// Those that fell back on the durable tier.
    pub fallbacks: u64,
    /// Windows that it had.
    pub page_hits: u64,
    /// Windows that it did not have.
    pub page_misses: u64,
    /// Things that were left there or said by it.
    pub spread: u64,
    /// Those that found no room, or nobody who took them.
    pub dropped: u64,
    /// How often the mode changed.
    pub switches: u64,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    fallbacks: AtomicU64,
    page_hits: AtomicU64,
    page_misses: AtomicU64,
    spread: AtomicU64,
    dropped: AtomicU64,
    switches: AtomicU64,
}

/// What is spread.
enum Item {
    Change(ThreadKey, Place),
    Chunks { tail: TailKey, after: Place, entries: Vec<Bytes> },
    Summary(Scope, u64),
    Page(PageKey, Bytes),
    Present(Mark),
    Gone(ThreadKey),
}

/// See the module.
pub struct Tier {
    store: Arc<Breaker>,
    items: mpsc::Sender<Item>,
    mode: watch::Sender<Mode>,
    counts: Counts,
}

impl std::fmt::Debug for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tier").field("mode", &*self.mode.borrow()).finish_non_exhaustive()
    }
}

impl Tier {
    /// Starts to use a hot tier. It is asked at least every `probe` whether it is there, so that its loss is noticed
    /// while nothing happens; `seed` spreads the probes of many nodes.
    #[must_use]
    pub fn start(store: Arc<dyn HotStore>, probe: Duration, seed: u64) -> Arc<Self> {
        let (items, waiting) = mpsc::channel(WAITING);
        let store = Arc::new(Breaker::new(store, BreakerPolicy::default(), seed));
        let tier = Arc::new(Self { store, items, mode: watch::Sender::new(Mode::Full), counts: Counts::default() });
        tokio::spawn(spread(Arc::downgrade(&tier), waiting));
        tokio::spawn(mind(Arc::downgrade(&tier), tier.store.state()));
        tokio::spawn(look(Arc::downgrade(&tier), probe));
        tier
    }

    /// What the node can rely on, and every change of that.
    #[must_use]
    pub fn mode(&self) -> watch::Receiver<Mode> {
        self.mode.subscribe()
    }

    /// How it was used.
    #[must_use]
    pub fn reading(&self) -> TierReading {
        TierReading {
            hits: self.counts.hits.load(Relaxed),
            fallbacks: self.counts.fallbacks.load(Relaxed),
            page_hits: self.counts.page_hits.load(Relaxed),
            page_misses: self.counts.page_misses.load(Relaxed),
            spread: self.counts.spread.load(Relaxed),
            dropped: self.counts.dropped.load(Relaxed),
            switches: self.counts.switches.load(Relaxed),
        }
    }

    pub(super) fn store(&self) -> &Arc<Breaker> {
        &self.store
    }

    fn put(&self, item: Item) {
        let count = if self.items.try_send(item).is_ok() { &self.counts.spread } else { &self.counts.dropped };
        count.fetch_add(1, Relaxed);
    }

    /// A change of this node is durable. Where the thread is not followed here its birth is not known, and need not be:
    /// word of it is enough.
    pub(super) fn change(&self, tenant: &TenantId, thread: &ThreadId, birth: Option<u64>, head: Place) {
        let (tenant, thread, birth) = (tenant.clone(), thread.clone(), birth.unwrap_or_default());
        self.put(Item::Change(ThreadKey { tenant, thread, birth }, head));
    }

    /// Chunks of this node are durable.
    pub(super) fn chunks(&self, thread: ThreadKey, run: &RunId, after: Place, chunks: &[Chunk]) {
        let entries = chunks.iter().map(|chunk| to_cbor(chunk).into()).collect();
        self.put(Item::Chunks { tail: TailKey::Run(thread, run.clone()), after, entries });
    }

    /// An entry of a summary log is durable.
    pub(super) fn summary(&self, scope: &Scope, pos: u64) {
        self.put(Item::Summary(scope.clone(), pos));
    }

    /// Somebody is in a thread.
    pub(super) fn mark(&self, mark: Mark) {
        self.put(Item::Present(mark));
    }

    /// A thread is deleted.
    pub(super) fn gone(&self, thread: ThreadKey) {
        self.put(Item::Gone(thread));
    }

    /// Whether it is worth asking.
    pub(super) fn answers(&self) -> bool {
        *self.mode.borrow() == Mode::Full
    }

    /// A window is left for whoever asks for it next.
    pub(super) fn keep(&self, key: PageKey, page: Vec<u8>) {
        self.put(Item::Page(key, page.into()));
    }

    /// A window that was left there.
    pub(super) async fn page(&self, key: PageKey) -> Option<Bytes> {
        let found = self.store.pages(&[key]).await.ok().and_then(|mut pages| pages.pop()?);
        let count = if found.is_some() { &self.counts.page_hits } else { &self.counts.page_misses };
        count.fetch_add(1, Relaxed);
        found
    }

    /// What follows in a run's stream, as far as the tier has it. Nothing if it has not.
    pub(super) async fn read(&self, thread: ThreadKey, run: &RunId, after: Place) -> Option<Vec<Chunk>> {
        let read = self.store.read_tail(&TailKey::Run(thread, run.clone()), after, READ).await;
        let chunks: Vec<Chunk> = match read {
            Ok(TailRead::Entries(entries)) => {
                let numbered = entries.iter().zip(after.seq + 1..).take_while(|(entry, seq)| entry.seq == *seq);
                // What cannot be read ends the reading, and so does what another release may have written.
                numbered.map_while(|(entry, _)| from_cbor(&entry.bytes).ok()).collect()
            }
            Ok(TailRead::Gap { .. }) | Err(_) => Vec::new(),
        };
        let found = (!chunks.is_empty()).then_some(chunks);
        let count = if found.is_some() { &self.counts.hits } else { &self.counts.fallbacks };
        count.fetch_add(1, Relaxed);
        found
    }
}

/// Sends what waits, together, for as long as the tier is used.
async fn spread(tier: std::sync::Weak<Tier>, mut waiting: mpsc::Receiver<Item>) {
    while let Some(first) = waiting.recv().await {
        let mut batch = Batch::default();
        batch.add(first);
        while batch.has_room()
            && let Ok(next) = waiting.try_recv()
        {
            batch.add(next);
        }
        let Some(tier) = tier.upgrade() else { return };
        batch.send(&tier).await;
    }
}

/// What is sent at once: appends to each tail joined, and the newest word of everything.
#[derive(Default)]
struct Batch {
    appends: Vec<TailAppend>,
    /// The last append of each tail.
    last: HashMap<TailKey, usize>,
    hints: HashMap<Subject, Hint>,
    marks: HashMap<(ThreadKey, String), Mark>,
    gone: Vec<ThreadKey>,
    pages: Vec<(PageKey, Bytes)>,
    bytes: usize,
    items: usize,
}

#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Thread(ThreadKey),
    Run(TailKey),
    Summary(Scope),
}

impl Batch {
    fn has_room(&self) -> bool {
        self.bytes < AT_ONCE && self.items < MANY
    }

    fn add(&mut self, item: Item) {
        self.items += 1;
        match item {
            Item::Change(thread, head) => {
                self.hints.insert(Subject::Thread(thread.clone()), Hint::Thread { thread, head });
            }
            Item::Summary(scope, pos) => {
                self.hints.insert(Subject::Summary(scope.clone()), Hint::Summary { scope, pos });
            }
            Item::Present(mark) => {
                self.marks.insert((mark.thread.clone(), mark.member.clone()), mark);
            }
            Item::Gone(thread) => self.gone.push(thread),
            Item::Page(key, page) => {
                self.bytes += page.len();
                self.pages.push((key, page));
            }
            Item::Chunks { tail, after, entries } => {
                self.bytes += entries.iter().map(Bytes::len).sum::<usize>();
                let end = Place { epoch: after.epoch, seq: after.seq + entries.len() as u64 };
                if let TailKey::Run(thread, run) = &tail {
                    let hint = Hint::Run { thread: thread.clone(), run: run.clone(), end };
                    self.hints.insert(Subject::Run(tail.clone()), hint);
                }
                let last = self.last.get(&tail).and_then(|at| self.appends.get_mut(*at));
                if let Some(last) = last.filter(|last| last.end() == after) {
                    last.entries.extend(entries);
                    return;
                }
                self.last.insert(tail.clone(), self.appends.len());
                let (keep, on_gap) = (Keep::default(), OnGap::Refuse);
                self.appends.push(TailAppend { tail, after, entries, keep, on_gap });
            }
        }
    }

    /// Appends, then says so: whoever hears of it finds it there.
    async fn send(self, tier: &Tier) {
        let store = &tier.store;
        if !self.appends.is_empty()
            && let Ok(answers) = store.extend(self.appends.clone()).await
        {
            let again = self.appends.into_iter().zip(answers).filter_map(|(append, answer)| match answer {
                // The tier missed something. It begins anew, since nobody will bring that.
                Extended::Refused { there } if there < append.after => {
                    Some(TailAppend { on_gap: OnGap::Restart, ..append })
                }
                Extended::Refused { .. } | Extended::Accepted => None,
            });
            let again: Vec<_> = again.collect();
            if !again.is_empty() {
                let _ = store.extend(again).await;
            }
        }
        let hints: Vec<_> = self.hints.into_values().collect();
        let count = hints.len() as u64;
        if !hints.is_empty() && store.publish(hints).await.is_err() {
            tier.counts.dropped.fetch_add(count, Relaxed);
        }
        if !self.pages.is_empty() {
            // What cannot be kept is read again.
            let _ = store.put_pages(self.pages).await;
        }
        if !self.marks.is_empty() {
            // Whoever is still there says so again.
            let _ = store.set_presence(self.marks.into_values().collect(), PRESENT_FOR).await;
        }
        for thread in self.gone {
            // What stays cannot be asked for and expires.
            let _ = store.flush_thread(&thread).await;
        }
    }
}

/// Keeps the mode in step with the breaker, and says so once a change.
async fn mind(tier: std::sync::Weak<Tier>, mut state: watch::Receiver<BreakerState>) {
    loop {
        let mode = match *state.borrow_and_update() {
            BreakerState::Closed => Mode::Full,
            BreakerState::Open | BreakerState::HalfOpen => Mode::Degraded,
        };
        {
            let Some(tier) = tier.upgrade() else { return };
            if tier.mode.send_replace(mode) != mode {
                tier.counts.switches.fetch_add(1, Relaxed);
                match mode {
                    Mode::Full => tracing::info!("the hot tier answers again: mode full"),
                    // The durable tier's mode is not the hot tier's to say.
                    Mode::Degraded | Mode::ReadOnly => {
                        tracing::warn!("the hot tier does not answer: mode degraded");
                    }
                }
            }
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Asks now and then whether the tier is there: calls are what the breaker learns by.
async fn look(tier: std::sync::Weak<Tier>, probe: Duration) {
    let mut ticks = tokio::time::interval(probe);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(tier) = tier.upgrade() else { return };
        let _ = tier.store.ping().await;
    }
}
