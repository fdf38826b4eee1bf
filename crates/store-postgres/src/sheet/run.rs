//! A run under its row's lock, and the chunks that this commit adds to its stream.

use std::sync::Arc;

use threadmill_store::relational::RunRow;

use crate::chunks::Packed;

use super::mark::Mark;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct RunSheet {
    pub(crate) row: Arc<RunRow>,
    pub(crate) mark: Mark,
    /// The database's epoch: where tokens begin.
    pub(crate) epoch: u64,
    /// Chunks in its stream, those of this commit included.
    pub(crate) length: u64,
    /// Where the chunks of this commit begin.
    pub(crate) from: u64,
    pub(crate) packed: Packed,
}

impl RunSheet {
    /// A run as the database has it, with its stream's end.
    pub(crate) fn kept(row: RunRow, length: u64, epoch: u64) -> Self {
        Self { row: Arc::new(row), mark: Mark::Kept, epoch, length, from: length, packed: Packed::default() }
    }

    /// A run that begins.
    pub(crate) fn fresh(row: RunRow, epoch: u64) -> Self {
        Self { mark: Mark::Fresh, ..Self::kept(row, 0, epoch) }
    }

    /// The row, to be changed.
    pub(crate) fn change(&mut self) -> &mut RunRow {
        self.mark = self.mark.touched();
        Arc::make_mut(&mut self.row)
    }
}
