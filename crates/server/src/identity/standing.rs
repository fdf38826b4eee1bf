//! The guard in force. It may be replaced while requests are answered: each is judged by the one that it met.

use std::sync::{Arc, PoisonError, RwLock};

use crate::identity::guard::Guard;

/// A guard that may be replaced.
#[derive(Debug)]
pub(crate) struct Standing(RwLock<Arc<Guard>>);

impl Standing {
    pub(crate) fn new(guard: Guard) -> Self {
        Self(RwLock::new(Arc::new(guard)))
    }

    /// The guard of this moment.
    pub(crate) fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes it for whoever asks from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Guard)) -> Arc<Guard> {
        let mut standing = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut guard = Guard::clone(&standing);
        change(&mut guard);
        *standing = Arc::new(guard);
        Arc::clone(&standing)
    }
}
