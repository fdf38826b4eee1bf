//! A library as rows, for another store to take: read in one snapshot, beside whoever serves it.
//!
//! Whether a server has the directory open decides what this is. If none has, the directory is held as long as this
//! lives, so nothing can be added and what is read is all there is. If one has, the snapshot is what was durable when
//! it was taken; the server goes on reading and writing, and what it writes is for a later one.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqlRow, params};
use threadmill_proto::{from_cbor, to_cbor};
use threadmill_store::StoreResult;
use threadmill_store::moving::{Cell, FIRST, Key, Moving, Page, Row, Sums, Table, add_to, moves};
use threadmill_store::relational::{self, NONE, Stretch, at_once, key, owner_at};

use crate::codec::{Chunks, bare_body};
use crate::db::{Db, Step};
use crate::directory::Directory;
use crate::fail::{Done, damage, unavailable};
use crate::live::{LiveStreams, lock};
use crate::read::Snapshot;
use crate::rows::branch;
use crate::stream::Stream;
use crate::{open, versions};

/// A page ends after a row that exceeds this: bodies are up to a mebibyte each.
const PAGE_BYTES: usize = 8 << 20;

/// Memory for the reader's cache.
const CACHE_KIB: u32 = 64 << 10;

/// See the module.
pub struct Source {
    conn: Connection,
    live: LiveStreams,
    epoch: u64,
    /// Held if no server has it.
    directory: Option<Directory>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Source {
    /// Opens a library and takes the snapshot. Blocks.
    ///
    /// # Errors
    /// `Unavailable` if there is none, `Internal` if it is damaged or a server of another release has it open.
    pub fn open(path: &Path) -> StoreResult<Self> {
        Ok(Self::assemble(path)?)
    }

    fn assemble(path: &Path) -> Done<Self> {
        let database = path.join("threadmill.db");
        if !database.exists() {
            return Err(unavailable(format_args!("there is no library in {}", path.display())).into());
        }
        let directory = Directory::take_if_free(path)?;
        if let Some(directory) = &directory {
            let conn = open::writer(&database, CACHE_KIB)?;
            versions::migrate(&conn)?;
            directory.advance(&conn)?;
        }
        let conn = open::reader(&database, CACHE_KIB)?;
        versions::must_be_newest(&conn)?;
        conn.execute_batch("BEGIN")?;
        let epoch = conn.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0))?;
        let live = LiveStreams::default();
        open::live_runs(&conn, &live)?;
        Ok(Self { conn, live, epoch, directory })
    }

    /// Whether nothing can be added to it as long as this lives.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.directory.is_some()
    }

    /// The store's part of every epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The highest numbers that threads and runs were ever given.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn numbers(&self) -> StoreResult<(i64, i64)> {
        let of = |table: &str| -> Done<i64> {
            let seq = Db::new(&self.conn)
                .one("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| Ok(row.get(0)?))?;
            Ok(seq.unwrap_or(0))
        };
        Ok((of("threads")?, of("runs")?))
    }

    /// Every thread, by number.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn threads(&self) -> StoreResult<Vec<Moving>> {
        let sql = "SELECT t.num, t.secret, t.epoch, t.seq, t.hash, t.messages,
                (SELECT count(*) FROM receipts r WHERE r.thread = t.num),
                (SELECT count(*) FROM streams s CROSS JOIN runs r ON r.num = s.run WHERE r.thread = t.num),
                (SELECT coalesce(sum(r.fence), 0) FROM runs r WHERE r.thread = t.num)
             FROM threads t WHERE t.hidden = 0 ORDER BY t.num";
        Ok(Db::new(&self.conn).all(sql, [], |row| {
            let mut mark = blake3::Hasher::new();
            for at in 1..9 {
                match row.get_ref(at)? {
                    ValueRef::Blob(bytes) => mark.update(bytes),
                    ValueRef::Integer(number) => mark.update(&number.to_le_bytes()),
                    other => return Err(damage(format_args!("a thread has {other:?}"))),
                };
            }
            let num: i64 = row.get(0)?;
            for run in self.unended(num)? {
                // Its stream grows without the log's doing.
                let length = self.live.get(run).map_or(0, |stream| lock(&stream).shown());
                mark.update(&length.to_le_bytes());
            }
            Ok(Moving { num, mark: *mark.finalize().as_bytes(), messages: row.get(5)? })
        })?)
    }

    fn unended(&self, thread: i64) -> Done<Vec<i64>> {
        let sql = "SELECT num FROM runs WHERE thread = ?1 AND status < 2";
        Db::new(&self.conn).all(sql, [thread], |row| Ok(row.get(0)?))
    }

    /// Rows of a thread, or with none what belongs to no thread, after a key.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn page(&self, table: Table, thread: Option<i64>, after: Key, limit: usize) -> StoreResult<Page> {
        let db = Db::new(&self.conn);
        Ok(match (table, thread) {
            (Table::Chunks, Some(thread)) => self.chunks(&db, thread, after)?,
            _ => page(&db, table, thread, after, limit)?,
        })
    }

    /// The next run's stream as one stretch.
    fn chunks(&self, db: &Db<'_>, thread: i64, after: Key) -> Done<Page> {
        let sql = "SELECT r.num, s.body FROM runs r LEFT JOIN streams s ON s.run = r.num
             WHERE r.thread = ?1 AND r.num > ?2 AND (s.run IS NOT NULL OR r.status < 2) ORDER BY r.num LIMIT 1";
        let found: Option<(i64, Option<Vec<u8>>)> =
            db.one(sql, params![thread, after.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((run, body)) = found else { return Ok(Page::default()) };
        let chunks = match body {
            Some(body) => Stream::parse(Chunks::Stream(run).checked(&body)?)?.read(0, usize::MAX)?,
            None => self.live.get(run).map_or_else(|| Ok(Vec::new()), |stream| lock(&stream).read(0, usize::MAX))?,
        };
        let count = i64::try_from(chunks.len()).map_err(damage)?;
        let row = vec![Cell::Int(run), Cell::Int(0), Cell::Int(count), Cell::Bytes(to_cbor(&chunks))];
        Ok(Page { rows: if count > 0 { vec![row] } else { Vec::new() }, next: Some((run, 0)) })
    }

    /// The sums of the tables that the digest leaves out.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn sums(&self) -> StoreResult<Sums> {
        let mut sums = Sums::new();
        let threads: Vec<i64> = self.threads()?.into_iter().map(|thread| thread.num).collect();
        for table in Table::BESIDE_DIGEST {
            let of_threads = Table::OF_THREAD.contains(&table) || table == Table::Threads;
            let of_users = Table::OF_USERS.contains(&table);
            let every = threads.iter().map(|num| Some(*num)).filter(|_| of_threads);
            for thread in every.chain(of_users.then_some(None)) {
                let mut after = Some(FIRST);
                while let Some(key) = after {
                    let page = self.page(table, thread, key, 4096)?;
                    page.rows.iter().for_each(|row| add_to(&mut sums, table, row));
                    after = page.next;
                }
            }
        }
        Ok(sums)
    }

    /// As [`threadmill_store::DurableStore::digest`], of the snapshot.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn digest(&self) -> StoreResult<[u8; 32]> {
        let snapshot = Snapshot { db: &Db::new(&self.conn), live: &self.live };
        Ok(at_once(relational::digest(&snapshot))?)
    }
}

/// The rows of a table in the neutral order of columns. `?1` is the thread, `?2` and `?3` the key, `?4` how many.
fn select(table: Table, thread: Option<i64>) -> (&'static str, usize, Option<usize>) {
    match (table, thread.is_some()) {
        (Table::Tenants, _) => ("SELECT num, id FROM tenants WHERE num > ?2 ORDER BY num LIMIT ?4", 0, None),
        (Table::Users, _) => {
            ("SELECT num, tenant, id, pos FROM users WHERE num > ?2 ORDER BY num LIMIT ?4", 0, None)
        }
        (Table::Threads, _) => (
            "SELECT num, tenant, id, owner, title, metadata, archived, hidden, default_branch, secret, epoch, seq, hash,
                branches, messages, created_at, updated_at FROM threads WHERE num = ?1 AND num > ?2 LIMIT ?4",
            0,
            None,
        ),
        (Table::Branches, _) => (
            "SELECT key, tenant, thread, id, (?1 << 32) | (parent & 4294967295), fork_depth, total, made, 0, 0, lineage
             FROM branches WHERE key > max(?2, (?1 << 32) - 1) AND key < ((?1 + 1) << 32) ORDER BY key LIMIT ?4",
            0,
            None,
        ),
        (Table::Slots, _) => (
            "SELECT (?1 << 32) | branch, depth, (?1 << 32) | message FROM slots
             WHERE tenant = (SELECT tenant FROM threads WHERE num = ?1) AND thread = ?1
                AND (branch, depth) > (?2 - (?1 << 32), ?3) ORDER BY branch, depth LIMIT ?4",
            0,
            Some(1),
        ),
        (Table::Messages, _) => (
            "SELECT key, tenant, thread, id, role, status, rev, (?1 << 32) | branch, depth, created_at, body
             FROM messages WHERE key > max(?2, (?1 << 32) - 1) AND key < ((?1 + 1) << 32) ORDER BY key LIMIT ?4",
            0,
            None,
        ),
        (Table::Forks, _) => (
            "SELECT message, pred, ord, prev_message, prev_branch, next_message, next_branch FROM forks
             WHERE message > max(?2, (?1 << 32) - 1) AND message < ((?1 + 1) << 32) ORDER BY message LIMIT ?4",
            0,
            None,
        ),
        (Table::Forkpoints, _) => (
            "SELECT pred, total, (?1 << 32) | last FROM forkpoints
             WHERE pred > max(?2, (?1 << 32) - 1) AND pred < ((?1 + 1) << 32) ORDER BY pred LIMIT ?4",
            0,
            None,
        ),
        (Table::Changes, _) => (
            "SELECT thread, seq, at, hash, record FROM changes
             WHERE tenant = (SELECT tenant FROM threads WHERE num = ?1) AND thread = ?1 AND seq > ?2
             ORDER BY seq LIMIT ?4",
            1,
            None,
        ),
        (Table::Runs, _) => (
            "SELECT r.num, r.tenant, r.id, t.owner, r.thread, t.id, r.branch, b.id, r.message, m.id, r.depth, r.status,
                r.outcome, r.fence, r.owner, r.until, r.provider, r.request, r.folded, r.length, r.error, r.started_at,
                r.ended_at, CASE WHEN r.status < 2 THEN r.thread END, s.run IS NOT NULL, r.held
             FROM runs r CROSS JOIN threads t ON t.num = r.thread
             CROSS JOIN branches b ON b.key = (r.thread << 32) | r.branch
             CROSS JOIN messages m ON m.key = (r.thread << 32) | r.message
             LEFT JOIN streams s ON s.run = r.num
             WHERE r.thread = ?1 AND r.num > ?2 ORDER BY r.num LIMIT ?4",
            0,
            None,
        ),
        // They are read out of streams and the journal, run by run.
        (Table::Chunks, _) => ("SELECT run, 0, 0, body FROM streams WHERE 0", 0, None),
        (Table::Summaries, _) => (
            "SELECT user, pos, tenant, thread, title, snippet, running, archived, deleted, updated_at FROM summaries
             WHERE (user, pos) > (?2, ?3) ORDER BY user, pos LIMIT ?4",
            0,
            Some(1),
        ),
        (Table::Receipts, true) => {
            ("SELECT tenant, user, key, digest, thread, answer, makes FROM receipts WHERE thread = ?1", 1, None)
        }
        (Table::Receipts, false) => {
            ("SELECT tenant, user, key, digest, thread, answer, makes FROM receipts WHERE thread IS NULL", 1, None)
        }
        (Table::Tombstones, _) => ("SELECT user, ord, key, thread FROM tombstones", 1, None),
        (Table::Budgets, _) => {
            ("SELECT key, start, until, money, tokens, held_money, held_tokens, runs FROM budgets", 1, None)
        }
        (Table::Settings, _) => ("SELECT key, version, value FROM settings", 1, None),
        (Table::Locks, _) => {
            ("SELECT name, tenant, token, owner, holder, since, until, released FROM locks", 1, None)
        }
    }
}

fn page(db: &Db<'_>, table: Table, thread: Option<i64>, after: Key, limit: usize) -> Done<Page> {
    let (sql, first, second) = select(table, thread);
    let paged = sql.ends_with("?4");
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let read = |row: &SqlRow<'_>| {
        let mut cells = cells(row, table.columns().len())?;
        if table == Table::Messages
            && let [Cell::Int(key), .., Cell::Bytes(body)] = cells.as_mut_slice()
        {
            *body = bare_body(*key, body)?;
        }
        if matches!(table, Table::Receipts | Table::Tombstones) {
            hash_key(&mut cells);
        }
        bytes += cells.iter().map(size).sum::<usize>();
        rows.push(cells);
        Ok(if paged && bytes > PAGE_BYTES { Step::Stop } else { Step::On })
    };
    let limit = i64::try_from(limit).map_err(damage)?;
    let num = thread.unwrap_or_default();
    match (paged, sql.contains("?1")) {
        (true, _) => db.each(sql, params![num, after.0, after.1, limit], read)?,
        (false, true) => db.each(sql, params![num], read)?,
        (false, false) => db.each(sql, [], read)?,
    }
    if table == Table::Branches {
        rows.iter_mut().try_for_each(|row| tip(db, num, row))?;
    }
    let int = |row: &Row, at: usize| match row.get(at) {
        Some(Cell::Int(number)) => *number,
        _ => 0,
    };
    rows.retain(|row| moves(table, row));
    let next = rows.last().filter(|_| paged).map(|row| (int(row, first), second.map_or(0, |at| int(row, at))));
    Ok(Page { rows, next })
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null | Cell::Int(_) => 8,
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
    }
}

fn cells(row: &SqlRow<'_>, count: usize) -> Done<Row> {
    (0..count)
        .map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Int(number),
                ValueRef::Real(_) => return Err(damage("a column holds a fraction")),
                ValueRef::Text(text) => Cell::Text(str::from_utf8(text).map_err(damage)?.to_owned()),
                ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
            })
        })
        .collect()
}

/// A receipt is found by the hash of its key where keys of any length do not fit an index.
fn hash_key(row: &mut Row) {
    if let Some(cell) = row.get_mut(2)
        && let Cell::Text(key) = cell
    {
        *cell = Cell::Bytes(blake3::hash(key.as_bytes()).as_bytes().to_vec());
    }
}

/// Fills in the last message on a branch's line and where that was first written.
fn tip(db: &Db<'_>, thread: i64, row: &mut Row) -> Done<()> {
    let (Some(Cell::Int(tenant)), Some(Cell::Int(total)), Some(Cell::Bytes(lineage))) =
        (row.get(1), row.get(6), row.get(10))
    else {
        return Err(damage("a branch lacks its columns"));
    };
    let (tenant, total) = (*tenant, u64::try_from(*total).map_err(damage)?);
    let lineage: Vec<Stretch> = from_cbor(lineage)?;
    let (mut last, mut written) = (key(thread, NONE), key(thread, NONE));
    if let Some(depth) = total.checked_sub(1) {
        let owner = owner_at(&lineage, depth)?.branch;
        let message = branch::slot(db, tenant, thread, owner, depth)?.ok_or_else(|| damage("a tip's slot is empty"))?;
        last = key(thread, message);
        let on: Option<i64> = db.one("SELECT branch FROM messages WHERE key = ?1", [last], |row| Ok(row.get(0)?))?;
        written = key(thread, on.ok_or_else(|| damage("a tip is not there"))?);
    }
    row[8] = Cell::Int(last);
    row[9] = Cell::Int(written);
    Ok(())
}
