//! The thread row: what a thread is, and where its log stands.

use threadmill_proto::{JsonText, Scope, ThreadId};
use threadmill_store::relational::{ThreadRow, hash_from_blob};
use threadmill_store::{Missing, store_id as id};
use tokio_postgres::Row;

use crate::codec::{text_from, uint};
use crate::db::{Db, get};
use crate::fail::{Done, damage};

/// The columns of `threads t`, and the database's part of the epoch from `meta`.
macro_rules! thread_columns {
    () => {
        "t.num, t.tenant, t.owner, t.id, t.title, t.metadata, t.archived, t.hidden, t.default_branch, t.secret, \
         t.epoch, t.seq, t.hash, t.branches, t.messages, t.created_at, t.updated_at, \
         (SELECT epoch FROM threadmill.meta WHERE one)"
    };
}
pub(crate) use thread_columns;

/// How many columns it has.
pub(crate) const THREAD_COLUMNS: usize = 18;

pub(crate) fn read_thread(row: &Row) -> Done<ThreadRow> {
    let secret: &[u8] = get(row, 9)?;
    Ok(ThreadRow {
        num: get(row, 0)?,
        tenant: get(row, 1)?,
        owner: get(row, 2)?,
        id: id!(ThreadId, get(row, 3)?)?,
        title: text_from(get(row, 4)?),
        metadata: get::<Option<String>>(row, 5)?.map(|json| JsonText(text_from(json))),
        archived: get(row, 6)?,
        hidden: get(row, 7)?,
        default_branch: get(row, 8)?,
        secret: secret.try_into().map_err(|_| damage("a thread's secret has not 32 bytes"))?,
        epoch: uint(get(row, 10)?)?,
        seq: uint(get(row, 11)?)?,
        hash: hash_from_blob(get(row, 12)?)?,
        branches: get(row, 13)?,
        messages: get(row, 14)?,
        created_at: uint(get(row, 15)?)?,
        updated_at: uint(get(row, 16)?)?,
        base: uint(get(row, 17)?)?,
    })
}

/// A thread that this scope may see.
pub(crate) async fn visible(db: &Db<'_>, scope: &Scope, thread: &ThreadId) -> Done<ThreadRow> {
    let row = db
        .one(
            concat!(
                "SELECT ",
                thread_columns!(),
                " FROM threadmill.tenants n
                  JOIN threadmill.users u ON u.tenant = n.num AND u.id = $2
                  JOIN threadmill.threads t ON t.tenant = n.num AND t.id = $3
                  WHERE n.id = $1 AND t.owner = u.num AND NOT t.hidden"
            ),
            &[&scope.tenant.as_str(), &scope.user.as_str(), &thread.as_str()],
        )
        .await?;
    read_thread(&row.ok_or(Missing::Thread)?)
}
