//! Who is in a thread now, and what they do: said again every few seconds by whoever is, and forgotten otherwise.
//!
//! What is said here is known here at once. Other nodes learn of it through the hot tier, together with whatever else
//! waits for that; without one, or while it does not answer, each node knows its own connections alone.

mod activity;
mod book;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::{Scope, ThreadId};
use threadmill_store::hot::{HotStore as _, Mark, Present, ThreadKey};
use threadmill_store::{DurableStore, Peers};
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval};

use crate::hot::tier::Tier;
use crate::problem::{Answer, problem_of};
use crate::supervise::Tasks;

pub use crate::hot::publisher::PRESENT_FOR;

use book::Book;

pub use activity::Activity;

/// How often those whose time is over are forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// Who is where, by this node's own connections and, with a hot tier, by those of others.
pub struct Presence {
    store: Arc<dyn DurableStore>,
    peers: Option<Arc<dyn Peers>>,
    tier: Option<Arc<Tier>>,
    book: Arc<Book>,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Presence {
    pub(crate) fn new(store: Arc<dyn DurableStore>, peers: Option<Arc<dyn Peers>>, tier: Option<Arc<Tier>>) -> Self {
        Self { store, peers, tier, book: Arc::default() }
    }

    /// Somebody is in a thread: a device or a tab, by a name of the user's choice.
    ///
    /// # Errors
    /// There is no such thread, or `overloaded` if there are too many names already.
    pub async fn set(&self, scope: &Scope, thread: &ThreadId, member: &str, activity: Activity) -> Answer<()> {
        let thread = self.key_of(scope, thread).await?;
        let set = self.book.set(scope, &thread, member, activity, Instant::now() + PRESENT_FOR);
        set.map_err(|full| full.problem("The names that are shown as present"))?;
        if let Some(tier) = &self.tier {
            let state = Bytes::from_static(activity.name().as_bytes());
            tier.mark(Mark { thread, member: member.to_owned(), state });
        }
        Ok(())
    }

    /// Starts to forget whoever is there no more, until that is aborted.
    pub(crate) fn keep(&self, tasks: &Arc<Tasks>) -> AbortHandle {
        let book = Arc::clone(&self.book);
        tasks.run("presence", move || {
            let book = Arc::clone(&book);
            async move {
                let mut tick = interval(SWEEP);
                loop {
                    tick.tick().await;
                    book.sweep(Instant::now());
                }
            }
        })
    }

    /// Who is in a thread, by name.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn list(&self, scope: &Scope, thread: &ThreadId) -> Answer<BTreeMap<String, Activity>> {
        let thread = self.key_of(scope, thread).await?;
        let mut elsewhere = Vec::new();
        if let Some(tier) = &self.tier {
            elsewhere = tier.store().presence(&thread).await.unwrap_or_default();
        }
        let known = |Present { member, state }| Some((member, Activity::named(std::str::from_utf8(&state).ok()?)?));
        let mut present: BTreeMap<_, _> = elsewhere.into_iter().filter_map(known).collect();
        // What was said here last may not have got there yet.
        present.extend(self.book.list(&thread, Instant::now()));
        Ok(present)
    }

    /// The thread, if the scope may see it, so that another one of its id is never taken for it.
    async fn key_of(&self, scope: &Scope, thread: &ThreadId) -> Answer<ThreadKey> {
        let birth = match &self.peers {
            Some(peers) => peers.standing(scope, thread).await.map_err(problem_of)?.birth,
            None => self.store.thread(scope, thread).await.map_err(problem_of)?.created_at,
        };
        Ok(ThreadKey { tenant: scope.tenant.clone(), thread: thread.clone(), birth })
    }
}
