//! The run row.

use threadmill_proto::JsonText;
use threadmill_store::relational::{RunRow, held_from, outcome_from, run_status_from};
use threadmill_store::store_id as id;
use tokio_postgres::Row;

use crate::codec::{text_from, uint};
use crate::db::get;
use crate::fail::Done;

/// The columns of `runs r`.
macro_rules! run_columns {
    () => {
        "r.num, r.tenant, r.id, r.owner, r.thread, r.thread_id, r.branch, r.branch_id, r.message, r.message_id, \
         r.depth, r.status, r.outcome, r.fence, r.holder, r.until, r.provider, r.request, r.folded, r.length, \
         r.error, r.started_at, r.ended_at, r.held"
    };
}
pub(crate) use run_columns;

/// How many columns it has.
pub(crate) const RUN_COLUMNS: usize = 24;

pub(crate) fn read_run(row: &Row) -> Done<RunRow> {
    Ok(RunRow {
        num: get(row, 0)?,
        tenant: get(row, 1)?,
        id: id!(RunId, get(row, 2)?)?,
        owner: get(row, 3)?,
        thread: get(row, 4)?,
        thread_id: id!(ThreadId, get(row, 5)?)?,
        branch: get(row, 6)?,
        branch_id: id!(BranchId, get(row, 7)?)?,
        message: get(row, 8)?,
        message_id: id!(MessageId, get(row, 9)?)?,
        depth: uint(get(row, 10)?)?,
        status: run_status_from(get(row, 11)?)?,
        outcome: get::<Option<i64>>(row, 12)?.map(outcome_from).transpose()?,
        fence: uint(get(row, 13)?)?,
        holder: text_from(get(row, 14)?),
        until: uint(get(row, 15)?)?,
        provider: text_from(get(row, 16)?),
        request: JsonText(text_from(get(row, 17)?)),
        folded: uint(get(row, 18)?)?,
        length: uint(get(row, 19)?)?,
        error: get::<Option<String>>(row, 20)?.map(text_from),
        started_at: uint(get(row, 21)?)?,
        ended_at: get::<Option<i64>>(row, 22)?.map(uint).transpose()?,
        held: held_from(get::<Option<&[u8]>>(row, 23)?)?,
    })
}
