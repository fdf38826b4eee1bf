//! Who waits for which lock on this node: how many may, and who is woken. A user and a tenant have a share of the places,
//! at each lock and at all of them together, so that none takes those of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{LockName, Scope, TenantId, UserId};
use tokio::sync::Notify;

use crate::shares::{Bounds, Share, Shares};
use crate::sync::lock;

/// Those who wait for one lock at the most; a thousand would each be granted it after a minute at best.
const OF_A_LOCK: usize = 256;
/// Those of them who are one user's.
const OF_A_LOCK_AND_USER: usize = 192;
/// Those who wait for any lock at the most: each costs a reading of the store about once a second.
const PLACES: Bounds = Bounds { user: 512, tenant: 2048, node: 4096 };

/// A lock of a tenant.
type Key = (TenantId, LockName);

/// Those who wait at this node, by lock.
#[derive(Debug)]
pub(crate) struct Queues {
    waiting: Mutex<HashMap<Key, Waiting>>,
    places: Arc<Shares>,
}

impl Default for Queues {
    fn default() -> Self {
        Self { waiting: Mutex::default(), places: Shares::new(PLACES) }
    }
}

/// Those who wait for one lock.
#[derive(Debug, Default)]
struct Waiting {
    all: usize,
    of: HashMap<UserId, usize>,
    bell: Arc<Notify>,
}

impl Queues {
    /// A place among those who wait; none if there are too many.
    pub(crate) fn enter(&self, scope: &Scope, name: &LockName) -> Option<LockWaiter<'_>> {
        let share = self.places.take(scope, 1).ok()?;
        let key = (scope.tenant.clone(), name.clone());
        let mut queues = lock(&self.waiting);
        let waiting = queues.entry(key.clone()).or_default();
        let of_user = waiting.of.get(&scope.user).copied().unwrap_or_default();
        if waiting.all >= OF_A_LOCK || of_user >= OF_A_LOCK_AND_USER {
            return None;
        }
        waiting.all += 1;
        waiting.of.insert(scope.user.clone(), of_user + 1);
        let bell = Arc::clone(&waiting.bell);
        Some(LockWaiter { queues: self, key, user: scope.user.clone(), bell, _share: share })
    }

    /// Wakes one who waits: of all of them only one would get it.
    pub(crate) fn wake(&self, key: &Key) {
        if let Some(waiting) = lock(&self.waiting).get(key) {
            waiting.bell.notify_one();
        }
    }

    /// How many wait for one lock.
    pub(crate) fn waiting_for(&self, key: &Key) -> usize {
        lock(&self.waiting).get(key).map_or(0, |waiting| waiting.all)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        usize::try_from(self.places.held()).unwrap_or(usize::MAX)
    }
}

/// A place among those who wait, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct LockWaiter<'q> {
    queues: &'q Queues,
    key: Key,
    user: UserId,
    bell: Arc<Notify>,
    _share: Share,
}

impl LockWaiter<'_> {
    /// Ends when the lock was given back on this node.
    pub(crate) async fn given_back(&self) {
        self.bell.notified().await;
    }
}

impl Drop for LockWaiter<'_> {
    fn drop(&mut self) {
        let mut queues = lock(&self.queues.waiting);
        let Some(waiting) = queues.get_mut(&self.key) else { return };
        waiting.all -= 1;
        if let Some(count) = waiting.of.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                waiting.of.remove(&self.user);
            }
        }
        if waiting.all == 0 {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn name(name: &str) -> LockName {
        LockName::parse(name).expect("a name")
    }

    fn enter<'q>(queues: &'q Queues, tenant: &str, user: &str, lock: &str) -> Option<LockWaiter<'q>> {
        queues.enter(&scope(tenant, user), &name(lock))
    }

    #[test]
    fn places_at_a_lock_are_bounded_and_given_up() {
        let queues = Queues::default();
        let one: Vec<_> = (0..OF_A_LOCK).map_while(|_| enter(&queues, "t", "ann", "a")).collect();
        assert_eq!(one.len(), OF_A_LOCK_AND_USER, "the rest is the other users'");
        let others: Vec<_> = (0..OF_A_LOCK).map_while(|_| enter(&queues, "t", "bob", "a")).collect();
        assert_eq!(one.len() + others.len(), OF_A_LOCK);
        assert!(enter(&queues, "t", "cec", "a").is_none());
        assert!(enter(&queues, "t", "cec", "b").is_some(), "another lock has places of its own");
        assert!(enter(&queues, "u", "cec", "a").is_some(), "so has the lock of this name of another tenant");
        drop((one, others));
        assert_eq!((queues.waiting(), lock(&queues.waiting).len()), (0, 0));
        assert!(enter(&queues, "t", "ann", "a").is_some());
    }

    #[test]
    fn neither_a_user_nor_a_tenant_takes_all_places_of_a_node() {
        let queues = Queues::default();
        let flood = |tenant: &str, user: &str| -> Vec<_> {
            (0..).map_while(|n| enter(&queues, tenant, user, &format!("l{n}-{user}"))).collect()
        };
        let ann = flood("t", "ann");
        assert_eq!(ann.len() as u64, PLACES.user);
        let more: Vec<_> = (0..9).map(|n| flood("t", &format!("u{n}"))).collect();
        assert_eq!(queues.waiting() as u64, PLACES.tenant);
        assert!(enter(&queues, "u", "bob", "z").is_some(), "another tenant's user finds a place");
        drop((ann, more));
        assert_eq!(queues.waiting(), 0);
    }

    #[tokio::test]
    async fn one_is_woken() {
        let queues = Queues::default();
        let (first, second) =
            (enter(&queues, "t", "ann", "a").expect("room"), enter(&queues, "t", "ann", "a").expect("room"));
        queues.wake(&(scope("t", "ann").tenant, name("a")));
        let short = std::time::Duration::from_millis(20);
        let woken = [tokio::time::timeout(short, first.given_back()).await.is_ok(), {
            tokio::time::timeout(short, second.given_back()).await.is_ok()
        }];
        assert_eq!(woken, [true, false]);
    }
}
