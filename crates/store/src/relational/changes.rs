//! The change log from a position on.

use std::collections::HashMap;

use threadmill_proto::change::MessageRef;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    ChainHash, Change, Event, Message, MessageId, MessageStatus, Position, Record, Scope, ThreadId,
};

use super::fail::{Damage, damage};
use super::read::{Got, Reads};
use super::rows::{MessageRow, ThreadRow};
use crate::{Changes, PageLimits, chain, commitment, preview};

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

/// The newest records, oldest first.
///
/// # Errors
/// If there is no such thread for this scope, or what the store says.
pub async fn newest_changes<R: Reads>(rows: &R, scope: &Scope, id: &ThreadId, limit: u32) -> Got<R, Vec<Record>> {
    let thread = rows.visible(scope, id).await?;
    let from = (thread.position().seq + 1).saturating_sub(u64::from(limit)).max(1);
    Ok(rows.records(&thread, from, limit).await?.into_iter().map(|(_, record)| record).collect())
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
        let bodies = bodies(rows, thread, &kept).await?;
        for (hash, record) in kept {
            // The chain is there: altered records are an error, and shown to nobody.
            if chain(before, &record) != hash {
                let detail = format_args!("the log of thread {} is damaged at {}", thread.id, record.seq);
                return Err(damage(detail).into());
            }
            before = hash;
            let body = match named(&record.change).and_then(|id| bodies.get(id)) {
                None => None,
                Some(row) => Some(shown(thread, &record.change, row, limits.preview)?),
            };
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
) -> Got<R, HashMap<MessageId, MessageRow>> {
    let mut ids: Vec<&MessageId> = kept.iter().filter_map(|(_, record)| named(&record.change)).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let found = rows.messages_named(thread, &ids).await?;
    Ok(found.into_iter().map(|row| (row.id.clone(), row)).collect())
}

/// A change's message as it is shown. If it is as the change left it, its body is the one that the record commits to:
/// so one that was kept without a sum is checked here.
fn shown(thread: &ThreadRow, change: &Change, row: &MessageRow, limit: usize) -> Result<Message, Damage> {
    let as_it_was = |reference: &&MessageRef| reference.rev == row.rev && row.status != MessageStatus::Streaming;
    if let Some(reference) = change.message().filter(as_it_was)
        && reference.commitment != commitment(&thread.secret, &row.body)
    {
        return Err(damage(format_args!("message {} of thread {}: its body is damaged", row.id, thread.id)));
    }
    let mut message = row.clone().shown();
    preview(&mut message, limit);
    Ok(message)
}
