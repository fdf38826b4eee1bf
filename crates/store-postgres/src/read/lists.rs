//! The summary log: pages of it newest first, and what came after a place in it.

use threadmill_proto::{Scope, Summary, TitleFilter};
use threadmill_store::{ListQuery, SummaryPage, ThreadPage};
use tokio_postgres::Row;

use crate::codec::{id, int, text_from, uint};
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::{Principal, find_principal};

macro_rules! summary_columns {
    () => {
        "thread, pos, title, snippet, running, archived, deleted, updated_at"
    };
}

fn read(row: &Row) -> Done<Summary> {
    Ok(Summary {
        thread: id!(ThreadId, get(row, 0)?)?,
        pos: uint(get(row, 1)?)?,
        title: text_from(get(row, 2)?),
        snippet: text_from(get(row, 3)?),
        running: get(row, 4)?,
        archived: get(row, 5)?,
        deleted: get(row, 6)?,
        updated_at: uint(get(row, 7)?)?,
    })
}

async fn newest(db: &Db<'_>, who: Principal) -> Done<u64> {
    let row = db.one("SELECT pos FROM threadmill.users WHERE num = $1", &[&who.user]).await?;
    row.map_or(Ok(0), |row| uint(get(&row, 0)?))
}

/// Rows read at a time where they are filtered by their title.
const BATCH: usize = 500;

/// A page of the list, newest first.
pub(crate) async fn threads(db: &Db<'_>, scope: &Scope, query: &ListQuery) -> Done<ThreadPage> {
    let Some(who) = find_principal(db, scope).await? else {
        return Ok(ThreadPage { threads: Vec::new(), next: None, pos: 0 });
    };
    const SQL: &str = concat!(
        "SELECT ",
        summary_columns!(),
        " FROM threadmill.summaries
          WHERE owner = $1 AND pos < $2 AND NOT deleted AND archived = $3
          ORDER BY pos DESC LIMIT $4"
    );
    let filter = TitleFilter::new(query.title.as_deref().unwrap_or_default());
    let wanted = query.limit as usize + 1;
    let batch = if filter.is_empty() { wanted } else { BATCH };
    let mut below = query.below.map_or(i64::MAX, int);
    let mut threads = Vec::new();
    // What lower() does depends on the database's locale, so titles are compared here.
    loop {
        let rows = db.all(SQL, &[&who.user, &below, &query.archived, &int(batch as u64)]).await?;
        let rows = rows.iter().map(read).collect::<Done<Vec<Summary>>>()?;
        let last = rows.last().map(|last| int(last.pos)).filter(|_| rows.len() == batch);
        threads.extend(rows.into_iter().filter(|row| filter.finds(&row.title)));
        match last {
            Some(last) if threads.len() < wanted => below = last,
            _ => break,
        }
    }
    threads.truncate(wanted);
    let more = threads.len() > query.limit as usize;
    threads.truncate(query.limit as usize);
    Ok(ThreadPage { next: threads.last().filter(|_| more).map(|last| last.pos), threads, pos: newest(db, who).await? })
}

/// Entries after a place, oldest first.
pub(crate) async fn summaries(db: &Db<'_>, scope: &Scope, since: u64, limit: u32) -> Done<SummaryPage> {
    let Some(who) = find_principal(db, scope).await? else {
        return Ok(SummaryPage { items: Vec::new(), pos: 0, more: false });
    };
    const SQL: &str = concat!(
        "SELECT ",
        summary_columns!(),
        " FROM threadmill.summaries WHERE owner = $1 AND pos > $2 ORDER BY pos LIMIT $3"
    );
    let rows = db.all(SQL, &[&who.user, &int(since), &(i64::from(limit) + 1)]).await?;
    let mut items = rows.iter().map(read).collect::<Done<Vec<_>>>()?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let pos = match items.last() {
        Some(last) if more => last.pos,
        _ => newest(db, who).await?,
    };
    Ok(SummaryPage { items, pos, more })
}
