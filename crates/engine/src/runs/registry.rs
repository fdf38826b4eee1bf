//! The runs that this process writes, and how to make it let go of one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Scope, TenantId};
use tokio::sync::watch;

use crate::cluster::reader::RunsOver;
use crate::delivery::ends::RunKey;
use crate::delivery::hub::TopicGuard;
use crate::delivery::topics::TopicKey;
use crate::sync::lock;

/// Who writes what, by run and by user.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    running: Mutex<HashMap<RunKey, (TopicKey, watch::Sender<bool>)>>,
    /// How many of them are whose.
    users: Mutex<HashMap<Scope, usize>>,
}

/// A run's place in the registry, given back when it is dropped, by a panic too.
#[derive(Debug)]
pub(crate) struct Entered {
    registry: Arc<Registry>,
    key: RunKey,
    scope: Scope,
    /// Turns true when the run is to be let go.
    pub(crate) let_go: watch::Receiver<bool>,
    /// What other nodes do to its thread must be heard: a stop is one of these things.
    _kept: Option<TopicGuard>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        lock(&self.registry.running).remove(&self.key);
        let mut users = lock(&self.registry.users);
        if let Some(count) = users.get_mut(&self.scope) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.scope);
            }
        }
    }
}

impl Registry {
    /// Enters a run that this process is about to write.
    pub(crate) fn enter(
        self: &Arc<Self>,
        scope: &Scope,
        topic: TopicKey,
        key: RunKey,
        kept: Option<TopicGuard>,
    ) -> Entered {
        let (sender, let_go) = watch::channel(false);
        lock(&self.running).insert(key.clone(), (topic, sender));
        *lock(&self.users).entry(scope.clone()).or_default() += 1;
        Entered { registry: Arc::clone(self), key, scope: scope.clone(), let_go, _kept: kept }
    }

    /// Whether this process writes a run.
    pub(crate) fn holds(&self, key: &RunKey) -> bool {
        lock(&self.running).contains_key(key)
    }

    /// Lets go of a run.
    pub(crate) fn cancel(&self, key: &RunKey) {
        if let Some((_, sender)) = lock(&self.running).get(key) {
            sender.send_replace(true);
        }
    }

    /// Lets go of the runs of a thread.
    pub(crate) fn cancel_thread(&self, thread: &TopicKey) {
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

    pub(crate) fn running_of(&self, scope: &Scope) -> usize {
        lock(&self.users).get(scope).copied().unwrap_or_default()
    }

    pub(crate) fn running_in(&self, tenant: &TenantId) -> usize {
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
