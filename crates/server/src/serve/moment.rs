//! Time as sockets are judged by it, and locks over what they share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Milliseconds since the node began to listen.
pub(crate) type Moment = u64;

/// Locks, whatever happened to the last holder: what is inside stays consistent at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
