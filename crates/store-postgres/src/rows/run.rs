//! The run row.

use threadmill_proto::{BranchId, JsonText, MessageId, Millis, Outcome, RunId, RunInfo, RunStatus, ThreadId};
use tokio_postgres::Row;

use crate::codec::{id, outcome_from, run_status_from, text_from, uint};
use crate::db::get;
use crate::fail::Done;

/// A row of `runs`.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) num: i64,
    pub(crate) tenant: i64,
    pub(crate) id: RunId,
    /// Whose thread it is.
    pub(crate) owner: i64,
    pub(crate) thread: i64,
    pub(crate) thread_id: ThreadId,
    pub(crate) branch: i64,
    pub(crate) branch_id: BranchId,
    pub(crate) message: i64,
    pub(crate) message_id: MessageId,
    pub(crate) depth: u64,
    pub(crate) status: RunStatus,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) fence: u64,
    /// The node that has the lease.
    pub(crate) holder: String,
    pub(crate) until: Millis,
    pub(crate) provider: String,
    pub(crate) request: JsonText,
    pub(crate) folded: u64,
    /// Chunks in its stream; written when it ends, until then the stream itself knows.
    pub(crate) length: u64,
    pub(crate) error: Option<String>,
    pub(crate) started_at: Millis,
    pub(crate) ended_at: Option<Millis>,
}

/// The columns of `runs r`.
macro_rules! run_columns {
    () => {
        "r.num, r.tenant, r.id, r.owner, r.thread, r.thread_id, r.branch, r.branch_id, r.message, r.message_id, \
         r.depth, r.status, r.outcome, r.fence, r.holder, r.until, r.provider, r.request, r.folded, r.length, \
         r.error, r.started_at, r.ended_at"
    };
}
pub(crate) use run_columns;

impl RunRow {
    /// How many columns it has.
    pub(crate) const COLUMNS: usize = 23;

    pub(crate) fn read(row: &Row) -> Done<Self> {
        Ok(Self {
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
        })
    }

    /// The run as readers see it, with the given offset.
    pub(crate) fn shown(&self, offset: u64) -> RunInfo {
        RunInfo {
            id: self.id.clone(),
            branch: self.branch_id.clone(),
            message: self.message_id.clone(),
            depth: self.depth,
            status: self.status,
            outcome: self.outcome,
            offset,
            provider: self.provider.clone(),
            started_at: self.started_at,
            error: self.error.clone(),
        }
    }
}
