//! Turns: who may go next where there is room for a few at once, in fair shares.
//!
//! What is under way is bounded by its cost. What waits goes by turns: tenants in a circle, within each its users in a
//! circle, each user's in their order. What costs more than the bound goes alone, so that nobody waits for more than one
//! of them. Turns are strict: what is too large for the room there is keeps those after it waiting until it fits, or a
//! stream of small ones would keep it waiting for ever.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Scope, TenantId, UserId};
use tokio::sync::oneshot;

use crate::sync::lock;

/// A circle of those who wait: the next turn is the first one's.
#[derive(Debug)]
struct Circle<K, V> {
    order: VecDeque<K>,
    of: HashMap<K, V>,
}

impl<K, V> Default for Circle<K, V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), of: HashMap::new() }
    }
}

impl<K: Clone + Hash + Eq, V: Default> Circle<K, V> {
    /// What waits for a key, which takes its place at the end if it has none.
    fn entry(&mut self, key: &K) -> &mut V {
        if !self.of.contains_key(key) {
            self.order.push_back(key.clone());
        }
        self.of.entry(key.clone()).or_default()
    }

    /// What waits for the one whose turn is next. Whoever had the last turn waits for the others' even if it came back
    /// before them.
    fn first(&mut self, last: Option<&K>) -> Option<&mut V> {
        if self.order.len() > 1 && self.order.front() == last {
            self.order.rotate_left(1);
        }
        self.of.get_mut(self.order.front()?)
    }

    /// The first one had its turn: it goes to the end, or away if nothing of it waits any more.
    fn turn(&mut self, is_empty: impl FnOnce(&V) -> bool) -> Option<K> {
        let key = self.order.pop_front()?;
        if self.of.get(&key).is_none_or(is_empty) {
            self.of.remove(&key);
        } else {
            self.order.push_back(key.clone());
        }
        Some(key)
    }
}

#[derive(Debug)]
struct Waiter {
    cost: u64,
    tell: oneshot::Sender<Turn>,
}

type OfUser = VecDeque<Waiter>;
type OfTenant = Circle<UserId, OfUser>;

#[derive(Debug, Default)]
struct State {
    in_flight: u64,
    /// Whose turn the last one was.
    last: Option<Scope>,
    waiting: Circle<TenantId, OfTenant>,
}

impl State {
    /// The next one whose turn it is, if it fits.
    fn next(&mut self, most: u64) -> Option<Waiter> {
        let last = self.last.as_ref();
        let tenant = self.waiting.first(last.map(|last| &last.tenant))?;
        let user = tenant.first(last.map(|last| &last.user))?;
        let cost = user.front()?.cost;
        if self.in_flight > 0 && self.in_flight.saturating_add(cost) > most {
            return None;
        }
        let waiter = user.pop_front();
        let user = tenant.turn(VecDeque::is_empty)?;
        let tenant = self.waiting.turn(|tenant| tenant.of.is_empty())?;
        self.last = Some(Scope { tenant, user });
        waiter
    }
}

/// Who is under way and who waits, within a bound of cost.
#[derive(Debug)]
pub(crate) struct Turns {
    most: u64,
    state: Mutex<State>,
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    cost: u64,
}

impl Turns {
    /// So much may be under way at once.
    pub(crate) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// Waits for a turn.
    pub(crate) async fn turn(self: &Arc<Self>, scope: &Scope, cost: u64) -> Turn {
        let (tell, told) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            let user = state.waiting.entry(&scope.tenant).entry(&scope.user);
            user.push_back(Waiter { cost, tell });
        }
        self.dispatch();
        match told.await {
            Ok(turn) => turn,
            // Waiters are dropped with the turns alone, which are kept here.
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets go whose turn it is, as far as there is room.
    fn dispatch(self: &Arc<Self>) {
        // A turn that nobody waits for any more comes back, and is given back without the lock.
        let mut unwanted = Vec::new();
        let mut state = lock(&self.state);
        while let Some(Waiter { cost, tell }) = state.next(self.most) {
            let turn = Turn { turns: Arc::clone(self), cost };
            state.in_flight += cost;
            unwanted.extend(tell.send(turn).err());
        }
        drop(state);
        drop(unwanted);
    }

    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> u64 {
        lock(&self.state).in_flight
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.turns.state).in_flight -= self.cost;
        self.turns.dispatch();
    }
}
