//! The file's layout: every table, its keys, and the migrations that lead to it; `versions.rs` runs them. All persisted names and numbers
//! are frozen; a change is a new migration and a new fixture.
//!
//! A migration expands: new tables, new columns at the end that are empty or have a default, new indexes. What is in the
//! way of that goes a release later, when nobody writes it any more. So the release before opens a file that was
//! expanded, reads and writes what it knows, and an upgrade can be taken back. `meta` says from which version on this
//! holds (`compatible_from`); a file that says nothing is for its own version alone.
//!
//! Threads are numbered per file and never renumbered. Branches and messages are numbered within their thread, in
//! the order of their making, and keyed `thread << 32 | number`: a thread's messages lie together, so that a page
//! is a few neighbouring leaves and an export or a deletion is one range.

/// Statements that lead from each version to the next one; the index is the version they start from.
const MIGRATIONS: &[&str] = &[FIRST, LOCKS, DELETIONS, SUMS, SETTINGS, BUDGETS, NAMED];

/// The version that this release brings a file to.
pub(crate) const NEWEST: usize = MIGRATIONS.len() + NEXT.len();

/// The oldest version whose releases read and write what [`MIGRATIONS`] leave, and what is written with them: rows have
/// another sum since 6. It stays when a migration expands, and grows to the version before that of a migration that
/// contracts.
pub(crate) const COMPATIBLE_FROM: usize = 6;

/// What the next release might add, for the tests of an upgrade and the way back: see `scripts/upgrade.sh`. Every table
/// gets a column, so that a statement that reads or writes a row without naming its columns is found.
const NEXT: &[&str] = if cfg!(feature = "next-schema") { &[EXPANDED] } else { &[] };
const EXPANDED: &str = "
CREATE TABLE notes (num INTEGER PRIMARY KEY, words TEXT NOT NULL);
CREATE INDEX threads_by_update ON threads (updated_at);
ALTER TABLE tenants ADD COLUMN note TEXT;
ALTER TABLE users ADD COLUMN note TEXT;
ALTER TABLE threads ADD COLUMN note TEXT;
ALTER TABLE branches ADD COLUMN note TEXT;
ALTER TABLE slots ADD COLUMN note TEXT;
ALTER TABLE messages ADD COLUMN note TEXT;
ALTER TABLE forks ADD COLUMN note TEXT;
ALTER TABLE forkpoints ADD COLUMN note TEXT;
ALTER TABLE changes ADD COLUMN note TEXT;
ALTER TABLE runs ADD COLUMN note INTEGER NOT NULL DEFAULT 7;
ALTER TABLE journal ADD COLUMN note TEXT;
ALTER TABLE streams ADD COLUMN note TEXT;
ALTER TABLE summaries ADD COLUMN note TEXT;
ALTER TABLE receipts ADD COLUMN note TEXT;
ALTER TABLE locks ADD COLUMN note TEXT;
ALTER TABLE graves ADD COLUMN note TEXT;
ALTER TABLE tombstones ADD COLUMN note TEXT;
ALTER TABLE settings ADD COLUMN note TEXT;
ALTER TABLE budgets ADD COLUMN note TEXT;
ALTER TABLE named_owners ADD COLUMN note TEXT;
ALTER TABLE named_streams ADD COLUMN note TEXT;
ALTER TABLE named_entries ADD COLUMN note TEXT;
ALTER TABLE named_producers ADD COLUMN note TEXT;
";

/// Statements that lead from each version to the next one.
pub(crate) fn migrations() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().chain(NEXT).copied()
}

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

-- body: one codec byte (0: CBOR; 90 or 165: a sum of 8 bytes, then CBOR), then the body; empty for an empty body.
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

/// What was spent and is held of each budget in each period, money in millionths; and what a run holds until it ends (CBOR).
const BUDGETS: &str = "
CREATE TABLE budgets (
    key         TEXT NOT NULL,
    start       INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    money       INTEGER NOT NULL,
    tokens      INTEGER NOT NULL,
    held_money  INTEGER NOT NULL,
    held_tokens INTEGER NOT NULL,
    runs        INTEGER NOT NULL,
    PRIMARY KEY (key, start)
) WITHOUT ROWID;
CREATE INDEX budgets_by_end ON budgets (until);
ALTER TABLE runs ADD COLUMN held BLOB;
";

/// Named streams, how many a user has, what was appended (keyed `stream << 28 | offset`), and who appends. A stream without
/// a path is buried: its rows are still to be removed. `tail` is the stream's end; `about` is CBOR.
const NAMED: &str = "
CREATE TABLE named_owners (
    tenant  TEXT NOT NULL,
    owner   TEXT NOT NULL,
    streams INTEGER NOT NULL,
    PRIMARY KEY (tenant, owner)
) WITHOUT ROWID;
CREATE TABLE named_streams (
    num     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT NOT NULL,
    owner   TEXT NOT NULL,
    path    TEXT,
    start   INTEGER NOT NULL,
    tail    INTEGER NOT NULL,
    expires INTEGER,
    deleted INTEGER NOT NULL,
    source  INTEGER,
    forks   INTEGER NOT NULL,
    about   BLOB NOT NULL
);
CREATE UNIQUE INDEX named_streams_by_path ON named_streams (path, owner, tenant) WHERE path IS NOT NULL;
CREATE INDEX named_streams_by_owner ON named_streams (owner, tenant, num) WHERE path IS NOT NULL;
CREATE INDEX named_streams_by_expiry ON named_streams (expires) WHERE expires IS NOT NULL;
CREATE INDEX named_streams_buried ON named_streams (num) WHERE path IS NULL;
CREATE TABLE named_entries (
    key  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);
CREATE TABLE named_producers (
    stream INTEGER NOT NULL,
    id     TEXT NOT NULL,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (stream, id)
) WITHOUT ROWID;
";

/// `THMd`: what SQLite keeps in the file's head for whoever wonders whose it is.
pub(crate) const APPLICATION: i64 = 1_414_024_548;
