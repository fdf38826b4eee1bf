//! Short words for the checks.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::{BranchId, RunId, Scope, TenantId, ThreadId, UserId};
use tokio::time::Instant;

use crate::hot::{
    Extended, Hint, HintEvent, HintStream, HotStore, Keep, Lifetimes, OnGap, PageKey, Partition, Place, TailAppend,
    TailKey, TailRead, ThreadKey,
};

/// How long what expires in a check is kept.
pub const BRIEF: Duration = Duration::from_millis(400);

/// How long a check waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The lifetimes of [`super::HotRig::brief`].
#[must_use]
pub fn brief_lifetimes() -> Lifetimes {
    Lifetimes { page: BRIEF, tail: BRIEF }
}

/// A tenant that no other check uses. The process is part of its name, for servers that outlive it.
#[must_use]
pub fn tenant() -> TenantId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    TenantId::parse(&format!("t{}-{number}", std::process::id())).expect("checks use valid ids")
}

/// A thread of the tenant.
#[must_use]
pub fn thread(tenant: &TenantId, name: &str) -> ThreadKey {
    ThreadKey { tenant: tenant.clone(), thread: ThreadId::parse(name).expect("checks use valid ids"), birth: 7 }
}

/// A thread of a tenant of its own.
#[must_use]
pub fn some_thread() -> ThreadKey {
    thread(&tenant(), "th")
}

/// A run's id.
#[must_use]
pub fn run(name: &str) -> RunId {
    RunId::parse(name).expect("checks use valid ids")
}

/// A user of the tenant.
#[must_use]
pub fn user(tenant: &TenantId, name: &str) -> Scope {
    Scope { tenant: tenant.clone(), user: UserId::parse(name).expect("checks use valid ids") }
}

/// A page of the thread's branch `main`, in epoch 1.
#[must_use]
pub fn page(thread: &ThreadKey, page: u64, revision: u64) -> PageKey {
    let branch = BranchId::parse("main").expect("checks use valid ids");
    PageKey { thread: thread.clone(), branch, page, epoch: 1, revision }
}

/// Bytes that say `text`.
#[must_use]
pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A place.
#[must_use]
pub fn at(epoch: u64, seq: u64) -> Place {
    Place { epoch, seq }
}

/// An append that is refused at a gap and keeps much.
#[must_use]
pub fn append(tail: &TailKey, after: Place, entries: &[&str]) -> TailAppend {
    TailAppend {
        tail: tail.clone(),
        after,
        entries: entries.iter().map(|entry| bytes(entry)).collect(),
        keep: Keep::default(),
        on_gap: OnGap::Refuse,
    }
}

/// Extends one tail.
///
/// # Panics
/// If the tier fails.
pub async fn extend(store: &dyn HotStore, append: TailAppend) -> Extended {
    store.extend(vec![append]).await.expect("the tier answers")[0]
}

/// A read as text: `12:hello 13:you`, empty at the end, or `gap after 2-13`, `gap`.
///
/// # Panics
/// If the tier fails.
pub async fn read(store: &dyn HotStore, tail: &TailKey, after: Place) -> String {
    match store.read_tail(tail, after, 1000).await.expect("the tier answers") {
        TailRead::Entries(entries) => {
            let shown = entries.iter().map(|entry| format!("{}:{}", entry.seq, String::from_utf8_lossy(&entry.bytes)));
            shown.collect::<Vec<_>>().join(" ")
        }
        TailRead::Gap { there: Some(Place { epoch, seq }) } => format!("gap, there {epoch}-{seq}"),
        TailRead::Gap { there: None } => "gap".to_owned(),
    }
}

/// One page as text.
///
/// # Panics
/// If the tier fails.
pub async fn get(store: &dyn HotStore, key: &PageKey) -> Option<String> {
    let found = store.pages(std::slice::from_ref(key)).await.expect("the tier answers");
    assert_eq!(found.len(), 1);
    found[0].as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Stores one page.
///
/// # Panics
/// If the tier fails.
pub async fn put(store: &dyn HotStore, key: &PageKey, text: &str) {
    store.put_pages(vec![(key.clone(), bytes(text))]).await.expect("the tier answers");
}

/// The next event.
///
/// # Panics
/// If none comes for long.
pub async fn next(stream: &mut HintStream) -> HintEvent {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("an event comes").expect("the backend is there")
}

/// Reads on until all these partitions are ready.
///
/// # Panics
/// If that does not happen for long.
pub async fn wait_ready(stream: &mut HintStream, partitions: &[Partition]) {
    let mut missing: Vec<_> = partitions.to_vec();
    while !missing.is_empty() {
        match next(stream).await {
            HintEvent::Ready(ready) => missing.retain(|partition| !ready.contains(partition)),
            HintEvent::Lost(lost) => missing.extend(lost),
            HintEvent::Hint(_) => {}
        }
    }
}

/// Reads on until this hint comes.
///
/// # Panics
/// If that does not happen for long.
pub async fn wait_hint(stream: &mut HintStream, wanted: &Hint) {
    while next(stream).await != HintEvent::Hint(wanted.clone()) {}
}

/// Tries until it is so.
///
/// # Panics
/// If that does not happen for long.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
