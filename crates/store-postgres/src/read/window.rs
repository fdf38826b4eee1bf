//! Windows: where one opens. What it shows is in `page`.

use std::collections::HashMap;

use threadmill_proto::{Anchor, BranchId, Cursor, Millis, RunInfo, Scope, StreamOffset, ThreadId, Window};
use threadmill_store::{Conflict, Missing, WindowQuery};

use super::page::Page;
use crate::codec::{int, key, owner_at, segments, uint};
use crate::db::{Db, get};
use crate::fail::{Done, damage};
use crate::rows::{BranchRow, MessageRow, ThreadRow, branch_columns, thread_columns};

/// Levels of a bisection that are read at once: 15 slots.
const LEVELS: u32 = 4;

macro_rules! opened {
    ($branch:literal) => {
        concat!(
            "SELECT ",
            thread_columns!(),
            ", ",
            branch_columns!(),
            " FROM threadmill.tenants n
              JOIN threadmill.users u ON u.tenant = n.num AND u.id = $2
              JOIN threadmill.threads t ON t.tenant = n.num AND t.id = $3
              LEFT JOIN threadmill.branches b ON ",
            $branch,
            " WHERE n.id = $1 AND t.owner = u.num AND NOT t.hidden"
        )
    };
}

/// A thread that this scope may see, and the branch named or its default one.
async fn open(
    db: &Db<'_>,
    scope: &Scope,
    thread: &ThreadId,
    branch: Option<&BranchId>,
) -> Done<(ThreadRow, BranchRow)> {
    let (tenant, user, thread) = (scope.tenant.as_str(), scope.user.as_str(), thread.as_str());
    let row = match branch {
        Some(branch) => {
            db.one(
                opened!("b.tenant = t.tenant AND b.thread = t.num AND b.id = $4"),
                &[&tenant, &user, &thread, &branch.as_str()],
            )
            .await?
        }
        None => db.one(opened!("b.key = (t.num << 32) | t.default_branch"), &[&tenant, &user, &thread]).await?,
    };
    let row = row.ok_or(Missing::Thread)?;
    if get::<Option<i64>>(&row, ThreadRow::COLUMNS)?.is_none() {
        return Err(Missing::Branch.into());
    }
    Ok((ThreadRow::read(&row)?, BranchRow::read_at(&row, ThreadRow::COLUMNS)?))
}

/// Reads a page.
pub(crate) async fn window(db: &Db<'_>, scope: &Scope, query: &WindowQuery) -> Done<Window> {
    let (thread, line) = open(db, scope, &query.thread, query.branch.as_ref()).await?;
    let (line, anchor) = locate(db, &thread, line, query).await?;
    let page = Page::read(db, &thread, &line, query, anchor).await?;
    let runs = page.runs.iter().map(offset_of).collect();
    Ok(Window {
        cursor: Cursor { position: thread.position(), runs },
        total: line.total,
        from: page.from,
        to: page.to,
        messages: page.messages,
        runs: page.runs,
        forks: page.forks,
        lineage: segments(&line.lineage),
        thread: thread.id,
        branch: line.id,
    })
}

fn offset_of(run: &RunInfo) -> StreamOffset {
    StreamOffset { run: run.id.clone(), offset: run.offset }
}

/// The branch to read and the depth to open it at.
async fn locate(db: &Db<'_>, thread: &ThreadRow, line: BranchRow, query: &WindowQuery) -> Done<(BranchRow, u64)> {
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
            let depth = first_since(db, thread, &line, *at).await?;
            Ok((line, depth))
        }
        Anchor::Message(id) => {
            let row = super::messages(db, thread, &[id]).await?.pop().ok_or(Missing::Message)?;
            if is_on(db, thread, &line, &row).await? {
                return Ok((line, row.depth));
            }
            match query.branch {
                Some(_) => Err(Conflict::NotOnBranch.into()),
                None => Ok((branch(db, thread, row.branch).await?, row.depth)),
            }
        }
    }
}

/// A branch by its number.
pub(super) async fn branch(db: &Db<'_>, thread: &ThreadRow, num: i64) -> Done<BranchRow> {
    const SQL: &str = concat!("SELECT ", branch_columns!(), " FROM threadmill.branches b WHERE b.key = $1");
    let row = db.one(SQL, &[&key(thread.num, num)]).await?;
    BranchRow::read(&row.ok_or_else(|| damage("a branch is not there"))?)
}

async fn is_on(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, row: &MessageRow) -> Done<bool> {
    if row.depth >= line.total {
        return Ok(false);
    }
    let owner = owner_at(&line.lineage, row.depth)?.branch;
    if owner == row.branch {
        return Ok(true);
    }
    const SQL: &str = "SELECT message FROM threadmill.slots WHERE branch = $1 AND depth = $2";
    let slot = db.one(SQL, &[&key(thread.num, owner), &int(row.depth)]).await?;
    Ok(slot.map(|slot| get::<i64>(&slot, 0)).transpose()? == Some(key(thread.num, row.num)))
}

/// The first depth made at or after a time, by bisection: exact while times grow along the line. Some levels are
/// read at once, whichever way they will turn.
async fn first_since(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, at: Millis) -> Done<u64> {
    let (mut low, mut high) = (0, line.total);
    while low < high {
        let mut middles = Vec::new();
        middles_of(low, high, LEVELS, &mut middles);
        let times = made_at(db, thread, line, &middles).await?;
        for _ in 0..LEVELS {
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

/// When the messages in these slots were made.
async fn made_at(db: &Db<'_>, thread: &ThreadRow, line: &BranchRow, depths: &[u64]) -> Done<HashMap<u64, Millis>> {
    const SQL: &str = "SELECT s.depth, m.created_at FROM unnest($1::int8[], $2::int8[]) k (branch, depth)
         JOIN threadmill.slots s ON s.branch = k.branch AND s.depth = k.depth
         JOIN threadmill.messages m ON m.key = s.message";
    let owner = |depth: &u64| Ok(key(thread.num, owner_at(&line.lineage, *depth)?.branch));
    let owners = depths.iter().map(owner).collect::<Done<Vec<i64>>>()?;
    let depths: Vec<i64> = depths.iter().map(|depth| int(*depth)).collect();
    let rows = db.all(SQL, &[&owners, &depths]).await?;
    rows.iter().map(|row| Ok((uint(get(row, 0)?)?, uint(get(row, 1)?)?))).collect()
}
