//! Advisory locks.

use std::time::Duration;

use super::HotRig;
use super::kit::{BRIEF, tenant, until};
use crate::hot::{HotError, HotStore, LockAnswer, LockKey, MAX_NAME_BYTES};

const LONG: Duration = Duration::from_secs(60);

fn lock() -> LockKey {
    LockKey { tenant: tenant(), name: "sweep {x}/\u{e9}".to_owned() }
}

async fn acquire(store: &dyn HotStore, lock: &LockKey, owner: &str, ttl: Duration) -> LockAnswer {
    store.acquire(lock, owner, ttl).await.expect("the tier answers")
}

fn holder(answer: &LockAnswer) -> Option<&str> {
    match answer {
        LockAnswer::Held => Some("me"),
        LockAnswer::Refused { owner, .. } => owner.as_deref(),
    }
}

/// Who comes second is told who has it and for how long; the owner may ask again.
pub async fn one_owner_holds_a_lock(rig: &dyn HotRig) {
    let (store, lock) = (rig.store(), lock());
    assert_eq!(acquire(&*store, &lock, "node 1", LONG).await, LockAnswer::Held);
    let LockAnswer::Refused { owner, left } = acquire(&*rig.other(), &lock, "node 2", LONG).await else {
        panic!("two hold the lock")
    };
    assert_eq!(owner.as_deref(), Some("node 1"));
    assert!(left > LONG / 2 && left <= LONG, "{left:?}");
    assert_eq!(acquire(&*store, &lock, "node 1", LONG).await, LockAnswer::Held);
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    for owner in ["", &long] {
        assert!(matches!(store.acquire(&lock, owner, LONG).await, Err(HotError::Invalid(_))));
    }
}

/// Renewing gives nobody a lock.
pub async fn the_owner_alone_renews(rig: &dyn HotRig) {
    let (store, lock) = (rig.store(), lock());
    let free = store.renew(&lock, "a", LONG).await.expect("the tier answers");
    assert_eq!(free, LockAnswer::Refused { owner: None, left: Duration::ZERO });
    acquire(&*store, &lock, "a", BRIEF).await;
    assert_eq!(holder(&store.renew(&lock, "b", LONG).await.expect("the tier answers")), Some("a"));
    if store.renew(&lock, "a", LONG).await.expect("the tier answers") == LockAnswer::Held {
        tokio::time::sleep(BRIEF * 2).await;
        assert_eq!(holder(&acquire(&*store, &lock, "b", LONG).await), Some("a"));
    } else {
        panic!("the owner could not renew in time; the machine is too slow for this check");
    }
}

/// Releasing another's lock does nothing.
pub async fn the_owner_alone_releases(rig: &dyn HotRig) {
    let (store, lock) = (rig.store(), lock());
    assert!(!store.release(&lock, "a").await.expect("the tier answers"));
    acquire(&*store, &lock, "a", LONG).await;
    assert!(!store.release(&lock, "b").await.expect("the tier answers"));
    assert_eq!(holder(&acquire(&*store, &lock, "b", LONG).await), Some("a"));
    assert!(store.release(&lock, "a").await.expect("the tier answers"));
    assert_eq!(acquire(&*store, &lock, "b", LONG).await, LockAnswer::Held);
}

/// An owner that went away holds nobody up for ever.
pub async fn a_lock_runs_out(rig: &dyn HotRig) {
    let (store, lock) = (rig.store(), lock());
    acquire(&*store, &lock, "a", BRIEF).await;
    until("the lock runs out", || async { acquire(&*store, &lock, "b", LONG).await == LockAnswer::Held }).await;
    assert!(!store.release(&lock, "a").await.expect("the tier answers"));
}

/// Names and tenants share nothing.
pub async fn locks_are_kept_apart(rig: &dyn HotRig) {
    let (store, lock) = (rig.store(), lock());
    acquire(&*store, &lock, "a", LONG).await;
    for other in [LockKey { tenant: tenant(), ..lock.clone() }, LockKey { name: "other".to_owned(), ..lock.clone() }] {
        assert_eq!(acquire(&*store, &other, "b", LONG).await, LockAnswer::Held);
    }
}

/// Of those that ask at once one gets it.
pub async fn one_of_many_gets_it(rig: &dyn HotRig) {
    for _ in 0..10 {
        let (lock, one, other) = (lock(), rig.store(), rig.other());
        let (a, b) = tokio::join!(acquire(&*one, &lock, "a", LONG), acquire(&*other, &lock, "b", LONG));
        assert!((a == LockAnswer::Held) != (b == LockAnswer::Held), "{a:?} {b:?}");
    }
}
