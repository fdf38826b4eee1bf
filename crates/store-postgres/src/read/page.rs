//! A page as it grows from its anchor. The slots above and below are read together, as many as would do if all were
//! live, and more only if they were not: what a page costs depends on the messages in it and on nothing else.

use std::collections::VecDeque;

use threadmill_proto::{Fork, Message, MessageStatus, RunInfo};
use threadmill_store::{PageLimits, SCAN, WindowQuery, preview};

use crate::codec::{int, key, ranges};
use crate::db::Db;
use crate::fail::{Done, damage};
use crate::rows::{BranchRow, MessageRow, RunRow, Siblings, Slot, ThreadRow, run_columns, slot_columns, slots_from};

/// Bodies are read up to this many times the budget: parts that a preview cuts weigh less in a page than on the disk.
const SLACK: usize = 4;

macro_rules! batch {
    ($order:literal) => {
        concat!(
            "SELECT * FROM (SELECT ",
            slot_columns!(),
            ", s.depth, sum(octet_length(m.body)) OVER (ORDER BY s.depth ",
            $order,
            ") - octet_length(m.body)",
            slots_from!(),
            ") x (key, id, role, status, rev, branch, branch_id, depth, created_at, body, ord, prev_message,
                  prev_branch, next_message, next_branch, total, at, before)
              WHERE x.before <= $4 ORDER BY x.at ",
            $order
        )
    };
}

/// The way a page grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Live,
    Tombstone,
}

/// A page.
pub(super) struct Page<'p> {
    db: &'p Db<'p>,
    thread: &'p ThreadRow,
    line: &'p BranchRow,
    limits: PageLimits,
    bytes: usize,
    streaming: Vec<i64>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) messages: Vec<Message>,
    pub(super) runs: Vec<RunInfo>,
    pub(super) forks: Vec<Fork>,
}

impl<'p> Page<'p> {
    /// Reads a page: first up from the anchor, with half of the bytes if something below it is wanted, too, then down
    /// with what is left.
    pub(super) async fn read(
        db: &'p Db<'p>,
        thread: &'p ThreadRow,
        line: &'p BranchRow,
        query: &WindowQuery,
        anchor: u64,
    ) -> Done<Self> {
        let mut page = Self {
            db,
            thread,
            line,
            limits: query.limits,
            bytes: 0,
            streaming: Vec::new(),
            from: anchor,
            to: anchor,
            messages: Vec::new(),
            runs: Vec::new(),
            forks: Vec::new(),
        };
        let share = if query.before == 0 { 1 } else { 2 };
        let (above, below) = tokio::try_join!(
            page.batch(Way::Up, u64::from(query.after), anchor.saturating_add(SCAN * u64::from(query.after))),
            page.batch(Way::Down, u64::from(query.before), anchor.saturating_sub(SCAN * u64::from(query.before))),
        )?;
        page.up(above, query.after, query.limits.bytes / share).await?;
        page.down(below, query.before, query.limits.bytes).await?;
        page.find_runs().await?;
        Ok(page)
    }

    /// The next slots on the way, `count` of them at most and none beyond `end`.
    async fn batch(&self, way: Way, count: u64, end: u64) -> Done<VecDeque<Slot>> {
        let (from, to) = match way {
            Way::Up => (self.to, self.to.saturating_add(count).min(end).min(self.line.total)),
            Way::Down => (self.from.saturating_sub(count).max(end), self.from),
        };
        if from >= to {
            return Ok(VecDeque::new());
        }
        let ranges = ranges(&self.line.lineage, from, to);
        let owners: Vec<i64> = ranges.iter().map(|(owner, _, _)| key(self.thread.num, *owner)).collect();
        let firsts: Vec<i64> = ranges.iter().map(|(_, first, _)| int(*first)).collect();
        let ends: Vec<i64> = ranges.iter().map(|(_, _, end)| int(*end)).collect();
        let budget = int(self.limits.bytes.saturating_mul(SLACK) as u64);
        let sql = match way {
            Way::Up => batch!("ASC"),
            Way::Down => batch!("DESC"),
        };
        let rows = self.db.all(sql, &[&owners, &firsts, &ends, &budget]).await?;
        if rows.is_empty() {
            return Err(damage(format_args!("slots {from} to {to} of branch {} are empty", self.line.id)));
        }
        rows.iter().map(Slot::read).collect()
    }

    /// Takes `count` live messages from the anchor on.
    async fn up(&mut self, mut slots: VecDeque<Slot>, count: u32, budget: usize) -> Done<()> {
        let count = u64::from(count);
        let end = self.line.total.min(self.to.saturating_add(SCAN * count));
        let mut live = 0;
        while live < count && self.to < end {
            if slots.is_empty() {
                slots = self.batch(Way::Up, count - live, end).await?;
            }
            let slot = next(&mut slots, self.to)?;
            let Some(taken) = self.take(slot, budget) else {
                break;
            };
            self.to += 1;
            live += u64::from(taken == Taken::Live);
        }
        Ok(())
    }

    /// Takes `count` live messages below the anchor.
    async fn down(&mut self, mut slots: VecDeque<Slot>, count: u32, budget: usize) -> Done<()> {
        let count = u64::from(count);
        let end = self.from.saturating_sub(SCAN * count);
        let (above, above_forks) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.forks));
        let mut live = 0;
        while live < count && self.from > end {
            if slots.is_empty() {
                slots = self.batch(Way::Down, count - live, end).await?;
            }
            let slot = next(&mut slots, self.from - 1)?;
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

    /// The runs that write the page's messages, each with its offset at the last checkpoint.
    async fn find_runs(&mut self) -> Done<()> {
        if self.streaming.is_empty() {
            return Ok(());
        }
        const SQL: &str = concat!(
            "SELECT ",
            run_columns!(),
            " FROM threadmill.runs r
              WHERE r.open = $1 AND r.message = ANY ($2::int8[])
              ORDER BY r.depth"
        );
        for row in &self.db.all(SQL, &[&self.thread.num, &self.streaming]).await? {
            let run = RunRow::read(row)?;
            self.runs.push(run.shown(run.folded));
        }
        Ok(())
    }
}

fn next(slots: &mut VecDeque<Slot>, depth: u64) -> Done<Slot> {
    let slot = slots.pop_front().filter(|slot| slot.message.depth == depth);
    slot.ok_or_else(|| damage(format_args!("slot {depth} of a line is empty")))
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
