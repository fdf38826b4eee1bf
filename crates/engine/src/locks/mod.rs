//! Locks: asked for with patience, kept, given back. The durable tier decides who holds one; here is only the waiting:
//! backoff with full jitter, cut short when the lock is given back on this node.

mod book;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{ErrorCode, LockName, Millis, Problem, Scope};
use threadmill_store::hot::{Chance, full_jitter};
use threadmill_store::{
    DurableStore, LockAnswer, LockGrant, LockRead, LockRequest, LockToken, StoreError, StoreResult,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::node::ids;
use crate::problem::{Answer, problem_of};
use crate::telemetry::Telemetry;
use crate::telemetry::locks::{LockCounters, LockStats};
use crate::telemetry::promises::{Promise, Promises};
use crate::threads::permit::WRITE;
use crate::threads::writer::Writer;

pub use book::HeldLock;

use book::Book;
use queue::{LockWaiter, Queues};

/// The span of the first wait; it doubles.
const BASE: Duration = Duration::from_millis(10);
/// No wait is longer: so long may a lock that was given back on another node lie idle.
const CAP: Duration = Duration::from_secs(1);

/// A lock that is wished for.
#[derive(Debug, Clone)]
pub struct LockWish {
    /// Which.
    pub name: LockName,
    /// The caller's name for this holding; minted if there is none.
    pub holder: Option<String>,
    /// For how long it is granted, in milliseconds.
    pub ttl: Millis,
    /// How long to wait for it, in milliseconds.
    pub wait: Millis,
}

/// A lock that is held.
#[derive(Debug, Clone)]
pub struct LockHeld {
    /// Which.
    pub name: LockName,
    /// The caller's name for this holding.
    pub holder: String,
    /// The grant.
    pub grant: LockGrant,
    /// How long it took, in milliseconds.
    pub waited: Millis,
    /// How often it was asked for.
    pub attempts: u32,
}

/// Locks of the durable tier, and who waits for them at this node.
#[derive(Clone)]
pub struct Locks {
    store: Arc<dyn DurableStore>,
    writer: Writer,
    queues: Arc<Queues>,
    counters: Arc<LockCounters>,
    promises: Arc<Promises>,
    book: Arc<Book>,
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").field("queues", &self.queues).finish_non_exhaustive()
    }
}

impl Locks {
    pub(crate) fn new(store: Arc<dyn DurableStore>, writer: Writer, telemetry: &Telemetry) -> Self {
        let (counters, promises) = (Arc::clone(&telemetry.locks), Arc::clone(&telemetry.delivery.promises));
        Self { store, writer, queues: Arc::default(), counters, promises, book: Arc::default() }
    }

    /// Asks for a lock until it is granted or the caller's patience ends.
    ///
    /// # Errors
    /// `lock_held` if somebody held it all the while, `overloaded` if too many wait already.
    pub async fn acquire(&self, scope: &Scope, wish: LockWish) -> Answer<LockHeld> {
        let holder = wish.holder.unwrap_or_else(ids::holder);
        let request = |now| LockRequest { name: wish.name.clone(), holder: holder.clone(), until: now + wish.ttl, now };
        let began = Instant::now();
        let patience = Duration::from_millis(wish.wait);
        let mut chance = Chance::new(ids::seed());
        let mut place: Option<LockWaiter<'_>> = None;
        for attempt in 0.. {
            let answer = match self.likely_held(scope, &wish.name, attempt).await? {
                Some(until) => LockAnswer::Held { until },
                None => self.attempt(scope, &request).await?,
            };
            let until = match answer {
                LockAnswer::Held { until } => until,
                LockAnswer::Granted(grant) => {
                    self.counters.granted(grant.how, began.elapsed());
                    if !self.book.granted(scope, &wish.name, &grant, ids::now()) {
                        self.promises.broken(Promise::TokensGrow);
                    }
                    let waited = millis(began.elapsed());
                    return Ok(LockHeld { name: wish.name, holder, grant, waited, attempts: attempt + 1 });
                }
            };
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                self.counters.missed(patience);
                return Err(held(until));
            }
            let place = match &mut place {
                Some(place) => place,
                none => none.insert(self.place_for(scope, &wish.name)?),
            };
            let pause = full_jitter(&mut chance, attempt, BASE, CAP).min(left);
            // Woken or not, it is asked again.
            let _ = timeout(pause, place.given_back()).await;
        }
        Err(Problem::new(ErrorCode::Internal, "The wait for a lock ended by a defect."))
    }

    /// Whoever asks again looks first: a look costs no turn of the writer.
    async fn likely_held(&self, scope: &Scope, name: &LockName, attempt: u32) -> Answer<Option<Millis>> {
        if attempt == 0 {
            return Ok(None);
        }
        let read = self.read(scope, name).await?;
        Ok((read.held && read.until > ids::now()).then_some(read.until))
    }

    fn place_for<'e>(&'e self, scope: &Scope, name: &LockName) -> Answer<LockWaiter<'e>> {
        let place = self.queues.enter(scope, name);
        place.ok_or_else(|| {
            self.counters.refused();
            Problem {
                code: ErrorCode::Overloaded,
                detail: "Too many wait for this lock already.".into(),
                retry_after: Some(u32::try_from(CAP.as_millis()).unwrap_or(u32::MAX)),
                hint: None,
            }
        })
    }

    /// Asks once, as of when its turn comes. What is granted to a caller who went away meanwhile is given back.
    async fn attempt(&self, scope: &Scope, request: impl Fn(Millis) -> LockRequest) -> Answer<LockAnswer> {
        let turn = self.writer.turn(scope, WRITE).await?;
        self.counters.asked();
        let request = request(ids::now());
        let (tell, told) = oneshot::channel();
        let (locks, scope) = (self.clone(), scope.clone());
        tokio::spawn(async move {
            let name = request.name.clone();
            let answer = locks.store.acquire_lock(&scope, request).await;
            drop(turn);
            if let Err(Ok(LockAnswer::Granted(grant))) = tell.send(answer) {
                let unwanted = LockToken { name, token: grant.token };
                if let Err(problem) = locks.release(&scope, &unwanted).await {
                    tracing::warn!(detail = problem.detail, "a lock that nobody waits for any more runs out by itself");
                }
            }
        });
        let answer: StoreResult<LockAnswer> = told.await.unwrap_or_else(|_| {
            Err(StoreError::Internal { store: "engine", detail: "a lock's attempt was cut short".into() })
        });
        answer.map_err(problem_of)
    }

    /// Keeps a lock for another while.
    ///
    /// # Errors
    /// `fenced` if it has passed on.
    pub async fn renew(&self, scope: &Scope, lock: &LockToken, ttl: Millis) -> Answer<LockGrant> {
        let _turn = self.writer.turn(scope, WRITE).await?;
        let grant = self.store.renew_lock(scope, lock, ids::now() + ttl).await;
        let grant = grant.map_err(|error| self.writer.lost(error))?;
        self.book.renewed(scope, &lock.name, &grant);
        Ok(grant)
    }

    /// Gives a lock back, and wakes one of those who wait for it on this node.
    ///
    /// # Errors
    /// `fenced` if it has passed on.
    pub async fn release(&self, scope: &Scope, lock: &LockToken) -> Answer<LockGrant> {
        let _turn = self.writer.turn(scope, WRITE).await?;
        let grant = self.store.release_lock(scope, lock).await.map_err(|error| self.writer.lost(error))?;
        self.counters.held(Duration::from_millis(ids::now().saturating_sub(grant.since)));
        self.book.released(scope, lock);
        self.queues.wake(&(scope.tenant.clone(), lock.name.clone()));
        Ok(grant)
    }

    /// How a lock stands.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(&self, scope: &Scope, name: &LockName) -> Answer<LockRead> {
        self.store.lock(scope, name).await.map_err(problem_of)
    }

    /// Locks that this node granted and that were not given back here, with who waits for them here.
    #[must_use]
    pub fn held(&self) -> Vec<HeldLock> {
        self.book.held(ids::now(), |key| self.queues.waiting_for(key))
    }

    /// How many wait at this node.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues.waiting()
    }

    /// What this node counted.
    #[must_use]
    pub fn stats(&self) -> LockStats {
        self.counters.read(self.queues.waiting())
    }
}

fn held(until: Millis) -> Problem {
    let left = until.saturating_sub(ids::now());
    Problem {
        code: ErrorCode::LockHeld,
        detail: format!("Somebody holds the lock, for {left} ms more if they do not let go before."),
        // It may be given back at any time: sooner than its end, but not at once.
        retry_after: Some(u32::try_from(left.clamp(1, millis(CAP))).unwrap_or(u32::MAX)),
        hint: None,
    }
}

fn millis(span: Duration) -> Millis {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
