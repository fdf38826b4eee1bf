//! Whether a node should be sent requests, and what it can rely on.

use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use threadmill_proto::frame::Mode;
use threadmill_proto::{LockName, Scope, TenantId, ThreadId, UserId};
use threadmill_store::{DurableStore, LockRequest, StoreError, StoreResult};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::node::{Leaving, Node, ids};
use crate::supervise::Tasks;

/// How long the store may take to answer before the node counts as not ready.
const ANSWER: Duration = Duration::from_secs(2);

/// What a node can rely on, and every change of that. Without a hot tier, nothing is missing.
#[derive(Debug)]
pub struct Modes {
    pub(crate) tier: Option<watch::Receiver<Mode>>,
    pub(crate) read_only: watch::Receiver<bool>,
}

impl Modes {
    /// Now.
    pub fn now(&mut self) -> Mode {
        let tier = self.tier.as_mut().map_or(Mode::Full, |tier| *tier.borrow_and_update());
        if *self.read_only.borrow_and_update() { Mode::ReadOnly } else { tier }
    }

    /// Waits until it is another one than it was, or may be.
    pub async fn changed(&mut self) {
        let tier = async {
            match &mut self.tier {
                Some(tier) => tier.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            Ok(()) = tier => {}
            Ok(()) = self.read_only.changed() => {}
            else => pending().await,
        }
    }
}

/// Whether requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// They may.
    Yes,
    /// The node is about to stop.
    Draining,
    /// The durable tier does not answer.
    StoreAway,
    /// The durable tier refuses writes; reads are answered.
    ReadOnly,
    /// No write can be made: the log says why.
    Unwritable,
    /// This task of the node panics again and again.
    Broken(&'static str),
}

/// How long an answer of the store is good for: whoever asks, and how often, must load neither its readers nor its writer.
const PROBED: Duration = Duration::from_secs(1);

/// Finds out whether requests may come, at most once a second however many ask.
pub(crate) struct Readiness {
    node: Arc<Node>,
    store: Arc<dyn DurableStore>,
    /// Those of the hot tier, if there is one.
    tier_tasks: Option<Arc<Tasks>>,
    /// What the store answered when it was last asked.
    last: tokio::sync::Mutex<Option<(Instant, Ready)>>,
    /// The lock that is taken to see whether writes pass: one that nobody else can name, and so take.
    lock: OnceLock<LockName>,
}

impl Readiness {
    pub(crate) fn new(node: Arc<Node>, store: Arc<dyn DurableStore>, tier_tasks: Option<Arc<Tasks>>) -> Arc<Self> {
        Arc::new(Self { node, store, tier_tasks, last: tokio::sync::Mutex::default(), lock: OnceLock::new() })
    }

    /// Whether requests may come now: reads and writes are answered, and no task of the node is broken.
    pub(crate) async fn ready(&self) -> Ready {
        if *self.node.leaving().borrow() != Leaving::No {
            return Ready::Draining;
        }
        let tasks = [Some(self.node.tasks()), self.tier_tasks.as_ref()];
        if let Some(task) = tasks.into_iter().flatten().find_map(|tasks| tasks.broken()) {
            return Ready::Broken(task);
        }
        self.probed().await
    }

    /// Whether reads and writes are answered, as of a second ago.
    async fn probed(&self) -> Ready {
        let mut probed = self.last.lock().await;
        if let Some((at, ready)) = *probed
            && at.elapsed() < PROBED
        {
            return ready;
        }
        let ready = if self.is_readable().await { self.writable().await } else { Ready::StoreAway };
        *probed = Some((Instant::now(), ready));
        ready
    }

    async fn is_readable(&self) -> bool {
        let (Ok(tenant), Ok(user), Ok(thread)) =
            (TenantId::parse("default"), UserId::parse("readyz"), ThreadId::parse("readyz"))
        else {
            return false;
        };
        let read = timeout(ANSWER, self.store.thread(&Scope { tenant, user }, &thread)).await;
        matches!(read, Ok(Ok(_) | Err(StoreError::NotFound(_))))
    }

    async fn writable(&self) -> Ready {
        match timeout(ANSWER, self.try_write()).await {
            Ok(Ok(())) => Ready::Yes,
            Ok(Err(StoreError::ReadOnly(_))) => Ready::ReadOnly,
            Ok(Err(error)) => {
                tracing::error!(%error, "no write can be made: the node is not ready");
                Ready::Unwritable
            }
            Err(_) => {
                tracing::error!("a write takes too long: the node is not ready");
                Ready::Unwritable
            }
        }
    }

    /// Makes a write that changes nothing for anybody. It passes the store's writer, and no turn of a user's.
    async fn try_write(&self) -> StoreResult<()> {
        if !self.node.is_read_only() {
            let done = self.store.renew_leases(self.node.lease()).await;
            if matches!(done, Err(StoreError::ReadOnly(_))) {
                self.node.note(&done);
            }
            return done;
        }
        self.recover().await
    }

    /// Tries whether writes that were refused pass again, by one that changes a row: others prove nothing of a full disk.
    pub(crate) async fn recover(&self) -> StoreResult<()> {
        let (Ok(tenant), Ok(user)) = (TenantId::parse("default"), UserId::parse("readyz")) else { return Ok(()) };
        let name = match self.lock.get() {
            Some(name) => name.clone(),
            None => {
                let Ok(name) = LockName::parse(&format!("readyz-{}", ids::holder())) else { return Ok(()) };
                self.lock.get_or_init(|| name).clone()
            }
        };
        let now = ids::now();
        let request = LockRequest { name, holder: self.node.name().to_owned(), until: now + 1, now };
        let done = self.store.acquire_lock(&Scope { tenant, user }, request).await.map(|_| ());
        self.node.note(&done);
        done
    }
}
