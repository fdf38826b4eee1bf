//! The run row. One of a deleted thread is none, though its row may still be there.

use rusqlite::{Row, params};
use threadmill_proto::{JsonText, RunId};
use threadmill_store::relational::{
    RunRow, held_from, held_to, number, outcome_from, outcome_to, run_status_from, run_status_to,
};
use threadmill_store::store_id as id;

use crate::codec::RowSum;
use crate::db::Db;
use crate::fail::Done;

const SELECT: &str =
    "SELECT r.num, r.tenant, r.id, h.owner, r.thread, h.id, r.branch, b.id, r.message, m.id, r.depth, r.status,
            r.outcome, r.fence, r.owner, r.until, r.provider, r.request, r.folded, r.length, r.error, r.started_at,
            r.ended_at, r.sum, r.held
     FROM runs r
     CROSS JOIN threads h ON h.num = r.thread
     CROSS JOIN branches b ON b.key = (r.thread << 32) | r.branch
     CROSS JOIN messages m ON m.key = (r.thread << 32) | r.message";

fn read(row: &Row<'_>) -> Done<RunRow> {
    let text = |at: usize| row.get::<_, String>(at);
    let run = RunRow {
        num: row.get(0)?,
        tenant: row.get(1)?,
        id: id!(RunId, &text(2)?)?,
        owner: row.get(3)?,
        thread: row.get(4)?,
        thread_id: id!(ThreadId, &text(5)?)?,
        branch: row.get(6)?,
        branch_id: id!(BranchId, &text(7)?)?,
        message: number(row.get(8)?),
        message_id: id!(MessageId, &text(9)?)?,
        depth: row.get(10)?,
        status: run_status_from(row.get(11)?)?,
        outcome: row.get::<_, Option<i64>>(12)?.map(outcome_from).transpose()?,
        fence: row.get(13)?,
        holder: row.get(14)?,
        until: row.get(15)?,
        provider: row.get(16)?,
        request: JsonText(row.get(17)?),
        folded: row.get(18)?,
        length: row.get(19)?,
        error: row.get(20)?,
        started_at: row.get(21)?,
        ended_at: row.get(22)?,
        held: held_from(row.get::<_, Option<Vec<u8>>>(24)?.as_deref())?,
    };
    sum(&run).check(row, 23, format_args!("run {}", run.id))?;
    Ok(run)
}

/// Over what a run is and says. Its lease and its checkpoint move often, and are no text.
fn sum(row: &RunRow) -> RowSum {
    let place = RowSum::of(row.tenant).text(row.id.as_str()).int(row.thread).int(row.branch).int(row.message);
    let state = place.uint(row.depth).int(run_status_to(row.status)).int(row.outcome.map_or(-1, outcome_to));
    let texts = state.uint(row.fence).text(&row.provider).text(&row.request.0).maybe(row.error.as_deref());
    let sum = texts.uint(row.length).uint(row.started_at).uint(row.ended_at.unwrap_or(0));
    // Rows from before there were budgets hold nothing and have none of it in their sums.
    match held_to(row.held.as_ref()) {
        Some(held) => sum.bytes(&held),
        None => sum,
    }
}

/// A run of this tenant by its id.
pub(crate) fn find(db: &Db<'_>, tenant: i64, run: &RunId) -> Done<Option<RunRow>> {
    db.one(&format!("{SELECT} WHERE r.tenant = ?1 AND r.id = ?2"), params![tenant, run.as_str()], read)
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
pub(crate) fn insert(db: &Db<'_>, row: &RunRow) -> Done<i64> {
    let sql = "DELETE FROM runs WHERE tenant = ?1 AND id = ?2 RETURNING num";
    if let Some(gone) = db.one(sql, params![row.tenant, row.id.as_str()], |row| Ok(row.get::<_, i64>(0)?))? {
        db.change("DELETE FROM streams WHERE run = ?1", [gone])?;
    }
    db.insert(
        "INSERT INTO runs (tenant, id, thread, branch, message, depth, status, fence, owner, until, provider, request,
                           folded, length, started_at, sum, held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 0, ?13, ?14, ?15)",
        params![
            row.tenant,
            row.id.as_str(),
            row.thread,
            row.branch,
            row.message,
            row.depth,
            run_status_to(row.status),
            row.fence,
            row.holder,
            row.until,
            row.provider,
            row.request.0,
            row.started_at,
            sum(row).end(),
            held_to(row.held.as_ref()),
        ],
    )
}

/// Writes back what can change, bar the lease. What it holds is there until it ends.
pub(crate) fn update(db: &Db<'_>, row: &RunRow) -> Done<()> {
    db.change(
        "UPDATE runs SET status = ?2, outcome = ?3, fence = ?4, folded = ?5, length = ?6, error = ?7, ended_at = ?8,
                         sum = ?9, held = CASE WHEN ?8 IS NULL THEN held END
         WHERE num = ?1",
        params![
            row.num,
            run_status_to(row.status),
            row.outcome.map(outcome_to),
            row.fence,
            row.folded,
            row.length,
            row.error,
            row.ended_at,
            sum(row).end(),
        ],
    )?;
    Ok(())
}

/// Writes a lease back.
pub(crate) fn update_lease(db: &Db<'_>, row: &RunRow) -> Done<()> {
    db.change(
        "UPDATE runs SET fence = ?2, owner = ?3, until = ?4, sum = ?5 WHERE num = ?1",
        params![row.num, row.fence, row.holder, row.until, sum(row).end()],
    )?;
    Ok(())
}
