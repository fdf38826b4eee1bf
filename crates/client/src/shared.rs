//! The engine behind its lock: what handles of views, writes and the driver share. It knows neither the server nor what is
//! done with the engine's outputs; whoever gives an input wakes the driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threadmill_core::engine::{Engine, Input};
use tokio::sync::{Notify, watch};

use crate::clock::Clock;

/// What handles, page reads and the driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    clock: Clock,
    /// There are outputs to do.
    wake: Notify,
    /// Another credential is wanted.
    renew: Arc<Notify>,
    /// Something may look different now.
    changed: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn new(engine: Engine, clock: Clock) -> Arc<Self> {
        let (changed, _) = watch::channel(());
        Arc::new(Self { engine: Mutex::new(engine), clock, wake: Notify::new(), renew: Arc::default(), changed })
    }

    /// The engine. A panic elsewhere leaves it as it was after the last whole input, so go on.
    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the engine an input; the driver does what follows.
    pub(crate) fn input(&self, input: Input) {
        self.inputs(|_| Some(input));
    }

    /// Gives the engine inputs that depend on what it holds, and nothing comes between.
    pub(crate) fn inputs<I: IntoIterator<Item = Input>>(&self, decide: impl FnOnce(&Engine) -> I) {
        let now = self.clock.now();
        let mut engine = self.engine();
        let inputs = decide(&engine);
        for input in inputs {
            engine.handle(now, input);
        }
        drop(engine);
        self.wake.notify_one();
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Another credential is wanted: the engine says so.
    pub(crate) fn wants_renewal(&self) {
        self.renew.notify_one();
    }

    /// There is something to do.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn touch(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn renew(&self) -> Arc<Notify> {
        Arc::clone(&self.renew)
    }
}

/// Waits until the engine satisfies a condition.
pub(crate) async fn until(shared: &Shared, mut condition: impl FnMut(&Engine) -> bool) {
    let mut changes = shared.watch();
    while !condition(&shared.engine()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}
