//! A hash over everything readable.

use threadmill_proto::{Scope, TenantId, UserId};
use threadmill_store::Digest;

use super::export::{every_row, threads_of};
use super::{lists, runs, threads};
use crate::db::{Db, get};
use crate::fail::{Done, damage};
use crate::rows::{Principal, ThreadRow, thread_columns};

/// Hashes the whole database. Reads all of it.
pub(crate) async fn digest(db: &Db<'_>) -> Done<[u8; 32]> {
    let mut digest = Digest::default();
    const USERS: &str = "SELECT t.id, u.id, u.tenant, u.num FROM threadmill.tenants t
         JOIN threadmill.users u ON u.tenant = t.num ORDER BY t.id, u.id";
    for row in &db.all(USERS, &[]).await? {
        let scope = Scope {
            tenant: TenantId::parse(get(row, 0)?).map_err(damage)?,
            user: UserId::parse(get(row, 1)?).map_err(damage)?,
        };
        one_user(db, &scope, Principal { tenant: get(row, 2)?, user: get(row, 3)? }, &mut digest).await?;
    }
    Ok(digest.finish())
}

async fn one_user(db: &Db<'_>, scope: &Scope, who: Principal, digest: &mut Digest) -> Done<()> {
    let threads = threads_of(db, who).await?;
    let summaries = lists::summaries(db, scope, 0, u32::MAX - 1).await?.items;
    // A scope that owns and lists nothing leaves no trace, whether it was ever seen or not.
    if threads.is_empty() && summaries.is_empty() {
        return Ok(());
    }
    digest.scope(scope);
    for num in threads {
        const SQL: &str = concat!("SELECT ", thread_columns!(), " FROM threadmill.threads t WHERE t.num = $1");
        let row = db.one(SQL, &[&num]).await?.ok_or_else(|| damage("a thread is not there"))?;
        one_thread(db, &ThreadRow::read(&row)?, digest).await?;
    }
    summaries.iter().for_each(|summary| digest.summary(summary));
    Ok(())
}

async fn one_thread(db: &Db<'_>, row: &ThreadRow, digest: &mut Digest) -> Done<()> {
    digest.thread(&threads::shown(db, row).await?, row.seq);
    every_row(db, row, |row| digest.row(row)).await?;
    for (run, length) in runs::of_thread(db, row.num).await? {
        digest.run(&run.shown(length));
    }
    Ok(())
}
