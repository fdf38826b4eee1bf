//! The run row.

use rusqlite::{Row, params};
use threadmill_proto::{BranchId, JsonText, MessageId, Millis, Outcome, RunId, RunInfo, RunStatus};

use crate::codec::{id, key, number, outcome_from, outcome_to, run_status_from, run_status_to};
use crate::db::Db;
use crate::fail::Done;

/// A row of `runs`, with the ids of its branch and message.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) num: i64,
    pub(crate) id: RunId,
    pub(crate) thread: i64,
    pub(crate) branch: i64,
    pub(crate) branch_id: BranchId,
    pub(crate) message: i64,
    pub(crate) message_id: MessageId,
    pub(crate) depth: u64,
    pub(crate) status: RunStatus,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) fence: u64,
    pub(crate) owner: String,
    pub(crate) until: Millis,
    pub(crate) provider: String,
    pub(crate) request: JsonText,
    pub(crate) folded: u64,
    /// Chunks in its stream; written when it ends, until then the stream itself knows.
    pub(crate) length: u64,
    pub(crate) error: Option<String>,
    pub(crate) started_at: Millis,
}

const SELECT: &str =
    "SELECT r.num, r.id, r.thread, r.branch, b.id, r.message, m.id, r.depth, r.status, r.outcome, r.fence, r.owner,
            r.until, r.provider, r.request, r.folded, r.length, r.error, r.started_at
     FROM runs r
     CROSS JOIN branches b ON b.key = (r.thread << 32) | r.branch
     CROSS JOIN messages m ON m.key = (r.thread << 32) | r.message";

fn read(row: &Row<'_>) -> Done<RunRow> {
    let (name, branch, message): (String, String, String) = (row.get(1)?, row.get(4)?, row.get(6)?);
    let outcome: Option<i64> = row.get(9)?;
    Ok(RunRow {
        num: row.get(0)?,
        id: id!(RunId, &name)?,
        thread: row.get(2)?,
        branch: row.get(3)?,
        branch_id: id!(BranchId, &branch)?,
        message: number(row.get(5)?),
        message_id: id!(MessageId, &message)?,
        depth: row.get(7)?,
        status: run_status_from(row.get(8)?)?,
        outcome: outcome.map(outcome_from).transpose()?,
        fence: row.get(10)?,
        owner: row.get(11)?,
        until: row.get(12)?,
        provider: row.get(13)?,
        request: JsonText(row.get(14)?),
        folded: row.get(15)?,
        length: row.get(16)?,
        error: row.get(17)?,
        started_at: row.get(18)?,
    })
}

/// A run of this tenant by its id. One of a deleted thread is none, though its row may still be there.
pub(crate) fn find(db: &Db<'_>, tenant: i64, run: &RunId) -> Done<Option<RunRow>> {
    db.one(
        &format!(
            "{SELECT} WHERE r.tenant = ?1 AND r.id = ?2 AND EXISTS (SELECT 1 FROM threads t WHERE t.num = r.thread)"
        ),
        params![tenant, run.as_str()],
        read,
    )
}

/// The run that writes a message.
pub(crate) fn writing(db: &Db<'_>, thread: i64, message: i64) -> Done<Option<RunRow>> {
    db.one(&format!("{SELECT} WHERE r.thread = ?1 AND r.message = ?2 AND r.status < 2"), params![thread, message], read)
}

/// The run on a branch that has not ended.
pub(crate) fn on_branch(db: &Db<'_>, thread: i64, branch: i64) -> Done<Option<RunRow>> {
    db.one(&format!("{SELECT} WHERE r.thread = ?1 AND r.branch = ?2 AND r.status < 2"), params![thread, branch], read)
}

/// Whether a run of the thread has not ended.
pub(crate) fn any_unended(db: &Db<'_>, thread: i64) -> Done<bool> {
    let found = db.one("SELECT 1 FROM runs WHERE thread = ?1 AND status < 2 LIMIT 1", [thread], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Every run that has not ended.
pub(crate) fn unended(db: &Db<'_>) -> Done<Vec<RunRow>> {
    // Sorted here: an ORDER BY would make SQLite walk every run there ever was instead of the index of these.
    let mut runs = db.all(&format!("{SELECT} WHERE r.status < 2"), [], read)?;
    runs.sort_by_key(|run| run.num);
    Ok(runs)
}

/// Every run of a thread, in the order of their making.
pub(crate) fn of_thread(db: &Db<'_>, thread: i64) -> Done<Vec<RunRow>> {
    db.all(&format!("{SELECT} WHERE r.thread = ?1 ORDER BY r.num"), [thread], read)
}

/// Writes a new row; returns its number. If a run of a deleted thread still has the id, it goes now.
pub(crate) fn insert(db: &Db<'_>, tenant: i64, row: &RunRow) -> Done<i64> {
    let sql = "DELETE FROM runs WHERE tenant = ?1 AND id = ?2 RETURNING num";
    if let Some(gone) = db.one(sql, params![tenant, row.id.as_str()], |row| Ok(row.get::<_, i64>(0)?))? {
        db.change("DELETE FROM streams WHERE run = ?1", [gone])?;
    }
    db.insert(
        "INSERT INTO runs (tenant, id, thread, branch, message, depth, status, fence, owner, until, provider, request,
                           folded, length, started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 0, ?13)",
        params![
            tenant,
            row.id.as_str(),
            row.thread,
            row.branch,
            row.message,
            row.depth,
            run_status_to(row.status),
            row.fence,
            row.owner,
            row.until,
            row.provider,
            row.request.0,
            row.started_at,
        ],
    )
}

/// Writes back what can change, bar the lease.
pub(crate) fn update(db: &Db<'_>, row: &RunRow, ended_at: Option<Millis>) -> Done<()> {
    db.change(
        "UPDATE runs SET status = ?2, outcome = ?3, fence = ?4, folded = ?5, length = ?6, error = ?7, ended_at = ?8
         WHERE num = ?1",
        params![
            row.num,
            run_status_to(row.status),
            row.outcome.map(outcome_to),
            row.fence,
            row.folded,
            row.length,
            row.error,
            ended_at,
        ],
    )?;
    Ok(())
}

impl RunRow {
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

    /// The key of its message.
    pub(crate) fn message_key(&self) -> i64 {
        key(self.thread, self.message)
    }
}
