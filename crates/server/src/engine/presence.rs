//! Who is in a thread now, and what they do: said again every few seconds by whoever is, and forgotten otherwise.
//!
//! What is said here is known here at once. Other nodes learn of it through the hot tier, together with whatever else
//! waits for that; without one, or while it does not answer, each node knows its own connections alone.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use threadmill_proto::{Scope, ThreadId};
use threadmill_store::hot::{HotStore as _, Mark, Present, ThreadKey};

use super::{Answer, Engine, problem_of};

/// How long somebody is there who says nothing more.
pub const PRESENT_FOR: Duration = Duration::from_secs(15);

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
    /// There is no such thread.
    pub async fn be_present(&self, scope: &Scope, thread: &ThreadId, member: &str, activity: Activity) -> Answer<()> {
        let thread = self.key_of(scope, thread).await?;
        let state = Bytes::from_static(activity.name().as_bytes());
        let mark = Mark { thread, member: member.to_owned(), state };
        if let Some(tier) = self.tier() {
            tier.mark(mark.clone());
        }
        // The memory of this process refuses nothing but names that were checked before.
        let _ = self.present.set_presence(vec![mark], PRESENT_FOR).await;
        Ok(())
    }

    /// Who is in a thread, by name.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn presence(&self, scope: &Scope, thread: &ThreadId) -> Answer<BTreeMap<String, Activity>> {
        let thread = self.key_of(scope, thread).await?;
        let mut present = Vec::new();
        if let Some(tier) = self.tier() {
            present.extend(tier.store().presence(&thread).await.unwrap_or_default());
        }
        // What was said here last may not have got there yet.
        present.extend(self.present.presence(&thread).await.unwrap_or_default());
        let known = |Present { member, state }| Some((member, Activity::named(std::str::from_utf8(&state).ok()?)?));
        Ok(present.into_iter().filter_map(known).collect())
    }

    /// The thread, if the scope may see it, so that another one of its id is never taken for it.
    async fn key_of(&self, scope: &Scope, thread: &ThreadId) -> Answer<ThreadKey> {
        let seen = self.store.thread(scope, thread).await.map_err(problem_of)?;
        let (tenant, thread) = (scope.tenant.clone(), thread.clone());
        let birth = match self.hub.peers() {
            Some(peers) => peers.head(&tenant, &thread).await.map_err(problem_of)?.birth,
            None => seen.created_at,
        };
        Ok(ThreadKey { tenant, thread, birth })
    }
}
