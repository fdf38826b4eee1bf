//! The branch row: where a line leaves its parent, and which branches own its slots.

use threadmill_proto::from_cbor;
use threadmill_store::relational::{BranchRow, Pred, number};
use threadmill_store::store_id as id;
use tokio_postgres::Row;

use crate::codec::uint;
use crate::db::get;
use crate::fail::Done;

/// The columns of `branches b`.
macro_rules! branch_columns {
    () => {
        "b.key, b.id, b.parent, b.fork_depth, b.total, b.made, b.tip, b.tip_branch, b.lineage"
    };
}
pub(crate) use branch_columns;

/// How many columns it has.
pub(crate) const BRANCH_COLUMNS: usize = 9;

pub(crate) fn read_branch(row: &Row) -> Done<BranchRow> {
    read_branch_at(row, 0)
}

/// Reads it from a column on.
pub(crate) fn read_branch_at(row: &Row, at: usize) -> Done<BranchRow> {
    let total = uint(get(row, at + 4)?)?;
    let (tip, branch) = (number(get(row, at + 6)?), number(get(row, at + 7)?));
    Ok(BranchRow {
        num: number(get(row, at)?),
        id: id!(BranchId, get(row, at + 1)?)?,
        parent: number(get(row, at + 2)?),
        fork_depth: uint(get(row, at + 3)?)?,
        total,
        made: get(row, at + 5)?,
        tip: total.checked_sub(1).map(|depth| Pred { num: tip, branch, depth }),
        lineage: from_cbor(get(row, at + 8)?)?,
    })
}
