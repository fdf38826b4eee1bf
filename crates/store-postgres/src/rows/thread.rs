//! The thread row: what a thread is, and where its log stands.

use threadmill_proto::{BranchId, ChainHash, JsonText, Millis, Position, Scope, Thread, ThreadId};
use threadmill_store::{Missing, Secret};
use tokio_postgres::Row;

use crate::codec::{hash_from_blob, id, text_from, uint};
use crate::db::{Db, get};
use crate::fail::{Done, damage};

/// A row of `threads`.
#[derive(Debug, Clone)]
pub(crate) struct ThreadRow {
    pub(crate) num: i64,
    pub(crate) tenant: i64,
    pub(crate) owner: i64,
    pub(crate) id: ThreadId,
    pub(crate) title: String,
    pub(crate) metadata: Option<JsonText>,
    pub(crate) archived: bool,
    pub(crate) hidden: bool,
    pub(crate) default_branch: i64,
    pub(crate) secret: Secret,
    /// The database's part of its epoch.
    pub(crate) base: u64,
    /// The thread's own part of its epoch.
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) hash: ChainHash,
    pub(crate) branches: i64,
    pub(crate) messages: i64,
    pub(crate) created_at: Millis,
    pub(crate) updated_at: Millis,
}

/// The columns of `threads t`, and the database's part of the epoch from `meta`.
macro_rules! thread_columns {
    () => {
        "t.num, t.tenant, t.owner, t.id, t.title, t.metadata, t.archived, t.hidden, t.default_branch, t.secret, \
         t.epoch, t.seq, t.hash, t.branches, t.messages, t.created_at, t.updated_at, \
         (SELECT epoch FROM threadmill.meta WHERE one)"
    };
}
pub(crate) use thread_columns;

impl ThreadRow {
    /// How many columns it has.
    pub(crate) const COLUMNS: usize = 18;

    pub(crate) fn read(row: &Row) -> Done<Self> {
        let secret: &[u8] = get(row, 9)?;
        Ok(Self {
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

    /// Where the log stands.
    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.base + self.epoch, seq: self.seq, hash: self.hash }
    }

    /// The thread as its owner reads it.
    pub(crate) fn shown(&self, default_branch: BranchId) -> Thread {
        Thread {
            id: self.id.clone(),
            title: self.title.clone(),
            metadata: self.metadata.clone(),
            archived: self.archived,
            default_branch,
            branches: self.branches.unsigned_abs(),
            messages: self.messages.unsigned_abs(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
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
    ThreadRow::read(&row.ok_or(Missing::Thread)?)
}
