//! Settings by key.

use rusqlite::params;
use threadmill_store::{Setting, SettingPut, SettingsPage, keys_end};

use crate::db::Db;
use crate::fail::Done;

/// A page of them. It is sought from the greater of its two beginnings: SQLite would seek one and walk to the other.
pub(crate) fn page(db: &Db<'_>, page: &SettingsPage) -> Done<Vec<Setting>> {
    const SQL: &str = "SELECT key, version, value FROM settings
        WHERE key >= max(?1, ?3) AND key < ?2 AND key > ?3 ORDER BY key LIMIT ?4";
    let after = page.after.as_deref().unwrap_or_default();
    db.all(SQL, params![page.prefix, keys_end(&page.prefix), after, page.limit], |row| {
        Ok(Setting { key: row.get(0)?, version: row.get(1)?, value: row.get(2)? })
    })
}

/// Puts all, or none if one has another version than it was read with: there is one writer, so looking first is enough.
pub(crate) fn put(db: &Db<'_>, puts: &[SettingPut]) -> Done<bool> {
    for put in puts {
        let version = db.one("SELECT version FROM settings WHERE key = ?1", params![put.key], |row| Ok(row.get(0)?))?;
        if version.unwrap_or(0_u64) != put.read {
            return Ok(false);
        }
    }
    for put in puts {
        let Some(value) = &put.value else {
            db.change("DELETE FROM settings WHERE key = ?1", params![put.key])?;
            continue;
        };
        db.change(
            "INSERT INTO settings (key, version, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value",
            params![put.key, put.read + 1, value],
        )?;
    }
    Ok(true)
}
