//! The change log from a position on.

use std::collections::HashMap;

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{ChainHash, Change, Event, Message, MessageId, Position, Record, Scope, ThreadId};

use super::fail::damage;
use super::read::{Got, Reads};
use super::rows::ThreadRow;
use crate::{Changes, PageLimits, chain, preview};

/// What an event costs in a page beyond its body.
const ENVELOPE: usize = 128;

/// Records read at once.
const BATCH: u32 = 64;

/// Reads what happened after a position.
///
/// # Errors
/// If there is no such thread for this scope, if its log is damaged, or what the store says.
pub async fn changes<R: Reads>(
    rows: &R,
    scope: &Scope,
    id: &ThreadId,
    after: Position,
    limits: PageLimits,
) -> Got<R, Changes> {
    let thread = rows.visible(scope, id).await?;
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
    let mut kept = rows.records(&thread, after.seq.max(1), BATCH).await?;
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
    let events = since(rows, &thread, Position { epoch: head.epoch, ..after }, kept, limits).await?;
    Ok(Changes::Since { events, head })
}

async fn since<R: Reads>(
    rows: &R,
    thread: &ThreadRow,
    after: Position,
    mut kept: Vec<(ChainHash, Record)>,
    limits: PageLimits,
) -> Got<R, Vec<Event>> {
    let (mut events, mut used, mut before) = (Vec::new(), 0, after.hash);
    loop {
        let bodies = bodies(rows, thread, &kept, limits.preview).await?;
        for (hash, record) in kept {
            // The chain is there: altered records are an error, and shown to nobody.
            if chain(before, &record) != hash {
                let detail = format_args!("the log of thread {} is damaged at {}", thread.id, record.seq);
                return Err(damage(detail).into());
            }
            before = hash;
            let body = named(&record.change).and_then(|id| bodies.get(id)).cloned();
            used += ENVELOPE + body.as_ref().map_or(0, Message::bytes);
            if used > limits.bytes && !events.is_empty() {
                return Ok(events);
            }
            events.push(Event { epoch: after.epoch, hash, record, body });
        }
        let last = events.last().map_or(after.seq, |event: &Event| event.record.seq);
        if last >= thread.seq {
            return Ok(events);
        }
        kept = rows.records(thread, last + 1, BATCH).await?;
        if kept.is_empty() {
            return Ok(events);
        }
    }
}

/// The message that a change comes with. A removal comes without, since that says nothing any more.
fn named(change: &Change) -> Option<&MessageId> {
    match change {
        Change::MessageRemoved(_) => None,
        other => other.message().map(|reference| &reference.id),
    }
}

/// The messages that changes are about as they are now.
async fn bodies<R: Reads>(
    rows: &R,
    thread: &ThreadRow,
    kept: &[(ChainHash, Record)],
    limit: usize,
) -> Got<R, HashMap<MessageId, Message>> {
    let mut ids: Vec<&MessageId> = kept.iter().filter_map(|(_, record)| named(&record.change)).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let shown = |row: super::rows::MessageRow| {
        let mut message = row.shown();
        preview(&mut message, limit);
        (message.id.clone(), message)
    };
    Ok(rows.messages_named(thread, &ids).await?.into_iter().map(shown).collect())
}
