//! Deletion and monitoring.

use std::time::Duration;

use super::HotRig;
use super::kit::{append, at, bytes, extend, get, page, put, read, run, some_thread, thread};
use crate::hot::{HotStore, Mark, TailKey, ThreadKey};

async fn fill(store: &dyn HotStore, thread: &ThreadKey, pages: u64) {
    let pages = (0..pages).map(|n| (page(thread, n, 1), bytes("page"))).collect();
    store.put_pages(pages).await.expect("the tier answers");
    extend(store, append(&TailKey::Log(thread.clone()), at(1, 0), &["log"])).await;
    extend(store, append(&TailKey::Run(thread.clone(), run("r1")), at(1, 0), &["run"])).await;
    let mark = Mark { thread: thread.clone(), member: "ann".to_owned(), state: bytes("reads") };
    store.set_presence(vec![mark], Duration::from_secs(60)).await.expect("the tier answers");
}

/// What the tier has of a thread, counted.
async fn found(store: &dyn HotStore, thread: &ThreadKey, pages: u64) -> usize {
    let keys: Vec<_> = (0..pages).map(|n| page(thread, n, 1)).collect();
    let mut found = store.pages(&keys).await.expect("the tier answers").iter().flatten().count();
    for tail in [TailKey::Log(thread.clone()), TailKey::Run(thread.clone(), run("r1"))] {
        found += usize::from(read(store, &tail, at(1, 0)).await != "gap");
    }
    found + store.presence(thread).await.expect("the tier answers").len()
}

/// Pages, tails and presence go, also of a thread with many pages, and also when another node flushes.
pub async fn a_flushed_thread_is_gone(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    fill(&*store, &here, 700).await;
    assert_eq!(found(&*store, &here, 700).await, 703);
    rig.other().flush_thread(&here).await.expect("the tier answers");
    assert_eq!(found(&*store, &here, 700).await, 0);
    rig.other().flush_thread(&here).await.expect("flushing nothing is fine");
    put(&*store, &page(&here, 0, 1), "again").await;
    assert_eq!(get(&*store, &page(&here, 0, 1)).await.as_deref(), Some("again"));
}

/// Neighbours and namesakes stay.
pub async fn nothing_else_is_flushed(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    let others = [thread(&here.tenant, "th2"), thread(&here.tenant, "t"), ThreadKey { birth: 8, ..here.clone() }];
    for thread in others.iter().chain([&here]) {
        fill(&*store, thread, 3).await;
    }
    store.flush_thread(&here).await.expect("the tier answers");
    for thread in &others {
        assert_eq!(found(&*store, thread, 3).await, 6, "{thread:?}");
    }
}

/// It does.
pub async fn the_tier_answers(rig: &dyn HotRig) {
    rig.store().ping().await.expect("the tier answers");
}

/// Name, version and a plausible use of memory.
pub async fn the_tier_says_what_it_is(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    put(&*store, &page(&here, 0, 1), "something").await;
    let info = store.info().await.expect("the tier answers");
    assert!(!info.software.is_empty() && !info.version.is_empty(), "{info:?}");
    assert!(info.used_bytes.is_none_or(|used| used > 0), "{info:?}");
}
