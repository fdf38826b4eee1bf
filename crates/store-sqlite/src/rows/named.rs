//! Named streams: the rows that their rules read and write. A stream that is buried has no path; its rows are removed by and
//! by.

use rusqlite::{Row, params};
use threadmill_proto::{Millis, Scope};
use threadmill_store::streams::{
    Entry, Listed, MOST_BYTES, StreamKey, StreamPath, StreamRow, StreamRows, removed_bytes,
};

use crate::db::{Db, Step};
use crate::fail::{Done, Fail, damage};

/// Bits of an entry's key that say where it begins; those above are its stream's number. Frozen.
const OFFSET_BITS: u32 = 28;
const _: () = assert!(MOST_BYTES == 1 << OFFSET_BITS, "the last byte of a stream has a key");

/// Where an entry is kept. What lies at the end of a full stream has no entry of its own.
fn key(num: i64, at: u64) -> i64 {
    let at = i64::try_from(at).unwrap_or(i64::MAX).min((1 << OFFSET_BITS) - 1);
    (num << OFFSET_BITS) | at
}

const COLUMNS: &str = "num, start, tail, expires, deleted, source, forks, about";

fn read(row: &Row<'_>) -> Done<StreamRow> {
    let columns = StreamRow {
        num: row.get(0)?,
        start: row.get(1)?,
        end: row.get(2)?,
        expires: row.get(3)?,
        deleted: row.get(4)?,
        source: row.get(5)?,
        forks: row.get(6)?,
        ..StreamRow::default()
    };
    Ok(columns.with(row.get_ref(7)?.as_blob().map_err(damage)?)?)
}

/// The rows of named streams on a connection.
pub(crate) struct Named<'d>(pub(crate) &'d Db<'d>);

impl StreamRows for Named<'_> {
    type Fail = Fail;

    async fn find(&mut self, key: &StreamKey) -> Done<Option<StreamRow>> {
        let sql = format!("SELECT {COLUMNS} FROM named_streams WHERE tenant = ?1 AND owner = ?2 AND path = ?3");
        self.0.one(&sql, params![key.scope.tenant.as_str(), key.scope.user.as_str(), key.path.as_str()], read)
    }

    async fn by_num(&mut self, num: i64) -> Done<Option<StreamRow>> {
        let sql = format!("SELECT {COLUMNS} FROM named_streams WHERE num = ?1 AND path IS NOT NULL");
        self.0.one(&sql, [num], read)
    }

    async fn count(&mut self, key: &StreamKey) -> Done<u64> {
        const SQL: &str = "SELECT streams FROM named_owners WHERE tenant = ?1 AND owner = ?2";
        let params = params![key.scope.tenant.as_str(), key.scope.user.as_str()];
        Ok(self.0.one(SQL, params, |row| Ok(row.get(0)?))?.unwrap_or(0))
    }

    async fn insert(&mut self, key: &StreamKey, row: &StreamRow) -> Done<i64> {
        const OWNER: &str = "INSERT INTO named_owners (tenant, owner, streams) VALUES (?1, ?2, 1)
            ON CONFLICT (tenant, owner) DO UPDATE SET streams = streams + 1";
        const STREAM: &str = "INSERT INTO named_streams (tenant, owner, path, start, tail, expires, deleted, source,
            forks, about) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let (tenant, owner) = (key.scope.tenant.as_str(), key.scope.user.as_str());
        self.0.change(OWNER, params![tenant, owner])?;
        self.0.insert(
            STREAM,
            params![
                tenant,
                owner,
                key.path.as_str(),
                row.start,
                row.end,
                row.expires,
                row.deleted,
                row.source,
                row.forks,
                row.packed()
            ],
        )
    }

    async fn update(&mut self, row: &StreamRow) -> Done<()> {
        const SQL: &str = "UPDATE named_streams SET tail = ?2, expires = ?3, deleted = ?4, forks = ?5, about = ?6
            WHERE num = ?1";
        self.0.change(SQL, params![row.num, row.end, row.expires, row.deleted, row.forks, row.packed()])?;
        Ok(())
    }

    async fn bury(&mut self, num: i64) -> Done<()> {
        const OWNER: &str = "UPDATE named_owners SET streams = streams - 1 WHERE (tenant, owner) =
            (SELECT tenant, owner FROM named_streams WHERE num = ?1)";
        self.0.change(OWNER, [num])?;
        self.0.change("UPDATE named_streams SET path = NULL, expires = NULL WHERE num = ?1", [num])?;
        Ok(())
    }

    async fn producer(&mut self, num: i64, id: &str) -> Done<Option<(u64, u64)>> {
        const SQL: &str = "SELECT epoch, seq FROM named_producers WHERE stream = ?1 AND id = ?2";
        self.0.one(SQL, params![num, id], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    async fn put_producer(&mut self, num: i64, id: &str, (epoch, seq): (u64, u64)) -> Done<()> {
        const SQL: &str = "INSERT INTO named_producers (stream, id, epoch, seq) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (stream, id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq";
        self.0.change(SQL, params![num, id, epoch, seq])?;
        Ok(())
    }

    async fn push(&mut self, num: i64, entry: &Entry) -> Done<()> {
        self.0
            .change("INSERT INTO named_entries (key, body) VALUES (?1, ?2)", params![key(num, entry.at), entry.body])?;
        Ok(())
    }

    async fn entries(&mut self, num: i64, from: u64, to: u64) -> Done<Vec<Entry>> {
        const SQL: &str = "SELECT key, body FROM named_entries
            WHERE key >= coalesce((SELECT max(key) FROM named_entries WHERE key BETWEEN ?1 AND ?2), ?2)
              AND key < ?3 ORDER BY key";
        let offset = |key: i64| u64::try_from(key & ((1 << OFFSET_BITS) - 1)).map_err(damage);
        // The end of a full stream is the beginning of the next one's keys.
        let end = (num << OFFSET_BITS) + i64::try_from(to).unwrap_or(i64::MAX).min(1 << OFFSET_BITS);
        self.0.all(SQL, params![key(num, 0), key(num, from), end], |row| {
            Ok(Entry { at: offset(row.get(0)?)?, body: row.get(1)? })
        })
    }

    async fn expired(&mut self, at: u64, limit: u32) -> Done<Vec<StreamRow>> {
        let sql = format!("SELECT {COLUMNS} FROM named_streams WHERE expires <= ?1 ORDER BY expires LIMIT ?2");
        self.0.all(&sql, params![at, limit], read)
    }

    async fn remove_some(&mut self, bytes: u64) -> Done<u64> {
        const NEXT: &str = "SELECT num FROM named_streams WHERE path IS NULL ORDER BY num LIMIT 1";
        const LENGTHS: &str = "SELECT key, length(body) FROM named_entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key";
        const ENTRIES: &str = "DELETE FROM named_entries WHERE key BETWEEN ?1 AND ?2";
        const PRODUCERS: &str = "DELETE FROM named_producers WHERE stream = ?1";
        let (mut removed, mut left) = (0, bytes);
        while left > 0
            && let Some(num) = self.0.one(NEXT, [], |row| Ok(row.get::<_, i64>(0)?))?
        {
            let (first, mut last) = (key(num, 0), None);
            self.0.each(LENGTHS, params![first, key(num, u64::MAX)], |row| {
                last = Some(row.get::<_, i64>(0)?);
                left = left.saturating_sub(removed_bytes(row.get(1)?));
                Ok(if left == 0 { Step::Stop } else { Step::On })
            })?;
            if let Some(last) = last {
                removed += self.0.change(ENTRIES, [first, last])? as u64;
            }
            if left > 0 {
                let rows = self.0.change(PRODUCERS, [num])?
                    + self.0.change("DELETE FROM named_streams WHERE num = ?1", [num])?;
                removed += rows as u64;
                left = left.saturating_sub(removed_bytes(0) * rows as u64);
            }
        }
        Ok(removed)
    }
}

/// A user's streams after a number.
pub(crate) fn list(db: &Db<'_>, scope: &Scope, after: i64, limit: u32, at: Millis) -> Done<Vec<Listed>> {
    const SQL: &str = "SELECT num, path, start, tail FROM named_streams
        WHERE tenant = ?1 AND owner = ?2 AND num > ?3 AND path IS NOT NULL AND deleted = 0
          AND (expires IS NULL OR expires > ?4) ORDER BY num LIMIT ?5";
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    db.all(SQL, params![scope.tenant.as_str(), scope.user.as_str(), after, at, limit], |row| {
        let path: String = row.get(1)?;
        let path = StreamPath::parse(&path).map_err(damage)?;
        Ok(Listed { num: row.get(0)?, path, start: row.get(2)?, end: row.get(3)? })
    })
}
