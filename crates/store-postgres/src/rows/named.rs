//! Named streams: the rows that their rules read and write. A stream that is buried has no path; its rows are removed by and
//! by. Who writes locks each stream that it finds until the end of its transaction; who makes or deletes streams locks their
//! user's count before.

use threadmill_proto::{Millis, Scope};
use threadmill_store::streams::{
    Entry, Listed, StreamKey, StreamPath, StreamRow, StreamRows, StreamTail, removed_bytes, removed_rows,
};
use tokio_postgres::Row;

use crate::codec::{int, uint};
use crate::db::{Db, get};
use crate::fail::{Done, Fail, damage};

macro_rules! columns {
    () => {
        "num, start, tail, expires, deleted, source, forks, about"
    };
}

fn read(row: &Row) -> Done<StreamRow> {
    let columns = StreamRow {
        num: get(row, 0)?,
        start: uint(get(row, 1)?)?,
        end: uint(get(row, 2)?)?,
        expires: get::<Option<i64>>(row, 3)?.map(uint).transpose()?,
        deleted: get(row, 4)?,
        source: get(row, 5)?,
        forks: uint(get(row, 6)?)?,
        ..StreamRow::default()
    };
    Ok(columns.with(get(row, 7)?)?)
}

/// What becomes of the rows that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// They are only read.
    Read,
    /// They are locked until the transaction's end.
    Locked,
}

/// The rows of named streams on a connection.
pub(crate) struct Named<'d> {
    pub(crate) db: &'d Db<'d>,
    pub(crate) found: Found,
}

impl Named<'_> {
    async fn first(&self, plain: &str, locking: &str, params: &[crate::db::Param<'_>]) -> Done<Option<StreamRow>> {
        let sql = match self.found {
            Found::Read => plain,
            Found::Locked => locking,
        };
        self.db.one(sql, params).await?.as_ref().map(read).transpose()
    }
}

impl StreamRows for Named<'_> {
    type Fail = Fail;

    async fn find(&mut self, key: &StreamKey) -> Done<Option<StreamRow>> {
        const PLAIN: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM threadmill.named_streams WHERE path = $1 AND owner = $2 AND tenant = $3"
        );
        const LOCKING: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM threadmill.named_streams WHERE path = $1 AND owner = $2 AND tenant = $3 FOR UPDATE"
        );
        let (path, owner, tenant) = (key.path.as_str(), key.scope.user.as_str(), key.scope.tenant.as_str());
        self.first(PLAIN, LOCKING, &[&path, &owner, &tenant]).await
    }

    async fn by_num(&mut self, num: i64) -> Done<Option<StreamRow>> {
        const PLAIN: &str =
            concat!("SELECT ", columns!(), " FROM threadmill.named_streams WHERE num = $1 AND path IS NOT NULL");
        const LOCKING: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM threadmill.named_streams WHERE num = $1 AND path IS NOT NULL FOR UPDATE"
        );
        self.first(PLAIN, LOCKING, &[&num]).await
    }

    async fn count(&mut self, key: &StreamKey) -> Done<u64> {
        const SQL: &str = "INSERT INTO threadmill.named_owners AS o (owner, tenant, streams) VALUES ($1, $2, 0)
            ON CONFLICT (owner, tenant) DO UPDATE SET streams = o.streams RETURNING streams";
        let row = self.db.one(SQL, &[&key.scope.user.as_str(), &key.scope.tenant.as_str()]).await?;
        row.map_or(Ok(0), |row| Ok(uint(get(&row, 0)?)?))
    }

    async fn insert(&mut self, key: &StreamKey, row: &StreamRow) -> Done<i64> {
        const OWNER: &str = "UPDATE threadmill.named_owners SET streams = streams + 1 WHERE owner = $1 AND tenant = $2";
        const STREAM: &str = "INSERT INTO threadmill.named_streams (tenant, owner, path, start, tail, expires, deleted,
            source, forks, about) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING num";
        let (tenant, owner) = (key.scope.tenant.as_str(), key.scope.user.as_str());
        self.db.change(OWNER, &[&owner, &tenant]).await?;
        let made = self
            .db
            .one(
                STREAM,
                &[
                    &tenant,
                    &owner,
                    &key.path.as_str(),
                    &int(row.start),
                    &int(row.end),
                    &row.expires.map(int),
                    &row.deleted,
                    &row.source,
                    &int(row.forks),
                    &row.packed(),
                ],
            )
            .await?;
        get(&made.ok_or_else(|| damage("a stream that was made has no number"))?, 0)
    }

    async fn update(&mut self, row: &StreamRow) -> Done<()> {
        const SQL: &str = "UPDATE threadmill.named_streams SET tail = $2, expires = $3, deleted = $4, forks = $5,
            about = $6 WHERE num = $1";
        let (end, expires, forks) = (int(row.end), row.expires.map(int), int(row.forks));
        self.db.change(SQL, &[&row.num, &end, &expires, &row.deleted, &forks, &row.packed()]).await?;
        Ok(())
    }

    async fn bury(&mut self, num: i64) -> Done<()> {
        const OWNER: &str = "UPDATE threadmill.named_owners o SET streams = o.streams - 1
            FROM threadmill.named_streams s WHERE s.num = $1 AND o.owner = s.owner AND o.tenant = s.tenant";
        const STREAM: &str = "UPDATE threadmill.named_streams SET path = NULL, expires = NULL WHERE num = $1";
        self.db.change(OWNER, &[&num]).await?;
        self.db.change(STREAM, &[&num]).await?;
        Ok(())
    }

    async fn producer(&mut self, num: i64, id: &str) -> Done<Option<(u64, u64)>> {
        const SQL: &str = "SELECT epoch, seq FROM threadmill.named_producers WHERE stream = $1 AND id = $2";
        let row = self.db.one(SQL, &[&num, &id]).await?;
        row.map(|row| Ok((uint(get(&row, 0)?)?, uint(get(&row, 1)?)?))).transpose()
    }

    async fn put_producer(&mut self, num: i64, id: &str, (epoch, seq): (u64, u64)) -> Done<()> {
        const SQL: &str = "INSERT INTO threadmill.named_producers (stream, id, epoch, seq) VALUES ($1, $2, $3, $4)
            ON CONFLICT (stream, id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq";
        self.db.change(SQL, &[&num, &id, &int(epoch), &int(seq)]).await?;
        Ok(())
    }

    async fn push(&mut self, num: i64, entry: &Entry) -> Done<()> {
        const SQL: &str = "INSERT INTO threadmill.named_entries (stream, at, body) VALUES ($1, $2, $3)";
        self.db.change(SQL, &[&num, &int(entry.at), &entry.body]).await?;
        Ok(())
    }

    async fn entries(&mut self, num: i64, from: u64, to: u64) -> Done<Vec<Entry>> {
        const SQL: &str = "SELECT at, body FROM threadmill.named_entries
            WHERE stream = $1 AND at >= coalesce(
                (SELECT max(at) FROM threadmill.named_entries WHERE stream = $1 AND at <= $2), $2)
              AND at < $3 ORDER BY at";
        let rows = self.db.all(SQL, &[&num, &int(from), &int(to)]).await?;
        rows.iter().map(|row| Ok(Entry { at: uint(get(row, 0)?)?, body: get(row, 1)? })).collect()
    }

    async fn expired(&mut self, at: u64, limit: u32) -> Done<Vec<StreamRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            // Their owners' counts with them: what is deleted changes those, and to wait for one here would be the wrong order.
            " FROM threadmill.named_streams s
              JOIN threadmill.named_owners o ON o.owner = s.owner AND o.tenant = s.tenant
              WHERE s.expires <= $1 ORDER BY s.expires LIMIT $2 FOR UPDATE SKIP LOCKED"
        );
        self.db.all(SQL, &[&int(at), &i64::from(limit)]).await?.iter().map(read).collect()
    }

    async fn remove_some(&mut self, bytes: u64) -> Done<u64> {
        const NEXT: &str = "SELECT num FROM threadmill.named_streams WHERE path IS NULL ORDER BY num LIMIT 1
            FOR UPDATE SKIP LOCKED";
        const LENGTHS: &str = "SELECT at, octet_length(body)::bigint FROM threadmill.named_entries
            WHERE stream = $1 ORDER BY at LIMIT $2";
        const ENTRIES: &str = "DELETE FROM threadmill.named_entries WHERE stream = $1 AND at <= $2";
        const PRODUCERS: &str = "DELETE FROM threadmill.named_producers WHERE stream = $1";
        let (mut removed, mut left) = (0, bytes);
        while left > 0
            && let Some(row) = self.db.one(NEXT, &[]).await?
        {
            let num: i64 = get(&row, 0)?;
            let mut last: Option<i64> = None;
            // As many as there may be: whoever reads to the end of these is at the end of the stream, or of the bytes.
            for row in &self.db.all(LENGTHS, &[&num, &int(removed_rows(left))]).await? {
                last = Some(get(row, 0)?);
                left = left.saturating_sub(removed_bytes(uint(get(row, 1)?)?));
                if left == 0 {
                    break;
                }
            }
            if let Some(last) = last {
                removed += self.db.change(ENTRIES, &[&num, &last]).await?;
            }
            if left > 0 {
                let producers = self.db.change(PRODUCERS, &[&num]).await?;
                self.db.change("DELETE FROM threadmill.named_streams WHERE num = $1", &[&num]).await?;
                removed += producers + 1;
                left = left.saturating_sub(removed_bytes(0) * (producers + 1));
            }
        }
        Ok(removed)
    }
}

/// A user's streams after a number.
pub(crate) async fn list(db: &Db<'_>, scope: &Scope, after: i64, limit: u32, at: Millis) -> Done<Vec<Listed>> {
    const SQL: &str = "SELECT num, path, start, tail FROM threadmill.named_streams
        WHERE owner = $1 AND tenant = $2 AND num > $3 AND path IS NOT NULL AND NOT deleted
          AND (expires IS NULL OR expires > $4) ORDER BY num LIMIT $5";
    let (owner, tenant) = (scope.user.as_str(), scope.tenant.as_str());
    let rows = db.all(SQL, &[&owner, &tenant, &after, &int(at), &i64::from(limit)]).await?;
    let read = |row: &Row| {
        let path = StreamPath::parse(get(row, 1)?).map_err(damage)?;
        Ok(Listed { num: get(row, 0)?, path, start: uint(get(row, 2)?)?, end: uint(get(row, 3)?)? })
    };
    rows.iter().map(read).collect()
}

/// Where streams end, all in one question.
pub(crate) async fn tails(db: &Db<'_>, keys: &[StreamKey], at: Millis) -> Done<Vec<Option<StreamTail>>> {
    const SQL: &str = "SELECT s.num, s.start, s.tail, s.expires, s.deleted, s.source, s.forks, s.about, k.ord
        FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY k (path, owner, tenant, ord)
        JOIN threadmill.named_streams s ON s.path = k.path AND s.owner = k.owner AND s.tenant = k.tenant";
    let paths: Vec<&str> = keys.iter().map(|key| key.path.as_str()).collect();
    let owners: Vec<&str> = keys.iter().map(|key| key.scope.user.as_str()).collect();
    let tenants: Vec<&str> = keys.iter().map(|key| key.scope.tenant.as_str()).collect();
    let mut tails = vec![None; keys.len()];
    for row in &db.all(SQL, &[&paths, &owners, &tenants]).await? {
        let stream = read(row)?;
        let place = usize::try_from(get::<i64>(row, 8)? - 1).map_err(damage)?;
        if !stream.deleted
            && !stream.has_expired(at)
            && let Some(tail) = tails.get_mut(place)
        {
            *tail = Some(stream.tail());
        }
    }
    Ok(tails)
}
