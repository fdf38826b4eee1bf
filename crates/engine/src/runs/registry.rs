//! The runs that this process writes, and how to make it let go of one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use threadmill_proto::{Scope, TenantId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::reader::RunsOver;
use crate::delivery::ends::RunKey;
use crate::delivery::hub::TopicGuard;
use crate::delivery::topics::TopicKey;
use crate::sync::lock;

/// Who writes what, by run and by user. No lock is taken while another is held.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    running: Mutex<HashMap<RunKey, (TopicKey, watch::Sender<bool>)>>,
    /// Runs that began here and that programs outside write, until they end: they count in what a user may have, and a node
    /// that leaves waits for none of them.
    outside: Mutex<HashMap<RunKey, OutsideRun>>,
    /// How many of both are whose.
    users: Mutex<HashMap<Scope, usize>>,
}

/// A run that a program outside writes.
#[derive(Debug)]
struct OutsideRun {
    scope: Scope,
    topic: TopicKey,
    /// Since when it is known here.
    since: Instant,
}

/// A run's place in the registry, given back when it is dropped, by a panic too.
#[derive(Debug)]
pub(crate) struct Entered {
    registry: Arc<Registry>,
    key: RunKey,
    /// Whose run it is, if this entry is what counts it.
    counted: Option<Scope>,
    /// Turns true when the run is to be let go.
    pub(crate) let_go: watch::Receiver<bool>,
    /// What other nodes do to its thread must be heard: a stop is one of these things.
    _kept: Option<TopicGuard>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut running = lock(&self.registry.running);
        // The next request of a writer may have entered the run meanwhile.
        if running.get(&self.key).is_some_and(|(_, sender)| sender.subscribe().same_channel(&self.let_go)) {
            running.remove(&self.key);
        }
        drop(running);
        self.counted.iter().for_each(|scope| self.registry.uncount(scope));
    }
}

impl Registry {
    /// Enters a run that this process is about to write; it counts as a user's if it is not counted otherwise.
    pub(crate) fn enter(
        self: &Arc<Self>,
        counted: Option<&Scope>,
        topic: TopicKey,
        key: RunKey,
        kept: Option<TopicGuard>,
    ) -> Entered {
        let (sender, let_go) = watch::channel(false);
        lock(&self.running).insert(key.clone(), (topic, sender));
        counted.iter().for_each(|scope| self.count(scope));
        Entered { registry: Arc::clone(self), key, counted: counted.cloned(), let_go, _kept: kept }
    }

    fn count(&self, scope: &Scope) {
        *lock(&self.users).entry(scope.clone()).or_default() += 1;
    }

    fn uncount(&self, scope: &Scope) {
        let mut users = lock(&self.users);
        if let Some(count) = users.get_mut(scope) {
            *count -= 1;
            if *count == 0 {
                users.remove(scope);
            }
        }
    }

    /// Counts a run that a program outside writes, from its start on.
    pub(crate) fn begin_outside(&self, scope: &Scope, topic: TopicKey, key: RunKey) {
        let run = OutsideRun { scope: scope.clone(), topic, since: Instant::now() };
        // First, so that an end that comes between finds it counted.
        self.count(scope);
        if lock(&self.outside).insert(key, run).is_some() {
            self.uncount(scope);
        }
    }

    /// Such a run has ended.
    pub(crate) fn end_outside(&self, key: &RunKey) {
        let ended = lock(&self.outside).remove(key);
        ended.iter().for_each(|run| self.uncount(&run.scope));
    }

    /// All such runs have ended but these and those that began since these were looked for: some end at other nodes.
    pub(crate) fn only_outside(&self, unended: &HashSet<RunKey>, looked: Instant) {
        self.end_outside_if(|key, run| run.since < looked && !unended.contains(key));
    }

    fn end_outside_if(&self, has_ended: impl Fn(&RunKey, &OutsideRun) -> bool) {
        let ended = lock(&self.outside).extract_if(|key, run| has_ended(key, run)).collect::<Vec<_>>();
        ended.iter().for_each(|(_, run)| self.uncount(&run.scope));
    }

    /// Whether this process writes a run.
    pub(crate) fn holds(&self, key: &RunKey) -> bool {
        lock(&self.running).contains_key(key)
    }

    /// Lets go of a run.
    pub(crate) fn cancel(&self, key: &RunKey) {
        self.end_outside(key);
        if let Some((_, sender)) = lock(&self.running).get(key) {
            sender.send_replace(true);
        }
    }

    /// Lets go of the runs of a thread.
    pub(crate) fn cancel_thread(&self, thread: &TopicKey) {
        self.end_outside_if(|_, run| run.topic == *thread);
        for (of, sender) in lock(&self.running).values() {
            if of == thread {
                sender.send_replace(true);
            }
        }
    }

    /// Lets go of all of them.
    pub(crate) fn cancel_all(&self) {
        for (_, sender) in lock(&self.running).values() {
            sender.send_replace(true);
        }
    }

    pub(crate) fn running(&self) -> usize {
        lock(&self.running).len()
    }

    pub(crate) fn live(&self) -> usize {
        lock(&self.users).values().sum()
    }

    pub(crate) fn live_of(&self, scope: &Scope) -> usize {
        lock(&self.users).get(scope).copied().unwrap_or_default()
    }

    pub(crate) fn live_in(&self, tenant: &TenantId) -> usize {
        lock(&self.users).iter().filter(|(scope, _)| scope.tenant == *tenant).map(|(_, count)| count).sum()
    }
}

impl RunsOver for Registry {
    fn run_over(&self, run: &RunKey) {
        self.cancel(run);
    }

    fn thread_gone(&self, thread: &TopicKey) {
        self.cancel_thread(thread);
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{RunId, ThreadId, UserId};

    use super::*;

    fn of(user: &str, run: &str) -> (Scope, TopicKey, RunKey) {
        let tenant = TenantId::parse("t").expect("an id");
        let topic = (tenant.clone(), ThreadId::parse("thread").expect("an id"));
        let key = (tenant.clone(), RunId::parse(run).expect("an id"));
        (Scope { tenant, user: UserId::parse(user).expect("an id") }, topic, key)
    }

    #[test]
    fn a_request_that_leaves_takes_the_next_ones_place_with_it_never() {
        let registry = Arc::<Registry>::default();
        let (_, topic, key) = of("ada", "r");
        let first = registry.enter(None, topic.clone(), key.clone(), None);
        let next = registry.enter(None, topic, key.clone(), None);
        drop(first);
        registry.cancel(&key);
        assert!(registry.holds(&key) && *next.let_go.borrow(), "a stop finds it");
        drop(next);
        assert!(!registry.holds(&key));
    }

    #[tokio::test(start_paused = true)]
    async fn runs_outside_count_until_they_end_and_keep_no_node_from_leaving() {
        let registry = Arc::<Registry>::default();
        let (scope, topic, key) = of("ada", "r");
        let counts =
            || (registry.live_of(&scope), registry.live_in(&scope.tenant), registry.live(), registry.running());
        registry.begin_outside(&scope, topic.clone(), key.clone());
        registry.begin_outside(&scope, topic.clone(), key.clone());
        assert_eq!(counts(), (1, 1, 1, 0), "once");
        let request = registry.enter(None, topic.clone(), key.clone(), None);
        assert_eq!(counts(), (1, 1, 1, 1), "a request of its writer's is the node's work and no other run");
        drop(request);
        registry.end_outside(&key);
        registry.end_outside(&key);
        assert_eq!(counts(), (0, 0, 0, 0));
        registry.begin_outside(&scope, topic.clone(), key.clone());
        registry.cancel_thread(&topic);
        assert_eq!(counts().0, 0, "its thread is gone");
        // Ended at another node: it is not found any more, unless it began after it was looked for.
        let looked = Instant::now();
        registry.begin_outside(&scope, topic, key.clone());
        registry.only_outside(&HashSet::new(), looked);
        assert_eq!(counts().0, 1);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        registry.only_outside(&HashSet::from([key]), Instant::now());
        assert_eq!(counts().0, 1);
        registry.only_outside(&HashSet::new(), Instant::now());
        assert_eq!(counts().0, 0);
    }
}
