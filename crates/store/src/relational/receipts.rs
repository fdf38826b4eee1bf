//! Receipts: kept with the write, answered to whoever repeats it.

use threadmill_proto::MessageStatus;

use super::access::{Done, Rows};
use super::fail::Damage;
use super::rows::{Principal, ReceiptRow};
use crate::{Applied, Committed, Conflict, IdempotencyKey, Missing, Receipt, StoreError};

/// The first answer, if the key is known.
pub(super) async fn replay<R: Rows>(rows: &mut R, who: Principal, key: &IdempotencyKey) -> Done<R, Option<Committed>> {
    let Some(kept) = rows.receipt(who, key).await? else {
        return Ok(None);
    };
    if kept.digest != key.digest {
        return Err(Conflict::KeyReused.into());
    }
    if kept.answer.is_empty() {
        return Err(StoreError::Deleted.into());
    }
    let mut receipt = Receipt::open(&kept.answer).map_err(Damage::from)?;
    if let Some(thread) = kept.thread {
        for message in receipt.bare() {
            let now = rows.standing(who.tenant, thread, &message.id).await?.ok_or(Missing::Message)?;
            message.parts = now.body.parts;
            message.metadata = now.body.metadata;
            if now.status == MessageStatus::Removed {
                // Nobody shall take it for a message that says nothing.
                (message.status, message.rev) = (now.status, now.rev);
            }
        }
    }
    Ok(Some(receipt.into_committed()))
}

/// Keeps an answer for as long as its thread; a deletion's for good, since its effect stays. What `makes` the thread is
/// known for longer: see [`Rows::remember`].
pub(super) async fn keep<R: Rows>(
    rows: &mut R,
    who: Principal,
    key: &IdempotencyKey,
    thread: i64,
    makes: bool,
    committed: &Committed,
) -> Done<R, ()> {
    let deleted = committed.applied.contains(&Applied::Deleted);
    let row = ReceiptRow {
        digest: key.digest.to_vec(),
        thread: (!deleted).then_some(thread),
        answer: Receipt::seal(committed),
        makes,
    };
    rows.add_receipt(who, key, row).await
}
