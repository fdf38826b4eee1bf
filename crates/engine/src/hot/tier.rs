//! The hot tier, as a node among others uses it: chunks that this node committed and windows that it read are left there
//! for the others, who then need not read them from the durable tier, and hints of commits go by it without a detour.
//!
//! It is beside the way of a commit, never in it: what is to be spread waits in a bounded queue, and what finds no room
//! is left out. Whoever misses something there reads the durable tier. Of a thread's log nothing but hints are spread:
//! bodies may have been removed since, and only the durable log shows them as they are now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::frame::Mode;
use threadmill_proto::{Chunk, RunId, Scope, TenantId, ThreadId, from_cbor, to_cbor};
use threadmill_store::hot::{
    Breaker, BreakerPolicy, BreakerState, HotStore, Mark, MeterReading, Metered, PageKey, Place, Sent, TailKey,
    TailRead, ThreadKey,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use crate::hot::bill::Tariff;
use crate::hot::publisher::{Item, Published, Waiting, publish};
use crate::supervise::Tasks;

/// Things that may wait to be spread. More would mean that the tier does not keep up, and help nobody.
const WAITING: usize = 8192;
/// KiB of them. A window may have 256.
const WAITING_KIB: usize = 32 << 10;
/// KiB that windows leave free for chunks and hints, which somebody waits for.
const WINDOWS_LEAVE_KIB: usize = 16 << 10;
/// How often a tier that does not answer is asked at least whether it does again.
const RETURN: Duration = Duration::from_secs(2);
/// How long the tier must have answered before it counts as back.
const STEADY: Duration = Duration::from_secs(1);
/// Chunks that are read at once.
const READ: u32 = 512;

/// How the hot tier was used since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierReading {
    /// Pieces of streams that came with its hints or could be read there.
    pub hits: u64,
    /// Those that it was asked for, or would have been, and that the durable tier served.
    pub fallbacks: u64,
    /// Windows that it had.
    pub page_hits: u64,
    /// Windows that had to be read.
    pub page_misses: u64,
    /// Things that were left there or said by it.
    pub spread: u64,
    /// Those that found no room, or nobody who took them.
    pub dropped: u64,
    /// How often the mode changed.
    pub switches: u64,
    /// Values and hints found there that this deployment did not seal.
    pub unverified: u64,
    /// Commands and bytes that were sent there.
    pub sent: Sent,
}

impl TierReading {
    /// Of the readings of streams, the share that fell back; none before the first.
    #[must_use]
    pub fn fallback_ratio(&self) -> Option<f64> {
        let asked = self.hits + self.fallbacks;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for graphs")]
        (asked > 0).then(|| self.fallbacks as f64 / asked as f64)
    }
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    fallbacks: AtomicU64,
    page_hits: AtomicU64,
    page_misses: AtomicU64,
    switches: AtomicU64,
}

/// How a hot tier is used.
#[derive(Debug, Clone, Copy)]
pub struct TierOptions {
    /// It is asked at least so often whether it is there, so that its loss is noticed while nothing happens.
    pub probe: Duration,
    /// Spreads the probes of many nodes.
    pub seed: u64,
    /// How long pieces of streams are gathered before they are sent together; nothing sends each at once. Fewer commands,
    /// and other nodes have each piece so much later.
    pub gather: Duration,
    /// What commands cost.
    pub tariff: Tariff,
}

impl TierOptions {
    /// Probes of a server of one's own, nothing gathered.
    #[must_use]
    pub fn new(probe: Duration, seed: u64) -> Self {
        Self { probe, seed, gather: Duration::ZERO, tariff: Tariff::OWN }
    }
}

/// A node's use of the hot tier: what waits to be left there, whether it answers, how it was used.
pub struct Tier {
    store: Arc<Breaker>,
    meters: Arc<Metered>,
    tariff: Tariff,
    gather: Duration,
    items: mpsc::Sender<Waiting>,
    /// Room for what waits, in KiB.
    room: Arc<Semaphore>,
    tasks: Arc<Tasks>,
    mode: watch::Sender<Mode>,
    counts: Counts,
    published: Arc<Published>,
}

impl std::fmt::Debug for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tier").field("mode", &*self.mode.borrow()).finish_non_exhaustive()
    }
}

impl Tier {
    /// Starts to use a hot tier.
    #[must_use]
    pub fn start(store: Arc<dyn HotStore>, options: TierOptions) -> Arc<Self> {
        let TierOptions { probe, seed, gather, tariff } = options;
        let (items, waiting) = mpsc::channel(WAITING);
        let meters = Arc::new(Metered::new(store));
        let store = Arc::new(Breaker::new(Arc::clone(&meters) as _, BreakerPolicy::default(), seed));
        let tier = Arc::new(Self {
            store,
            meters,
            tariff,
            gather,
            items,
            room: Arc::new(Semaphore::new(WAITING_KIB)),
            tasks: Arc::default(),
            mode: watch::Sender::new(Mode::Full),
            counts: Counts::default(),
            published: Arc::default(),
        });
        let (store, counts) = (Arc::clone(&tier.store), Arc::clone(&tier.published));
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let publish = move || publish(Arc::clone(&store), Arc::clone(&counts), Arc::clone(&waiting), gather);
        tier.tasks.run("hot-spread", publish);
        let (weak, state) = (Arc::downgrade(&tier), tier.store.state());
        tier.tasks.run("hot-mode", move || mind(weak.clone(), state.clone()));
        let weak = Arc::downgrade(&tier);
        tier.tasks.run("hot-probe", move || look(weak.clone(), probe));
        tier
    }

    pub(crate) fn tasks(&self) -> &Arc<Tasks> {
        &self.tasks
    }

    /// Whether it speaks of what it is left: one that does not ends its listeners at once.
    pub(crate) fn is_pushed(&self) -> bool {
        self.store.is_pushed()
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
            spread: self.published.sent.load(Relaxed),
            dropped: self.published.dropped.load(Relaxed),
            switches: self.counts.switches.load(Relaxed),
            unverified: self.store.unverified(),
            sent: self.store.sent(),
        }
    }

    /// The calls that reached the tier, by kind.
    #[must_use]
    pub fn calls(&self) -> MeterReading {
        self.meters.reading()
    }

    /// How long pieces are gathered.
    pub(crate) fn gather(&self) -> Duration {
        self.gather
    }

    /// What commands cost there.
    #[must_use]
    pub fn tariff(&self) -> Tariff {
        self.tariff
    }

    pub(crate) fn store(&self) -> &Arc<Breaker> {
        &self.store
    }

    fn put(&self, item: Item) {
        let kib = u32::try_from(item.bytes() >> 10).unwrap_or(u32::MAX).saturating_add(1);
        let leave = if matches!(item, Item::Page(..)) { WINDOWS_LEAVE_KIB } else { 0 };
        let fits = self.room.available_permits() >= (kib as usize).saturating_add(leave);
        let room = fits.then(|| Arc::clone(&self.room).try_acquire_many_owned(kib).ok()).flatten();
        let sent = room.is_some_and(|room| self.items.try_send(Waiting { item, room }).is_ok());
        if !sent {
            self.published.dropped.fetch_add(1, Relaxed);
        }
    }

    /// A change of this node is durable. Where the thread is not followed here its birth is not known, and need not be:
    /// a hint is enough.
    pub(crate) fn change(&self, tenant: &TenantId, thread: &ThreadId, birth: Option<u64>, head: Place) {
        let (tenant, thread, birth) = (tenant.clone(), thread.clone(), birth.unwrap_or_default());
        self.put(Item::Change(ThreadKey { tenant, thread, birth }, head));
    }

    /// Chunks of this node are durable.
    pub(crate) fn chunks(&self, thread: ThreadKey, run: &RunId, after: Place, chunks: &[Chunk]) {
        let entries = chunks.iter().map(|chunk| to_cbor(chunk).into()).collect();
        self.put(Item::Chunks { tail: TailKey::Run(thread, run.clone()), after, entries });
    }

    /// An entry of a summary log is durable.
    pub(crate) fn summary(&self, scope: &Scope, pos: u64) {
        self.put(Item::Summary(scope.clone(), pos));
    }

    /// Somebody is in a thread.
    pub(crate) fn mark(&self, mark: Mark) {
        self.put(Item::Present(mark));
    }

    /// A thread is deleted.
    pub(crate) fn gone(&self, thread: ThreadKey) {
        self.put(Item::Gone(thread));
    }

    /// Whether it is worth asking.
    pub(crate) fn answers(&self) -> bool {
        *self.mode.borrow() == Mode::Full
    }

    /// A window is left for whoever asks for it next.
    pub(crate) fn keep(&self, key: PageKey, page: Vec<u8>) {
        if self.answers() {
            self.put(Item::Page(key, page.into()));
        }
    }

    /// A window that was left there. A tier that does not answer is not asked.
    pub(crate) async fn page(&self, key: PageKey) -> Option<Bytes> {
        if !self.answers() {
            return None;
        }
        let found = self.store.pages(&[key]).await.ok().and_then(|mut pages| pages.pop()?);
        let count = if found.is_some() { &self.counts.page_hits } else { &self.counts.page_misses };
        count.fetch_add(1, Relaxed);
        found
    }

    /// What follows in a run's stream, as far as the tier has it. One that does not answer is not asked.
    pub(crate) async fn read(&self, thread: ThreadKey, run: &RunId, after: Place) -> Found {
        if !self.answers() {
            return Found::Never;
        }
        match self.store.read_tail(&TailKey::Run(thread, run.clone()), after, READ).await {
            Ok(TailRead::Entries(entries)) if entries.is_empty() => Found::NotYet,
            Ok(TailRead::Entries(entries)) => {
                let numbered = entries.iter().zip(after.seq + 1..).take_while(|(entry, seq)| entry.seq == *seq);
                let chunks = chunks_of(numbered.map(|(entry, _)| &entry.bytes));
                if chunks.is_empty() { Found::Never } else { Found::Chunks(chunks) }
            }
            // The reader has more than the tier, or the run has just begun: what its writer leaves there is on its way.
            Ok(TailRead::Gap { there }) if there.is_none_or(|there| there.epoch == after.epoch && there < after) => {
                Found::NotYet
            }
            Ok(TailRead::Gap { .. }) | Err(_) => Found::Never,
        }
    }

    /// Takes note of a piece of a stream that the tier served.
    pub(crate) fn count_hit(&self) {
        self.counts.hits.fetch_add(1, Relaxed);
    }

    /// Takes note of one that the durable tier had to serve.
    pub(crate) fn count_fallback(&self) {
        self.counts.fallbacks.fetch_add(1, Relaxed);
    }
}

/// What the tier has of a stream after a place.
pub(crate) enum Found {
    Chunks(Vec<Chunk>),
    /// Nothing, and what is missing may be on its way.
    NotYet,
    /// Nothing, and waiting will not help.
    Never,
}

/// The chunks that entries hold. What cannot be read ends them, and so does what another release may have written.
pub(crate) fn chunks_of<'a>(entries: impl Iterator<Item = &'a Bytes>) -> Vec<Chunk> {
    entries.map_while(|entry| from_cbor(entry).ok()).collect()
}

/// Keeps the mode in step with the breaker, and says so once a change. A tier that is full or read-only answers readings,
/// and fails the next writing: it is back when the breaker has been closed for a while.
async fn mind(tier: std::sync::Weak<Tier>, mut state: watch::Receiver<BreakerState>) {
    loop {
        let mode = match *state.borrow_and_update() {
            BreakerState::Closed => Mode::Full,
            BreakerState::Open | BreakerState::HalfOpen => Mode::Degraded,
        };
        let returns = mode == Mode::Full && tier.upgrade().is_some_and(|tier| *tier.mode.borrow() != Mode::Full);
        if returns && let Ok(changed) = timeout(STEADY, state.changed()).await {
            match changed {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
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

/// Asks now and then whether the tier is there: calls are what the breaker learns by. One that does not answer is asked
/// more often where that is seldom, since little else asks it then.
async fn look(tier: std::sync::Weak<Tier>, probe: Duration) {
    loop {
        let Some(tier) = tier.upgrade() else { return };
        let _ = tier.store.ping().await;
        let (mut mode, answers) = (tier.mode(), tier.answers());
        drop(tier);
        let wait = if answers { probe } else { probe.min(RETURN) };
        // A loss ends a long wait; a return need not.
        drop(timeout(wait, mode.wait_for(|mode| answers && *mode != Mode::Full)).await);
    }
}
