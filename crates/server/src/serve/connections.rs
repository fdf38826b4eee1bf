//! Counting the sync connections of each user on this node: WebSockets, and event streams over POST.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threadmill_proto::Scope;

/// Users that are remembered with no connection open. Past it those are forgotten, so that made-up names cost no
/// memory.
const REMEMBERED: usize = 1 << 16;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Open now.
    pub(crate) live: u64,
    /// Opened since the user was first seen, or forgotten.
    pub(crate) opened: u64,
}

/// How many each user has open.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<Scope, Count>>);

/// One connection, counted until it is dropped, by a panic or an abort too.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Arc<Connections>,
    scope: Scope,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(self: &Arc<Self>, scope: &Scope) -> Counted {
        let mut counts = self.lock();
        if counts.len() >= REMEMBERED && !counts.contains_key(scope) {
            counts.retain(|_, count| count.live > 0);
        }
        let count = counts.entry(scope.clone()).or_default();
        count.live += 1;
        count.opened += 1;
        drop(counts);
        Counted { connections: Arc::clone(self), scope: scope.clone() }
    }

    /// Connections of everybody that are open.
    pub(crate) fn all(&self) -> u64 {
        self.lock().values().map(|count| count.live).sum()
    }

    /// Those of each user that has any, or was seen before.
    pub(crate) fn everybody(&self) -> Vec<(Scope, Count)> {
        self.lock().iter().map(|(scope, count)| (scope.clone(), *count)).collect()
    }

    /// Those of a user.
    pub(crate) fn of(&self, scope: &Scope) -> Count {
        self.lock().get(scope).copied().unwrap_or_default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(count) = self.connections.lock().get_mut(&self.scope) {
            count.live -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    fn scope(user: &str) -> Scope {
        Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    #[test]
    fn a_connection_is_counted_until_it_is_gone_however_it_goes() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(&scope("ada"));
        let second = connections.enter(&scope("ada"));
        let _other = connections.enter(&scope("eve"));
        assert_eq!(connections.of(&scope("ada")), Count { live: 2, opened: 2 });
        drop(first);
        let panicking = std::thread::spawn(move || {
            let _held = second;
            panic!("on purpose");
        });
        assert!(panicking.join().is_err());
        assert_eq!(connections.of(&scope("ada")), Count { live: 0, opened: 2 });
        assert_eq!(connections.of(&scope("eve")), Count { live: 1, opened: 1 });
    }

    #[test]
    fn names_without_a_connection_are_not_remembered_for_ever() {
        let connections = Arc::new(Connections::default());
        let held = connections.enter(&scope("held"));
        for number in 0..REMEMBERED + 10 {
            drop(connections.enter(&scope(&format!("u{number}"))));
        }
        assert!(connections.lock().len() <= REMEMBERED);
        assert_eq!(connections.of(&held.scope).live, 1);
    }
}
