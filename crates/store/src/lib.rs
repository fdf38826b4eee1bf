//! What storage must do, without saying how: the [`DurableStore`] trait, its words and its errors, an
//! in-memory model of it, and the conformance suite that every backend passes.
//!
//! Knows nothing of HTTP and of any database. A backend depends on this crate, never on another backend.

mod budget;
mod chain;
mod command;
mod digest;
mod durable;
mod epoch;
mod error;
mod lock;
mod memory;
mod peers;
mod read;
mod receipt;
mod setting;
mod text;

pub mod conformance;
pub mod hot;
pub mod moving;
pub mod relational;
pub mod streams;

pub use budget::{
    Amount, BUDGET_KEY, BudgetLimit, BudgetLine, BudgetRow, HOLD_LINES, Held, Hold, KEEP_BUDGETS, MOST_COUNTED,
    Spending, SpendingQuery, is_plain,
};
pub use chain::{KEEP_CHANGES, Secret, birth, chain, commitment, lineage_prefix};
pub use command::{
    Applied, ChunkAppend, Command, Committed, IdempotencyKey, IfMoved, ImportRow, ImportState, ImportThread, Lease,
    NewMessage, StoppingRun, TOMBSTONES, Transaction,
};
pub use digest::Digest;
pub use durable::{ChunkBatch, CommitSink, Committing, DurableStore};
pub use epoch::{next_epoch, next_fence};
pub use error::{Conflict, Missing, StoreError, StoreResult};
pub use lock::{HowGranted, LONGEST_GRANT, LockAnswer, LockGrant, LockRead, LockRequest, LockRow, LockToken};
pub use memory::{MemoryCopy, MemoryStore};
pub use peers::{Hint, NodeSeen, NodesSeen, Peers, RunHead, Standing, Subject, ThreadHead, Watching};
pub use read::{
    Branch, Changes, ExportPage, LeasedRun, ListQuery, PageLimits, RunRead, StreamPage, SummaryPage, Surveyed,
    SurveyedThread, ThreadPage, WindowQuery,
};
pub use receipt::Receipt;
pub use setting::{
    SETTING_KEY, SETTING_VALUE, SETTINGS_AT_ONCE, Setting, SettingPut, SettingsPage, check_settings, keys_end,
};
pub use streams::StreamStore;
pub use text::{
    KEPT_SEGMENTS, MAX_SEGMENTS, SCAN, SNIPPET_REACH, TITLE_REACH, preview, snippet_of, title_of, unknown_parent,
};
