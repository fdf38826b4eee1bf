//! Who waits for which lock on this node: how many may, and who is woken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{LockName, TenantId};
use tokio::sync::Notify;

use crate::engine::hub::lock;

/// Those who wait for one lock at the most; a thousand would each be granted it after a minute at best.
const OF_A_LOCK: usize = 256;
/// Those who wait for any lock at the most.
const OF_A_NODE: usize = 4096;

/// A lock of a tenant.
type Key = (TenantId, LockName);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queues {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    all: usize,
    of: HashMap<Key, (usize, Arc<Notify>)>,
}

impl Queues {
    /// A place among those who wait; none if there are too many.
    pub(super) fn enter(&self, key: Key) -> Option<Place<'_>> {
        let mut waiting = lock(&self.waiting);
        if waiting.all >= OF_A_NODE {
            return None;
        }
        let (count, bell) = waiting.of.entry(key.clone()).or_default();
        if *count >= OF_A_LOCK {
            return None;
        }
        *count += 1;
        let bell = Arc::clone(bell);
        waiting.all += 1;
        Some(Place { queues: self, key, bell })
    }

    /// Wakes one who waits: of all of them only one would get it.
    pub(super) fn wake(&self, key: &Key) {
        if let Some((_, bell)) = lock(&self.waiting).of.get(key) {
            bell.notify_one();
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.waiting).all
    }
}

/// A place among those who wait, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'q> {
    queues: &'q Queues,
    key: Key,
    bell: Arc<Notify>,
}

impl Place<'_> {
    /// Ends when the lock was given back on this node.
    pub(super) async fn given_back(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.queues.waiting);
        waiting.all -= 1;
        if let Some((count, _)) = waiting.of.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                waiting.of.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (TenantId::parse("t").expect("an id"), LockName::parse(name).expect("a name"))
    }

    #[test]
    fn places_are_bounded_and_given_up() {
        let queues = Queues::default();
        let places: Vec<_> = (0..OF_A_LOCK).map(|_| queues.enter(key("a")).expect("there is room")).collect();
        assert!(queues.enter(key("a")).is_none());
        assert!(queues.enter(key("b")).is_some(), "another lock has places of its own");
        drop(places);
        assert_eq!(queues.waiting(), 0);
        assert!(queues.enter(key("a")).is_some());
        let all: Vec<_> = (0..OF_A_NODE).map_while(|n| queues.enter(key(&format!("l{n}")))).collect();
        assert_eq!((all.len(), queues.enter(key("z")).is_none()), (OF_A_NODE, true));
    }

    #[tokio::test]
    async fn one_is_woken() {
        let queues = Queues::default();
        let (first, second) = (queues.enter(key("a")).expect("room"), queues.enter(key("a")).expect("room"));
        queues.wake(&key("a"));
        let short = std::time::Duration::from_millis(20);
        let woken = [tokio::time::timeout(short, first.given_back()).await.is_ok(), {
            tokio::time::timeout(short, second.given_back()).await.is_ok()
        }];
        assert_eq!(woken, [true, false]);
    }
}
