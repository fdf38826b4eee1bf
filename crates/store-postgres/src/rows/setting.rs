//! Settings by key.

use threadmill_store::{Setting, SettingPut, SettingsPage, keys_end};

use crate::codec::{int, uint};
use crate::db::{Db, get};
use crate::fail::Done;

/// A page of them.
pub(crate) async fn page(db: &Db<'_>, page: &SettingsPage) -> Done<Vec<Setting>> {
    const SQL: &str = "SELECT key, version, value FROM threadmill.settings
        WHERE key >= $1 AND key < $2 AND key > $3 ORDER BY key LIMIT $4";
    let (after, end) = (page.after.as_deref().unwrap_or_default(), keys_end(&page.prefix));
    let rows = db.all(SQL, &[&page.prefix, &end, &after, &i64::from(page.limit)]).await?;
    let read = |row| Ok(Setting { key: get(row, 0)?, version: uint(get(row, 1)?)?, value: get(row, 2)? });
    rows.iter().map(read).collect()
}

/// Puts all, or none if one has another version than it was read with, in a transaction of its own. In the order of their
/// keys, so that two nodes that put the same ones wait for each other and not both at once.
pub(crate) async fn put(db: &Db<'_>, mut puts: Vec<SettingPut>) -> Done<bool> {
    puts.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    db.batch("BEGIN").await?;
    db.finish(put_each(db, &puts).await, |all| *all).await
}

async fn put_each(db: &Db<'_>, puts: &[SettingPut]) -> Done<bool> {
    const NEW: &str =
        "INSERT INTO threadmill.settings (key, version, value) VALUES ($1, 1, $2) ON CONFLICT (key) DO NOTHING";
    const NEXT: &str =
        "UPDATE threadmill.settings SET version = version + 1, value = $3 WHERE key = $1 AND version = $2";
    const GONE: &str = "DELETE FROM threadmill.settings WHERE key = $1 AND version = $2";
    for put in puts {
        let changed = match (put.read, &put.value) {
            (0, value) => db.change(NEW, &[&put.key, value]).await?,
            (read, Some(value)) => db.change(NEXT, &[&put.key, &int(read), value]).await?,
            (read, None) => db.change(GONE, &[&put.key, &int(read)]).await?,
        };
        if changed == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
