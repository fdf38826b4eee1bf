//! A database that another store is moved into. Nobody serves it meanwhile: [`crate::PostgresStore::open`] refuses to.
//!
//! A thread's own row is written last, so a thread is there whole or not at all. What was begun is gone on with if the
//! thread is as it was, and done anew if not.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::Object;
use threadmill_proto::{Chunk, from_cbor, to_cbor};
use threadmill_store::moving::{Cell, FIRST, Key, Kind, Moving, Row, Sums, Table, add_to, moves};
use threadmill_store::{StoreError, StoreResult};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::ToSql;

use crate::chunks::{Packed, unpack};
use crate::codec::{int, text_from, text_to};
use crate::db::{Db, Param, get};
use crate::fail::{Done, damage, unavailable};
use crate::options::PostgresOptions;
use crate::session::{self, Connections};
use crate::{durability, schema, versions};

/// How long an earlier move may take to end, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Rows read at once for the sums.
const BATCH: i64 = 4096;

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The database was empty.
    Begun,
    /// Some of the same source is here.
    GoesOn,
    /// All of it is, and was compared.
    Done,
}

/// See the module.
pub struct Target {
    client: Object,
    // Lets go of the connection when it is dropped.
    connections: Connections,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

impl Target {
    /// Connects and brings the schema up to date. `options.deadline` bounds a statement, of which the longest are
    /// removals of a thread.
    ///
    /// # Errors
    /// As [`crate::PostgresStore::open`]; also if another move into it is under way.
    pub async fn open(url: &str, options: &PostgresOptions) -> StoreResult<Self> {
        let config = session::config(url, options)?;
        let tls = session::tls(&config, options)?;
        let first = Connections::first(&config, &tls, options)?;
        let prepared = async {
            let client = first.get().await?;
            let db = Db::new(&client, options.deadline);
            durability::read(&db).await?;
            versions::migrate(&db).await
        };
        prepared.await?;
        first.close();
        let connections = Connections::new(&config, &tls, options)?;
        let target = Self { client: connections.writer().await?, connections };
        target.alone().await?;
        Ok(target)
    }

    /// Waits for an earlier move's session to end, since its last statement may go on after its process.
    async fn alone(&self) -> Done<()> {
        const SQL: &str = "SELECT pg_try_advisory_lock($1)";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = self.db().one(SQL, &[&schema::MOVING_LOCK]).await?;
            if row.map_or(Ok(false), |row| get(&row, 0))? {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(unavailable("another move into this database is under way").into());
            }
            sleep(PAUSE).await;
        }
    }

    fn db(&self) -> Db<'_> {
        Db::new(&self.client, self.connections.deadline())
    }

    /// Takes the database for a source.
    ///
    /// # Errors
    /// `Invalid` if it holds anything else.
    pub async fn claim(&self, source: &str) -> StoreResult<Progress> {
        const FOUND: &str = "SELECT source, done FROM threadmill.moving WHERE one";
        const USED: &str = "SELECT 1 FROM threadmill.users LIMIT 1";
        let db = self.db();
        if let Some(row) = db.one(FOUND, &[]).await? {
            let (known, done): (&str, bool) = (get(&row, 0)?, get(&row, 1)?);
            if known != source {
                return Err(StoreError::Invalid(format!("the database holds what was moved from {known}")));
            }
            return Ok(if done { Progress::Done } else { Progress::GoesOn });
        }
        if db.one(USED, &[]).await?.is_some() {
            return Err(StoreError::Invalid("the database is in use: it has users of its own".into()));
        }
        db.change("INSERT INTO threadmill.moving (source, done) VALUES ($1, false)", &[&source]).await?;
        Ok(Progress::Begun)
    }

    /// The threads that are here, by number: their marks, and whether they are whole.
    ///
    /// # Errors
    /// What the server says.
    pub async fn moved(&self) -> StoreResult<HashMap<i64, (Vec<u8>, bool)>> {
        let rows = self.db().all("SELECT thread, mark, done FROM threadmill.moved", &[]).await?;
        let read = |row: &tokio_postgres::Row| -> Done<_> { Ok((get(row, 0)?, (get(row, 1)?, get(row, 2)?))) };
        Ok(rows.iter().map(read).collect::<Done<_>>()?)
    }

    /// Notes that a thread is being moved.
    ///
    /// # Errors
    /// What the server says.
    pub async fn begin(&self, thread: &Moving) -> StoreResult<()> {
        const SQL: &str = "INSERT INTO threadmill.moved (thread, mark, done) VALUES ($1, $2, false)";
        self.db().change(SQL, &[&thread.num, &thread.mark.to_vec()]).await?;
        Ok(())
    }

    /// The key of the last row that is here of a table of a thread.
    ///
    /// # Errors
    /// What the server says.
    pub async fn reached(&self, table: Table, thread: i64) -> StoreResult<Key> {
        let Some(sql) = last_of(table) else {
            // Few enough to be moved again, in one statement.
            self.remove(table, thread).await?;
            return Ok(FIRST);
        };
        let row = self.db().one(sql, &[&thread]).await?;
        Ok(row.map_or(Ok(FIRST), |row| -> Done<Key> { Ok((get(&row, 0)?, get(&row, 1)?)) })?)
    }

    async fn remove(&self, table: Table, thread: i64) -> Done<()> {
        self.db().change(removal_of(table), &[&thread]).await.map(|_| ())
    }

    /// Removes all there is of a thread.
    ///
    /// # Errors
    /// What the server says.
    pub async fn forget(&self, thread: i64) -> StoreResult<()> {
        self.remove(Table::Threads, thread).await?;
        // Chunks are found by their runs, and so go before them.
        for table in Table::OF_THREAD.into_iter().rev() {
            self.remove(table, thread).await?;
        }
        self.db().change("DELETE FROM threadmill.moved WHERE thread = $1", &[&thread]).await?;
        Ok(())
    }

    /// Removes what belongs to no thread, so that it can be moved anew.
    ///
    /// # Errors
    /// What the server says.
    pub async fn forget_users(&self) -> StoreResult<()> {
        let all = "DELETE FROM threadmill.summaries; DELETE FROM threadmill.receipts WHERE thread IS NULL;
            DELETE FROM threadmill.locks; DELETE FROM threadmill.tombstones; DELETE FROM threadmill.settings; DELETE FROM threadmill.budgets;
            DELETE FROM threadmill.users; DELETE FROM threadmill.tenants";
        Ok(self.db().batch(all).await?)
    }

    /// Adds rows, all or none.
    ///
    /// # Errors
    /// What the server says.
    pub async fn add(&self, table: Table, rows: Vec<Row>) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let columns = columns(table, rows)?;
        let params: Vec<Param<'_>> = columns.iter().map(|column| -> Param<'_> { &**column }).collect();
        self.db().change(&insert(table), &params).await?;
        Ok(())
    }

    /// Notes that a thread is here whole. Its own row was the last.
    ///
    /// # Errors
    /// What the server says.
    pub async fn end(&self, thread: i64) -> StoreResult<()> {
        self.db().change("UPDATE threadmill.moved SET done = true WHERE thread = $1", &[&thread]).await?;
        Ok(())
    }

    /// Goes on with the source's numbers and in its epoch.
    ///
    /// # Errors
    /// What the server says.
    pub async fn number(&self, (threads, runs): (i64, i64), epoch: u64) -> StoreResult<()> {
        const SQL: &str = "SELECT setval('threadmill.threads_num', greatest($1::int8, 1)),
            setval('threadmill.runs_num', greatest($2::int8, 1)),
            setval(pg_get_serial_sequence('threadmill.tenants', 'num'), (SELECT coalesce(max(num), 1) FROM threadmill.tenants)),
            setval(pg_get_serial_sequence('threadmill.users', 'num'), (SELECT coalesce(max(num), 1) FROM threadmill.users))";
        self.db().all(SQL, &[&threads, &runs]).await?;
        self.db().change("UPDATE threadmill.meta SET epoch = greatest(epoch, $1) WHERE one", &[&int(epoch)]).await?;
        Ok(())
    }

    /// Lets the database be served.
    ///
    /// # Errors
    /// What the server says.
    pub async fn open_up(&self) -> StoreResult<()> {
        Ok(self.db().batch("UPDATE threadmill.moving SET done = true; DELETE FROM threadmill.moved").await?)
    }

    /// The sums of the tables that the digest leaves out.
    ///
    /// # Errors
    /// What the server says.
    pub async fn sums(&self) -> StoreResult<Sums> {
        let mut sums = Sums::new();
        for table in Table::BESIDE_DIGEST {
            self.sum(table, &mut sums).await?;
        }
        Ok(sums)
    }

    async fn sum(&self, table: Table, sums: &mut Sums) -> Done<()> {
        let db = self.db();
        let names: Vec<String> = table.columns().iter().map(|(name, _)| format!("t.\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM threadmill.{} t", names.join(", "), word(table));
        db.batch(&format!("BEGIN; DECLARE every NO SCROLL CURSOR FOR {sql}")).await?;
        loop {
            let rows = db.all(&format!("FETCH {BATCH} FROM every /* {} */", word(table)), &[]).await?;
            for row in &rows {
                let cells = cells(table, row)?;
                if moves(table, &cells) {
                    add_to(sums, table, &cells);
                }
            }
            if rows.is_empty() {
                return db.batch("COMMIT").await;
            }
        }
    }

    /// As [`threadmill_store::DurableStore::digest`].
    ///
    /// # Errors
    /// What the server says.
    pub async fn digest(&self) -> StoreResult<[u8; 32]> {
        Ok(threadmill_store::relational::digest(&self.db()).await?)
    }
}

fn word(table: Table) -> &'static str {
    match table {
        Table::Tenants => "tenants",
        Table::Users => "users",
        Table::Threads => "threads",
        Table::Branches => "branches",
        Table::Slots => "slots",
        Table::Messages => "messages",
        Table::Forks => "forks",
        Table::Forkpoints => "forkpoints",
        Table::Changes => "changes",
        Table::Runs => "runs",
        Table::Chunks => "chunks",
        Table::Summaries => "summaries",
        Table::Receipts => "receipts",
        Table::Locks => "locks",
        Table::Tombstones => "tombstones",
        Table::Settings => "settings",
        Table::Budgets => "budgets",
    }
}

/// The last row of a thread in a table with many.
fn last_of(table: Table) -> Option<&'static str> {
    match table {
        Table::Slots => Some(
            "SELECT branch, depth FROM threadmill.slots WHERE branch >= $1::int8 << 32 AND branch < ($1::int8 + 1) << 32
             ORDER BY branch DESC, depth DESC LIMIT 1",
        ),
        Table::Messages => Some(
            "SELECT key, 0::int8 FROM threadmill.messages
             WHERE key >= $1::int8 << 32 AND key < ($1::int8 + 1) << 32 ORDER BY key DESC LIMIT 1",
        ),
        Table::Changes => {
            Some("SELECT seq, 0::int8 FROM threadmill.changes WHERE thread = $1 ORDER BY seq DESC LIMIT 1")
        }
        Table::Tenants
        | Table::Users
        | Table::Threads
        | Table::Branches
        | Table::Forks
        | Table::Forkpoints
        | Table::Runs
        | Table::Chunks
        | Table::Summaries
        | Table::Receipts
        | Table::Tombstones
        | Table::Settings
        | Table::Budgets
        | Table::Locks => None,
    }
}

fn removal_of(table: Table) -> &'static str {
    match table {
        Table::Branches => "DELETE FROM threadmill.branches WHERE key >= $1::int8 << 32 AND key < ($1::int8 + 1) << 32",
        Table::Slots => "DELETE FROM threadmill.slots WHERE branch >= $1::int8 << 32 AND branch < ($1::int8 + 1) << 32",
        Table::Messages => "DELETE FROM threadmill.messages WHERE key >= $1::int8 << 32 AND key < ($1::int8 + 1) << 32",
        Table::Forks => {
            "DELETE FROM threadmill.forks WHERE message >= $1::int8 << 32 AND message < ($1::int8 + 1) << 32"
        }
        Table::Forkpoints => {
            "DELETE FROM threadmill.forkpoints WHERE pred >= $1::int8 << 32 AND pred < ($1::int8 + 1) << 32"
        }
        Table::Changes => "DELETE FROM threadmill.changes WHERE thread = $1",
        Table::Runs => "DELETE FROM threadmill.runs WHERE thread = $1",
        Table::Chunks => {
            "DELETE FROM threadmill.chunks WHERE run IN (SELECT num FROM threadmill.runs WHERE thread = $1)"
        }
        Table::Receipts => "DELETE FROM threadmill.receipts WHERE thread = $1",
        Table::Threads => "DELETE FROM threadmill.threads WHERE num = $1",
        Table::Tenants
        | Table::Users
        | Table::Summaries
        | Table::Locks
        | Table::Tombstones
        | Table::Settings
        | Table::Budgets => "SELECT 1 WHERE $1::int8 IS NULL",
    }
}

fn insert(table: Table) -> String {
    let (mut names, mut arrays) = (Vec::new(), Vec::new());
    for (at, (name, kind)) in table.columns().iter().enumerate() {
        let array = match kind {
            Kind::Int => "int8",
            Kind::Bool => "bool",
            Kind::Name | Kind::Text => "text",
            Kind::Bytes => "bytea",
        };
        names.push(format!("\"{name}\""));
        arrays.push(format!("${}::{array}[]", at + 1));
    }
    // Numbers that the database would give itself come from the source.
    let given = if matches!(table, Table::Tenants | Table::Users) { "OVERRIDING SYSTEM VALUE" } else { "" };
    let (names, arrays, word) = (names.join(", "), arrays.join(", "), word(table));
    format!("INSERT INTO threadmill.{word} ({names}) {given} SELECT * FROM unnest({arrays})")
}

type Column = Box<dyn ToSql + Sync + Send>;

/// Rows as one array a column.
fn columns(table: Table, rows: Vec<Row>) -> Done<Vec<Column>> {
    let width = table.columns().len();
    let mut turned: Vec<Vec<Cell>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        if row.len() != width {
            return Err(damage("a row that moves in lacks columns"));
        }
        row.into_iter().zip(&mut turned).for_each(|(cell, column)| column.push(cell));
    }
    let kinds = table.columns().iter().map(|(_, kind)| *kind);
    turned.into_iter().zip(kinds).map(|(cells, kind)| column(table, kind, cells)).collect()
}

fn column(table: Table, kind: Kind, cells: Vec<Cell>) -> Done<Column> {
    let other = |cell: &Cell| damage(format_args!("a column of {table:?} that moves in is of another kind: {cell:?}"));
    let all = |cells: Vec<Cell>| cells.into_iter();
    Ok(match kind {
        Kind::Int => Box::new(
            all(cells)
                .map(|cell| match cell {
                    Cell::Int(number) => Ok(Some(number)),
                    Cell::Null => Ok(None),
                    cell => Err(other(&cell)),
                })
                .collect::<Done<Vec<Option<i64>>>>()?,
        ),
        Kind::Bool => Box::new(
            all(cells)
                .map(|cell| match cell {
                    Cell::Int(number) => Ok(number != 0),
                    cell => Err(other(&cell)),
                })
                .collect::<Done<Vec<bool>>>()?,
        ),
        Kind::Name | Kind::Text => Box::new(
            all(cells)
                .map(|cell| match cell {
                    Cell::Text(text) => Ok(Some(if kind == Kind::Text { text_to(&text) } else { text })),
                    Cell::Null => Ok(None),
                    cell => Err(other(&cell)),
                })
                .collect::<Done<Vec<Option<String>>>>()?,
        ),
        Kind::Bytes => Box::new(
            all(cells)
                .map(|cell| match cell {
                    Cell::Bytes(bytes) if table == Table::Chunks => pack(&bytes).map(Some),
                    Cell::Bytes(bytes) => Ok(Some(bytes)),
                    Cell::Null => Ok(None),
                    cell => Err(other(&cell)),
                })
                .collect::<Done<Vec<Option<Vec<u8>>>>>()?,
        ),
    })
}

fn pack(cbor: &[u8]) -> Done<Vec<u8>> {
    let chunks: Vec<Chunk> = from_cbor(cbor)?;
    let mut packed = Packed::default();
    packed.push(&chunks);
    Ok(packed.bytes)
}

/// A row as the source would give it.
fn cells(table: Table, row: &tokio_postgres::Row) -> Done<Row> {
    let cell = |(at, (_, kind)): (usize, &(&str, Kind))| -> Done<Cell> {
        Ok(match kind {
            Kind::Int => get::<Option<i64>>(row, at)?.map_or(Cell::Null, Cell::Int),
            Kind::Bool => Cell::Int(i64::from(get::<bool>(row, at)?)),
            Kind::Name => get::<Option<String>>(row, at)?.map_or(Cell::Null, Cell::Text),
            Kind::Text => get::<Option<String>>(row, at)?.map_or(Cell::Null, |text| Cell::Text(text_from(text))),
            Kind::Bytes if table == Table::Chunks => Cell::Bytes(to_cbor(&unpack(get(row, at)?)?)),
            Kind::Bytes => get::<Option<Vec<u8>>>(row, at)?.map_or(Cell::Null, Cell::Bytes),
        })
    };
    table.columns().iter().enumerate().map(cell).collect()
}
