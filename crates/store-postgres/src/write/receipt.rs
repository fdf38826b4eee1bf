//! Receipts: kept with the write, answered to whoever repeats it.

use threadmill_proto::MessageId;
use threadmill_proto::message::Body;
use threadmill_store::{Committed, Conflict, IdempotencyKey, Missing, Receipt, StoreError};

use crate::codec::body_from_blob;
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::Principal;
use crate::sheet::{KeyHash, Mark, ReceiptRow, Sheet};

/// The place of a key in the table.
pub(crate) fn hash(key: &IdempotencyKey) -> KeyHash {
    *blake3::hash(key.key.as_bytes()).as_bytes()
}

/// What a message holds now: in the sheet if its thread is there, else in the table.
async fn body(db: &Db<'_>, sheet: &mut Sheet, (tenant, num): (i64, i64), id: &MessageId) -> Done<Body> {
    const SQL: &str = "SELECT body FROM threadmill.messages WHERE tenant = $1 AND thread = $2 AND id = $3";
    if let Some(thread) = sheet.threads.get_mut(&num) {
        return Ok(thread.find_message(db, id).await?.body.clone());
    }
    let row = db.one(SQL, &[&tenant, &num, &id.as_str()]).await?.ok_or(Missing::Message)?;
    body_from_blob(get(&row, 0)?)
}

/// The first answer, if the key is known.
pub(super) async fn replay(
    db: &Db<'_>,
    sheet: &mut Sheet,
    who: Principal,
    key: &IdempotencyKey,
) -> Done<Option<Committed>> {
    let Some(receipt) = sheet.receipts.get(&(who.user, hash(key))) else {
        return Ok(None);
    };
    if receipt.digest != key.digest {
        return Err(Conflict::KeyReused.into());
    }
    if receipt.answer.is_empty() {
        return Err(StoreError::Deleted.into());
    }
    let (tenant, thread) = (receipt.tenant, receipt.thread);
    let mut receipt = Receipt::open(&receipt.answer)?;
    if let Some(num) = thread {
        for message in receipt.bare() {
            let body = body(db, sheet, (tenant, num), &message.id).await?;
            message.parts = body.parts;
            message.metadata = body.metadata;
        }
    }
    Ok(Some(receipt.into_committed()))
}

/// Keeps an answer for as long as its thread; a deletion's, which has none, for good, since its effect stays. What
/// `makes` the thread is known for longer: see [`Sheet::remember`].
pub(super) fn keep(
    sheet: &mut Sheet,
    who: Principal,
    key: &IdempotencyKey,
    thread: Option<i64>,
    makes: bool,
    committed: &Committed,
) {
    let receipt = ReceiptRow {
        tenant: who.tenant,
        digest: key.digest.to_vec(),
        thread,
        answer: Receipt::seal(committed),
        makes,
        mark: Mark::Fresh,
    };
    sheet.receipts.insert((who.user, hash(key)), receipt);
}
