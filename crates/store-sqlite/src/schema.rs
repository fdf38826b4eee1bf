//! The file's layout: every table, its keys, and the migrations that lead to it. All persisted names and numbers
//! are frozen; a change is a new migration and a new fixture.
//!
//! Threads are numbered per file and never renumbered. Branches and messages are numbered within their thread, in
//! the order of their making, and keyed `thread << 32 | number`: a thread's messages lie together, so that a page
//! is a few neighbouring leaves and an export or a deletion is one range.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::fail::{Done, damage};

/// Statements that lead from each version to the next one; the index is the version they start from.
const MIGRATIONS: &[&str] = &[FIRST, LOCKS, DELETIONS, SUMS, SETTINGS];

/// The version that this release brings a file to.
pub(crate) const NEWEST: usize = MIGRATIONS.len();

const FIRST: &str = "
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 1), ('generation', 0);

CREATE TABLE tenants (
    num INTEGER PRIMARY KEY,
    id  TEXT NOT NULL UNIQUE
);
CREATE TABLE users (
    num    INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    id     TEXT NOT NULL,
    pos    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, id)
);

CREATE TABLE threads (
    num            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant         INTEGER NOT NULL,
    id             TEXT NOT NULL,
    owner          INTEGER NOT NULL,
    title          TEXT NOT NULL,
    metadata       TEXT,
    archived       INTEGER NOT NULL,
    hidden         INTEGER NOT NULL,
    default_branch INTEGER NOT NULL,
    secret         BLOB NOT NULL,
    epoch          INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    hash           BLOB NOT NULL,
    branches       INTEGER NOT NULL,
    messages       INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (tenant, id)
);

-- parent is -1 for a line of its own; lineage is CBOR; made is how many messages the thread had.
CREATE TABLE branches (
    key        INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    thread     INTEGER NOT NULL,
    id         TEXT NOT NULL,
    parent     INTEGER NOT NULL,
    fork_depth INTEGER NOT NULL,
    total      INTEGER NOT NULL,
    made       INTEGER NOT NULL,
    lineage    BLOB NOT NULL,
    UNIQUE (tenant, thread, id)
);
CREATE INDEX branches_by_fork ON branches (thread, parent, fork_depth);

CREATE TABLE slots (
    tenant  INTEGER NOT NULL,
    thread  INTEGER NOT NULL,
    branch  INTEGER NOT NULL,
    depth   INTEGER NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (tenant, thread, branch, depth)
) WITHOUT ROWID;

-- body: one codec byte (0: CBOR; 90: a sum of 8 bytes, then CBOR), then the body; empty for an empty body.
CREATE TABLE messages (
    key        INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    thread     INTEGER NOT NULL,
    id         TEXT NOT NULL,
    role       INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    branch     INTEGER NOT NULL,
    depth      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    body       BLOB NOT NULL,
    UNIQUE (tenant, thread, id)
);

-- Only messages with siblings are in forks, and only their predecessors in forkpoints. The key of a predecessor
-- that does not exist is the thread's with all low bits set.
CREATE TABLE forks (
    message      INTEGER PRIMARY KEY,
    pred         INTEGER NOT NULL,
    ord          INTEGER NOT NULL,
    prev_message TEXT,
    prev_branch  TEXT,
    next_message TEXT,
    next_branch  TEXT
);
CREATE TABLE forkpoints (
    pred  INTEGER PRIMARY KEY,
    total INTEGER NOT NULL,
    last  INTEGER NOT NULL
);

CREATE TABLE changes (
    tenant INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    hash   BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (tenant, thread, seq)
) WITHOUT ROWID;

CREATE TABLE runs (
    num        INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     INTEGER NOT NULL,
    id         TEXT NOT NULL,
    thread     INTEGER NOT NULL,
    branch     INTEGER NOT NULL,
    message    INTEGER NOT NULL,
    depth      INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    outcome    INTEGER,
    fence      INTEGER NOT NULL,
    owner      TEXT NOT NULL,
    until      INTEGER NOT NULL,
    provider   TEXT NOT NULL,
    request    TEXT NOT NULL,
    folded     INTEGER NOT NULL,
    length     INTEGER NOT NULL,
    error      TEXT,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    UNIQUE (tenant, id)
);
CREATE UNIQUE INDEX runs_unended ON runs (thread, branch) WHERE status < 2;
CREATE INDEX runs_writing ON runs (thread, message) WHERE status < 2;
CREATE INDEX runs_by_thread ON runs (thread);

-- One row a commit with the chunks of every run in it; a run's share moves to streams when it ends. body: one byte (0
-- in the journal, 90 in streams), a sum of 8 bytes, then the chunks; without these 9 as earlier releases wrote it.
CREATE TABLE journal (
    num  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);
CREATE TABLE streams (
    run      INTEGER PRIMARY KEY,
    ended_at INTEGER NOT NULL,
    body     BLOB NOT NULL
);
CREATE INDEX streams_by_end ON streams (ended_at);

CREATE TABLE summaries (
    tenant     INTEGER NOT NULL,
    user       INTEGER NOT NULL,
    pos        INTEGER NOT NULL,
    thread     TEXT NOT NULL,
    title      TEXT NOT NULL,
    snippet    TEXT NOT NULL,
    running    INTEGER NOT NULL,
    archived   INTEGER NOT NULL,
    deleted    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, pos)
) WITHOUT ROWID;
CREATE UNIQUE INDEX summaries_by_thread ON summaries (tenant, user, thread);

CREATE TABLE receipts (
    tenant INTEGER NOT NULL,
    user   INTEGER NOT NULL,
    key    TEXT NOT NULL,
    digest BLOB NOT NULL,
    thread INTEGER,
    answer BLOB NOT NULL,
    PRIMARY KEY (tenant, user, key)
) WITHOUT ROWID;
CREATE INDEX receipts_by_thread ON receipts (thread);
";

/// A lock's row is never removed: its tokens go on where they were.
const LOCKS: &str = "
CREATE TABLE locks (
    tenant   INTEGER NOT NULL,
    name     TEXT NOT NULL,
    token    INTEGER NOT NULL,
    owner    TEXT,
    holder   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    released INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
";

/// What deletions leave. graves: threads whose rows are still to be removed. A tombstone's key is that of the receipt
/// that made the thread, which stays with an empty answer.
///
/// Until then receipts did not say whether they made their thread. Those that may have begin with a thread (CBOR: a
/// pair of a list and a position, the list's first entry of kind 0).
const DELETIONS: &str = "
CREATE TABLE graves (
    thread INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL
);
CREATE TABLE tombstones (
    user   INTEGER NOT NULL,
    ord    INTEGER NOT NULL,
    key    TEXT,
    thread TEXT NOT NULL,
    PRIMARY KEY (user, ord)
) WITHOUT ROWID;
CREATE UNIQUE INDEX tombstones_by_thread ON tombstones (user, thread);
ALTER TABLE receipts ADD COLUMN makes INTEGER NOT NULL DEFAULT 0;
UPDATE receipts SET makes = 1
    WHERE thread IS NOT NULL AND substr(answer, 1, 1) = x'82' AND substr(answer, 3, 2) = x'8200';
CREATE INDEX receipts_making ON receipts (thread) WHERE makes = 1;
PRAGMA application_id = 1414024548;
";

/// Sums over the columns of a row, so that a damaged page shows no altered title, snippet or state; none in rows that were
/// written before. A body has one of its own.
const SUMS: &str = "
ALTER TABLE threads ADD COLUMN sum BLOB;
ALTER TABLE messages ADD COLUMN sum BLOB;
ALTER TABLE runs ADD COLUMN sum BLOB;
ALTER TABLE summaries ADD COLUMN sum BLOB;
";

/// What is set for the whole deployment, by key.
const SETTINGS: &str = "
CREATE TABLE settings (
    key     TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    value   TEXT NOT NULL
) WITHOUT ROWID;
";

/// `THMd`: what SQLite keeps in the file's head for whoever wonders whose it is.
const APPLICATION: i64 = 1_414_024_548;

/// Refuses a file that is another program's. Files of the first releases do not name theirs; all are known by their tables,
/// and a file with nothing in it is anybody's. Whoever can name a file as ours can fill it with anything, so what is in it
/// is compared with what this release makes: a few reads, and a database in memory.
pub(crate) fn must_be_ours(db: &Connection) -> Done<()> {
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let other = match (application, usize::try_from(version)) {
        (APPLICATION | 0, Ok(0)) if count("SELECT count(*) FROM sqlite_schema")? == 0 => None,
        // What a later release made is its own to say; it is refused for its version.
        (APPLICATION, Ok(version)) if version > MIGRATIONS.len() => None,
        (APPLICATION | 0, Ok(version)) if (1..=MIGRATIONS.len()).contains(&version) => differs(db, version)?,
        _ => Some("its tables".to_owned()),
    };
    let Some(other) = other else { return Ok(()) };
    Err(damage(format_args!(
        "the file is another program's database (application_id {application}, user_version {version}; {other} not as \
         this program makes them): nothing in it was touched"
    )))
}

/// What of a file is not as this release makes it in a version; tables and indexes of others beside ours are theirs, but a
/// trigger on one of ours would do something with every write.
fn differs(db: &Connection, version: usize) -> Done<Option<String>> {
    let model = Connection::open_in_memory()?;
    for statements in &MIGRATIONS[..version] {
        model.execute_batch(statements)?;
    }
    let ours = columns(&model)?;
    let theirs = columns(db)?;
    if let Some((table, _)) = ours.iter().find(|(table, made)| theirs.get(*table) != Some(*made)) {
        return Ok(Some(format!("columns of `{table}`")));
    }
    let theirs = names(db, "index")?;
    if let Some(index) = names(&model, "index")?.difference(&theirs).next() {
        return Ok(Some(format!("indexes such as `{}`", index.0)));
    }
    let trigger = names(db, "trigger")?.into_iter().find(|(_, table)| ours.contains_key(table));
    Ok(trigger.map(|(name, _)| format!("triggers such as `{name}`")))
}

/// The columns of each table: what they are called, hold and are part of.
fn columns(db: &Connection) -> Done<BTreeMap<String, Vec<String>>> {
    const SQL: &str = "SELECT t.name, c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
        FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid";
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut statement = db.prepare(SQL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        all.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(all)
}

/// What there is of a kind, with the table that it is of.
fn names(db: &Connection, kind: &str) -> Done<BTreeSet<(String, String)>> {
    let mut statement = db.prepare("SELECT name, tbl_name FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL")?;
    let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Refuses a file that is not of the newest version, for those who may not change it.
pub(crate) fn must_be_newest(db: &Connection) -> Done<()> {
    let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    Err(damage(format_args!(
        "the file has schema version {version} and is open in a server, this release reads {}: serve it with this \
         release, or stop the server",
        MIGRATIONS.len()
    )))
}

/// Brings a file to the newest version. A file of a later release is refused.
pub(crate) fn migrate(db: &Connection) -> Done<()> {
    let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        return Err(damage(format_args!(
            "the file has schema version {version}, this release knows {}",
            MIGRATIONS.len()
        )));
    }
    for (index, statements) in MIGRATIONS.iter().enumerate().skip(version) {
        let next = index + 1;
        db.execute_batch(&format!("BEGIN IMMEDIATE; {statements} PRAGMA user_version = {next}; COMMIT;"))?;
    }
    Ok(())
}
