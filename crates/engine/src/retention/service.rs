//! The walk over all threads, the preview of what it would delete, and the confirmation that it may.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use threadmill_proto::{ErrorCode, Millis, Problem, TenantId};
use threadmill_store::{DurableStore, SettingPut, SurveyedThread};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::lead::Lead;
use crate::node::Node;
use crate::problem::{Answer, problem_of};
use crate::retention::policy::{Fate, Policy};
use crate::supervise::Tasks;
use crate::sync::lock;
use crate::telemetry::cell::Counter;
use crate::threads::requests::Terms;
use crate::threads::write::Threads;

/// Which node deletes.
const LEAD: &str = "retention/lead";
/// Which policy may.
const CONFIRMED: &str = "retention/confirmed";
/// Between two steps of the walk.
const STEP: Duration = Duration::from_secs(1);
/// Between two looks whether there is anything to do. Whoever walks says more often than a lead lasts that it is there.
const LOOK: Duration = Duration::from_secs(4);
/// Deletions of a step: each takes a turn at the write permit, and its rows go later, a little at a time.
const AT_ONCE: usize = 10;
/// Threads of a page of the walk.
const PAGE: u32 = 500;
/// Threads of a page of a preview.
const PREVIEW: u32 = 5_000;
/// Between the end of one walk and the beginning of the next.
const REST: Duration = Duration::from_secs(3_600);
/// Bytes of a name and of a reason.
const WHO: usize = 128;
const WHY: usize = 1_000;
/// Times that a confirmation is tried against others.
const TIMES: usize = 5;

/// Where the service takes the time from.
type Clock = Box<dyn Fn() -> Millis + Send + Sync>;

/// Who said that a policy may delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    /// The policy's mark.
    pub mark: String,
    /// When.
    pub at: Millis,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What would go of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantPreview {
    /// Threads.
    pub threads: u64,
    /// Threads that are as old, and stay since they are pinned.
    pub pinned: u64,
    /// When the oldest of those that go was last changed.
    pub oldest: Option<Millis>,
}

/// A page of what would go.
#[derive(Debug, Clone)]
pub struct Preview {
    /// By tenant, those of which something would.
    pub tenants: BTreeMap<TenantId, TenantPreview>,
    /// Threads that were looked at.
    pub seen: u64,
    /// Where to go on, if that is not all.
    pub next: Option<String>,
}

/// Where the walk is.
#[derive(Default)]
struct Walk {
    /// The end of the page that was read last.
    after: Option<String>,
    /// What of it is to be deleted yet.
    due: VecDeque<SurveyedThread>,
    /// When the last walk ended.
    ended: Option<Instant>,
}

/// See the module.
pub struct Retention {
    store: Arc<dyn DurableStore>,
    threads: Arc<Threads>,
    lead: Lead,
    deleted: Arc<Counter>,
    clock: Clock,
    policy: Mutex<Policy>,
    walk: Mutex<Walk>,
}

impl std::fmt::Debug for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retention").finish_non_exhaustive()
    }
}

impl Retention {
    pub(crate) fn new(
        store: Arc<dyn DurableStore>,
        node: Arc<Node>,
        threads: Arc<Threads>,
        deleted: Arc<Counter>,
    ) -> Arc<Self> {
        let clock = Arc::clone(&node);
        Self::by(store, node, threads, deleted, Box::new(move || clock.now()))
    }

    fn by(
        store: Arc<dyn DurableStore>,
        node: Arc<Node>,
        threads: Arc<Threads>,
        deleted: Arc<Counter>,
        clock: Clock,
    ) -> Arc<Self> {
        let lead = Lead::new(Arc::clone(&store), node, LEAD);
        let (policy, walk) = Default::default();
        Arc::new(Self { store, threads, lead, deleted, clock, policy, walk })
    }

    /// Says how long threads are kept.
    pub fn set(&self, policy: Policy) {
        *lock(&self.policy) = policy;
        *lock(&self.walk) = Walk::default();
    }

    /// How long they are.
    #[must_use]
    pub fn policy(&self) -> Policy {
        lock(&self.policy).clone()
    }

    /// Walks while this node is the one that does, until that is aborted.
    pub(crate) fn keep(self: &Arc<Self>, tasks: &Arc<Tasks>) -> AbortHandle {
        let this = Arc::clone(self);
        tasks.run("retention", move || {
            let this = Arc::clone(&this);
            async move {
                loop {
                    let step = this.step().await;
                    let unwell = |problem: Problem| {
                        tracing::warn!(why = problem.detail, "retention waits for the durable tier");
                        LOOK
                    };
                    tokio::time::sleep(step.unwrap_or_else(unwell)).await;
                }
            }
        })
    }

    /// One step, a page or a few deletions, and how long it is until the next.
    async fn step(&self) -> Answer<Duration> {
        let policy = self.policy();
        if policy.is_off() {
            return Ok(LOOK);
        }
        let may = self.confirmed().await?.is_some_and(|confirmed| confirmed.mark == policy.mark());
        if !may || !self.lead.hold().await.map_err(problem_of)? {
            *lock(&self.walk) = Walk::default();
            return Ok(LOOK);
        }
        if lock(&self.walk).ended.is_some_and(|ended| ended.elapsed() < REST) {
            return Ok(LOOK);
        }
        if lock(&self.walk).due.is_empty() {
            self.page(&policy).await?;
            return Ok(STEP);
        }
        for _ in 0..AT_ONCE {
            let Some(thread) = lock(&self.walk).due.pop_front() else { break };
            self.delete(&thread).await?;
        }
        self.note_end();
        Ok(STEP)
    }

    /// Reads the next page of the walk.
    async fn page(&self, policy: &Policy) -> Answer<()> {
        let after = lock(&self.walk).after.clone();
        let page = self.store.survey(after.as_deref(), PAGE).await.map_err(problem_of)?;
        let now = (self.clock)();
        let due = page.threads.into_iter().filter(|thread| policy.fate(thread, now) == Fate::Due);
        {
            let mut walk = lock(&self.walk);
            walk.due = due.collect();
            walk.after = page.next;
            walk.ended = None;
        }
        self.note_end();
        Ok(())
    }

    /// The walk has ended when its last page is done.
    fn note_end(&self) {
        let mut walk = lock(&self.walk);
        if walk.after.is_none() && walk.due.is_empty() {
            walk.ended = Some(Instant::now());
        }
    }

    /// Deletes a thread, unless something happened to it since it was seen.
    async fn delete(&self, thread: &SurveyedThread) -> Answer<()> {
        let SurveyedThread { scope, thread: id, seq, .. } = thread;
        match self.threads.delete_at(scope, Terms::default(), id, Some(*seq)).await {
            Ok(_) => {
                self.deleted.up();
                tracing::info!(code = "retention_deleted", tenant = %scope.tenant, thread = %id, "a thread's time was up");
                Ok(())
            }
            Err(problem) if matches!(problem.code, ErrorCode::TipMoved | ErrorCode::ThreadNotFound) => Ok(()),
            Err(problem) => Err(problem),
        }
    }

    /// A page of what would go now. Deletes nothing.
    ///
    /// # Errors
    /// `after` is no page's end, or what the store says.
    pub async fn preview(&self, after: Option<&str>) -> Answer<Preview> {
        let policy = self.policy();
        let page = self.store.survey(after, PREVIEW).await.map_err(problem_of)?;
        let (now, seen) = ((self.clock)(), page.threads.len() as u64);
        let mut tenants: BTreeMap<TenantId, TenantPreview> = BTreeMap::new();
        for thread in page.threads {
            let fate = policy.fate(&thread, now);
            if fate == Fate::Young {
                continue;
            }
            let tenant = tenants.entry(thread.scope.tenant).or_default();
            if fate == Fate::Pinned {
                tenant.pinned += 1;
            } else {
                tenant.threads += 1;
                tenant.oldest = Some(tenant.oldest.map_or(thread.updated_at, |at| at.min(thread.updated_at)));
            }
        }
        Ok(Preview { tenants, seen, next: page.next })
    }

    /// Which policy may delete, and who said so.
    ///
    /// # Errors
    /// What the store says.
    pub async fn confirmed(&self) -> Answer<Option<Confirmed>> {
        Ok(self.read().await?.1)
    }

    /// Lets the policy of this mark delete.
    ///
    /// # Errors
    /// It is not this node's policy, nobody says who and why, or what the store says.
    pub async fn confirm(&self, mark: &str, who: &str, why: &str) -> Answer<Confirmed> {
        let policy = self.policy();
        if policy.is_off() || policy.mark() != mark {
            let detail = format!(
                "The policy of this node is `{}`: preview it, and confirm the mark that you see.",
                policy.text()
            );
            return Err(Problem::new(ErrorCode::InvalidRequest, detail));
        }
        said("who", who, WHO)?;
        said("why", why, WHY)?;
        let confirmed = Confirmed { mark: mark.into(), at: (self.clock)(), who: who.into(), why: why.into() };
        let value =
            serde_json::to_string(&confirmed).map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
        self.put(Some(value)).await?;
        tracing::warn!(
            code = "retention_confirmed",
            who,
            why,
            policy = policy.text(),
            "threads are deleted from now on"
        );
        Ok(confirmed)
    }

    /// Lets no policy delete. What a step has begun is finished, ten threads at most.
    ///
    /// # Errors
    /// What the store says.
    pub async fn stop(&self) -> Answer<()> {
        self.put(None).await?;
        tracing::warn!(code = "retention_stopped", "threads are not deleted any more");
        Ok(())
    }

    async fn put(&self, value: Option<String>) -> Answer<()> {
        for _ in 0..TIMES {
            let (read, _) = self.read().await?;
            if read == 0 && value.is_none() {
                return Ok(());
            }
            let put = SettingPut { key: CONFIRMED.into(), read, value: value.clone() };
            if self.store.put_settings(vec![put]).await.map_err(problem_of)? {
                return Ok(());
            }
        }
        let detail = "Others change this all the time.";
        Err(Problem { retry_after: Some(1_000), ..Problem::new(ErrorCode::Overloaded, detail) })
    }

    async fn read(&self) -> Answer<(u64, Option<Confirmed>)> {
        let row = self.store.setting(CONFIRMED).await.map_err(problem_of)?;
        // What cannot be read confirms nothing.
        Ok(row.map_or((0, None), |row| (row.version, serde_json::from_str(&row.value).ok())))
    }
}

fn said(name: &str, text: &str, most: usize) -> Answer<()> {
    if text.trim().is_empty() || text.len() > most || text.chars().any(char::is_control) {
        let detail = format!("`{name}` has 1 to {most} bytes in one line: every change says who made it and why.");
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
