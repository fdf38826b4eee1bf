//! Whether a node should be sent requests, and how it leaves: it says so, finishes what it began, and ends the rest.

use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use threadmill_proto::frame::Mode;
use threadmill_proto::{ErrorCode, LockName, Problem, Scope, TenantId, ThreadId, UserId};
use threadmill_store::{LockRequest, StoreError, StoreResult};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::{Answer, Engine, node::ids as mint};

/// How long the store may take to answer before the node counts as not ready.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two looks at what is still there.
const LOOK: Duration = Duration::from_millis(20);
/// How long runs may take to be ended once they are let go.
const LET_GO: Duration = Duration::from_secs(5);
/// Connections that are asked to move do so at a random moment of this time.
pub const RECONNECT_WITHIN: Duration = Duration::from_secs(5);
/// When to try again at another node, in milliseconds.
const RETRY_MS: u32 = 500;

/// How far a node is with leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It stays.
    No,
    /// It begins nothing any more.
    Finishing,
    /// That, and its connections are to move.
    Moving,
}

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

/// What the store answered when it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    last: tokio::sync::Mutex<Option<(Instant, Ready)>>,
    /// The lock that is taken to see whether writes pass: one that nobody else can name, and so take.
    lock: OnceLock<LockName>,
}

impl Engine {
    /// Whether requests may come now: reads and writes are answered, and no task of the node is broken. Asks the store at
    /// most once a second.
    pub async fn ready(&self) -> Ready {
        if *self.leaving.borrow() != Leaving::No {
            return Ready::Draining;
        }
        let tasks = [Some(&self.tasks), self.tier().map(|tier| tier.tasks())];
        if let Some(task) = tasks.into_iter().flatten().find_map(|tasks| tasks.broken()) {
            return Ready::Broken(task);
        }
        self.probed().await
    }

    /// Whether reads and writes are answered, as of a second ago.
    async fn probed(&self) -> Ready {
        let mut probed = self.probe.last.lock().await;
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
        if !*self.read_only.borrow() {
            let done = self.store.renew_leases(self.lease()).await;
            if matches!(done, Err(StoreError::ReadOnly(_))) {
                self.note(&done);
            }
            return done;
        }
        self.recover().await
    }

    /// Tries whether writes that were refused pass again, by one that changes a row: others prove nothing of a full disk.
    pub(crate) async fn recover(&self) -> StoreResult<()> {
        let (Ok(tenant), Ok(user)) = (TenantId::parse("default"), UserId::parse("readyz")) else { return Ok(()) };
        let name = match self.probe.lock.get() {
            Some(name) => name.clone(),
            None => {
                let Ok(name) = LockName::parse(&format!("readyz-{}", mint::holder())) else { return Ok(()) };
                self.probe.lock.get_or_init(|| name).clone()
            }
        };
        let now = mint::now();
        let request = LockRequest { name, holder: self.node.clone(), until: now + 1, now };
        let done = self.store.acquire_lock(&Scope { tenant, user }, request).await.map(|_| ());
        self.note(&done);
        done
    }

    /// Whether the durable tier refuses writes, as far as this node knows.
    pub(crate) fn is_read_only(&self) -> bool {
        *self.read_only.borrow()
    }

    /// How far the node is with leaving, and every change of that.
    #[must_use]
    pub fn leaving(&self) -> watch::Receiver<Leaving> {
        self.leaving.subscribe()
    }

    /// Leaves: no run begins any more, those under way are waited for up to `patience` and then ended as interrupted
    /// with their text kept, and connections are asked to move. Where there are other nodes that is at once, and they
    /// have [`RECONNECT_WITHIN`] for it; where there are none, they see the runs to their end first.
    pub async fn leave(&self, patience: Duration) {
        let alone = self.hub.peers().is_none();
        self.leaving.send_replace(if alone { Leaving::Finishing } else { Leaving::Moving });
        let moved = Instant::now() + RECONNECT_WITHIN + ANSWER;
        let finished = Instant::now() + patience;
        while !self.registry.is_idle() && Instant::now() < finished {
            sleep(LOOK).await;
        }
        self.shut_down(LET_GO).await;
        self.leaving.send_replace(Leaving::Moving);
        while !alone && self.watchers.load(Ordering::Relaxed) > 0 && Instant::now() < moved {
            sleep(LOOK).await;
        }
    }

    /// Some moment of a time, another for each who asks.
    #[must_use]
    pub fn some_time(&self, within: Duration) -> Duration {
        within.mul_f64(f64::from(mint::chance()) / f64::from(u32::MAX))
    }

    /// Refuses what would begin something that the node may not live to end.
    pub(crate) fn may_begin(&self) -> Answer<()> {
        match *self.leaving.borrow() {
            Leaving::No => Ok(()),
            Leaving::Finishing | Leaving::Moving => Err(stopping()),
        }
    }

    /// Refuses a connection that would be asked to move at once.
    ///
    /// # Errors
    /// The node is about to stop.
    pub fn may_connect(&self) -> Answer<()> {
        match *self.leaving.borrow() {
            Leaving::No | Leaving::Finishing => Ok(()),
            Leaving::Moving => Err(stopping()),
        }
    }
}

fn stopping() -> Problem {
    Problem {
        code: ErrorCode::Unavailable,
        detail: "The node is about to stop.".into(),
        retry_after: Some(RETRY_MS),
        hint: None,
    }
}
