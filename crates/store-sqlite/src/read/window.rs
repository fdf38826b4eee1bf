//! Windows: a page of a branch. A slot is read by key, one seek after another, so that what a page costs depends
//! on the messages in it and on nothing else.

use threadmill_proto::{Anchor, Cursor, Fork, Message, MessageStatus, Millis, RunInfo, Scope, StreamOffset, Window};
use threadmill_store::{Conflict, PageLimits, SCAN, WindowQuery, preview};

use crate::db::Db;
use crate::fail::Done;
use crate::rows::message::{Siblings, Slot};
use crate::rows::{BranchRow, MessageRow, ThreadRow, branch, message, run, thread};

/// Reads a page; `epoch` is the store's part of the epoch.
pub(crate) fn window(db: &Db<'_>, epoch: u64, scope: &Scope, query: &WindowQuery) -> Done<Window> {
    let thread = thread::visible(db, scope, &query.thread)?;
    let (line, anchor) = locate(db, &thread, query)?;
    let mut page = Page::new(db, &thread, &line, query.limits, anchor);
    let share = if query.before == 0 { 1 } else { 2 };
    page.up(query.after, query.limits.bytes / share)?;
    page.down(query.before, query.limits.bytes)?;
    page.runs.sort_by_key(|run| run.depth);
    let runs = page.runs.iter().map(offset_of).collect();
    Ok(Window {
        cursor: Cursor { position: thread.position(epoch), runs },
        total: line.total,
        from: page.from,
        to: page.to,
        messages: page.messages,
        runs: page.runs,
        forks: page.forks,
        lineage: line.segments(),
        thread: thread.id,
        branch: line.id,
    })
}

fn offset_of(run: &RunInfo) -> StreamOffset {
    StreamOffset { run: run.id.clone(), offset: run.offset }
}

/// The branch to read and the depth to open it at.
fn locate(db: &Db<'_>, thread: &ThreadRow, query: &WindowQuery) -> Done<(BranchRow, u64)> {
    let named = query.branch.as_ref();
    let line = branch::named_or_default(db, thread, named)?;
    match &query.anchor {
        Anchor::Tip => {
            let total = line.total;
            Ok((line, total))
        }
        Anchor::Depth(depth) => {
            let depth = (*depth).min(line.total);
            Ok((line, depth))
        }
        Anchor::Time(at) => {
            let depth = first_since(db, &line, *at)?;
            Ok((line, depth))
        }
        Anchor::Message(id) => {
            let row = message::find(db, thread, id)?;
            if line.message_at(db, row.depth)? == Some(row.num) {
                return Ok((line, row.depth));
            }
            match named {
                Some(_) => Err(Conflict::NotOnBranch.into()),
                None => Ok((branch::get(db, thread.num, row.branch)?, row.depth)),
            }
        }
    }
}

/// The first depth made at or after a time, by bisection: exact while times grow along the line.
fn first_since(db: &Db<'_>, line: &BranchRow, at: Millis) -> Done<u64> {
    let (mut low, mut high) = (0, line.total);
    while low < high {
        let middle = low.midpoint(high);
        if message::made_at(db, line, middle)? < at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// A page as it grows from its anchor.
struct Page<'p> {
    db: &'p Db<'p>,
    thread: &'p ThreadRow,
    line: &'p BranchRow,
    limits: PageLimits,
    from: u64,
    to: u64,
    bytes: usize,
    messages: Vec<Message>,
    runs: Vec<RunInfo>,
    forks: Vec<Fork>,
}

impl<'p> Page<'p> {
    fn new(db: &'p Db<'p>, thread: &'p ThreadRow, line: &'p BranchRow, limits: PageLimits, anchor: u64) -> Self {
        Self {
            db,
            thread,
            line,
            limits,
            from: anchor,
            to: anchor,
            bytes: 0,
            messages: Vec::new(),
            runs: Vec::new(),
            forks: Vec::new(),
        }
    }

    /// Takes `count` live messages from the anchor on.
    fn up(&mut self, count: u32, budget: usize) -> Done<()> {
        let count = u64::from(count);
        let end = self.line.total.min(self.to.saturating_add(SCAN * count));
        let mut live = 0;
        while live < count && self.to < end {
            let slot = message::slot(self.db, self.line, self.to)?;
            let Some(taken) = self.take(slot, budget)? else {
                break;
            };
            self.to += 1;
            live += u64::from(taken == Taken::Live);
        }
        Ok(())
    }

    /// Takes `count` live messages below the anchor.
    fn down(&mut self, count: u32, budget: usize) -> Done<()> {
        let count = u64::from(count);
        let end = self.from.saturating_sub(SCAN * count);
        let (above, above_forks) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.forks));
        let mut live = 0;
        while live < count && self.from > end {
            let slot = message::slot(self.db, self.line, self.from - 1)?;
            let Some(taken) = self.take(slot, budget)? else {
                break;
            };
            self.from -= 1;
            live += u64::from(taken == Taken::Live);
        }
        self.messages.reverse();
        self.messages.extend(above);
        self.forks.reverse();
        self.forks.extend(above_forks);
        Ok(())
    }

    /// Adds a slot, unless its message exceeds the budget and the page has one already.
    fn take(&mut self, slot: Slot, budget: usize) -> Done<Option<Taken>> {
        let fork = slot.siblings.map(|siblings| fork(&slot.message, siblings));
        let taken = if slot.message.status == MessageStatus::Removed {
            // A reader who stands on a removed version needs a row to leave it from.
            self.messages.extend(fork.is_some().then(|| slot.message.shown()));
            Taken::Tombstone
        } else {
            let num = slot.message.num;
            let mut message = slot.message.shown();
            preview(&mut message, self.limits.preview);
            let bytes = message.bytes();
            if self.bytes + bytes > budget && self.bytes > 0 {
                return Ok(None);
            }
            self.bytes += bytes;
            self.note_run(&message, num)?;
            self.messages.push(message);
            Taken::Live
        };
        self.forks.extend(fork);
        Ok(Some(taken))
    }

    fn note_run(&mut self, message: &Message, num: i64) -> Done<()> {
        if message.status == MessageStatus::Streaming {
            let run = run::writing(self.db, self.thread.num, num)?;
            self.runs.extend(run.map(|run| run.shown(run.folded)));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Live,
    Tombstone,
}

fn fork(row: &MessageRow, siblings: Siblings) -> Fork {
    Fork {
        depth: row.depth,
        message: row.id.clone(),
        index: siblings.index,
        total: siblings.total,
        previous: siblings.previous,
        next: siblings.next,
    }
}
