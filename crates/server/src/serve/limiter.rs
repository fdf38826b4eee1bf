//! One limiter for what users, tenants and the node may take: shares of what is held (streams, runs, bytes of bodies,
//! exports), and requests a second. What the limits are is in `limits.rs`, what was refused in `refusals.rs`; shares are
//! counted as everywhere else, by the engine's [`Shares`].

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use threadmill_engine::{Bounds, Full, Share, Shares};
use threadmill_proto::{ErrorCode, Problem, Scope, TenantId};

use super::limits::{Cap, HttpLimits, Rates};
use super::refusals::{Refusal, Refusals};

/// When to come back if nothing better is known.
const RETRY_MS: u32 = 1_000;
/// Between two reports of a user's clients.
const REPORTS: Duration = Duration::from_secs(5);

/// What users, tenants, addresses and the node hold now.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: RwLock<HttpLimits>,
    /// Live connections.
    pub(crate) streams: Arc<Shares>,
    /// Runs on their way to being written; those that are written the engine counts.
    starts: Arc<Shares>,
    /// Bytes of bodies.
    pub(crate) bodies: Arc<Shares>,
    /// Pages of exports that are read, or being sent.
    exports: Arc<Shares>,
    rates: RwLock<Arc<RateLimits>>,
    pub(crate) refusals: Refusals,
}

#[derive(Debug)]
struct RateLimits {
    users: DefaultKeyedRateLimiter<Scope>,
    tenants: DefaultKeyedRateLimiter<TenantId>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    /// Reports of users' clients.
    reports: DefaultKeyedRateLimiter<Scope>,
    clock: DefaultClock,
}

/// Runs that are being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    pub(crate) user: usize,
    pub(crate) tenant: usize,
    pub(crate) node: usize,
}

fn limiter<K: Hash + Eq + Clone>(per_second: u32) -> DefaultKeyedRateLimiter<K> {
    RateLimiter::keyed(Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN)))
}

/// One report in five seconds, and a few at once from several devices.
fn reports() -> Quota {
    let few = NonZeroU32::MIN.saturating_add(7);
    Quota::with_period(REPORTS).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(few)
}

impl RateLimits {
    fn new(rates: Rates) -> Self {
        Self {
            users: limiter(rates.user),
            tenants: limiter(rates.tenant),
            addresses: limiter(rates.address),
            reports: RateLimiter::keyed(reports()),
            clock: DefaultClock::default(),
        }
    }

    /// Milliseconds until the next one passes, if this one does not.
    fn over<K: Hash + Eq + Clone>(&self, limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Option<u32> {
        let refused = limiter.check_key(key).err()?;
        let wait = refused.wait_time_from(self.clock.now()).as_millis();
        Some(u32::try_from(wait).unwrap_or(u32::MAX).max(1))
    }

    /// Forgets who has not asked for a while.
    fn forget(&self) {
        self.users.retain_recent();
        self.users.shrink_to_fit();
        self.tenants.retain_recent();
        self.addresses.retain_recent();
        self.addresses.shrink_to_fit();
        self.reports.retain_recent();
        self.reports.shrink_to_fit();
    }
}

fn bounds(cap: Cap) -> Bounds {
    Bounds { user: cap.user, tenant: cap.tenant, node: cap.node }
}

fn shares(cap: Cap) -> Arc<Shares> {
    Shares::new(bounds(cap))
}

/// The node is full: nobody's fault who asks now.
fn full(detail: &str) -> Problem {
    Problem { retry_after: Some(RETRY_MS), ..Problem::new(ErrorCode::Overloaded, detail) }
}

/// The caller has taken all it may.
fn too_much(detail: &str, retry_after: u32) -> Problem {
    Problem { retry_after: Some(retry_after), ..Problem::new(ErrorCode::RateLimited, detail) }
}

impl Limiter {
    pub(crate) fn new(limits: HttpLimits) -> Self {
        Self {
            limits: RwLock::new(limits),
            streams: shares(limits.streams),
            starts: shares(limits.runs),
            bodies: shares(limits.body_bytes),
            exports: shares(limits.exports),
            rates: RwLock::new(Arc::new(RateLimits::new(limits.requests_per_second))),
            refusals: Refusals::default(),
        }
    }

    pub(crate) fn limits(&self) -> HttpLimits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these hold. What is held beyond them is kept; rates that change begin anew.
    pub(crate) fn limit(&self, limits: HttpLimits) {
        let before = std::mem::replace(&mut *self.limits.write().unwrap_or_else(PoisonError::into_inner), limits);
        self.streams.bound(bounds(limits.streams));
        self.starts.bound(bounds(limits.runs));
        self.bodies.bound(bounds(limits.body_bytes));
        self.exports.bound(bounds(limits.exports));
        if before.requests_per_second != limits.requests_per_second {
            let rates = Arc::new(RateLimits::new(limits.requests_per_second));
            *self.rates.write().unwrap_or_else(PoisonError::into_inner) = rates;
        }
    }

    fn rates(&self) -> Arc<RateLimits> {
        Arc::clone(&self.rates.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets a report of a user's client pass. One that does not is none of the node's refusals: what is
    /// lost by it are counts.
    pub(crate) fn report(&self, scope: &Scope) -> Result<(), Problem> {
        let rates = self.rates();
        let wait = rates.over(&rates.reports, scope);
        wait.map_or(Ok(()), |wait| Err(too_much("A report came before it was due.", wait)))
    }

    /// Takes one live connection's place.
    pub(crate) fn stream(&self, scope: &Scope) -> Result<Share, Problem> {
        let what = "too many live connections are open";
        self.streams.take(scope, 1).map_err(|full| self.refuse(Refusal::Streams, full, what))
    }

    /// Takes the place of one page of an export, to be held until it is sent.
    pub(crate) fn export(&self, scope: &Scope) -> Result<Share, Problem> {
        let what = "too many pages of exports are being read";
        self.exports.take(scope, 1).map_err(|full| self.refuse(Refusal::Exports, full, what))
    }

    /// Lets a run be started beside those that are live.
    pub(crate) fn start(&self, scope: &Scope, live: Live) -> Result<Share, Problem> {
        let (cap, starting) = (self.limits().runs, self.starts.held_by(scope));
        let place = if starting.user + live.user as u64 >= cap.user {
            Err(Full::User)
        } else if starting.tenant + live.tenant as u64 >= cap.tenant {
            Err(Full::Tenant)
        } else if starting.node + live.node as u64 >= cap.node {
            Err(Full::Node)
        } else {
            self.starts.take(scope, 1)
        };
        place.map_err(|full| self.refuse(Refusal::Runs, full, "too many runs are live"))
    }

    /// Counts a refusal and says it to the caller.
    pub(crate) fn refuse(&self, refusal: Refusal, whose: Full, what: &str) -> Problem {
        self.refusals.note(refusal);
        match whose {
            Full::User | Full::Tenant => too_much(&format!("Of this user or tenant {what}."), RETRY_MS),
            Full::Node => full(&format!("On this node {what}.")),
        }
    }

    /// Counts a request against its caller's rate, or that of the address it came from.
    pub(crate) fn request(&self, scope: Option<&Scope>, address: Option<IpAddr>) -> Result<(), Problem> {
        let rates = self.rates();
        let over = match (scope, address) {
            (Some(scope), _) => rates.over(&rates.users, scope).or_else(|| rates.over(&rates.tenants, &scope.tenant)),
            (None, Some(address)) => rates.over(&rates.addresses, &address),
            (None, None) => None,
        };
        let Some(wait) = over else { return Ok(()) };
        self.refusals.note(Refusal::Rate);
        Err(too_much("Too many requests a second.", wait))
    }

    /// Forgets rates of those who have not asked for a while.
    pub(crate) fn forget(&self) {
        self.rates().forget();
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::UserId;

    use super::*;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn limited() -> Arc<Limiter> {
        let cap = Cap { user: 2, tenant: 3, node: 4 };
        let rates = Rates { user: 2, tenant: 3, address: 1 };
        let limits = HttpLimits { streams: cap, runs: cap, requests_per_second: rates, ..HttpLimits::DEFAULT };
        Arc::new(Limiter::new(limits))
    }

    fn code(result: Result<Share, Problem>) -> Result<Share, ErrorCode> {
        result.map_err(|problem| problem.code)
    }

    #[test]
    fn a_user_a_tenant_and_the_node_have_their_shares_and_give_them_back() {
        let limiter = limited();
        let one = limiter.stream(&scope("a", "x")).expect("the first");
        let _two = limiter.stream(&scope("a", "x")).expect("the second");
        assert_eq!(code(limiter.stream(&scope("a", "x"))).err(), Some(ErrorCode::RateLimited), "a user's share");
        let _three = limiter.stream(&scope("a", "y")).expect("another user");
        assert_eq!(code(limiter.stream(&scope("a", "z"))).err(), Some(ErrorCode::RateLimited), "a tenant's share");
        let _four = limiter.stream(&scope("b", "x")).expect("another tenant");
        assert_eq!(code(limiter.stream(&scope("c", "x"))).err(), Some(ErrorCode::Overloaded), "the node's share");
        assert_eq!(limiter.refusals.count(Refusal::Streams), 3);
        drop(one);
        assert!(limiter.stream(&scope("a", "x")).is_ok());
    }

    #[test]
    fn so_many_pages_of_exports_are_read_at_once() {
        let limiter = Arc::new(Limiter::new(HttpLimits::DEFAULT));
        let pages: Vec<_> = (0..16).map(|_| limiter.export(&scope("a", "x"))).collect();
        assert_eq!(pages.iter().filter(|page| page.is_ok()).count(), 4);
        let refused = pages.into_iter().next_back().expect("the last one");
        assert_eq!(code(refused).err(), Some(ErrorCode::RateLimited));
        assert_eq!(limiter.refusals.count(Refusal::Exports), 12);
        assert!(limiter.export(&scope("a", "x")).is_ok(), "they were given back");
    }

    #[test]
    fn nobody_is_remembered_who_holds_nothing() {
        let limiter = limited();
        for number in 0..1_000 {
            drop(limiter.stream(&scope("a", &format!("u{number}"))));
        }
        assert_eq!(limiter.streams.held(), 0);
    }

    #[test]
    fn runs_that_are_being_started_count_with_those_that_are_written() {
        let limiter = limited();
        let live = |user, tenant, node| Live { user, tenant, node };
        let _starting = limiter.start(&scope("a", "x"), live(0, 0, 0)).expect("the first");
        assert_eq!(code(limiter.start(&scope("a", "x"), live(1, 1, 1))).err(), Some(ErrorCode::RateLimited));
        assert_eq!(code(limiter.start(&scope("a", "y"), live(0, 2, 2))).err(), Some(ErrorCode::RateLimited));
        assert_eq!(code(limiter.start(&scope("b", "y"), live(0, 0, 3))).err(), Some(ErrorCode::Overloaded));
    }

    #[test]
    fn limits_that_change_hold_from_then_on() {
        let limiter = limited();
        let ada = scope("a", "x");
        let kept = [limiter.stream(&ada).expect("the first"), limiter.stream(&ada).expect("the second")];
        let cap = Cap { user: 1, tenant: 9, node: 9 };
        let rates = Rates { user: 1, tenant: 3, address: 1 };
        limiter.limit(HttpLimits { streams: cap, runs: cap, requests_per_second: rates, ..HttpLimits::DEFAULT });
        assert_eq!(code(limiter.stream(&ada)).err(), Some(ErrorCode::RateLimited));
        assert!(limiter.request(Some(&ada), None).is_ok() && limiter.request(Some(&ada), None).is_err());
        drop(kept);
        assert!(limiter.stream(&ada).is_ok());
        // The same once more: nobody's second begins anew.
        let rates = limiter.rates();
        limiter.limit(limiter.limits());
        assert!(Arc::ptr_eq(&rates, &limiter.rates()));
    }

    #[test]
    fn too_many_requests_a_second_are_told_when_to_come_back() {
        let limiter = limited();
        let ada = scope("a", "x");
        assert!((0..2).all(|_| limiter.request(Some(&ada), None).is_ok()));
        let problem = limiter.request(Some(&ada), None).expect_err("a third");
        assert!(
            problem.code == ErrorCode::RateLimited && problem.retry_after.is_some_and(|ms| (1..=1_000).contains(&ms))
        );
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        assert!(limiter.request(None, here).is_ok() && limiter.request(None, here).is_err());
    }
}
