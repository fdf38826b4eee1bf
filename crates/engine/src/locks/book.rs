//! The grants of this node that were not given back here, for operators: who holds what, since when. At most [`KEPT`]; those
//! whose time has run out go first, and past that new ones are not noted.

use std::collections::HashMap;
use std::sync::Mutex;

use threadmill_proto::{LockName, Millis, Scope, TenantId};
use threadmill_store::{HowGranted, LockGrant, LockToken};

use crate::sync::lock;

/// Grants that are noted.
const KEPT: usize = 1024;

/// A lock that this node granted, as far as it knows.
#[derive(Debug, Clone)]
pub struct HeldLock {
    /// Whose it is.
    pub scope: Scope,
    /// Which, with its token.
    pub lock: LockToken,
    /// Since when.
    pub since: Millis,
    /// Until when, if it is not kept.
    pub until: Millis,
    /// Who waits for it here.
    pub waiting: usize,
}

/// The grants.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<HashMap<(TenantId, LockName), HeldLock>>);

impl Book {
    /// Notes a grant. False if its token is not above that of an earlier one.
    pub(crate) fn granted(&self, scope: &Scope, name: &LockName, grant: &LockGrant, now: Millis) -> bool {
        let key = (scope.tenant.clone(), name.clone());
        let mut held = lock(&self.0);
        let grows =
            grant.how == HowGranted::Again || held.get(&key).is_none_or(|before| before.lock.token < grant.token);
        if held.len() >= KEPT && !held.contains_key(&key) {
            held.retain(|_, held| held.until > now);
        }
        if held.len() < KEPT || held.contains_key(&key) {
            let lock = LockToken { name: name.clone(), token: grant.token };
            let entry = HeldLock { scope: scope.clone(), lock, since: grant.since, until: grant.until, waiting: 0 };
            // An earlier grant may be noted after a later one.
            if held.get(&key).is_none_or(|before| before.lock.token <= grant.token) {
                held.insert(key, entry);
            }
        }
        grows
    }

    /// Notes that a grant lasts longer.
    pub(crate) fn renewed(&self, scope: &Scope, name: &LockName, grant: &LockGrant) {
        if let Some(held) = lock(&self.0).get_mut(&(scope.tenant.clone(), name.clone()))
            && held.lock.token == grant.token
        {
            held.until = grant.until;
        }
    }

    /// Notes that a lock was given back. Whoever was granted it since may be noted already.
    pub(crate) fn released(&self, scope: &Scope, released: &LockToken) {
        let (key, mut held) = ((scope.tenant.clone(), released.name.clone()), lock(&self.0));
        if held.get(&key).is_some_and(|held| held.lock.token == released.token) {
            held.remove(&key);
        }
    }

    /// Those whose time has not run out.
    pub(crate) fn held(&self, now: Millis, waiting: impl Fn(&(TenantId, LockName)) -> usize) -> Vec<HeldLock> {
        let held = lock(&self.0);
        let open = held.iter().filter(|(_, held)| held.until > now);
        open.map(|(key, held)| HeldLock { waiting: waiting(key), ..held.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::UserId;

    use super::*;

    #[test]
    fn a_token_that_does_not_grow_is_seen_and_what_ran_out_makes_room() {
        let (book, scope) = (
            Book::default(),
            Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse("u").expect("an id") },
        );
        let grant = |token, how, until| LockGrant { token, since: 1, until, how };
        let name = |number: usize| LockName::parse(&format!("l{number}")).expect("a name");
        assert!(book.granted(&scope, &name(0), &grant(5, HowGranted::Free, 10), 2));
        assert!(book.granted(&scope, &name(0), &grant(5, HowGranted::Again, 12), 3));
        assert!(!book.granted(&scope, &name(0), &grant(5, HowGranted::Expired, 12), 13));
        assert!(book.granted(&scope, &name(0), &grant(6, HowGranted::Expired, 20), 13));
        assert_eq!(
            book.held(15, |_| 3).iter().map(|held| (held.lock.token, held.waiting)).collect::<Vec<_>>(),
            [(6, 3)]
        );
        for number in 1..KEPT + 9 {
            book.granted(&scope, &name(number), &grant(1, HowGranted::Free, 100), 15);
        }
        assert_eq!(book.held(15, |_| 0).len(), KEPT);
        book.granted(&scope, &name(KEPT + 99), &grant(1, HowGranted::Free, 200), 101);
        assert_eq!(book.held(101, |_| 0).len(), 1);
        let released = |token| LockToken { name: name(KEPT + 99), token };
        book.granted(&scope, &name(KEPT + 99), &grant(2, HowGranted::Free, 200), 101);
        book.released(&scope, &released(1));
        book.granted(&scope, &name(KEPT + 99), &grant(1, HowGranted::Free, 300), 101);
        assert_eq!(book.held(101, |_| 0)[0].lock.token, 2, "what is late changes nothing");
        book.released(&scope, &released(2));
        assert!(book.held(101, |_| 0).is_empty());
    }
}
