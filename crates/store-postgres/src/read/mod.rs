//! Reads: each in one snapshot of the database, on a connection of the pool.

pub(crate) mod changes;
pub(crate) mod digest;
pub(crate) mod export;
pub(crate) mod head;
pub(crate) mod lists;
mod page;
pub(crate) mod runs;
pub(crate) mod threads;
pub(crate) mod window;

use threadmill_proto::MessageId;

use crate::db::Db;
use crate::fail::Done;
use crate::rows::{MessageRow, ThreadRow, message_columns};

/// Messages of a thread by their ids, as far as they are there.
async fn messages(db: &Db<'_>, thread: &ThreadRow, ids: &[&MessageId]) -> Done<Vec<MessageRow>> {
    const SQL: &str = concat!(
        "SELECT ",
        message_columns!(),
        " FROM unnest($3::text[]) k (id)
          JOIN threadmill.messages m ON m.tenant = $1 AND m.thread = $2 AND m.id = k.id
          JOIN threadmill.branches b ON b.key = m.branch"
    );
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let rows = db.all(SQL, &[&thread.tenant, &thread.num, &ids]).await?;
    rows.iter().map(MessageRow::read).collect()
}
