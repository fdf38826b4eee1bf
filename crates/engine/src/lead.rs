//! Work of the whole deployment that one node does at a time: sending webhooks, clearing out old threads. Which one does it
//! is a setting that its holder puts anew every few seconds by compare-and-set.
//!
//! | it | what this node does |
//! |---|---|
//! | is nobody's | takes it |
//! | is this node's | puts it anew once it is [`BEAT`] old |
//! | is another one's and moves | waits |
//! | is another one's and has stood still for [`PATIENCE`] | takes it |
//!
//! Whether it moves is judged by the time of whoever looks, so no two clocks are compared. A node that stood still for long
//! may still believe that the work is its own: the work is such that it does no harm twice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_store::{DurableStore, SettingPut, StoreResult};
use tokio::time::Instant;

use crate::node::{Leaving, Node};
use crate::sync::lock;

/// How often its holder puts it anew.
const BEAT: Duration = Duration::from_secs(5);
/// When a holder that does not is taken for dead. With the looks of others, every few seconds, that is within 20 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// How it stood when this node looked last.
#[derive(Debug, Clone, Copy)]
struct Seen {
    version: u64,
    /// Since when it has stood so.
    since: Instant,
    ours: bool,
}

/// See the module.
pub(crate) struct Lead {
    store: Arc<dyn DurableStore>,
    node: Arc<Node>,
    key: &'static str,
    seen: Mutex<Option<Seen>>,
}

impl Lead {
    /// A claim under a key of the settings.
    pub(crate) fn new(store: Arc<dyn DurableStore>, node: Arc<Node>, key: &'static str) -> Self {
        Self { store, node, key, seen: Mutex::default() }
    }

    /// Whether the work is this node's now, as far as it can know without asking.
    pub(crate) fn holds(&self) -> bool {
        lock(&self.seen).is_some_and(|seen| seen.ours && seen.since.elapsed() < PATIENCE)
    }

    /// Takes the work or keeps it, if it may. To be asked more often than every [`BEAT`]. A node that leaves gives it back.
    pub(crate) async fn hold(&self) -> StoreResult<bool> {
        if *self.node.leaving().borrow() != Leaving::No {
            self.give_back().await?;
            return Ok(false);
        }
        let before = *lock(&self.seen);
        if before.is_some_and(|seen| seen.ours && seen.since.elapsed() < BEAT) {
            return Ok(true);
        }
        let row = self.store.setting(self.key).await?;
        let version = row.as_ref().map_or(0, |row| row.version);
        let stands = before.filter(|seen| seen.version == version);
        let may = match &row {
            None => true,
            Some(row) if row.value == self.node.name() => true,
            Some(_) => stands.is_some_and(|seen| seen.since.elapsed() >= PATIENCE),
        };
        if !may {
            let since = stands.map_or_else(Instant::now, |seen| seen.since);
            *lock(&self.seen) = Some(Seen { version, since, ours: false });
            return Ok(false);
        }
        let since = Instant::now();
        let ours = self.store.put_settings(vec![SettingPut::new(self.key, version, self.node.name())]).await?;
        // Whoever was first stands from now on.
        let version = if ours { version + 1 } else { version };
        *lock(&self.seen) = Some(Seen { version, since, ours });
        Ok(ours)
    }

    async fn give_back(&self) -> StoreResult<()> {
        let Some(seen) = lock(&self.seen).take().filter(|seen| seen.ours) else { return Ok(()) };
        self.store.put_settings(vec![SettingPut::removal(self.key, seen.version)]).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::MemoryStore;

    use super::*;

    const STEP: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn one_holds_it_while_it_lives_and_another_soon_after() {
        let store: Arc<dyn DurableStore> = Arc::new(MemoryStore::new());
        let lead = || Lead::new(Arc::clone(&store), Node::new(None), "work/lead");
        let (one, two) = (lead(), lead());
        for _ in 0..30 {
            assert!(one.hold().await.expect("it is asked") && one.holds());
            assert!(!two.hold().await.expect("it is asked") && !two.holds());
            tokio::time::sleep(STEP).await;
        }
        let died = Instant::now();
        while !two.hold().await.expect("it is asked") {
            tokio::time::sleep(STEP).await;
        }
        // It may have put it anew up to a beat before.
        assert!((PATIENCE - BEAT..=PATIENCE + BEAT).contains(&died.elapsed()), "{:?}", died.elapsed());
        assert!(!one.holds(), "who stood still for so long knows that it may have lost it");
        assert!(!one.hold().await.expect("it is asked"), "and finds that it has");
        two.node.leave(&Nothing, crate::node::drain::Elsewhere::OtherNodes, Duration::ZERO).await;
        assert!(!two.hold().await.expect("it is asked"));
        assert!(one.hold().await.expect("it is asked"), "who leaves gives it back at once");
    }

    struct Nothing;

    impl crate::node::drain::Work for Nothing {
        fn runs(&self) -> usize {
            0
        }

        fn let_go(&self) {}

        fn connections(&self) -> usize {
            0
        }
    }
}
