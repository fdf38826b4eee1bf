//! The database's layout: every table, its keys, and the migrations that lead to it. All persisted names and numbers
//! are frozen; a change is a new migration. `versions.rs` runs them.
//!
//! A migration expands: new tables, new columns that are empty or have a default, new indexes. What is in the way of that
//! goes a release later, when nobody writes it any more. So nodes of the release before go on beside those of this one,
//! and an upgrade can be taken back. `meta` says from which version on this holds (`compatible_from`, a column that is
//! made with the first migration after the fourth); a database that says nothing is for its own version alone.
//!
//! Everything is in the schema `threadmill`, beside whatever else the database holds. Threads and runs are numbered
//! by sequences. Branches and messages are numbered within their thread, in the order of their making, and keyed
//! `thread << 32 | number`: a thread's messages lie together, so that a page is a few neighbouring leaves and an
//! export or a removal is one range. Ids are unique in their tenant.
//!
//! Of the indexes of a table no two begin with the same column, so that every condition here has one index that
//! serves it. With two the planner chooses by what it believes of the data, which is nothing while a table is new:
//! measured, it then found messages by reading their whole thread. For the same reason an index of ids begins with
//! the id: no prefix of it is of use to anybody.
//!
//! Rows refer to each other without foreign keys: those would lock the rows referred to, in an order of their own,
//! and a thread's rows are only ever written under its row's lock.

/// Statements that lead from each version to the next one; the index is the version they start from.
const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH];

/// The version that this release brings a database to.
pub(crate) const NEWEST: usize = MIGRATIONS.len() + NEXT.len();

/// The oldest version whose releases read and write what [`MIGRATIONS`] leave: those before 5 would end runs and not settle
/// their budgets. It stays when a migration expands, and grows to the version before that of a migration that contracts.
pub(crate) const COMPATIBLE_FROM: usize = 5;

/// What the next release might add, for the tests of an upgrade and the way back: see `scripts/upgrade.sh`. Every table
/// gets a column, so that a statement that reads or writes a row without naming its columns is found.
const NEXT: &[&str] = if cfg!(feature = "next-schema") { &[EXPANDED] } else { &[] };
const EXPANDED: &str = "
CREATE TABLE threadmill.notes (num bigint PRIMARY KEY, words text NOT NULL);
CREATE INDEX threads_by_update ON threadmill.threads (updated_at);
ALTER TABLE threadmill.tenants ADD COLUMN note text;
ALTER TABLE threadmill.users ADD COLUMN note text;
ALTER TABLE threadmill.threads ADD COLUMN note text;
ALTER TABLE threadmill.branches ADD COLUMN note text;
ALTER TABLE threadmill.slots ADD COLUMN note text;
ALTER TABLE threadmill.messages ADD COLUMN note text;
ALTER TABLE threadmill.forks ADD COLUMN note text;
ALTER TABLE threadmill.forkpoints ADD COLUMN note text;
ALTER TABLE threadmill.changes ADD COLUMN note text;
ALTER TABLE threadmill.runs ADD COLUMN note bigint NOT NULL DEFAULT 7;
ALTER TABLE threadmill.chunks ADD COLUMN note text;
ALTER TABLE threadmill.summaries ADD COLUMN note text;
ALTER TABLE threadmill.receipts ADD COLUMN note text;
ALTER TABLE threadmill.nodes ADD COLUMN note text;
ALTER TABLE threadmill.locks ADD COLUMN note text;
ALTER TABLE threadmill.graves ADD COLUMN note text;
ALTER TABLE threadmill.tombstones ADD COLUMN note text;
ALTER TABLE threadmill.settings ADD COLUMN note text;
ALTER TABLE threadmill.budgets ADD COLUMN note text;
ALTER TABLE threadmill.named_owners ADD COLUMN note text;
ALTER TABLE threadmill.named_streams ADD COLUMN note text;
ALTER TABLE threadmill.named_entries ADD COLUMN note text;
ALTER TABLE threadmill.named_producers ADD COLUMN note text;
";

/// Statements that lead from each version to the next one.
pub(crate) fn migrations() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().chain(NEXT).copied()
}

/// Nodes that start together migrate one after another, under this advisory lock.
pub(crate) const LOCK: i64 = 0x7468_7265_6164_6d00;

/// Whoever moves a store in holds this advisory lock.
pub(crate) const MOVING_LOCK: i64 = 0x7468_7265_6164_6d01;

/// What is sent to nodes that listen.
pub(crate) const CHANNEL: &str = "threadmill";

const FIRST: &str = "
CREATE TABLE threadmill.meta (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL,
    epoch   bigint NOT NULL,
    origin  text
);
INSERT INTO threadmill.meta (version, epoch) VALUES (0, 1);

CREATE TABLE threadmill.tenants (
    num bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id  text COLLATE \"C\" NOT NULL UNIQUE
);
CREATE TABLE threadmill.users (
    num    bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant bigint NOT NULL,
    id     text COLLATE \"C\" NOT NULL,
    pos    bigint NOT NULL DEFAULT 0,
    UNIQUE (id, tenant)
) WITH (fillfactor = 70);

CREATE SEQUENCE threadmill.threads_num;
CREATE TABLE threadmill.threads (
    num            bigint PRIMARY KEY,
    tenant         bigint NOT NULL,
    id             text COLLATE \"C\" NOT NULL,
    owner          bigint NOT NULL,
    title          text NOT NULL,
    metadata       text,
    archived       boolean NOT NULL,
    hidden         boolean NOT NULL,
    default_branch bigint NOT NULL,
    secret         bytea NOT NULL,
    epoch          bigint NOT NULL,
    seq            bigint NOT NULL,
    hash           bytea NOT NULL,
    branches       bigint NOT NULL,
    messages       bigint NOT NULL,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL,
    UNIQUE (id, tenant)
) WITH (fillfactor = 70);

-- parent is a key, of no branch (all low bits set) for a line of its own. lineage is CBOR; made is how many messages the thread had; tip is the last message on the line, tip_branch where
-- that was first written.
CREATE TABLE threadmill.branches (
    key        bigint PRIMARY KEY,
    tenant     bigint NOT NULL,
    thread     bigint NOT NULL,
    id         text COLLATE \"C\" NOT NULL,
    parent     bigint NOT NULL,
    fork_depth bigint NOT NULL,
    total      bigint NOT NULL,
    made       bigint NOT NULL,
    tip        bigint NOT NULL,
    tip_branch bigint NOT NULL,
    lineage    bytea NOT NULL,
    UNIQUE (id, thread, tenant)
) WITH (fillfactor = 70);
CREATE INDEX branches_by_fork ON threadmill.branches (parent, fork_depth);

CREATE TABLE threadmill.slots (
    branch  bigint NOT NULL,
    depth   bigint NOT NULL,
    message bigint NOT NULL,
    PRIMARY KEY (branch, depth)
);

-- body: one codec byte (0: CBOR), then the body; empty for an empty body.
CREATE TABLE threadmill.messages (
    key        bigint PRIMARY KEY,
    tenant     bigint NOT NULL,
    thread     bigint NOT NULL,
    id         text COLLATE \"C\" NOT NULL,
    role       bigint NOT NULL,
    status     bigint NOT NULL,
    rev        bigint NOT NULL,
    branch     bigint NOT NULL,
    depth      bigint NOT NULL,
    created_at bigint NOT NULL,
    body       bytea NOT NULL,
    UNIQUE (id, thread, tenant)
);

-- Only messages with siblings are in forks, and only their predecessors in forkpoints.
CREATE TABLE threadmill.forks (
    message      bigint PRIMARY KEY,
    pred         bigint NOT NULL,
    ord          bigint NOT NULL,
    prev_message text COLLATE \"C\",
    prev_branch  text COLLATE \"C\",
    next_message text COLLATE \"C\",
    next_branch  text COLLATE \"C\"
);
CREATE TABLE threadmill.forkpoints (
    pred   bigint PRIMARY KEY,
    total  bigint NOT NULL,
    last   bigint NOT NULL
);

CREATE TABLE threadmill.changes (
    thread bigint NOT NULL,
    seq    bigint NOT NULL,
    at     bigint NOT NULL,
    hash   bytea NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (thread, seq)
);

-- open: the thread, while the run has not ended. kept: it has, and its chunks are still there.
CREATE SEQUENCE threadmill.runs_num;
CREATE TABLE threadmill.runs (
    num        bigint PRIMARY KEY,
    tenant     bigint NOT NULL,
    id         text COLLATE \"C\" NOT NULL,
    owner      bigint NOT NULL,
    thread     bigint NOT NULL,
    thread_id  text COLLATE \"C\" NOT NULL,
    branch     bigint NOT NULL,
    branch_id  text COLLATE \"C\" NOT NULL,
    message    bigint NOT NULL,
    message_id text COLLATE \"C\" NOT NULL,
    depth      bigint NOT NULL,
    status     bigint NOT NULL,
    outcome    bigint,
    fence      bigint NOT NULL,
    holder     text COLLATE \"C\" NOT NULL,
    until      bigint NOT NULL,
    provider   text NOT NULL,
    request    text NOT NULL,
    folded     bigint NOT NULL,
    length     bigint NOT NULL,
    error      text,
    started_at bigint NOT NULL,
    ended_at   bigint,
    open       bigint,
    kept       boolean NOT NULL,
    UNIQUE (id, tenant)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX runs_open ON threadmill.runs (open, branch) WHERE open IS NOT NULL;
CREATE INDEX runs_by_holder ON threadmill.runs (holder) WHERE open IS NOT NULL;
CREATE INDEX runs_by_thread ON threadmill.runs (thread);
CREATE INDEX runs_kept ON threadmill.runs (ended_at) WHERE kept;

-- A stretch of a run's stream: from at on, count chunks. A run's end is where its last stretch ends.
CREATE TABLE threadmill.chunks (
    run    bigint NOT NULL,
    at     bigint NOT NULL,
    count  bigint NOT NULL,
    body   bytea NOT NULL,
    PRIMARY KEY (run, at)
);

CREATE TABLE threadmill.summaries (
    tenant     bigint NOT NULL,
    owner      bigint NOT NULL,
    thread     text COLLATE \"C\" NOT NULL,
    pos        bigint NOT NULL,
    title      text NOT NULL,
    snippet    text NOT NULL,
    running    boolean NOT NULL,
    archived   boolean NOT NULL,
    deleted    boolean NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (thread, owner)
);
CREATE INDEX summaries_by_pos ON threadmill.summaries (owner, pos);

-- key is the hash of the client's, which may be of any length.
CREATE TABLE threadmill.receipts (
    tenant bigint NOT NULL,
    owner  bigint NOT NULL,
    key    bytea NOT NULL,
    digest bytea NOT NULL,
    thread bigint,
    answer bytea NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX receipts_by_thread ON threadmill.receipts (thread) WHERE thread IS NOT NULL;

-- The last commit of each node: what it asks when it did not hear how one ended.
CREATE TABLE threadmill.nodes (
    id     text COLLATE \"C\" PRIMARY KEY,
    flush  bigint NOT NULL,
    seen   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Deleted threads whose rows are still to be removed: nothing leads to them any more.
CREATE TABLE threadmill.graves (
    thread bigint PRIMARY KEY,
    runs   bigint[] NOT NULL
);
";

/// Locks, and stores that move in. A lock's row is never removed: its tokens go on where they were. One that was never granted has the token 0.
const SECOND: &str = "
CREATE TABLE threadmill.locks (
    name     text COLLATE \"C\" NOT NULL,
    tenant   bigint NOT NULL,
    token    bigint NOT NULL DEFAULT 0,
    owner    text COLLATE \"C\",
    holder   text NOT NULL DEFAULT '',
    since    bigint NOT NULL DEFAULT 0,
    until    bigint NOT NULL DEFAULT 0,
    released boolean NOT NULL DEFAULT false,
    PRIMARY KEY (name, tenant)
) WITH (fillfactor = 70);

-- A store that is being moved in: what from, and which threads are here as they were there.
CREATE TABLE threadmill.moving (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    source text NOT NULL,
    done   boolean NOT NULL
);
CREATE TABLE threadmill.moved (
    thread bigint PRIMARY KEY,
    mark   bytea NOT NULL,
    done   boolean NOT NULL
);
";

/// What deletions leave, and a random number of the database's own, from which nodes derive what they must share and
/// nobody else may know. A tombstone's key is that of the receipt that made the thread, which stays with an empty
/// answer.
///
/// Until then receipts did not say whether they made their thread. Those that may have begin with a thread (CBOR: a
/// pair of a list and a position, the list's first entry of kind 0).
const THIRD: &str = "
CREATE TABLE threadmill.tombstones (
    owner  bigint NOT NULL,
    ord    bigint NOT NULL,
    key    bytea,
    thread text COLLATE \"C\" NOT NULL,
    PRIMARY KEY (owner, ord),
    UNIQUE (thread, owner)
);
ALTER TABLE threadmill.receipts ADD COLUMN makes boolean NOT NULL DEFAULT false;
UPDATE threadmill.receipts SET makes = true
    WHERE thread IS NOT NULL AND substr(answer, 1, 1) = '\\x82' AND substr(answer, 3, 2) = '\\x8200';
ALTER TABLE threadmill.meta ADD COLUMN secret bytea;
UPDATE threadmill.meta SET secret =
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
";

/// What is set for the whole deployment, by key.
const FOURTH: &str = "
CREATE TABLE threadmill.settings (
    key     text COLLATE \"C\" PRIMARY KEY,
    version bigint NOT NULL,
    value   text NOT NULL
) WITH (fillfactor = 50);
";

/// What was spent and is held of each budget in each period, money in millionths; and what a run holds until it ends (CBOR).
const FIFTH: &str = "
CREATE TABLE threadmill.budgets (
    key         text COLLATE \"C\" NOT NULL,
    start       bigint NOT NULL,
    until       bigint NOT NULL,
    money       bigint NOT NULL DEFAULT 0,
    tokens      bigint NOT NULL DEFAULT 0,
    held_money  bigint NOT NULL DEFAULT 0,
    held_tokens bigint NOT NULL DEFAULT 0,
    runs        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (key, start)
) WITH (fillfactor = 50);
CREATE INDEX budgets_by_end ON threadmill.budgets (until);
ALTER TABLE threadmill.runs ADD COLUMN held bytea;
";

/// Named streams, how many a user has, what was appended, and who appends. A stream without a path is buried: its rows are
/// still to be removed. `tail` is the stream's end; `about` is CBOR.
const SIXTH: &str = "
CREATE TABLE threadmill.named_owners (
    owner   text COLLATE \"C\" NOT NULL,
    tenant  text COLLATE \"C\" NOT NULL,
    streams bigint NOT NULL,
    PRIMARY KEY (owner, tenant)
) WITH (fillfactor = 50);
CREATE TABLE threadmill.named_streams (
    num     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant  text COLLATE \"C\" NOT NULL,
    owner   text COLLATE \"C\" NOT NULL,
    path    text COLLATE \"C\",
    start   bigint NOT NULL,
    tail    bigint NOT NULL,
    expires bigint,
    deleted boolean NOT NULL,
    source  bigint,
    forks   bigint NOT NULL,
    about   bytea NOT NULL
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX named_streams_by_path ON threadmill.named_streams (path, owner, tenant) WHERE path IS NOT NULL;
CREATE INDEX named_streams_by_owner ON threadmill.named_streams (owner, tenant, num) WHERE path IS NOT NULL;
CREATE INDEX named_streams_by_expiry ON threadmill.named_streams (expires) WHERE expires IS NOT NULL;
CREATE INDEX named_streams_buried ON threadmill.named_streams (num) WHERE path IS NULL;
CREATE TABLE threadmill.named_entries (
    stream bigint NOT NULL,
    at     bigint NOT NULL,
    body   bytea NOT NULL,
    PRIMARY KEY (stream, at)
);
CREATE TABLE threadmill.named_producers (
    stream bigint NOT NULL,
    id     text COLLATE \"C\" NOT NULL,
    epoch  bigint NOT NULL,
    seq    bigint NOT NULL,
    PRIMARY KEY (stream, id)
) WITH (fillfactor = 50);
";
