//! Windows: a page of a branch, as it grows from its anchor. What it costs depends on the messages in it and on nothing
//! else.

use std::collections::VecDeque;

use threadmill_proto::{Anchor, Cursor, Fork, Message, MessageStatus, Millis, RunInfo, Scope, StreamOffset, Window};

use super::codec::segments;
use super::fail::damage;
use super::read::{Got, Reads, Wanted, Way};
use super::rows::{BranchRow, MessageRow, Slot, ThreadRow};
use crate::{Conflict, Missing, PageLimits, SCAN, WindowQuery, preview};

/// Bodies are read up to this many times the budget: parts that a preview cuts weigh less in a page than on the disk.
const SLACK: usize = 4;

/// Reads a page.
///
/// # Errors
/// Why there is none, or what the store says.
pub async fn window<R: Reads>(rows: &R, scope: &Scope, query: &WindowQuery) -> Got<R, Window> {
    let (thread, line) = rows.opened(scope, &query.thread, query.branch.as_ref()).await?;
    let (line, anchor) = locate(rows, &thread, line, query).await?;
    let mut page = Page::new(rows, &thread, &line, query.limits, anchor);
    page.read(query).await?;
    let Page { from, to, messages, runs, forks, .. } = page;
    let offsets = runs.iter().map(|run| StreamOffset { run: run.id.clone(), offset: run.offset }).collect();
    Ok(Window {
        cursor: Cursor { position: thread.position(), runs: offsets },
        total: line.total,
        from,
        to,
        messages,
        runs,
        forks,
        lineage: segments(&line.lineage),
        thread: thread.id,
        branch: line.id,
    })
}

/// The branch to read and the depth to open it at.
async fn locate<R: Reads>(
    rows: &R,
    thread: &ThreadRow,
    line: BranchRow,
    query: &WindowQuery,
) -> Got<R, (BranchRow, u64)> {
    let depth = match &query.anchor {
        Anchor::Tip => line.total,
        Anchor::Depth(depth) => (*depth).min(line.total),
        Anchor::Time(at) => first_since(rows, thread, &line, *at).await?,
        Anchor::Message(id) => {
            let row = rows.messages_named(thread, &[id]).await?.pop().ok_or(Missing::Message)?;
            if !is_on(rows, thread, &line, &row).await? {
                return match query.branch {
                    Some(_) => Err(Conflict::NotOnBranch.into()),
                    None => Ok((rows.branch(thread, row.branch).await?, row.depth)),
                };
            }
            row.depth
        }
    };
    Ok((line, depth))
}

async fn is_on<R: Reads>(rows: &R, thread: &ThreadRow, line: &BranchRow, row: &MessageRow) -> Got<R, bool> {
    if line.owns(row)? {
        return Ok(true);
    }
    Ok(rows.slot(thread, line, row.depth).await? == Some(row.num))
}

/// The first depth made at or after a time, by bisection: exact while times grow along the line. Some levels are read at
/// once, whichever way they will turn.
async fn first_since<R: Reads>(rows: &R, thread: &ThreadRow, line: &BranchRow, at: Millis) -> Got<R, u64> {
    let (mut low, mut high) = (0, line.total);
    while low < high {
        let mut middles = Vec::new();
        middles_of(low, high, R::LEVELS, &mut middles);
        let times = rows.made_at(thread, line, &middles).await?;
        for _ in 0..R::LEVELS {
            if low >= high {
                break;
            }
            let middle = low.midpoint(high);
            let made = times.get(&middle).ok_or_else(|| damage(format_args!("slot {middle} is empty")))?;
            if *made < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
    }
    Ok(low)
}

fn middles_of(low: u64, high: u64, levels: u32, out: &mut Vec<u64>) {
    if levels > 0 && low < high {
        let middle = low.midpoint(high);
        out.push(middle);
        middles_of(middle + 1, high, levels - 1, out);
        middles_of(low, middle, levels - 1, out);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Live,
    Tombstone,
}

/// A page as it grows.
struct Page<'p, R> {
    rows: &'p R,
    thread: &'p ThreadRow,
    line: &'p BranchRow,
    limits: PageLimits,
    from: u64,
    to: u64,
    bytes: usize,
    streaming: Vec<i64>,
    messages: Vec<Message>,
    runs: Vec<RunInfo>,
    forks: Vec<Fork>,
}

impl<'p, R: Reads> Page<'p, R> {
    fn new(rows: &'p R, thread: &'p ThreadRow, line: &'p BranchRow, limits: PageLimits, anchor: u64) -> Self {
        Self {
            rows,
            thread,
            line,
            limits,
            from: anchor,
            to: anchor,
            bytes: 0,
            streaming: Vec::new(),
            messages: Vec::new(),
            runs: Vec::new(),
            forks: Vec::new(),
        }
    }

    /// First up from the anchor, with half of the bytes if something below it is wanted, too, then down with what is left.
    async fn read(&mut self, query: &WindowQuery) -> Got<R, ()> {
        let (after, before) = (u64::from(query.after), u64::from(query.before));
        let share = if before == 0 { 1 } else { 2 };
        let wanted = [self.wanted(Way::Up, after, self.top(after)), self.wanted(Way::Down, before, self.floor(before))];
        let [above, below] = self.rows.slots_ahead(self.thread, self.line, wanted).await?;
        self.up(above, after, query.limits.bytes / share).await?;
        self.down(below, before, query.limits.bytes).await?;
        if !self.streaming.is_empty() {
            let runs = self.rows.runs_writing(self.thread, &self.streaming).await?;
            self.runs.extend(runs.iter().map(|run| run.shown(run.folded)));
            self.runs.sort_by_key(|run| run.depth);
        }
        Ok(())
    }

    /// Where scanning up for so many messages ends at the latest.
    fn top(&self, count: u64) -> u64 {
        self.line.total.min(self.to.saturating_add(SCAN * count))
    }

    /// Where scanning down for so many messages ends at the latest.
    fn floor(&self, count: u64) -> u64 {
        self.from.saturating_sub(SCAN * count)
    }

    /// The next slots on the way, `count` of them at most and none beyond `end`; none if there are none.
    fn wanted(&self, way: Way, count: u64, end: u64) -> Option<Wanted> {
        let (from, to) = match way {
            Way::Up => (self.to, self.to.saturating_add(count).min(end)),
            Way::Down => (self.from.saturating_sub(count).max(end), self.from),
        };
        let bytes = self.limits.bytes.saturating_mul(SLACK);
        (from < to).then_some(Wanted { way, from, to, bytes })
    }

    /// The slot at a depth: the next of those that were read, or of more.
    async fn next(&self, slots: &mut VecDeque<Slot>, depth: u64, wanted: Option<Wanted>) -> Got<R, Slot> {
        if let Some(wanted) = wanted.filter(|_| slots.is_empty()) {
            *slots = self.rows.slots(self.thread, self.line, wanted).await?;
        }
        let slot = slots.pop_front().filter(|slot| slot.message.depth == depth);
        Ok(slot.ok_or_else(|| damage(format_args!("slot {depth} of branch {} is empty", self.line.id)))?)
    }

    /// Takes `count` live messages from the anchor on.
    async fn up(&mut self, mut slots: VecDeque<Slot>, count: u64, budget: usize) -> Got<R, ()> {
        let (end, mut live) = (self.top(count), 0);
        while live < count && self.to < end {
            let slot = self.next(&mut slots, self.to, self.wanted(Way::Up, count - live, end)).await?;
            let Some(taken) = self.take(slot, budget) else {
                break;
            };
            self.to += 1;
            live += u64::from(taken == Taken::Live);
        }
        Ok(())
    }

    /// Takes `count` live messages below the anchor.
    async fn down(&mut self, mut slots: VecDeque<Slot>, count: u64, budget: usize) -> Got<R, ()> {
        let (end, mut live) = (self.floor(count), 0);
        let (above, above_forks) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.forks));
        while live < count && self.from > end {
            let slot = self.next(&mut slots, self.from - 1, self.wanted(Way::Down, count - live, end)).await?;
            let Some(taken) = self.take(slot, budget) else {
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
    fn take(&mut self, slot: Slot, budget: usize) -> Option<Taken> {
        let fork = slot.siblings.map(|siblings| siblings.shown(&slot.message));
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
                return None;
            }
            self.bytes += bytes;
            self.streaming.extend((message.status == MessageStatus::Streaming).then_some(num));
            self.messages.push(message);
            Taken::Live
        };
        self.forks.extend(fork);
        Some(taken)
    }
}
