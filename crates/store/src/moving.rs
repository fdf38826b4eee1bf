//! Moving a whole store into another one, row by row: the tables that both SQL stores have in common, as neutral rows.
//!
//! Rows and not threads, because what a thread exports is not all that promises need: the log with its hashes (so that
//! a reader's position holds in the new store), receipts, runs with their chunks, places in summary logs, locks.

use std::collections::BTreeMap;

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Tenants by number.
    Tenants,
    /// Users by number, with the newest place in their summary log.
    Users,
    /// Threads that no import hides.
    Threads,
    /// Branches.
    Branches,
    /// Which message stands where.
    Slots,
    /// Messages.
    Messages,
    /// Messages that have siblings.
    Forks,
    /// Messages that several follow.
    Forkpoints,
    /// Logs.
    Changes,
    /// Runs.
    Runs,
    /// Stretches of their streams; the body is the chunks in CBOR.
    Chunks,
    /// Summary logs.
    Summaries,
    /// Kept answers.
    Receipts,
    /// Locks.
    Locks,
    /// What is remembered of deleted threads.
    Tombstones,
    /// What is set for the whole deployment.
    Settings,
    /// What was spent and is held of budgets.
    Budgets,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// True or false.
    Bool,
    /// An id, or another text in the alphabet of ids.
    Name,
    /// Any text.
    Text,
    /// Bytes.
    Bytes,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// None.
    Null,
    /// A number, or 0 and 1 for a [`Kind::Bool`].
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row: a value for each of [`Table::columns`].
pub type Row = Vec<Cell>;

/// The key of a row, by which pages go on; most need one number only.
pub type Key = (i64, i64);

/// Before every row.
pub const FIRST: Key = (i64::MIN, i64::MIN);

/// Some rows in the order of their keys.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// The key of the last one, if more may follow.
    pub next: Option<Key>,
}

/// A thread of a store that is being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moving {
    /// Its number, the same in both stores.
    pub num: i64,
    /// Changes whenever anything of the thread does.
    pub mark: [u8; 32],
    /// Messages in it.
    pub messages: u64,
}

/// How many rows there are, and the sum of their hashes: equal for equal rows, in whatever order they come.
pub type Sums = BTreeMap<Table, (u64, u128)>;

use Kind::{Bool, Bytes, Int, Name, Text};

impl Table {
    /// The tables that hold a thread's rows, in the order in which they are moved. The thread's own row comes last.
    pub const OF_THREAD: [Self; 9] = [
        Self::Branches,
        Self::Slots,
        Self::Messages,
        Self::Forks,
        Self::Forkpoints,
        Self::Changes,
        Self::Runs,
        Self::Chunks,
        Self::Receipts,
    ];

    /// The tables that hold what belongs to no thread, as far as it does.
    pub const OF_USERS: [Self; 8] = [
        Self::Tenants,
        Self::Users,
        Self::Summaries,
        Self::Receipts,
        Self::Locks,
        Self::Tombstones,
        Self::Settings,
        Self::Budgets,
    ];

    /// Tables that [`crate::DurableStore::digest`] leaves out, in part or whole.
    pub const BESIDE_DIGEST: [Self; 9] = [
        Self::Users,
        Self::Threads,
        Self::Changes,
        Self::Chunks,
        Self::Receipts,
        Self::Locks,
        Self::Tombstones,
        Self::Settings,
        Self::Budgets,
    ];

    /// Its columns. Branches, messages and their predecessors are named by key (the thread's number, then their own),
    /// but for the branch and message of a run and a thread's default branch, which are numbers within the thread.
    #[must_use]
    pub fn columns(self) -> &'static [(&'static str, Kind)] {
        match self {
            Self::Tenants => &[("num", Int), ("id", Name)],
            Self::Users => &[("num", Int), ("tenant", Int), ("id", Name), ("pos", Int)],
            Self::Threads => &[
                ("num", Int),
                ("tenant", Int),
                ("id", Name),
                ("owner", Int),
                ("title", Text),
                ("metadata", Text),
                ("archived", Bool),
                ("hidden", Bool),
                ("default_branch", Int),
                ("secret", Bytes),
                ("epoch", Int),
                ("seq", Int),
                ("hash", Bytes),
                ("branches", Int),
                ("messages", Int),
                ("created_at", Int),
                ("updated_at", Int),
            ],
            Self::Branches => &[
                ("key", Int),
                ("tenant", Int),
                ("thread", Int),
                ("id", Name),
                ("parent", Int),
                ("fork_depth", Int),
                ("total", Int),
                ("made", Int),
                ("tip", Int),
                ("tip_branch", Int),
                ("lineage", Bytes),
            ],
            Self::Slots => &[("branch", Int), ("depth", Int), ("message", Int)],
            Self::Messages => &[
                ("key", Int),
                ("tenant", Int),
                ("thread", Int),
                ("id", Name),
                ("role", Int),
                ("status", Int),
                ("rev", Int),
                ("branch", Int),
                ("depth", Int),
                ("created_at", Int),
                ("body", Bytes),
            ],
            Self::Forks => &[
                ("message", Int),
                ("pred", Int),
                ("ord", Int),
                ("prev_message", Name),
                ("prev_branch", Name),
                ("next_message", Name),
                ("next_branch", Name),
            ],
            Self::Forkpoints => &[("pred", Int), ("total", Int), ("last", Int)],
            Self::Changes => &[("thread", Int), ("seq", Int), ("at", Int), ("hash", Bytes), ("record", Bytes)],
            Self::Runs => RUNS,
            Self::Chunks => &[("run", Int), ("at", Int), ("count", Int), ("body", Bytes)],
            Self::Summaries => &[
                ("owner", Int),
                ("pos", Int),
                ("tenant", Int),
                ("thread", Name),
                ("title", Text),
                ("snippet", Text),
                ("running", Bool),
                ("archived", Bool),
                ("deleted", Bool),
                ("updated_at", Int),
            ],
            Self::Receipts => &[
                ("tenant", Int),
                ("owner", Int),
                ("key", Bytes),
                ("digest", Bytes),
                ("thread", Int),
                ("answer", Bytes),
                ("makes", Bool),
            ],
            Self::Tombstones => &[("owner", Int), ("ord", Int), ("key", Bytes), ("thread", Name)],
            Self::Settings => &[("key", Name), ("version", Int), ("value", Text)],
            Self::Budgets => &[
                ("key", Name),
                ("start", Int),
                ("until", Int),
                ("money", Int),
                ("tokens", Int),
                ("held_money", Int),
                ("held_tokens", Int),
                ("runs", Int),
            ],
            Self::Locks => &[
                ("name", Name),
                ("tenant", Int),
                ("token", Int),
                ("owner", Name),
                ("holder", Text),
                ("since", Int),
                ("until", Int),
                ("released", Bool),
            ],
        }
    }
}

const RUNS: &[(&str, Kind)] = &[
    ("num", Int),
    ("tenant", Int),
    ("id", Name),
    ("owner", Int),
    ("thread", Int),
    ("thread_id", Name),
    ("branch", Int),
    ("branch_id", Name),
    ("message", Int),
    ("message_id", Name),
    ("depth", Int),
    ("status", Int),
    ("outcome", Int),
    ("fence", Int),
    ("holder", Text),
    ("until", Int),
    ("provider", Text),
    ("request", Text),
    ("folded", Int),
    ("length", Int),
    ("error", Text),
    ("started_at", Int),
    ("ended_at", Int),
    ("open", Int),
    ("kept", Bool),
    ("held", Bytes),
];

/// Whether a row moves. Named streams do not, and so neither do the settings that speak of them: a subscription would wait in
/// the new store for streams that are not there.
#[must_use]
pub fn moves(table: Table, row: &[Cell]) -> bool {
    let stays = |key: &str| key.starts_with("streams/sub/") || key == "streams/lead";
    !matches!((table, row.first()), (Table::Settings, Some(Cell::Text(key))) if stays(key))
}

/// Adds a row to the sums.
pub fn add_to(sums: &mut Sums, table: Table, row: &[Cell]) {
    let mut hash = blake3::Hasher::new();
    for cell in row {
        let (kind, bytes): (u8, &[u8]) = match cell {
            Cell::Null => (0, &[]),
            Cell::Int(number) => (1, &number.to_le_bytes()),
            Cell::Text(text) => (2, text.as_bytes()),
            Cell::Bytes(bytes) => (3, bytes),
        };
        hash.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    let hash = hash.finalize();
    let (half, _) = hash.as_bytes().split_at(16);
    let value = half.iter().fold(0u128, |value, byte| (value << 8) | u128::from(*byte));
    let (count, sum) = sums.entry(table).or_default();
    *count += 1;
    *sum = sum.wrapping_add(value);
}
