//! How far a user's list has come that other nodes write, too: an entry of this node is sent if it is what comes next,
//! the rest is read from the summary log, once a node.

use threadmill_proto::Summary;
use threadmill_store::{SummaryPage, Watching};

use crate::delivery::lists::List;

/// Kept with each list that somebody follows.
pub(crate) struct ListTail {
    /// The last place that was sent on. None until a first page says where the log stands.
    published: Option<u64>,
    /// The furthest place that was heard of.
    target: u64,
    /// A reading is under way or asked for.
    reading: bool,
    _watching: Watching,
}

impl std::fmt::Debug for ListTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListTail").field("published", &self.published).field("target", &self.target).finish()
    }
}

/// Whether somebody must read the list's log now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Read {
    Due,
    NotDue,
}

impl ListTail {
    pub(crate) fn new(watching: Watching) -> Self {
        Self { published: None, target: 0, reading: false, _watching: watching }
    }

    fn due(&self) -> Option<u64> {
        self.published.filter(|published| *published < self.target)
    }

    fn claim_reading(&mut self) -> Read {
        let claimed = self.due().is_some() && !std::mem::replace(&mut self.reading, true);
        if claimed { Read::Due } else { Read::NotDue }
    }

    /// Somebody has the entries up to a place.
    pub(crate) fn released(&mut self, pos: u64) -> Read {
        self.published.get_or_insert(pos);
        self.claim_reading()
    }

    /// The log has come to a place, as a hint says.
    pub(crate) fn hint(&mut self, pos: u64) -> Read {
        self.target = self.target.max(pos);
        self.claim_reading()
    }

    /// The place to read on from, and the target. Nothing ends the reading.
    pub(crate) fn next_step(&mut self) -> Option<(u64, u64)> {
        let due = self.due();
        self.reading = due.is_some();
        due.map(|place| (place, self.target))
    }
}

/// An entry of this node is durable.
pub(crate) fn committed(list: &mut List<ListTail>, summary: Summary) -> Read {
    let tail = &mut list.tail;
    match tail.published {
        Some(published) if summary.pos <= published => return Read::NotDue,
        Some(published) if summary.pos == published + 1 => tail.published = Some(summary.pos),
        Some(_) | None => return tail.hint(summary.pos),
    }
    list.send(summary.pos, vec![summary]);
    Read::NotDue
}

/// An entry of this node that was sent on to some, or not at all. One that comes twice is the same.
pub(crate) fn again(list: &mut List<ListTail>, summary: Summary) -> Read {
    match list.tail.published {
        Some(published) if summary.pos <= published => {
            list.send(published, vec![summary]);
            Read::NotDue
        }
        Some(_) | None => list.tail.hint(summary.pos),
    }
}

/// Sends on what was read after a place, up to a target that was heard of before the reading.
pub(crate) fn page_read(list: &mut List<ListTail>, after: u64, target: u64, page: SummaryPage) {
    let tail = &mut list.tail;
    // The list may have been left and followed anew meanwhile.
    if tail.published != Some(after) {
        return;
    }
    if page.pos > after {
        tail.published = Some(page.pos);
        list.send(page.pos, page.items);
    } else if tail.target <= target {
        // A hint does not count against the log itself.
        tail.target = after;
    }
}
