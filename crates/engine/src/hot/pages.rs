//! Encoded windows, kept in the memory of a node that has its store to itself.
//!
//! Such a node hears of every commit before those who asked for it are answered. So a page is right until the next change
//! of its thread: each thread that is read has a stamp, the writer takes it away with a change ([`Pages::spoil`]), and a
//! page is shown under the stamp alone that its reading began with. What was read while a change came is thus kept under
//! a stamp that is no more. A page of another position than its thread's others takes the stamp away, too: a reader may
//! meet a commit before the writer has said so, and nobody shall then be shown the state before it.
//!
//! Whether a caller may see a thread is part of the key: a page is there for the user who was shown it. A window in which
//! something is being written is never kept. Bounds: [`BYTES`] of pages, of which the least used go first, [`THREADS`]
//! stamps. A page costs its bytes and is shared by those who read it.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use threadmill_proto::{Cursor, Position, Scope, TenantId, ThreadId, Window, json, to_cbor};
use threadmill_store::{Committing, WindowQuery};

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

/// A key that is looked for.
struct Asked<'a> {
    scope: &'a Scope,
    query: &'a WindowQuery,
    format: PageFormat,
}

impl std::hash::Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scope.hash(state);
        self.query.hash(state);
        self.format.hash(state);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.scope == key.scope && *self.query == key.query && self.format == key.format
    }
}

type ThreadKey = (TenantId, ThreadId);

/// The state of a thread between two changes.
#[derive(Debug)]
pub(crate) struct Stamp {
    number: u64,
    /// Where its pages stand, from the first one on.
    position: OnceLock<Position>,
}

#[derive(Debug, Clone)]
struct Page {
    stamp: u64,
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
    stamps: Cache<ThreadKey, Arc<Stamp>>,
    pages: Cache<Key, Page, Weight>,
    next: AtomicU64,
}

impl Pages {
    pub(crate) fn new() -> Self {
        Self { stamps: Cache::new(THREADS), pages: Cache::with_weighter(PAGES, BYTES, Weight), next: AtomicU64::new(0) }
    }

    /// The stamp to read under, taken before the reading.
    pub(crate) fn stamp(&self, scope: &Scope, query: &WindowQuery) -> Arc<Stamp> {
        let key = (scope.tenant.clone(), query.thread.clone());
        if let Some(stamp) = self.stamps.get(&key) {
            return stamp;
        }
        let fresh = || Stamp { number: self.next.fetch_add(1, Relaxed), position: OnceLock::new() };
        let made = self.stamps.get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::new(fresh())));
        let Ok(stamp) = made;
        stamp
    }

    /// The page under this stamp, if it shows what the reader has seen.
    pub(crate) fn get(
        &self,
        stamp: &Stamp,
        scope: &Scope,
        query: &WindowQuery,
        format: PageFormat,
        seen: Option<&Cursor>,
    ) -> Option<EncodedWindow> {
        let page = self.pages.get(&Asked { scope, query, format })?;
        (page.stamp == stamp.number && page.window.is_at(seen)).then_some(page.window)
    }

    /// Keeps a page that was read under this stamp.
    pub(crate) fn keep(
        &self,
        stamp: &Arc<Stamp>,
        scope: &Scope,
        query: WindowQuery,
        format: PageFormat,
        window: &EncodedWindow,
    ) {
        if *stamp.position.get_or_init(|| window.position) != window.position {
            let key = (scope.tenant.clone(), query.thread);
            self.stamps.remove_if(&key, |now| Arc::ptr_eq(now, stamp));
        } else if window.bytes.len() <= LARGEST {
            let key = Key { scope: scope.clone(), query, format };
            self.pages.insert(key, Page { stamp: stamp.number, window: window.clone() });
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
            let stamp = self.0.stamp(&self.1, &query);
            let page = self.0.get(&stamp, &self.1, &query, PageFormat::Json, seen);
            page.map(|page| page.position.seq)
        }

        fn keep(&self, stamp: &Arc<Stamp>, before: u32, seq: u64) {
            self.0.keep(stamp, &self.1, query(before), PageFormat::Json, &window(seq));
        }
    }

    #[test]
    fn a_page_is_shown_until_its_thread_changes() {
        let reader = Reader(Pages::new(), user("ada"));
        reader.keep(&reader.0.stamp(&reader.1, &query(9)), 9, 5);
        assert_eq!(reader.read(9, None), Some(5));
        assert_eq!(reader.read(8, None), None, "another question");
        let stamp = reader.0.stamp(&reader.1, &query(9));
        assert!(reader.0.get(&stamp, &reader.1, &query(9), PageFormat::Cbor, None).is_none(), "another format");
        assert!(reader.0.get(&stamp, &user("eve"), &query(9), PageFormat::Json, None).is_none(), "another user");
        reader.0.spoil(&[change(6)]);
        assert_eq!(reader.read(9, None), None);
        reader.keep(&reader.0.stamp(&reader.1, &query(9)), 9, 6);
        assert_eq!(reader.read(9, None), Some(6));
    }

    #[test]
    fn what_was_read_while_a_change_came_is_not_kept() {
        let reader = Reader(Pages::new(), user("ada"));
        let stamp = reader.0.stamp(&reader.1, &query(9));
        reader.0.spoil(&[change(6)]);
        reader.keep(&stamp, 9, 5);
        assert_eq!(reader.read(9, None), None);
        let next = reader.0.stamp(&reader.1, &query(9));
        reader.keep(&next, 9, 6);
        reader.keep(&stamp, 9, 5);
        assert_eq!(reader.read(9, None), None, "a late one replaces it, and is not shown");
    }

    #[test]
    fn a_commit_that_a_reader_met_first_is_not_unseen() {
        let reader = Reader(Pages::new(), user("ada"));
        reader.keep(&reader.0.stamp(&reader.1, &query(9)), 9, 5);
        reader.keep(&reader.0.stamp(&reader.1, &query(3)), 3, 6);
        assert_eq!(reader.read(9, None), None, "it shows the state before");
        assert_eq!(reader.read(3, None), None);
    }

    #[test]
    fn who_has_seen_more_is_not_shown_less() {
        let reader = Reader(Pages::new(), user("ada"));
        reader.keep(&reader.0.stamp(&reader.1, &query(9)), 9, 5);
        assert_eq!(reader.read(9, Some(&cursor(1, 5))), Some(5));
        assert_eq!(reader.read(9, Some(&cursor(1, 6))), None);
        assert_eq!(reader.read(9, Some(&cursor(7, 6))), Some(5), "of another history");
    }

    #[test]
    fn pages_are_bounded_in_bytes() {
        let pages = Pages::new();
        let (who, stamp) = (user("ada"), pages.stamp(&user("ada"), &query(0)));
        let large = |bytes| EncodedWindow { bytes: vec![0; bytes].into(), ..window(5) };
        for before in 0..100 {
            pages.keep(&stamp, &who, query(before), PageFormat::Json, &large(LARGEST));
            assert!(pages.pages.weight() <= BYTES);
        }
        pages.keep(&stamp, &who, query(200), PageFormat::Json, &large(LARGEST + 1));
        assert!(pages.get(&stamp, &who, &query(200), PageFormat::Json, None).is_none());
    }
}
