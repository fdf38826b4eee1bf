//! The message row, and the slots that every page is made of.

use threadmill_proto::ForkOption;
use threadmill_store::relational::{MessageRow, Siblings, Slot, body_from_blob, number, role_from, status_from};
use threadmill_store::store_id as id;
use tokio_postgres::Row;

use crate::codec::uint;
use crate::db::get;
use crate::fail::Done;

/// The columns of `messages m` and `branches b`.
macro_rules! message_columns {
    () => {
        "m.key, m.id, m.role, m.status, m.rev, m.branch, b.id, m.depth, m.created_at, m.body"
    };
}
pub(crate) use message_columns;

/// The columns of a slot: those of its message, of `forks f` and of `forkpoints p`.
macro_rules! slot_columns {
    () => {
        "m.key, m.id, m.role, m.status, m.rev, m.branch, b.id, m.depth, m.created_at, m.body, \
         f.ord, f.prev_message, f.prev_branch, f.next_message, f.next_branch, p.total"
    };
}
pub(crate) use slot_columns;

/// From the stretches of slots `$1` to `$3` (owner, first, end) to their messages. Every step is a seek by key, the same ones on every thread: this is why a page costs the same at any
/// depth of any thread.
macro_rules! slots_from {
    () => {
        " FROM unnest($1::int8[], $2::int8[], $3::int8[]) k (branch, first, stop)
          JOIN threadmill.slots s ON s.branch = k.branch AND s.depth >= k.first AND s.depth < k.stop
          JOIN threadmill.messages m ON m.key = s.message
          JOIN threadmill.branches b ON b.key = m.branch
          LEFT JOIN threadmill.forks f ON f.message = m.key
          LEFT JOIN threadmill.forkpoints p ON p.pred = f.pred "
    };
}
pub(crate) use slots_from;

/// How many columns a message has.
pub(crate) const MESSAGE_COLUMNS: usize = 10;

pub(crate) fn read_message(row: &Row) -> Done<MessageRow> {
    Ok(MessageRow {
        num: number(get(row, 0)?),
        id: id!(MessageId, get(row, 1)?)?,
        role: role_from(get(row, 2)?)?,
        status: status_from(get(row, 3)?)?,
        rev: uint(get(row, 4)?)?,
        branch: number(get(row, 5)?),
        branch_id: id!(BranchId, get(row, 6)?)?,
        depth: uint(get(row, 7)?)?,
        created_at: uint(get(row, 8)?)?,
        body: body_from_blob(get(row, 9)?)?,
    })
}

pub(crate) fn read_slot(row: &Row) -> Done<Slot> {
    Ok(Slot { message: read_message(row)?, siblings: siblings(row)? })
}

fn siblings(row: &Row) -> Done<Option<Siblings>> {
    const AT: usize = MESSAGE_COLUMNS;
    let Some(index) = get::<Option<i64>>(row, AT)? else {
        return Ok(None);
    };
    Ok(Some(Siblings {
        index: uint(index)?,
        previous: option(row, AT + 1)?,
        next: option(row, AT + 3)?,
        total: uint(get(row, AT + 5)?)?,
    }))
}

fn option(row: &Row, at: usize) -> Done<Option<ForkOption>> {
    let (message, branch): (Option<&str>, Option<&str>) = (get(row, at)?, get(row, at + 1)?);
    let (Some(message), Some(branch)) = (message, branch) else {
        return Ok(None);
    };
    Ok(Some(ForkOption { branch: id!(BranchId, branch)?, message: id!(MessageId, message)? }))
}
