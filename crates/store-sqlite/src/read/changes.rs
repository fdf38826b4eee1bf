//! The change log from a position on.

use rusqlite::params;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{ChainHash, Change, Event, Message, Position, Record, Scope, ThreadId, from_cbor};
use threadmill_store::{Changes, PageLimits, preview};

use crate::codec::hash_from_blob;
use crate::db::{Db, Step};
use crate::fail::{Done, Fail};
use crate::rows::{ThreadRow, message, thread};
use threadmill_store::{Missing, StoreError};

/// What an event costs in a page beyond its body.
const ENVELOPE: usize = 128;

/// What a reader at a position gets.
#[derive(Debug)]
pub(crate) enum Found {
    Changes(Changes),
    /// The position claims the current epoch and is not of this log: the writer must raise the thread's epoch,
    /// which was `epoch` here.
    Wrong {
        thread: i64,
        epoch: u64,
    },
}

/// Reads what happened after a position; `epoch` is the store's part of the epoch.
pub(crate) fn changes(
    db: &Db<'_>,
    epoch: u64,
    scope: &Scope,
    id: &ThreadId,
    after: Position,
    limits: PageLimits,
) -> Done<Found> {
    let thread = thread::visible(db, scope, id)?;
    let head = thread.position(epoch);
    let reset = |reason| Ok(Found::Changes(Changes::Reset(reason)));
    if after.epoch != head.epoch {
        return reset(ResetReason::Epoch);
    }
    match hash_at(db, &thread, after.seq)? {
        Hash::Known(hash) if hash == after.hash => {
            let events = since(db, &thread, after, limits)?;
            Ok(Found::Changes(Changes::Since { events, head }))
        }
        Hash::Dropped => reset(ResetReason::Expired),
        Hash::Known(_) | Hash::Ahead => Ok(Found::Wrong { thread: thread.num, epoch: thread.epoch }),
    }
}

enum Hash {
    Known(ChainHash),
    /// The record is no longer kept.
    Dropped,
    /// The log has not come this far.
    Ahead,
}

fn hash_at(db: &Db<'_>, thread: &ThreadRow, seq: u64) -> Done<Hash> {
    if seq > thread.seq {
        return Ok(Hash::Ahead);
    }
    if seq == thread.seq {
        return Ok(Hash::Known(thread.hash));
    }
    // Before the first record the hash is known, but the first record must still be there to go on from.
    let kept = db.one(
        "SELECT hash FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq = ?3",
        params![thread.tenant, thread.num, seq.max(1)],
        |row| {
            let hash: Vec<u8> = row.get(0)?;
            hash_from_blob(&hash)
        },
    )?;
    Ok(match kept {
        None => Hash::Dropped,
        Some(_) if seq == 0 => Hash::Known(ChainHash::default()),
        Some(hash) => Hash::Known(hash),
    })
}

fn since(db: &Db<'_>, thread: &ThreadRow, after: Position, limits: PageLimits) -> Done<Vec<Event>> {
    let mut events = Vec::new();
    let mut bytes = 0;
    db.each(
        "SELECT hash, record FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq > ?3 ORDER BY seq",
        params![thread.tenant, thread.num, after.seq],
        |row| {
            let (hash, record): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let record: Record = from_cbor(&record)?;
            let body = body(db, thread, &record.change, limits.preview)?;
            bytes += ENVELOPE + body.as_ref().map_or(0, Message::bytes);
            if bytes > limits.bytes && !events.is_empty() {
                return Ok(Step::Stop);
            }
            events.push(Event { epoch: after.epoch, hash: hash_from_blob(&hash)?, record, body });
            Ok(Step::On)
        },
    )?;
    Ok(events)
}

/// The message that a change is about as it is now; none for a removal.
fn body(db: &Db<'_>, thread: &ThreadRow, change: &Change, limit: usize) -> Done<Option<Message>> {
    let Some(reference) = change.message() else {
        return Ok(None);
    };
    if matches!(change, Change::MessageRemoved(_)) {
        return Ok(None);
    }
    match message::find(db, thread, &reference.id) {
        Ok(row) => {
            let mut message = row.shown();
            preview(&mut message, limit);
            Ok(Some(message))
        }
        Err(Fail::Refused(StoreError::NotFound(Missing::Message))) => Ok(None),
        Err(other) => Err(other),
    }
}
