//! Who follows which user's list, and the entries on their way to them: in order of their places, and without one
//! missing but those that a later entry of the same thread replaced.
//!
//! Where other nodes write too, an entry of this node is sent if it is what comes next; the rest is read from the
//! summary log, once a node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_proto::{Scope, ServerFrame, Summary};
use threadmill_store::{SummaryPage, Watching};

use crate::delivery::queue::{Outbox, Shared};
use crate::sync::lock;

/// A connection that follows a user's list.
#[derive(Debug)]
struct ListWatcher {
    outbox: Arc<Outbox>,
    /// Entries that wait while the last page before them is read.
    held: Option<Vec<Arc<Shared>>>,
}

impl ListWatcher {
    fn is(&self, outbox: &Arc<Outbox>) -> bool {
        Arc::ptr_eq(&self.outbox, outbox)
    }
}

/// How far a list has come that other nodes write, too.
struct ListTail {
    /// The last place that was sent on. None until a first page says where the log stands.
    published: Option<u64>,
    /// The furthest place that was heard of.
    wanted: u64,
    reading: bool,
    _watching: Watching,
}

impl ListTail {
    fn due(&self) -> Option<u64> {
        self.published.filter(|published| *published < self.wanted)
    }

    fn claim_reading(&mut self) -> bool {
        self.due().is_some() && !std::mem::replace(&mut self.reading, true)
    }
}

#[derive(Default)]
struct List {
    watchers: Vec<ListWatcher>,
    tail: Option<ListTail>,
}

impl List {
    fn send(&mut self, pos: u64, items: Vec<Summary>) {
        let frame = Shared::new(ServerFrame::Summaries { pos, items });
        for watcher in &mut self.watchers {
            match &mut watcher.held {
                Some(held) => held.push(Arc::clone(&frame)),
                None => watcher.outbox.push(Arc::clone(&frame)),
            }
        }
    }
}

/// Whether somebody must read the list's log now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Read {
    Due,
    NotDue,
}

impl Read {
    pub(crate) fn due(yes: bool) -> Self {
        if yes { Self::Due } else { Self::NotDue }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Lists(Mutex<HashMap<Scope, List>>);

impl std::fmt::Debug for Lists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lists").finish_non_exhaustive()
    }
}

impl Lists {
    /// Keeps a user's list entries for a connection from now on, until they are released.
    pub(crate) fn hold(&self, scope: &Scope, outbox: &Arc<Outbox>, watch: impl FnOnce() -> Option<Watching>) {
        self.leave(scope, outbox);
        let watcher = ListWatcher { outbox: Arc::clone(outbox), held: Some(Vec::new()) };
        let mut lists = lock(&self.0);
        let list = lists.entry(scope.clone()).or_insert_with(|| List {
            watchers: Vec::new(),
            tail: watch().map(|watching| ListTail { published: None, wanted: 0, reading: false, _watching: watching }),
        });
        list.watchers.push(watcher);
    }

    /// Sends a connection the entries that were kept, and all later ones as they come. It has those up to `pos`.
    pub(crate) fn release(&self, scope: &Scope, outbox: &Arc<Outbox>, pos: u64) -> Read {
        let mut lists = lock(&self.0);
        let Some(list) = lists.get_mut(scope) else { return Read::NotDue };
        let watcher = list.watchers.iter_mut().find(|known| known.is(outbox));
        for frame in watcher.and_then(|watcher| watcher.held.take()).unwrap_or_default() {
            outbox.push(frame);
        }
        let Some(tail) = &mut list.tail else { return Read::NotDue };
        tail.published.get_or_insert(pos);
        Read::due(tail.claim_reading())
    }

    /// Sends a connection no more list entries.
    pub(crate) fn leave(&self, scope: &Scope, outbox: &Arc<Outbox>) {
        let mut lists = lock(&self.0);
        if let Some(list) = lists.get_mut(scope) {
            list.watchers.retain(|known| !known.is(outbox));
            if list.watchers.is_empty() {
                lists.remove(scope);
            }
        }
    }

    /// An entry of this node is durable.
    pub(crate) fn publish(&self, scope: &Scope, summary: &Summary) -> Read {
        let mut lists = lock(&self.0);
        let Some(list) = lists.get_mut(scope) else { return Read::NotDue };
        if let Some(tail) = &mut list.tail {
            match tail.published {
                Some(published) if summary.pos <= published => return Read::NotDue,
                Some(published) if summary.pos == published + 1 => tail.published = Some(summary.pos),
                Some(_) | None => {
                    tail.wanted = tail.wanted.max(summary.pos);
                    return Read::due(tail.claim_reading());
                }
            }
        }
        list.send(summary.pos, vec![summary.clone()]);
        Read::NotDue
    }

    /// The log has come to a place, on somebody's word.
    pub(crate) fn heard(&self, scope: &Scope, pos: u64) -> Read {
        let mut lists = lock(&self.0);
        let Some(tail) = lists.get_mut(scope).and_then(|list| list.tail.as_mut()) else { return Read::NotDue };
        tail.wanted = tail.wanted.max(pos);
        Read::due(tail.claim_reading())
    }

    /// Whose lists are followed.
    pub(crate) fn followed(&self) -> Vec<Scope> {
        lock(&self.0).keys().cloned().collect()
    }

    /// The place to read on from, and the one that was heard of. Nothing ends the reading.
    pub(crate) fn next_place(&self, scope: &Scope) -> Option<(u64, u64)> {
        let mut lists = lock(&self.0);
        let tail = lists.get_mut(scope)?.tail.as_mut()?;
        let due = tail.due();
        tail.reading = due.is_some();
        due.map(|place| (place, tail.wanted))
    }

    /// Sends on what was read after a place, up to one that was heard of before the read.
    pub(crate) fn read(&self, scope: &Scope, after: u64, wanted: u64, page: SummaryPage) {
        let mut lists = lock(&self.0);
        let Some(list) = lists.get_mut(scope) else { return };
        let Some(tail) = &mut list.tail else { return };
        // The list may have been left and followed anew meanwhile.
        if tail.published != Some(after) {
            return;
        }
        if page.pos > after {
            tail.published = Some(page.pos);
            list.send(page.pos, page.items);
        } else if tail.wanted <= wanted {
            // Nobody's word counts against the log itself.
            tail.wanted = after;
        }
    }
}
