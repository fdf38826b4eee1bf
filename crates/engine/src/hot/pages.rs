//! Encoded windows, kept in the memory of a node for as long as they are right.
//!
//! A page is shown under the state of its thread alone that its reading began with ([`State`]). A node that has its store
//! to itself hears of every commit before those who asked for it are answered: a thread that is read has a stamp, and the
//! writer takes it away with a change ([`Pages::spoil`]). What was read while a change came is thus kept under a stamp that
//! is no more. A page of another position than its thread's others takes the stamp away, too: a reader may meet a commit
//! before the writer has said so, and nobody shall then be shown the state before it. Among other nodes the durable tier
//! says at every reading, in one question, where the thread stands and that this user may see it.
//!
//! The user is part of the key: a page is there for those who were shown it. A window in which something is being written
//! is never kept. Bounds: [`BYTES`] of pages, of which the least used go first, [`THREADS`] stamps. A page costs its bytes
//! and is shared by those who read it.

use std::convert::Infallible;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use threadmill_proto::{Cursor, Position, Scope, TenantId, ThreadId, Window, json, to_cbor};
use threadmill_store::{Committing, Peers, Standing, StoreResult, WindowQuery};

/// Bytes of pages that are kept.
const BYTES: u64 = 32 << 20;
/// Pages that are reckoned with.
const PAGES: usize = 4096;
/// Threads whose pages are kept.
const THREADS: usize = 8192;
/// What a page costs beside its bytes.
const PAGE: u64 = 512;
/// A larger page is not kept.
const LARGEST: usize = 1 << 20;

/// How a window is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageFormat {
    /// As the HTTP API shows it.
    Json,
    /// As clients store it.
    Cbor,
}

/// A window as it is sent.
#[derive(Debug, Clone)]
pub struct EncodedWindow {
    /// The window.
    pub bytes: Bytes,
    /// Its cursor, as a token.
    pub cursor: Arc<str>,
    position: Position,
}

impl EncodedWindow {
    pub(crate) fn of(window: &Window, format: PageFormat) -> Self {
        let bytes = match format {
            PageFormat::Json => json::window_to_json(window),
            PageFormat::Cbor => to_cbor(window),
        };
        let cursor = json::cursor_token(&window.thread, &window.cursor).into();
        Self { bytes: bytes.into(), cursor, position: window.cursor.position }
    }

    /// Whether it shows what a reader has seen. A cursor of another epoch says nothing of this one.
    fn is_at(&self, seen: Option<&Cursor>) -> bool {
        seen.is_none_or(|seen| seen.position.epoch != self.position.epoch || seen.position.seq <= self.position.seq)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    scope: Scope,
    query: WindowQuery,
    format: PageFormat,
}

/// A key that is looked for, without a copy.
struct KeyRef<'a> {
    scope: &'a Scope,
    query: &'a WindowQuery,
    format: PageFormat,
}

impl std::hash::Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scope.hash(state);
        self.query.hash(state);
        self.format.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.scope == key.scope && *self.query == key.query && self.format == key.format
    }
}

type ThreadKey = (TenantId, ThreadId);

/// A thread between two changes, as a node alone on its store tells it.
#[derive(Debug)]
pub(crate) struct Stamp {
    number: u64,
    /// Where its pages stand, from the first one on.
    position: OnceLock<Position>,
}

/// The state of a thread that a reading began with.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// By the stamp that it has until the next change.
    Stamped(Arc<Stamp>),
    /// By where the durable tier says that it stands.
    Standing(Standing),
}

/// What tells a page's state from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    Stamp(u64),
    /// A thread's birth and position.
    Standing(u64, Position),
}

impl State {
    /// What a window of a position is kept under.
    fn under(&self, position: Position) -> Under {
        match self {
            Self::Stamped(stamp) => Under::Stamp(stamp.number),
            Self::Standing(standing) => Under::Standing(standing.birth, position),
        }
    }

    /// Where the thread stands, if that was asked for.
    pub(crate) fn standing(&self) -> Option<Standing> {
        match self {
            Self::Stamped(_) => None,
            Self::Standing(standing) => Some(*standing),
        }
    }

    /// What a window must be kept under to be shown.
    fn wanted(&self) -> Under {
        match self {
            Self::Stamped(stamp) => Under::Stamp(stamp.number),
            Self::Standing(standing) => Under::Standing(standing.birth, standing.position),
        }
    }
}

#[derive(Debug, Clone)]
struct Page {
    under: Under,
    window: EncodedWindow,
}

#[derive(Debug, Clone, Copy)]
struct Weight;

impl Weighter<Key, Page> for Weight {
    fn weight(&self, _: &Key, page: &Page) -> u64 {
        PAGE + page.window.bytes.len() as u64
    }
}

/// The pages of a node.
pub(crate) struct Pages {
    /// The nodes that write, too.
    peers: Option<Arc<dyn Peers>>,
    stamps: Cache<ThreadKey, Arc<Stamp>>,
    pages: Cache<Key, Page, Weight>,
    next: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How often a window was in a node's memory, since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptWindows {
    /// It was.
    pub hits: u64,
    /// It was not, or not as the reader had seen it.
    pub misses: u64,
}

impl Pages {
    /// How often a window was there.
    pub(crate) fn reading(&self) -> KeptWindows {
        KeptWindows { hits: self.hits.load(Relaxed), misses: self.misses.load(Relaxed) }
    }

    /// Pages of a thread that are kept.
    pub(crate) fn kept_of(&self, tenant: &TenantId, thread: &ThreadId) -> usize {
        self.pages.iter().filter(|(key, _)| key.scope.tenant == *tenant && key.query.thread == *thread).count()
    }

    pub(crate) fn new(peers: Option<Arc<dyn Peers>>) -> Self {
        Self {
            peers,
            stamps: Cache::new(THREADS),
            pages: Cache::with_weighter(PAGES, BYTES, Weight),
            next: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The state to read under, taken before the reading.
    ///
    /// # Errors
    /// There is no such thread, where others may write it.
    pub(crate) async fn state(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<State> {
        match &self.peers {
            Some(peers) => Ok(State::Standing(peers.standing(scope, thread).await?)),
            None => Ok(State::Stamped(self.stamp(scope, thread))),
        }
    }

    fn stamp(&self, scope: &Scope, thread: &ThreadId) -> Arc<Stamp> {
        let key = (scope.tenant.clone(), thread.clone());
        if let Some(stamp) = self.stamps.get(&key) {
            return stamp;
        }
        let number = self.next.fetch_add(1, Relaxed);
        let fresh = Arc::new(Stamp { number, position: OnceLock::new() });
        let Ok(stamp) = self.stamps.get_or_insert_with(&key, || Ok::<_, Infallible>(fresh));
        stamp
    }

    /// The page of this state, if it shows what the reader has seen.
    pub(crate) fn get(
        &self,
        state: &State,
        scope: &Scope,
        query: &WindowQuery,
        format: PageFormat,
        seen: Option<&Cursor>,
    ) -> Option<EncodedWindow> {
        let page = self.pages.get(&KeyRef { scope, query, format });
        let page = page.filter(|page| page.under == state.wanted() && page.window.is_at(seen));
        let count = if page.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Relaxed);
        Some(page?.window)
    }

    /// Keeps a page that was read under this state.
    pub(crate) fn keep(
        &self,
        state: &State,
        scope: &Scope,
        query: WindowQuery,
        format: PageFormat,
        window: &EncodedWindow,
    ) {
        if let State::Stamped(stamp) = state
            && *stamp.position.get_or_init(|| window.position) != window.position
        {
            let key = (scope.tenant.clone(), query.thread);
            self.stamps.remove_if(&key, |now| Arc::ptr_eq(now, stamp));
        } else if window.bytes.len() <= LARGEST {
            let key = Key { scope: scope.clone(), query, format };
            self.pages.insert(key, Page { under: state.under(window.position), window: window.clone() });
        }
    }

    /// Forgets what changes make wrong. The writer calls it before those who asked for them are answered.
    pub(crate) fn spoil(&self, batch: &[Committing]) {
        for entry in batch {
            if let Committing::Event { tenant, thread, .. } = entry {
                self.stamps.remove(&(tenant.clone(), thread.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{Anchor, BranchId, ChainHash, Change, Event, Record, UserId};
    use threadmill_store::PageLimits;

    use super::*;

    fn user(name: &str) -> Scope {
        Scope { tenant: TenantId::parse("acme").expect("an id"), user: UserId::parse(name).expect("an id") }
    }

    fn thread() -> ThreadId {
        ThreadId::parse("t").expect("an id")
    }

    fn query(before: u32) -> WindowQuery {
        let limits = PageLimits { bytes: 1 << 20, preview: 1 << 14 };
        WindowQuery { thread: thread(), branch: None, anchor: Anchor::Tip, before, after: 0, limits }
    }

    fn cursor(epoch: u64, seq: u64) -> Cursor {
        Cursor { position: Position { epoch, seq, hash: ChainHash([0; 16]) }, runs: Vec::new() }
    }

    fn window(seq: u64) -> EncodedWindow {
        let window = Window {
            thread: thread(),
            branch: BranchId::parse("main").expect("an id"),
            cursor: cursor(1, seq),
            total: seq,
            from: 0,
            to: seq,
            messages: Vec::new(),
            runs: Vec::new(),
            forks: Vec::new(),
            lineage: Vec::new(),
        };
        EncodedWindow::of(&window, PageFormat::Json)
    }

    fn change(seq: u64) -> Committing {
        let record = Record { seq, at: 0, change: Change::ThreadDeleted };
        let event = Event { record, epoch: 1, hash: ChainHash([0; 16]), body: None };
        Committing::Event { tenant: user("ada").tenant, thread: thread(), event }
    }

    struct Reader(Pages, Scope);

    impl Reader {
        fn read(&self, before: u32, seen: Option<&Cursor>) -> Option<u64> {
            let query = query(before);
            let page = self.0.get(&self.state(), &self.1, &query, PageFormat::Json, seen);
            page.map(|page| page.position.seq)
        }

        fn state(&self) -> State {
            State::Stamped(self.0.stamp(&self.1, &thread()))
        }

        fn keep(&self, state: &State, before: u32, seq: u64) {
            self.0.keep(state, &self.1, query(before), PageFormat::Json, &window(seq));
        }
    }

    #[test]
    fn a_page_is_shown_until_its_thread_changes() {
        let reader = Reader(Pages::new(None), user("ada"));
        reader.keep(&reader.state(), 9, 5);
        assert_eq!(reader.read(9, None), Some(5));
        assert_eq!(reader.read(8, None), None, "another question");
        let stamp = reader.state();
        assert!(reader.0.get(&stamp, &reader.1, &query(9), PageFormat::Cbor, None).is_none(), "another format");
        assert!(reader.0.get(&stamp, &user("eve"), &query(9), PageFormat::Json, None).is_none(), "another user");
        reader.0.spoil(&[change(6)]);
        assert_eq!(reader.read(9, None), None);
        reader.keep(&reader.state(), 9, 6);
        assert_eq!(reader.read(9, None), Some(6));
    }

    #[test]
    fn what_was_read_while_a_change_came_is_not_kept() {
        let reader = Reader(Pages::new(None), user("ada"));
        let stamp = reader.state();
        reader.0.spoil(&[change(6)]);
        reader.keep(&stamp, 9, 5);
        assert_eq!(reader.read(9, None), None);
        let next = reader.state();
        reader.keep(&next, 9, 6);
        reader.keep(&stamp, 9, 5);
        assert_eq!(reader.read(9, None), None, "a late one replaces it, and is not shown");
    }

    #[test]
    fn a_commit_that_a_reader_met_first_is_not_unseen() {
        let reader = Reader(Pages::new(None), user("ada"));
        reader.keep(&reader.state(), 9, 5);
        reader.keep(&reader.state(), 3, 6);
        assert_eq!(reader.read(9, None), None, "it shows the state before");
        assert_eq!(reader.read(3, None), None);
    }

    #[test]
    fn who_has_seen_more_is_not_shown_less() {
        let reader = Reader(Pages::new(None), user("ada"));
        reader.keep(&reader.state(), 9, 5);
        assert_eq!(reader.read(9, Some(&cursor(1, 5))), Some(5));
        assert_eq!(reader.read(9, Some(&cursor(1, 6))), None);
        assert_eq!(reader.read(9, Some(&cursor(7, 6))), Some(5), "of another history");
    }

    #[test]
    fn among_other_nodes_a_page_is_shown_where_its_thread_stands() {
        let (pages, who) = (Pages::new(None), user("ada"));
        let at = |birth, seq| State::Standing(Standing { birth, position: cursor(1, seq).position });
        let get =
            |state: &State| pages.get(state, &who, &query(9), PageFormat::Json, None).map(|page| page.position.seq);
        pages.keep(&at(7, 5), &who, query(9), PageFormat::Json, &window(6));
        assert_eq!(get(&at(7, 5)), None, "more was read than was there when the reading began");
        assert_eq!(get(&at(7, 6)), Some(6));
        assert_eq!(get(&at(8, 6)), None, "another thread of the same id");
        assert_eq!(get(&at(7, 7)), None);
    }

    #[test]
    fn pages_are_bounded_in_bytes() {
        let pages = Pages::new(None);
        let (who, stamp) = (user("ada"), State::Stamped(pages.stamp(&user("ada"), &thread())));
        let large = |bytes| EncodedWindow { bytes: vec![0; bytes].into(), ..window(5) };
        for before in 0..100 {
            pages.keep(&stamp, &who, query(before), PageFormat::Json, &large(LARGEST));
            assert!(pages.pages.weight() <= BYTES);
        }
        pages.keep(&stamp, &who, query(200), PageFormat::Json, &large(LARGEST + 1));
        assert!(pages.get(&stamp, &who, &query(200), PageFormat::Json, None).is_none());
    }
}
