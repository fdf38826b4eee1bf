//! A place that holds threads, and why it does not take one.

use async_trait::async_trait;
use threadmill_proto::{BranchId, Summary, ThreadId};
use threadmill_store::{ExportPage, ImportRow, ImportState, ImportThread};

/// Why a piece was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The thread is at fault; others may go on.
    Thread(String),
    /// The target is at fault; nothing goes on.
    Target(anyhow::Error),
}

/// The result of a step of an import.
pub(crate) type Step<T> = Result<T, Refusal>;

/// A place that holds threads.
#[async_trait]
pub(crate) trait Library: Send {
    /// Whose threads they are, for ids derived per user.
    fn owner(&self) -> String;
    async fn begin(&mut self, thread: ImportThread) -> Step<ImportState>;
    async fn rows(&mut self, thread: &ThreadId, rows: Vec<ImportRow>) -> Step<()>;
    async fn finish(&mut self, thread: &ThreadId, default_branch: Option<BranchId>) -> Step<()>;
    async fn abort(&mut self, thread: &ThreadId) -> Step<()>;
    /// A page of the list, newest first, and where the next one begins.
    async fn threads(&mut self, archived: bool, below: Option<u64>) -> anyhow::Result<(Vec<Summary>, Option<u64>)>;
    async fn export(&mut self, thread: &ThreadId, from: u64) -> anyhow::Result<ExportPage>;
}
