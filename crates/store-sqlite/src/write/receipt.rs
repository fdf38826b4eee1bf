//! Receipts: kept with the write, answered to whoever repeats it.

use rusqlite::params;
use threadmill_store::{Applied, Committed, Conflict, IdempotencyKey, Receipt, StoreError};

use crate::db::Db;
use crate::fail::Done;
use crate::rows::{Principal, message, thread};

/// The first answer, if the key is known.
pub(crate) fn replay(db: &Db<'_>, who: Principal, key: &IdempotencyKey) -> Done<Option<Committed>> {
    let found: Option<(Vec<u8>, Option<i64>, Vec<u8>)> = db.one(
        "SELECT digest, thread, answer FROM receipts WHERE tenant = ?1 AND user = ?2 AND key = ?3",
        params![who.tenant, who.user, key.key],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some((digest, thread, answer)) = found else {
        return Ok(None);
    };
    // What belongs to a thread that was deleted is only not removed yet.
    let thread = match thread.map(|num| thread::if_there(db, num)).transpose()? {
        Some(None) => {
            let sql = "DELETE FROM receipts WHERE tenant = ?1 AND user = ?2 AND key = ?3";
            db.change(sql, params![who.tenant, who.user, key.key])?;
            return Ok(None);
        }
        Some(Some(row)) => Some(row),
        None => None,
    };
    if digest != key.digest {
        return Err(Conflict::KeyReused.into());
    }
    if answer.is_empty() {
        return Err(StoreError::Deleted.into());
    }
    let mut receipt = Receipt::open(&answer)?;
    if let Some(thread) = thread {
        for message in receipt.bare() {
            let body = message::find(db, &thread, &message.id)?.body;
            message.parts = body.parts;
            message.metadata = body.metadata;
        }
    }
    Ok(Some(receipt.into_committed()))
}

/// Keeps an answer for as long as its thread; a deletion's for good, since its effect stays. What `makes` the thread is
/// known for longer: see [`super::removal`].
pub(crate) fn keep(
    db: &Db<'_>,
    who: Principal,
    key: &IdempotencyKey,
    thread: i64,
    makes: bool,
    committed: &Committed,
) -> Done<()> {
    let deleted = committed.applied.contains(&Applied::Deleted);
    db.change(
        "INSERT INTO receipts (tenant, user, key, digest, thread, answer, makes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            who.tenant,
            who.user,
            key.key,
            key.digest,
            (!deleted).then_some(thread),
            Receipt::seal(committed),
            makes
        ],
    )?;
    Ok(())
}
