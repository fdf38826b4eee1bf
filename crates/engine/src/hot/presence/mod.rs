//! Who is in a thread now, and what they do: said again every few seconds by whoever is, and forgotten otherwise.
//!
//! What is said here is known here at once. Other nodes learn of it through the hot tier, together with whatever else
//! waits for that; without one, or while it does not answer, each node knows its own connections alone.

mod book;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::{Scope, ThreadId};
use threadmill_store::hot::{HotStore as _, Mark, Present, ThreadKey};
use tokio::time::{Instant, interval};

use crate::{Answer, Engine, problem_of};

pub(crate) use book::Book;

/// How long somebody is there who says nothing more.
pub const PRESENT_FOR: Duration = Duration::from_secs(15);
/// How often those whose time is over are forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Looks at it.
    Viewing,
    /// Writes something.
    Typing,
}

impl Activity {
    /// Its name. Frozen: it is what nodes tell each other.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewing => "viewing",
            Self::Typing => "typing",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Viewing, Self::Typing].into_iter().find(|activity| activity.name() == name)
    }
}

impl Engine {
    /// Somebody is in a thread: a device or a tab, by a name of the user's choice.
    ///
    /// # Errors
    /// There is no such thread, or `overloaded` if there are too many names already.
    pub async fn be_present(&self, scope: &Scope, thread: &ThreadId, member: &str, activity: Activity) -> Answer<()> {
        let thread = self.key_of(scope, thread).await?;
        let set = self.present.set(scope, &thread, member, activity, Instant::now() + PRESENT_FOR);
        set.map_err(|full| full.problem("The names that are shown as present"))?;
        if let Some(tier) = self.tier() {
            let state = Bytes::from_static(activity.name().as_bytes());
            tier.mark(Mark { thread, member: member.to_owned(), state });
        }
        Ok(())
    }

    /// Forgets whoever is there no more, for as long as the engine lives.
    pub(crate) fn sweep_presence(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.tasks.run("presence", move || {
            let engine = engine.clone();
            async move {
                let mut tick = interval(SWEEP);
                loop {
                    tick.tick().await;
                    let Some(engine) = engine.upgrade() else { return };
                    engine.present.sweep(Instant::now());
                }
            }
        });
    }

    /// Who is in a thread, by name.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn presence(&self, scope: &Scope, thread: &ThreadId) -> Answer<BTreeMap<String, Activity>> {
        let thread = self.key_of(scope, thread).await?;
        let mut elsewhere = Vec::new();
        if let Some(tier) = self.tier() {
            elsewhere = tier.store().presence(&thread).await.unwrap_or_default();
        }
        let known = |Present { member, state }| Some((member, Activity::named(std::str::from_utf8(&state).ok()?)?));
        let mut present: BTreeMap<_, _> = elsewhere.into_iter().filter_map(known).collect();
        // What was said here last may not have got there yet.
        present.extend(self.present.list(&thread, Instant::now()));
        Ok(present)
    }

    /// The thread, if the scope may see it, so that another one of its id is never taken for it.
    async fn key_of(&self, scope: &Scope, thread: &ThreadId) -> Answer<ThreadKey> {
        let birth = match self.hub.peers() {
            Some(peers) => peers.standing(scope, thread).await.map_err(problem_of)?.birth,
            None => self.store.thread(scope, thread).await.map_err(problem_of)?.created_at,
        };
        Ok(ThreadKey { tenant: scope.tenant.clone(), thread: thread.clone(), birth })
    }
}
