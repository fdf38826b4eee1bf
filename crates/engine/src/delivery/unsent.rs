//! What waits to be sent: bytes of answers and frames that their readers have not taken yet, by connection, by user and
//! in all.
//!
//! Nothing here is refused for being too much: what is durable goes to whoever follows it. But what somebody asks for
//! waits until there is room for it ([`Unsent::room`]): past half of the bound those wait who have a good part of it
//! themselves, past all of it everybody. Who lets others wait is cut by the connections' owner, who is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use threadmill_proto::{ErrorCode, Problem, Scope};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::problem::Answer;
use crate::sync::lock;

/// How long a request waits for others' bytes to be taken.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks of those who wait, should nothing wake them.
const LOOK: Duration = Duration::from_millis(50);
/// The part of the bound past which a user has a good part of it.
const GOOD_PART: u64 = 32;
/// The bound until another is set.
const MOST: u64 = 64 << 20;
/// Users that are looked through before those that hold nothing are forgotten.
const FORGET_AT: usize = 1 << 10;

/// The sums of a node.
#[derive(Debug)]
pub struct Unsent {
    most: AtomicU64,
    all: AtomicU64,
    users: Mutex<HashMap<Scope, Weak<AtomicU64>>>,
    /// More waits than may.
    pub pressed: Notify,
    /// Bytes were taken that others wait for.
    eased: Notify,
}

impl Default for Unsent {
    fn default() -> Self {
        Self {
            most: AtomicU64::new(MOST),
            all: AtomicU64::new(0),
            users: Mutex::default(),
            pressed: Notify::new(),
            eased: Notify::new(),
        }
    }
}

impl Unsent {
    /// Sets how much may wait.
    pub fn bound(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// All that waits.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Whether more waits than may.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.all() > self.most.load(Ordering::Relaxed)
    }

    /// What of one connection waits.
    #[must_use]
    pub fn account(self: &Arc<Self>) -> Account {
        Account { unsent: Arc::clone(self), state: Mutex::default() }
    }

    fn user(&self, scope: &Scope) -> Arc<AtomicU64> {
        let mut users = lock(&self.users);
        if let Some(known) = users.get(scope).and_then(Weak::upgrade) {
            return known;
        }
        if users.len() >= FORGET_AT {
            users.retain(|_, user| user.strong_count() > 0);
        }
        let user = Arc::new(AtomicU64::new(0));
        users.insert(scope.clone(), Arc::downgrade(&user));
        user
    }

    /// Whether what a user asks for must wait. Who found room and then waited for a turn asks again: many may have.
    pub(crate) fn presses(&self, scope: Option<&Scope>) -> bool {
        let (all, most) = (self.all(), self.most.load(Ordering::Relaxed));
        if all <= most / 2 {
            return false;
        }
        let user = scope.and_then(|scope| lock(&self.users).get(scope).and_then(Weak::upgrade));
        let of_user = user.map_or(0, |user| user.load(Ordering::Relaxed));
        all > most || of_user > most / GOOD_PART
    }

    /// Waits until there is room for what a user asks for.
    ///
    /// # Errors
    /// `overloaded` if there is none within a second.
    pub async fn room(&self, scope: Option<&Scope>) -> Answer<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let eased = self.eased.notified();
            if !self.presses(scope) {
                return Ok(());
            }
            let look = until.min(Instant::now() + LOOK);
            if timeout_at(look, eased).await.is_err() && look == until {
                let problem = Problem::new(ErrorCode::Overloaded, "Too much waits to be read by others.");
                return Err(Problem { retry_after: Some(1_000), ..problem });
            }
        }
    }

    fn add(&self, bytes: u64) {
        let all = self.all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.most.load(Ordering::Relaxed) {
            self.pressed.notify_one();
        }
    }

    fn sub(&self, bytes: u64) {
        let before = self.all.fetch_sub(bytes, Ordering::Relaxed);
        let most = self.most.load(Ordering::Relaxed);
        let falls_under = |bound: u64| before > bound && before - bytes <= bound;
        if falls_under(most) || falls_under(most / 2) {
            self.eased.notify_waiters();
        }
    }
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    user: Option<Arc<AtomicU64>>,
}

/// What of one connection waits, until it is dropped.
#[derive(Debug)]
pub struct Account {
    unsent: Arc<Unsent>,
    state: Mutex<State>,
}

impl Account {
    /// Whose connection it is. What waits on it counts for them.
    pub fn belongs_to(&self, scope: &Scope) {
        let user = self.unsent.user(scope);
        let mut state = lock(&self.state);
        user.fetch_add(state.bytes, Ordering::Relaxed);
        if let Some(before) = state.user.replace(user) {
            before.fetch_sub(state.bytes, Ordering::Relaxed);
        }
    }

    /// So many bytes more wait.
    pub fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        let mut state = lock(&self.state);
        state.bytes += bytes;
        if let Some(user) = &state.user {
            user.fetch_add(bytes, Ordering::Relaxed);
        }
        drop(state);
        self.unsent.add(bytes);
    }

    /// So many were sent, or given up.
    pub fn sub(&self, bytes: usize) {
        let mut state = lock(&self.state);
        let bytes = state.bytes.min(bytes as u64);
        state.bytes -= bytes;
        if let Some(user) = &state.user {
            user.fetch_sub(bytes, Ordering::Relaxed);
        }
        drop(state);
        self.unsent.sub(bytes);
    }

    /// What waits.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.state).bytes
    }

    /// All that waits on the node.
    #[must_use]
    pub fn node(&self) -> &Arc<Unsent> {
        &self.unsent
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.sub(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    fn scope(user: &str) -> Scope {
        Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_good_part_waits_first_and_everybody_past_the_bound() {
        let unsent = Arc::new(Unsent::default());
        unsent.bound(3200);
        let (ann, bob) = (unsent.account(), unsent.account());
        ann.belongs_to(&scope("ann"));
        ann.add(1600);
        assert!(unsent.room(Some(&scope("ann"))).now_or_never().is_some(), "half of it is free for all");
        ann.add(1);
        assert!(unsent.room(Some(&scope("ann"))).now_or_never().is_none());
        assert!(
            unsent.room(Some(&scope("bob"))).now_or_never().is_some() && unsent.room(None).now_or_never().is_some()
        );
        bob.add(101);
        assert!(unsent.room(Some(&scope("bob"))).now_or_never().is_some());
        bob.belongs_to(&scope("bob"));
        assert!(unsent.room(Some(&scope("bob"))).now_or_never().is_none(), "what waited before counts for them");
        ann.add(2000);
        assert!(unsent.is_pressed() && unsent.room(None).now_or_never().is_none());
        let refused = unsent.room(Some(&scope("cec"))).await.expect_err("nobody takes anything");
        assert_eq!((refused.code, refused.retry_after), (ErrorCode::Overloaded, Some(1_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_bytes_are_taken_or_their_connection_is_over() {
        let unsent = Arc::new(Unsent::default());
        unsent.bound(100);
        for ends in [false, true] {
            let account = unsent.account();
            account.belongs_to(&scope("ann"));
            account.add(200);
            let waits = tokio::spawn({
                let unsent = Arc::clone(&unsent);
                async move { unsent.room(Some(&scope("ann"))).await }
            });
            tokio::task::yield_now().await;
            if ends {
                drop(account);
            } else {
                account.sub(200);
            }
            waits.await.expect("no panic").expect("there is room");
        }
        assert_eq!(unsent.all(), 0);
    }
}
