//! What is left of a deleted thread: its rows, removed a step at a time between other commits, and a tombstone.
//!
//! A deletion itself is a few rows: the thread's own goes, so that nothing leads to the others, and a grave says whose
//! rows are still there. A step removes rows for a few milliseconds, so that nobody's write waits longer than that. The
//! pages that get free are used again by whatever is written next.

use std::time::{Duration, Instant};

use rusqlite::{ToSql, params};
use threadmill_proto::ThreadId;
use threadmill_store::relational::{NONE, ThreadRow, held_from, key};
use threadmill_store::{Held, TOMBSTONES};

use crate::db::Db;
use crate::fail::Done;
use crate::live::Effect;

/// How long a step goes on removing.
const STEP: Duration = Duration::from_millis(4);

/// Rows of one statement. Few, since each may be a mebibyte.
const FEW: u32 = 16;
/// Rows of one statement where they are small.
const MANY: u32 = 128;

/// Tombstones beyond the limit that one deletion removes at most: more than it adds.
const SPARE: u32 = 4;

/// Whether there is more to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    More,
    Nothing,
}

/// Takes a thread away and leaves its rows to be removed. Returns what to note about its runs, and what those held that had
/// not ended.
pub(crate) fn bury(db: &Db<'_>, row: &ThreadRow) -> Done<(Vec<Effect>, Vec<Held>)> {
    let unended: Vec<(i64, Option<Held>)> =
        db.all("SELECT num, held FROM runs WHERE thread = ?1 AND status < 2 ORDER BY num", [row.num], |row| {
            Ok((row.get(0)?, held_from(row.get::<_, Option<Vec<u8>>>(1)?.as_deref())?))
        })?;
    if !unended.is_empty() {
        // What has not ended is looked for at every start, and by the sweeper.
        db.change("DELETE FROM runs WHERE thread = ?1 AND status < 2", [row.num])?;
    }
    db.change("DELETE FROM threads WHERE num = ?1", [row.num])?;
    db.change("INSERT INTO graves (thread, tenant) VALUES (?1, ?2)", params![row.num, row.tenant])?;
    let (gone, held): (Vec<i64>, Vec<Option<Held>>) = unended.into_iter().unzip();
    let effects = gone.into_iter().map(Effect::Gone).chain([Effect::Buried]).collect();
    Ok((effects, held.into_iter().flatten().collect()))
}

/// Remembers that a user deleted a thread: by its id, and by the key of the request that made it.
pub(crate) fn remember(db: &Db<'_>, row: &ThreadRow) -> Done<()> {
    let maker: Option<String> = db.one(
        "UPDATE receipts SET thread = NULL, answer = x'' WHERE thread = ?1 AND makes = 1 RETURNING key",
        [row.num],
        |row| Ok(row.get(0)?),
    )?;
    let last: Option<Option<u64>> =
        db.one("SELECT max(ord) FROM tombstones WHERE user = ?1", [row.owner], |row| Ok(row.get(0)?))?;
    let ord = last.flatten().map_or(0, |last| last + 1);
    db.change(
        "INSERT INTO tombstones (user, ord, key, thread) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (user, thread) DO UPDATE SET ord = excluded.ord, key = coalesce(excluded.key, key)",
        params![row.owner, ord, maker, row.id.as_str()],
    )?;
    forget(db, row, (ord + 1).saturating_sub(TOMBSTONES))
}

/// Removes the user's oldest tombstones, those below a number, with their receipts.
fn forget(db: &Db<'_>, row: &ThreadRow, below: u64) -> Done<()> {
    let old: Vec<(u64, Option<String>)> = db.all(
        "SELECT ord, key FROM tombstones WHERE user = ?1 AND ord < ?2 ORDER BY ord LIMIT ?3",
        params![row.owner, below, SPARE],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (ord, key) in old {
        db.change("DELETE FROM tombstones WHERE user = ?1 AND ord = ?2", params![row.owner, ord])?;
        db.change(
            "DELETE FROM receipts WHERE tenant = ?1 AND user = ?2 AND key = ?3 AND answer = x''",
            params![row.tenant, row.owner, key],
        )?;
    }
    Ok(())
}

/// Whether a user deleted a thread of this id.
pub(crate) fn is_remembered(db: &Db<'_>, user: i64, thread: &ThreadId) -> Done<bool> {
    let sql = "SELECT 1 FROM tombstones WHERE user = ?1 AND thread = ?2";
    Ok(db.one(sql, params![user, thread.as_str()], |_| Ok(()))?.is_some())
}

/// Forgets that a user deleted a thread, which is there again. The receipt that made the one before it is this one's from
/// now on: what repeats that request makes nothing as long as the thread or its tombstone is there, and no longer.
pub(crate) fn unremember(db: &Db<'_>, row: &ThreadRow) -> Done<()> {
    let maker: Option<Option<String>> = db.one(
        "DELETE FROM tombstones WHERE user = ?1 AND thread = ?2 RETURNING key",
        params![row.owner, row.id.as_str()],
        |row| Ok(row.get(0)?),
    )?;
    if let Some(Some(key)) = maker {
        db.change(
            "UPDATE receipts SET thread = ?4 WHERE tenant = ?1 AND user = ?2 AND key = ?3 AND answer = x''",
            params![row.tenant, row.owner, key, row.num],
        )?;
    }
    Ok(())
}

/// Removes rows of deleted threads for a few milliseconds.
pub(crate) fn step(db: &Db<'_>) -> Done<Left> {
    let begun = Instant::now();
    let sql = "SELECT thread, tenant FROM graves ORDER BY thread LIMIT 1";
    while let Some((thread, tenant)) = db.one(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))? {
        while remove_some(db, thread, tenant)? {
            if begun.elapsed() >= STEP {
                return Ok(Left::More);
            }
        }
        db.change("DELETE FROM graves WHERE thread = ?1", [thread])?;
    }
    Ok(Left::Nothing)
}

/// Removes the next few rows of a thread. False if there are none.
fn remove_some(db: &Db<'_>, thread: i64, tenant: i64) -> Done<bool> {
    let (from, to) = (key(thread, 0), key(thread, NONE));
    let keyed: [(&str, &[&dyn ToSql]); 4] = [
        (
            "DELETE FROM messages WHERE key IN (SELECT key FROM messages WHERE key BETWEEN ?1 AND ?2 LIMIT ?3)",
            &[&from, &to, &FEW],
        ),
        (
            "DELETE FROM forks WHERE message IN (SELECT message FROM forks WHERE message BETWEEN ?1 AND ?2 LIMIT ?3)",
            &[&from, &to, &MANY],
        ),
        (
            "DELETE FROM forkpoints WHERE pred IN (SELECT pred FROM forkpoints WHERE pred BETWEEN ?1 AND ?2 LIMIT ?3)",
            &[&from, &to, &MANY],
        ),
        (
            "DELETE FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq IN (
             SELECT seq FROM changes WHERE tenant = ?1 AND thread = ?2 ORDER BY seq LIMIT ?3)",
            &[&tenant, &thread, &MANY],
        ),
    ];
    for (sql, params) in keyed {
        if db.change(sql, params)? > 0 {
            return Ok(true);
        }
    }
    Ok(remove_slots(db, thread, tenant)?
        || db.change(BRANCHES, params![from, to, MANY])? > 0
        || remove_run(db, thread)?
        || db.change(RECEIPTS, params![thread, FEW])? > 0)
}

/// After the slots, which are found by branch.
const BRANCHES: &str =
    "DELETE FROM branches WHERE key IN (SELECT key FROM branches WHERE key BETWEEN ?1 AND ?2 LIMIT ?3)";

const RECEIPTS: &str = "DELETE FROM receipts WHERE (tenant, user, key) IN (
     SELECT tenant, user, key FROM receipts WHERE thread = ?1 LIMIT ?2)";

fn remove_slots(db: &Db<'_>, thread: i64, tenant: i64) -> Done<bool> {
    let first = "SELECT branch FROM slots WHERE tenant = ?1 AND thread = ?2 ORDER BY branch LIMIT 1";
    let Some(branch) = db.one(first, params![tenant, thread], |row| Ok(row.get::<_, i64>(0)?))? else {
        return Ok(false);
    };
    let removed = db.change(
        "DELETE FROM slots WHERE tenant = ?1 AND thread = ?2 AND branch = ?3 AND depth IN (
             SELECT depth FROM slots WHERE tenant = ?1 AND thread = ?2 AND branch = ?3 ORDER BY depth LIMIT ?4)",
        params![tenant, thread, branch, MANY],
    )?;
    Ok(removed > 0)
}

/// One at a time: a run's stream goes with it, and may have some mebibytes.
fn remove_run(db: &Db<'_>, thread: i64) -> Done<bool> {
    let first = "SELECT num FROM runs WHERE thread = ?1 LIMIT 1";
    let Some(run) = db.one(first, [thread], |row| Ok(row.get::<_, i64>(0)?))? else {
        return Ok(false);
    };
    db.change("DELETE FROM streams WHERE run = ?1", [run])?;
    db.change("DELETE FROM runs WHERE num = ?1", [run])?;
    Ok(true)
}
