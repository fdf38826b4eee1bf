//! Shares: how much of something bounded a user, a tenant and the node may hold at once. One user's flood is refused
//! while there is room left for the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use threadmill_proto::{ErrorCode, Problem, Scope, TenantId};

use crate::sync::lock;

/// When whoever was refused for want of room should try again, in milliseconds.
const RETRY_MS: u32 = 1000;

/// The most that may be held at once, in whatever unit.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// By one user.
    pub user: u64,
    /// By all users of one tenant.
    pub tenant: u64,
    /// By everybody.
    pub node: u64,
}

/// Whose bound would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The user's own.
    User,
    /// The tenant's.
    Tenant,
    /// The node's.
    Node,
}

impl Full {
    /// The refusal: `what` is a sentence's subject, such as "Writes that wait".
    #[must_use]
    pub(crate) fn problem(self, what: &str) -> Problem {
        let whose = match self {
            Self::User => "of this user",
            Self::Tenant => "of this tenant",
            Self::Node => "at this node",
        };
        Problem {
            code: ErrorCode::Overloaded,
            detail: format!("{what} {whose} are too many already."),
            retry_after: Some(RETRY_MS),
            hint: None,
        }
    }
}

/// Counts what is held, and refuses what would exceed a bound.
#[derive(Debug)]
pub struct Shares {
    bounds: Mutex<Bounds>,
    held: Mutex<Held>,
}

/// Nothing is kept of those who hold nothing.
#[derive(Debug, Default)]
struct Held {
    node: u64,
    tenants: HashMap<TenantId, u64>,
    users: HashMap<Scope, u64>,
}

fn give_back<K: Hash + Eq>(held: &mut HashMap<K, u64>, key: &K, amount: u64) {
    if let Some(count) = held.get_mut(key) {
        *count = count.saturating_sub(amount);
        if *count == 0 {
            held.remove(key);
        }
    }
}

impl Shares {
    /// Shares of something, none of which is held yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds: Mutex::new(bounds), held: Mutex::default() })
    }

    /// From now on these are the bounds. Who holds more already keeps it.
    pub fn bound(&self, bounds: Bounds) {
        *lock(&self.bounds) = bounds;
    }

    /// Takes a share, given back when it is dropped. See [`Share::grow`].
    ///
    /// # Errors
    /// Whose bound it would exceed.
    pub fn take(self: &Arc<Self>, scope: &Scope, amount: u64) -> Result<Share, Full> {
        let mut share = self.none(scope);
        share.grow(amount)?;
        Ok(share)
    }

    /// A share of nothing yet.
    #[must_use]
    pub fn none(self: &Arc<Self>, scope: &Scope) -> Share {
        Share { of: Arc::clone(self), scope: scope.clone(), amount: 0 }
    }

    /// What all hold together.
    #[must_use]
    pub fn held(&self) -> u64 {
        lock(&self.held).node
    }

    /// What a user, their tenant and the node hold.
    #[must_use]
    pub fn held_by(&self, scope: &Scope) -> Bounds {
        let held = lock(&self.held);
        let user = held.users.get(scope).copied().unwrap_or_default();
        let tenant = held.tenants.get(&scope.tenant).copied().unwrap_or_default();
        Bounds { user, tenant, node: held.node }
    }
}

/// A share that is held until it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    scope: Scope,
    amount: u64,
}

impl Share {
    /// Makes it larger. A user who holds nothing may always take what fits the tenant's and the node's bounds, however
    /// large it is: a single request must not be refused for ever.
    ///
    /// # Errors
    /// Whose bound that would exceed; the share stays as it is.
    pub fn grow(&mut self, by: u64) -> Result<(), Full> {
        let bounds = *lock(&self.of.bounds);
        let mut held = lock(&self.of.held);
        let user = held.users.get(&self.scope).copied().unwrap_or_default();
        let tenant = held.tenants.get(&self.scope.tenant).copied().unwrap_or_default();
        if user > 0 && user.saturating_add(by) > bounds.user {
            return Err(Full::User);
        }
        if tenant.saturating_add(by) > bounds.tenant {
            return Err(Full::Tenant);
        }
        if held.node.saturating_add(by) > bounds.node {
            return Err(Full::Node);
        }
        if by > 0 {
            held.node += by;
            *held.tenants.entry(self.scope.tenant.clone()).or_default() += by;
            *held.users.entry(self.scope.clone()).or_default() += by;
            self.amount += by;
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut held = lock(&self.of.held);
        held.node = held.node.saturating_sub(self.amount);
        give_back(&mut held.tenants, &self.scope.tenant, self.amount);
        give_back(&mut held.users, &self.scope, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::UserId;

    use super::*;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    #[test]
    fn one_user_cannot_take_what_is_the_others() {
        let shares = Shares::new(Bounds { user: 4, tenant: 6, node: 8 });
        let ann: Vec<_> = (0..4).map(|_| shares.take(&scope("a", "ann"), 1).expect("room")).collect();
        assert_eq!(shares.take(&scope("a", "ann"), 1).err(), Some(Full::User));
        let _bob = shares.take(&scope("a", "bob"), 2).expect("room");
        assert_eq!(shares.take(&scope("a", "cec"), 1).err(), Some(Full::Tenant));
        // The same name in another tenant is another user.
        let _other = shares.take(&scope("b", "ann"), 2).expect("room");
        assert_eq!(shares.take(&scope("b", "dan"), 1).err(), Some(Full::Node));
        drop(ann);
        assert_eq!(shares.held(), 4);
        assert!(shares.take(&scope("a", "ann"), 4).is_ok());
    }

    #[test]
    fn who_holds_nothing_may_take_one_that_is_larger_than_a_users_bound() {
        let shares = Shares::new(Bounds { user: 4, tenant: 60, node: 80 });
        let large = shares.take(&scope("a", "ann"), 50).expect("it is the only one");
        assert_eq!(shares.take(&scope("a", "ann"), 1).err(), Some(Full::User));
        drop(large);
        assert_eq!(shares.held(), 0);
        assert!(lock(&shares.held).users.is_empty(), "nothing is remembered of those who hold nothing");
    }

    #[test]
    fn bounds_that_change_hold_for_what_is_taken_from_then_on() {
        let shares = Shares::new(Bounds { user: 4, tenant: 60, node: 80 });
        let ann = scope("a", "ann");
        let kept = shares.take(&ann, 4).expect("room");
        shares.bound(Bounds { user: 2, tenant: 60, node: 80 });
        assert_eq!((shares.take(&ann, 1).err(), shares.held()), (Some(Full::User), 4));
        shares.bound(Bounds { user: 5, tenant: 60, node: 80 });
        assert!(shares.take(&ann, 1).is_ok());
        drop(kept);
    }

    #[test]
    fn a_share_grows_as_far_as_there_is_room_and_is_given_back_whole() {
        let shares = Shares::new(Bounds { user: 4, tenant: 6, node: 8 });
        let ann = scope("a", "ann");
        let mut share = shares.none(&ann);
        assert!(lock(&shares.held).users.is_empty());
        assert_eq!((share.grow(3), share.grow(2), share.grow(1)), (Ok(()), Err(Full::User), Ok(())));
        let held = shares.held_by(&ann);
        assert_eq!((held.user, held.tenant, held.node), (4, 4, 4));
        drop(share);
        assert_eq!(shares.held(), 0);
    }
}
