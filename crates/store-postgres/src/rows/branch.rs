//! The branch row: where a line leaves its parent, and which branches own its slots.

use threadmill_proto::{BranchId, from_cbor};
use tokio_postgres::Row;

use crate::codec::{Stretch, id, number, uint};
use crate::db::get;
use crate::fail::Done;

/// A row of `branches`.
#[derive(Debug, Clone)]
pub(crate) struct BranchRow {
    pub(crate) num: i64,
    pub(crate) id: BranchId,
    /// [`crate::schema::NONE`] for a line of its own.
    pub(crate) parent: i64,
    pub(crate) fork_depth: u64,
    pub(crate) total: u64,
    /// How many messages the thread had when it was made.
    pub(crate) made: i64,
    /// The last message on the line, or [`crate::schema::NONE`].
    pub(crate) tip: i64,
    /// Where the tip was first written.
    pub(crate) tip_branch: i64,
    pub(crate) lineage: Vec<Stretch>,
}

/// The columns of `branches b`.
macro_rules! branch_columns {
    () => {
        "b.key, b.id, b.parent, b.fork_depth, b.total, b.made, b.tip, b.tip_branch, b.lineage"
    };
}
pub(crate) use branch_columns;

impl BranchRow {
    /// How many columns it has.
    pub(crate) const COLUMNS: usize = 9;

    pub(crate) fn read(row: &Row) -> Done<Self> {
        Self::read_at(row, 0)
    }

    /// Reads it from a column on.
    pub(crate) fn read_at(row: &Row, at: usize) -> Done<Self> {
        Ok(Self {
            num: number(get(row, at)?),
            id: id!(BranchId, get(row, at + 1)?)?,
            parent: number(get(row, at + 2)?),
            fork_depth: uint(get(row, at + 3)?)?,
            total: uint(get(row, at + 4)?)?,
            made: get(row, at + 5)?,
            tip: number(get(row, at + 6)?),
            tip_branch: number(get(row, at + 7)?),
            lineage: from_cbor(get(row, at + 8)?)?,
        })
    }
}
