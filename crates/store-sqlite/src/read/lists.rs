//! The summary log: pages of it newest first, and what came after a place in it.

use rusqlite::{Row, params};
use threadmill_proto::{Scope, Summary, TitleFilter};
use threadmill_store::{ListQuery, SummaryPage, ThreadPage};

use crate::codec::id;
use crate::db::Db;
use crate::fail::Done;
use crate::rows::{Principal, principal};

const COLUMNS: &str = "thread, pos, title, snippet, running, archived, deleted, updated_at";

fn read(row: &Row<'_>) -> Done<Summary> {
    let thread: String = row.get(0)?;
    Ok(Summary {
        thread: id!(ThreadId, &thread)?,
        pos: row.get(1)?,
        title: row.get(2)?,
        snippet: row.get(3)?,
        running: row.get(4)?,
        archived: row.get(5)?,
        deleted: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

fn newest(db: &Db<'_>, who: Principal) -> Done<u64> {
    let pos = db.one("SELECT pos FROM users WHERE num = ?1", [who.user], |row| Ok(row.get(0)?))?;
    Ok(pos.unwrap_or(0))
}

/// Rows read at a time where they are filtered by their title.
const BATCH: usize = 500;

/// A page of the list, newest first.
pub(crate) fn threads(db: &Db<'_>, scope: &Scope, query: &ListQuery) -> Done<ThreadPage> {
    let Some(who) = principal::find(db, scope)? else {
        return Ok(ThreadPage { threads: Vec::new(), next: None, pos: 0 });
    };
    let filter = TitleFilter::new(query.title.as_deref().unwrap_or_default());
    let wanted = query.limit as usize + 1;
    let batch = if filter.is_empty() { wanted } else { BATCH };
    let mut below = query.below.and_then(|pos| i64::try_from(pos).ok()).unwrap_or(i64::MAX);
    let mut threads = Vec::new();
    // SQLite's own lower() knows ASCII alone, so titles are compared here.
    loop {
        let rows = db.all(
            &format!(
                "SELECT {COLUMNS} FROM summaries
                 WHERE tenant = ?1 AND user = ?2 AND pos < ?3 AND deleted = 0 AND archived = ?4
                 ORDER BY pos DESC LIMIT ?5"
            ),
            params![who.tenant, who.user, below, query.archived, batch as u64],
            read,
        )?;
        let last = rows.last().and_then(|last| i64::try_from(last.pos).ok()).filter(|_| rows.len() == batch);
        threads.extend(rows.into_iter().filter(|row| filter.finds(&row.title)));
        match last {
            Some(last) if threads.len() < wanted => below = last,
            _ => break,
        }
    }
    threads.truncate(wanted);
    let more = threads.len() > query.limit as usize;
    threads.truncate(query.limit as usize);
    Ok(ThreadPage { next: threads.last().filter(|_| more).map(|last| last.pos), threads, pos: newest(db, who)? })
}

/// Entries after a place, oldest first.
pub(crate) fn summaries(db: &Db<'_>, scope: &Scope, since: u64, limit: u32) -> Done<SummaryPage> {
    let Some(who) = principal::find(db, scope)? else {
        return Ok(SummaryPage { items: Vec::new(), pos: 0, more: false });
    };
    let mut items = db.all(
        &format!("SELECT {COLUMNS} FROM summaries WHERE tenant = ?1 AND user = ?2 AND pos > ?3 ORDER BY pos LIMIT ?4"),
        params![who.tenant, who.user, i64::try_from(since).unwrap_or(i64::MAX), u64::from(limit) + 1],
        read,
    )?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let pos = match items.last() {
        Some(last) if more => last.pos,
        _ => newest(db, who)?,
    };
    Ok(SummaryPage { items, pos, more })
}
