//! The change log from a position on.

use rusqlite::params;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{ChainHash, Change, Event, Message, Position, Record, Scope, ThreadId, from_cbor};
use threadmill_store::{Changes, PageLimits, chain, preview};

use crate::codec::hash_from_blob;
use crate::db::{Db, Step};
use crate::fail::{Done, Fail, damage};
use crate::rows::{ThreadRow, message, thread};
use threadmill_store::{Missing, StoreError};

/// What an event costs in a page beyond its body.
const ENVELOPE: usize = 128;

/// Reads what happened after a position; `epoch` is the store's part of the epoch.
pub(crate) fn changes(
    db: &Db<'_>,
    epoch: u64,
    scope: &Scope,
    id: &ThreadId,
    after: Position,
    limits: PageLimits,
) -> Done<Changes> {
    let thread = thread::visible(db, scope, id)?;
    let head = thread.position(epoch);
    if after.epoch > head.epoch {
        return Ok(Changes::Reset(ResetReason::Epoch));
    }
    Ok(match hash_at(db, &thread, after.seq)? {
        Hash::Known(hash) if hash == after.hash => {
            Changes::Since { events: since(db, &thread, after, head.epoch, limits)?, head }
        }
        Hash::Dropped => Changes::Reset(ResetReason::Expired),
        Hash::Known(_) | Hash::Ahead => Changes::Reset(ResetReason::Epoch),
    })
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

fn since(db: &Db<'_>, thread: &ThreadRow, after: Position, epoch: u64, limits: PageLimits) -> Done<Vec<Event>> {
    let mut events = Vec::new();
    let (mut bytes, mut before) = (0, after.hash);
    db.each(
        "SELECT hash, record FROM changes WHERE tenant = ?1 AND thread = ?2 AND seq > ?3 ORDER BY seq",
        params![thread.tenant, thread.num, after.seq],
        |row| {
            let (hash, record): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let (hash, record): (_, Record) = (hash_from_blob(&hash)?, from_cbor(&record)?);
            // The chain is there: altered records are an error, and shown to nobody.
            if chain(before, &record) != hash {
                return Err(damage(format_args!("the log of thread {} is damaged at {}", thread.id, record.seq)));
            }
            before = hash;
            let body = body(db, thread, &record.change, limits.preview)?;
            bytes += ENVELOPE + body.as_ref().map_or(0, Message::bytes);
            if bytes > limits.bytes && !events.is_empty() {
                return Ok(Step::Stop);
            }
            events.push(Event { epoch, hash, record, body });
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
