//! Who follows which user's list, and the entries on their way to them: in order of their places, and without one
//! missing but those that a later entry of the same thread replaced.
//!
//! `T` is what the room above keeps with each list that somebody follows: nothing where this node alone writes, how far
//! the log was read where others do too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Scope, Summary};

use crate::delivery::event::{Delivered, Shared};
use crate::delivery::queue::SendQueue;
use crate::sync::lock;

/// A connection that follows a user's list.
#[derive(Debug)]
struct ListWatcher {
    queue: Arc<SendQueue>,
    /// Entries that wait while the last page before them is read.
    held: Option<Vec<Arc<Shared>>>,
}

impl ListWatcher {
    fn is(&self, queue: &Arc<SendQueue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }
}

/// A list that somebody follows.
#[derive(Debug)]
pub(crate) struct List<T> {
    watchers: Vec<ListWatcher>,
    /// What the room above keeps of it.
    pub(crate) tail: T,
}

impl<T> List<T> {
    /// Sends entries to everybody who follows it. They reach `pos`.
    pub(crate) fn send(&mut self, pos: u64, items: Vec<Summary>) {
        let frame = Shared::new(Delivered::Summary { pos, items });
        for watcher in &mut self.watchers {
            match &mut watcher.held {
                Some(held) => held.push(Arc::clone(&frame)),
                None => watcher.queue.push(Arc::clone(&frame)),
            }
        }
    }
}

/// The lists that connections of this node follow.
#[derive(Debug)]
pub(crate) struct Lists<T>(Mutex<HashMap<Scope, List<T>>>);

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Lists<T> {
    /// Keeps a user's list entries for a connection from now on, until they are released.
    pub(crate) fn hold(&self, scope: &Scope, queue: &Arc<SendQueue>, make: impl FnOnce() -> T) {
        self.leave(scope, queue);
        let watcher = ListWatcher { queue: Arc::clone(queue), held: Some(Vec::new()) };
        let mut lists = lock(&self.0);
        let list = lists.entry(scope.clone()).or_insert_with(|| List { watchers: Vec::new(), tail: make() });
        list.watchers.push(watcher);
    }

    /// Sends a connection the entries that were kept, and all later ones as they come.
    pub(crate) fn release(&self, scope: &Scope, queue: &Arc<SendQueue>) {
        self.change(scope, |list| {
            let watcher = list.watchers.iter_mut().find(|known| known.is(queue));
            for frame in watcher.and_then(|watcher| watcher.held.take()).unwrap_or_default() {
                queue.push(frame);
            }
        });
    }

    /// Sends a connection no more list entries.
    pub(crate) fn leave(&self, scope: &Scope, queue: &Arc<SendQueue>) {
        let mut lists = lock(&self.0);
        if let Some(list) = lists.get_mut(scope) {
            list.watchers.retain(|known| !known.is(queue));
            if list.watchers.is_empty() {
                lists.remove(scope);
            }
        }
    }

    /// Changes a list that somebody follows.
    pub(crate) fn change<R>(&self, scope: &Scope, change: impl FnOnce(&mut List<T>) -> R) -> Option<R> {
        lock(&self.0).get_mut(scope).map(change)
    }

    /// Whose lists are followed.
    pub(crate) fn followed(&self) -> Vec<Scope> {
        lock(&self.0).keys().cloned().collect()
    }
}
