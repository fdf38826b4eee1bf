//! The mark that a node leaves on each of its commits: how the end of one that nobody heard of is learnt.

use crate::db::Db;
use crate::fail::{Done, Fail, Trouble};
use crate::origin::is_its_writers;

/// This node's mark on its commits.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) node: String,
    pub(super) flush: i64,
}

impl Stamp {
    /// Marks the transaction. It is its first statement: whoever asks how the transaction ended waits for the row,
    /// from the beginning to the end of it, also if its last statements are still on their way to a server that this
    /// node has lost sight of.
    ///
    /// It writes nothing if the row of `meta` is not the one that its origin names: rows were put back under a connection
    /// that lasts.
    pub(super) const WRITE: &str = concat!(
        "INSERT INTO threadmill.nodes (id, flush, seen) SELECT $1::text, $2::int8, now()
         FROM threadmill.meta m WHERE m.one AND ",
        is_its_writers!(),
        " ON CONFLICT (id) DO UPDATE SET flush = excluded.flush, seen = excluded.seen"
    );

    /// Refuses a transaction that was not marked. The connection is given up for it, and the next one begins an epoch.
    pub(super) fn settled(marked: u64) -> Done<()> {
        if marked == 1 {
            return Ok(());
        }
        Err(Fail::Broken(Trouble::lost("the database was put back while it was in use")))
    }
}

/// Whether the commit with this stamp took effect. Waits for the transaction if that is still under way.
pub(super) async fn took_effect(db: &Db<'_>, stamp: &Stamp) -> Done<bool> {
    // A node's first transaction holds no row that others see, but nobody can insert the same one past it.
    const MAKE: &str = "INSERT INTO threadmill.nodes (id, flush, seen) VALUES ($1, 0, now()) ON CONFLICT DO NOTHING";
    const ASK: &str = "SELECT flush >= $2 FROM threadmill.nodes WHERE id = $1 FOR UPDATE";
    db.change(MAKE, &[&stamp.node]).await?;
    let row = db.one(ASK, &[&stamp.node, &stamp.flush]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}
