//! Presence.

use std::time::Duration;

use super::HotRig;
use super::kit::{BRIEF, bytes, some_thread, thread, until};
use crate::hot::{HotError, HotStore, MAX_NAME_BYTES, MAX_STATE_BYTES, Mark, ThreadKey};

const LONG: Duration = Duration::from_secs(60);

fn mark(thread: &ThreadKey, member: &str, state: &str) -> Mark {
    Mark { thread: thread.clone(), member: member.to_owned(), state: bytes(state) }
}

async fn set(store: &dyn HotStore, marks: Vec<Mark>, ttl: Duration) {
    store.set_presence(marks, ttl).await.expect("the tier answers");
}

async fn list(store: &dyn HotStore, thread: &ThreadKey) -> String {
    let present = store.presence(thread).await.expect("the tier answers");
    let shown = present.iter().map(|found| format!("{}={}", found.member, String::from_utf8_lossy(&found.state)));
    shown.collect::<Vec<_>>().join(" ")
}

/// Members set on one node show on another, by name.
pub async fn members_are_listed(rig: &dyn HotRig) {
    let here = some_thread();
    assert_eq!(list(&*rig.store(), &here).await, "");
    set(&*rig.store(), vec![mark(&here, "bob", "types"), mark(&here, "ann", "\0")], LONG).await;
    set(&*rig.other(), vec![mark(&here, "c\u{e9}line", "")], LONG).await;
    assert_eq!(list(&*rig.store(), &here).await, "ann=\0 bob=types c\u{e9}line=");
}

/// A member has one state.
pub async fn a_later_mark_replaces(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    set(&*store, vec![mark(&here, "ann", "reads")], LONG).await;
    set(&*store, vec![mark(&here, "ann", "types")], LONG).await;
    assert_eq!(list(&*store, &here).await, "ann=types");
}

/// Each member goes at its own time, however long others stay.
pub async fn marks_run_out_one_by_one(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    set(&*store, vec![mark(&here, "stays", "")], LONG).await;
    set(&*store, vec![mark(&here, "goes", "")], BRIEF).await;
    until("one mark runs out", || async { list(&*store, &here).await == "stays=" }).await;
    let alone = thread(&here.tenant, "alone");
    set(&*store, vec![mark(&alone, "goes", "")], BRIEF).await;
    until("the other mark runs out", || async { list(&*store, &alone).await.is_empty() }).await;
}

/// Threads share nobody, and one call may mark several.
pub async fn threads_show_their_own(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    let threads: Vec<_> = (0..10).map(|n| thread(&here.tenant, &format!("th{n}"))).collect();
    set(&*store, threads.iter().map(|thread| mark(thread, thread.thread.as_str(), "")).collect(), LONG).await;
    for thread in &threads {
        assert_eq!(list(&*store, thread).await, format!("{}=", thread.thread));
    }
}

/// Names and states have limits.
pub async fn a_mark_is_bounded(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    let (name, state) = ("m".repeat(MAX_NAME_BYTES), "s".repeat(MAX_STATE_BYTES));
    set(&*store, vec![mark(&here, &name, &state)], LONG).await;
    for wrong in [mark(&here, "", ""), mark(&here, &format!("{name}m"), ""), mark(&here, "a", &format!("{state}s"))] {
        let answer = store.set_presence(vec![wrong], LONG).await;
        assert!(matches!(answer, Err(HotError::Invalid(_))), "{answer:?}");
    }
    assert_eq!(list(&*store, &here).await, format!("{name}={state}"));
}
