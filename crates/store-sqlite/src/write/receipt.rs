//! Receipts: the first answer to a request, for whoever repeats it. A receipt holds no message body: a repeated
//! answer takes it from the message as it is now, so that what was removed is not answered out of a receipt.

use minicbor::{Decode, Encode};
use rusqlite::params;
use threadmill_proto::{Message, Position, RunId, RunInfo, Thread, from_cbor, to_cbor};
use threadmill_store::{Applied, Committed, Conflict, IdempotencyKey, StoppingRun};

use crate::db::Db;
use crate::fail::Done;
use crate::rows::{Principal, message, thread};

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

fn fill(db: &Db<'_>, thread: Option<i64>, kept: KeptMessage) -> Done<Message> {
    let mut message = kept.envelope;
    if kept.filled
        && let Some(thread) = thread
    {
        let row = message::find(db, &thread::by_num(db, thread)?, &message.id)?;
        message.parts = row.body.parts;
        message.metadata = row.body.metadata;
    }
    Ok(message)
}

fn from_kept(db: &Db<'_>, thread: Option<i64>, kept: KeptApplied) -> Done<Applied> {
    Ok(match kept {
        KeptApplied::Thread(thread) => Applied::Thread(thread),
        KeptApplied::Message { message, stopping } => {
            Applied::Message { message: fill(db, thread, message)?, stopping: stopping.map(StoppingRun::from) }
        }
        KeptApplied::Started { run, message, fence } => {
            Applied::Started { run, message: fill(db, thread, message)?, fence }
        }
        KeptApplied::Stopping(run) => Applied::Stopping(run.into()),
        KeptApplied::AlreadyOver(run) => Applied::AlreadyOver(run),
        KeptApplied::Ended { run, message } => Applied::Ended { run, message: fill(db, thread, message)? },
        KeptApplied::Deleted => Applied::Deleted,
    })
}

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
    if digest != key.digest {
        return Err(Conflict::KeyReused.into());
    }
    let kept: Kept = from_cbor(&answer)?;
    let applied = kept.applied.into_iter().map(|applied| from_kept(db, thread, applied)).collect::<Done<_>>()?;
    Ok(Some(Committed { applied, position: kept.position, replayed: true }))
}

/// Keeps an answer for as long as its thread; a deletion's for good, since its effect stays.
pub(crate) fn keep(db: &Db<'_>, who: Principal, key: &IdempotencyKey, thread: i64, committed: &Committed) -> Done<()> {
    let deleted = committed.applied.contains(&Applied::Deleted);
    let kept = Kept { applied: committed.applied.iter().map(to_kept).collect(), position: committed.position };
    db.change(
        "INSERT INTO receipts (tenant, user, key, digest, thread, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![who.tenant, who.user, key.key, key.digest, (!deleted).then_some(thread), to_cbor(&kept)],
    )?;
    Ok(())
}
