//! Receipts: the first answer to a request, for whoever repeats it. A receipt holds no message body: a repeated
//! answer takes it from the message as it is now, so that what was removed is not answered out of a receipt.

use minicbor::{Decode, Encode};
use threadmill_proto::message::Body;
use threadmill_proto::{Message, MessageId, Position, RunId, RunInfo, Thread, from_cbor, to_cbor};
use threadmill_store::{Applied, Committed, Conflict, IdempotencyKey, Missing, StoppingRun};

use crate::codec::body_from_blob;
use crate::db::{Db, get};
use crate::fail::Done;
use crate::rows::Principal;
use crate::sheet::{KeyHash, Mark, ReceiptRow, Sheet};

/// An answer as it is kept.
#[derive(Debug, Encode, Decode)]
struct Kept {
    #[n(0)]
    applied: Vec<KeptApplied>,
    #[n(1)]
    position: Position,
}

#[derive(Debug, Encode, Decode)]
enum KeptApplied {
    #[n(0)]
    Thread(#[n(0)] Thread),
    #[n(1)]
    Message {
        #[n(0)]
        message: KeptMessage,
        #[n(1)]
        stopping: Option<KeptStopping>,
    },
    #[n(2)]
    Started {
        #[n(0)]
        run: RunInfo,
        #[n(1)]
        message: KeptMessage,
        #[n(2)]
        fence: u64,
    },
    #[n(3)]
    Stopping(#[n(0)] KeptStopping),
    #[n(4)]
    AlreadyOver(#[n(0)] RunInfo),
    #[n(5)]
    Ended {
        #[n(0)]
        run: RunInfo,
        #[n(1)]
        message: KeptMessage,
    },
    #[n(6)]
    Deleted,
}

/// A message without its body; `filled` if it had one.
#[derive(Debug, Encode, Decode)]
struct KeptMessage {
    #[n(0)]
    envelope: Message,
    #[n(1)]
    filled: bool,
}

#[derive(Debug, Encode, Decode)]
struct KeptStopping {
    #[n(0)]
    run: RunId,
    #[n(1)]
    fence: u64,
}

impl From<&StoppingRun> for KeptStopping {
    fn from(run: &StoppingRun) -> Self {
        Self { run: run.run.clone(), fence: run.fence }
    }
}

impl From<KeptStopping> for StoppingRun {
    fn from(run: KeptStopping) -> Self {
        Self { run: run.run, fence: run.fence }
    }
}

impl From<&Message> for KeptMessage {
    fn from(message: &Message) -> Self {
        Self {
            filled: !message.parts.is_empty() || message.metadata.is_some(),
            envelope: Message { parts: Vec::new(), metadata: None, ..message.clone() },
        }
    }
}

fn to_kept(applied: &Applied) -> KeptApplied {
    match applied {
        Applied::Thread(thread) => KeptApplied::Thread(thread.clone()),
        Applied::Message { message, stopping } => {
            KeptApplied::Message { message: message.into(), stopping: stopping.as_ref().map(KeptStopping::from) }
        }
        Applied::Started { run, message, fence } => {
            KeptApplied::Started { run: run.clone(), message: message.into(), fence: *fence }
        }
        Applied::Stopping(run) => KeptApplied::Stopping(run.into()),
        Applied::AlreadyOver(run) => KeptApplied::AlreadyOver(run.clone()),
        Applied::Ended { run, message } => KeptApplied::Ended { run: run.clone(), message: message.into() },
        Applied::Deleted => KeptApplied::Deleted,
    }
}

/// The place of a key in the table.
pub(crate) fn hash(key: &IdempotencyKey) -> KeyHash {
    *blake3::hash(key.key.as_bytes()).as_bytes()
}

/// A kept answer with its messages as they are now.
struct Replay<'r> {
    db: &'r Db<'r>,
    sheet: &'r mut Sheet,
    tenant: i64,
    thread: Option<i64>,
}

impl Replay<'_> {
    async fn body(&mut self, id: &MessageId) -> Done<Body> {
        let Some(num) = self.thread else {
            return Ok(Body::default());
        };
        if let Some(thread) = self.sheet.threads.get_mut(&num) {
            return Ok(thread.find_message(self.db, id).await?.body.clone());
        }
        const SQL: &str = "SELECT body FROM threadmill.messages WHERE tenant = $1 AND thread = $2 AND id = $3";
        let row = self.db.one(SQL, &[&self.tenant, &num, &id.as_str()]).await?.ok_or(Missing::Message)?;
        body_from_blob(get(&row, 0)?)
    }

    async fn fill(&mut self, kept: KeptMessage) -> Done<Message> {
        let mut message = kept.envelope;
        if kept.filled {
            let body = self.body(&message.id).await?;
            message.parts = body.parts;
            message.metadata = body.metadata;
        }
        Ok(message)
    }

    async fn applied(&mut self, kept: KeptApplied) -> Done<Applied> {
        Ok(match kept {
            KeptApplied::Thread(thread) => Applied::Thread(thread),
            KeptApplied::Message { message, stopping } => {
                Applied::Message { message: self.fill(message).await?, stopping: stopping.map(StoppingRun::from) }
            }
            KeptApplied::Started { run, message, fence } => {
                Applied::Started { run, message: self.fill(message).await?, fence }
            }
            KeptApplied::Stopping(run) => Applied::Stopping(run.into()),
            KeptApplied::AlreadyOver(run) => Applied::AlreadyOver(run),
            KeptApplied::Ended { run, message } => Applied::Ended { run, message: self.fill(message).await? },
            KeptApplied::Deleted => Applied::Deleted,
        })
    }
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
    let kept: Kept = from_cbor(&receipt.answer)?;
    let mut replay = Replay { db, thread: receipt.thread, sheet, tenant: who.tenant };
    let mut applied = Vec::with_capacity(kept.applied.len());
    for one in kept.applied {
        applied.push(replay.applied(one).await?);
    }
    Ok(Some(Committed { applied, position: kept.position, replayed: true }))
}

/// Keeps an answer for as long as its thread; a deletion's, which has none, for good, since its effect stays.
pub(super) fn keep(
    sheet: &mut Sheet,
    who: Principal,
    key: &IdempotencyKey,
    thread: Option<i64>,
    committed: &Committed,
) {
    let kept = Kept { applied: committed.applied.iter().map(to_kept).collect(), position: committed.position };
    let receipt = ReceiptRow {
        tenant: who.tenant,
        digest: key.digest.to_vec(),
        thread,
        answer: to_cbor(&kept),
        mark: Mark::Fresh,
    };
    sheet.receipts.insert((who.user, hash(key)), receipt);
}
