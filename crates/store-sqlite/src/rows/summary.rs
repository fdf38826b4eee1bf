//! Entries of the summary log.

use rusqlite::{Row, params};
use threadmill_proto::Summary;
use threadmill_store::relational::Principal;
use threadmill_store::store_id as id;

use crate::codec::RowSum;
use crate::db::Db;
use crate::fail::{Done, damage};

/// The columns of an entry, read by [`read`].
pub(crate) const COLUMNS: &str = "thread, pos, title, snippet, running, archived, deleted, updated_at, user, sum";

pub(crate) fn read(row: &Row<'_>) -> Done<Summary> {
    let thread: String = row.get(0)?;
    let summary = Summary {
        thread: id!(ThreadId, &thread)?,
        pos: row.get(1)?,
        title: row.get(2)?,
        snippet: row.get(3)?,
        running: row.get(4)?,
        archived: row.get(5)?,
        deleted: row.get(6)?,
        updated_at: row.get(7)?,
    };
    sum(row.get(8)?, &summary).check(row, 9, format_args!("the list's entry of thread {thread}"))?;
    Ok(summary)
}

fn sum(user: i64, summary: &Summary) -> RowSum {
    let flags = [summary.running, summary.archived, summary.deleted].map(u8::from);
    let named = RowSum::of(user).uint(summary.pos).text(summary.thread.as_str());
    named.text(&summary.title).text(&summary.snippet).bytes(&flags).uint(summary.updated_at)
}

/// Moves a thread's entry to the end of its owner's summary log; fills in its place there.
pub(crate) fn write(db: &Db<'_>, who: Principal, summary: &mut Summary) -> Done<()> {
    let pos = db.one(
        "UPDATE users SET pos = pos + 1 WHERE tenant = ?1 AND num = ?2 RETURNING pos",
        params![who.tenant, who.user],
        |row| Ok(row.get(0)?),
    )?;
    summary.pos = pos.ok_or_else(|| damage("a user is not there"))?;
    db.change(
        "DELETE FROM summaries WHERE tenant = ?1 AND user = ?2 AND thread = ?3",
        params![who.tenant, who.user, summary.thread.as_str()],
    )?;
    db.change(
        "INSERT INTO summaries (tenant, user, pos, thread, title, snippet, running, archived, deleted, updated_at,
                                sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            who.tenant,
            who.user,
            summary.pos,
            summary.thread.as_str(),
            summary.title,
            summary.snippet,
            summary.running,
            summary.archived,
            summary.deleted,
            summary.updated_at,
            sum(who.user, summary).end(),
        ],
    )?;
    Ok(())
}
