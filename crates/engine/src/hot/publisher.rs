//! What a node leaves in the hot tier and says by it: whatever waits goes together, appends of a tail joined, of hints the
//! newest alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::Scope;
use threadmill_store::hot::{
    Breaker, Extended, Hint, HotResult, HotStore as _, Keep, Mark, OnGap, PageKey, Place, TailAppend, TailKey,
    ThreadKey,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

/// How long somebody is there who says nothing more.
pub const PRESENT_FOR: Duration = Duration::from_secs(15);
/// Bytes of chunks and windows that are sent at once. The tier takes twice as many of one tail.
const AT_ONCE: usize = 1 << 20;
/// Things that are sent at once.
const MANY: u64 = 1024;
/// What an entry costs besides its bytes.
const ENTRY: usize = 64;

/// What is published.
pub(crate) enum Item {
    Change(ThreadKey, Place),
    Chunks { tail: TailKey, after: Place, entries: Vec<Bytes> },
    Summary(Scope, u64),
    Page(PageKey, Bytes),
    Present(Mark),
    Gone(ThreadKey),
}

impl Item {
    /// What it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Chunks { entries, .. } => entries.iter().map(|entry| entry.len() + ENTRY).sum(),
            Self::Page(_, page) => page.len(),
            Self::Change(..) | Self::Summary(..) | Self::Present(_) | Self::Gone(_) => ENTRY,
        }
    }
}

/// Something that waits to be published, with the room that it takes until it is sent.
pub(crate) struct Waiting {
    pub(crate) item: Item,
    pub(crate) room: OwnedSemaphorePermit,
}

/// What became of what was to be published.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Left there, or said by it.
    pub(crate) sent: AtomicU64,
    /// Found no room, or nobody who took it.
    pub(crate) dropped: AtomicU64,
}

/// Whether it may be gathered: nobody waits for one piece of a stream, and somebody does for the end of it.
fn is_piece(item: &Item) -> bool {
    matches!(item, Item::Chunks { .. })
}

/// Sends what waits, together, for as long as the tier is used; pieces of streams after having gathered them for a while.
pub(crate) async fn publish(
    store: Arc<Breaker>,
    counts: Arc<Published>,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>,
    gather: Duration,
) {
    let mut waiting = waiting.lock().await;
    while let Some(first) = waiting.recv().await {
        let mut batch = Batch::default();
        let mut rooms = vec![first.room];
        let mut patient = is_piece(&first.item);
        batch.add(first.item);
        let until = Instant::now() + gather;
        while patient
            && !gather.is_zero()
            && batch.has_room()
            && let Ok(Some(next)) = timeout_at(until, waiting.recv()).await
        {
            patient = is_piece(&next.item);
            batch.add(next.item);
            rooms.push(next.room);
        }
        while batch.has_room()
            && let Ok(next) = waiting.try_recv()
        {
            batch.add(next.item);
            rooms.push(next.room);
        }
        let (items, sent) = (batch.items, batch.send(&store).await);
        let count = if sent.is_ok() { &counts.sent } else { &counts.dropped };
        count.fetch_add(items, Relaxed);
        drop(rooms);
    }
}

/// What is sent at once: appends to each tail joined, and the newest hint of everything.
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
    items: u64,
}

#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Thread(ThreadKey),
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

    /// Appends, which the tier tells of itself, then says the rest: an end comes after what it ends. What cannot be left
    /// there is not spoken of either: the durable tier's word is on its way.
    async fn send(self, store: &Breaker) -> HotResult<()> {
        if !self.appends.is_empty() {
            let answers = store.extend(self.appends.clone()).await?;
            let again = self.appends.into_iter().zip(answers).filter_map(|(append, answer)| match answer {
                // The tier missed something. It begins anew, since nobody will bring that.
                Extended::Refused { there } if there < append.after => {
                    Some(TailAppend { on_gap: OnGap::Restart, ..append })
                }
                Extended::Refused { .. } | Extended::Accepted => None,
            });
            let again: Vec<_> = again.collect();
            if !again.is_empty() {
                store.extend(again).await?;
            }
        }
        if !self.hints.is_empty() {
            store.publish(self.hints.into_values().collect()).await?;
        }
        if !self.pages.is_empty() {
            store.put_pages(self.pages).await?;
        }
        if !self.marks.is_empty() {
            // Whoever is still there says so again.
            store.set_presence(self.marks.into_values().collect(), PRESENT_FOR).await?;
        }
        for thread in self.gone {
            // What stays cannot be asked for and expires.
            store.flush_thread(&thread).await?;
        }
        Ok(())
    }
}
