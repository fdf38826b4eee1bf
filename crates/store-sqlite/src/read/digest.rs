//! A hash over everything readable.

use threadmill_store::Digest;

use super::export::every_row;
use super::lists;
use crate::db::Db;
use crate::fail::Done;
use crate::live::{LiveStreams, lock};
use crate::rows::{RunRow, ThreadRow, principal, run, thread};

/// Hashes the whole store. Reads all of it.
pub(crate) fn digest(db: &Db<'_>, live: &LiveStreams) -> Done<[u8; 32]> {
    let mut digest = Digest::default();
    let users: Vec<i64> =
        db.all("SELECT u.num FROM users u CROSS JOIN tenants t ON t.num = u.tenant ORDER BY t.id, u.id", [], |row| {
            Ok(row.get(0)?)
        })?;
    for user in users {
        one_user(db, live, user, &mut digest)?;
    }
    Ok(digest.finish())
}

fn one_user(db: &Db<'_>, live: &LiveStreams, user: i64, digest: &mut Digest) -> Done<()> {
    let scope = principal::scope(db, user)?;
    let threads: Vec<i64> =
        db.all("SELECT num FROM threads WHERE owner = ?1 AND hidden = 0 ORDER BY id", [user], |row| Ok(row.get(0)?))?;
    let summaries = lists::summaries(db, &scope, 0, u32::MAX - 1)?.items;
    // A scope that owns and lists nothing leaves no trace, whether it was ever seen or not.
    if threads.is_empty() && summaries.is_empty() {
        return Ok(());
    }
    digest.scope(&scope);
    for num in threads {
        one_thread(db, live, &thread::by_num(db, num)?, digest)?;
    }
    for summary in &summaries {
        digest.summary(summary);
    }
    Ok(())
}

fn one_thread(db: &Db<'_>, live: &LiveStreams, row: &ThreadRow, digest: &mut Digest) -> Done<()> {
    digest.thread(&row.shown(db)?, row.seq);
    every_row(db, row, |row| digest.row(row))?;
    let mut runs = run::of_thread(db, row.num)?;
    runs.sort_by(|a, b| a.id.cmp(&b.id));
    for run in runs {
        digest.run(&run.shown(length(live, &run)));
    }
    Ok(())
}

fn length(live: &LiveStreams, run: &RunRow) -> u64 {
    live.get(run.num).map_or(run.length, |stream| lock(&stream).shown())
}
