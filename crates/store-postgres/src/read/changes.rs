//! The change log from a position on.

use std::collections::HashMap;

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{ChainHash, Change, Event, Message, MessageId, Position, Record, Scope, ThreadId, from_cbor};
use threadmill_store::{Changes, PageLimits, preview};

use crate::codec::{hash_from_blob, int};
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::{ThreadRow, visible};

/// What an event costs in a page beyond its body.
const ENVELOPE: usize = 128;

/// Records read at once.
const BATCH: i64 = 64;

type Kept = (ChainHash, Record);

/// Reads what happened after a position.
pub(crate) async fn changes(
    db: &Db<'_>,
    scope: &Scope,
    id: &ThreadId,
    after: Position,
    limits: PageLimits,
) -> Done<Changes> {
    let thread = visible(db, scope, id).await?;
    let head = thread.position();
    let wrong = Changes::Reset(ResetReason::Epoch);
    if after.epoch > head.epoch {
        return Ok(wrong);
    }
    if after.seq >= head.seq {
        let at_head = after.seq == head.seq && after.hash == head.hash;
        return Ok(if at_head { Changes::Since { events: Vec::new(), head } } else { wrong });
    }
    // Before the first record the hash is known, but the first record must still be there to go on from.
    let mut kept = records(db, &thread, after.seq.max(1)).await?;
    let Some((first_hash, _)) = kept.first().filter(|(_, record)| record.seq == after.seq.max(1)) else {
        return Ok(Changes::Reset(ResetReason::Expired));
    };
    let known = if after.seq == 0 { ChainHash::default() } else { *first_hash };
    if known != after.hash {
        return Ok(wrong);
    }
    if after.seq > 0 {
        kept.remove(0);
    }
    let after = Position { epoch: head.epoch, ..after };
    let events = since(db, &thread, after, kept, limits).await?;
    Ok(Changes::Since { events, head })
}

async fn records(db: &Db<'_>, thread: &ThreadRow, from: u64) -> Done<Vec<Kept>> {
    const SQL: &str = "SELECT hash, record FROM threadmill.changes
         WHERE thread = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
    let rows = db.all(SQL, &[&thread.num, &int(from), &BATCH]).await?;
    rows.iter().map(|row| Ok((hash_from_blob(get(row, 0)?)?, from_cbor(get(row, 1)?)?))).collect()
}

async fn since(
    db: &Db<'_>,
    thread: &ThreadRow,
    after: Position,
    mut kept: Vec<Kept>,
    limits: PageLimits,
) -> Done<Vec<Event>> {
    let (mut events, mut used) = (Vec::new(), 0);
    while !kept.is_empty() {
        let bodies = bodies(db, thread, &kept, limits.preview).await?;
        for (hash, record) in kept {
            let body = record.change.message().and_then(|reference| bodies.get(&reference.id));
            let body = body.filter(|_| shows_body(&record.change)).cloned();
            used += ENVELOPE + body.as_ref().map_or(0, Message::bytes);
            if used > limits.bytes && !events.is_empty() {
                return Ok(events);
            }
            events.push(Event { epoch: after.epoch, hash, record, body });
        }
        let last = events.last().map_or(after.seq, |event: &Event| event.record.seq);
        kept = if last < thread.seq { records(db, thread, last + 1).await? } else { Vec::new() };
    }
    Ok(events)
}

/// A removal comes without the message, which says nothing any more.
fn shows_body(change: &Change) -> bool {
    !matches!(change, Change::MessageRemoved(_))
}

/// The messages that changes are about as they are now.
async fn bodies(db: &Db<'_>, thread: &ThreadRow, kept: &[Kept], limit: usize) -> Done<HashMap<MessageId, Message>> {
    let shown = kept.iter().filter(|(_, record)| shows_body(&record.change));
    let mut ids: Vec<&MessageId> =
        shown.filter_map(|(_, record)| record.change.message()).map(|reference| &reference.id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let rows = super::messages(db, thread, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut message = row.shown();
            preview(&mut message, limit);
            (message.id.clone(), message)
        })
        .collect())
}
