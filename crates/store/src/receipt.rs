//! Receipts: the first answer to a request, for whoever repeats it. A receipt holds no message body: a repeated
//! answer takes it from the message as it is now, so that what was removed is not answered out of a receipt; a message that
//! was removed is answered as the tombstone it is.
//! Databases hold these bytes, so the encoding may grow and may never change.

use minicbor::{Decode, Encode, decode};
use threadmill_proto::{Message, Position, RunId, RunInfo, Thread, from_cbor, to_cbor};

use crate::command::{Applied, Committed, StoppingRun};

/// An answer as it was kept, on its way back to whoever repeats the request.
#[derive(Debug)]
pub struct Receipt {
    committed: Committed,
    /// Which of `committed.applied` carry a message whose body was left out.
    bare: Vec<bool>,
}

impl Receipt {
    /// The bytes to keep for an answer.
    pub fn seal(committed: &Committed) -> Vec<u8> {
        let applied = committed.applied.iter().map(to_kept).collect();
        to_cbor(&Kept { applied, position: committed.position })
    }

    /// Reads what [`Receipt::seal`] wrote.
    ///
    /// # Errors
    ///
    /// The bytes are not a receipt.
    pub fn open(bytes: &[u8]) -> Result<Self, decode::Error> {
        let kept: Kept = from_cbor(bytes)?;
        let (applied, bare) = kept.applied.into_iter().map(from_kept).unzip();
        Ok(Self { committed: Committed { applied, position: kept.position, replayed: true }, bare })
    }

    /// The messages that had a body when the answer was kept. The store puts in what each holds now.
    pub fn bare(&mut self) -> impl Iterator<Item = &mut Message> {
        let applied = self.committed.applied.iter_mut().zip(&self.bare);
        applied.filter(|(_, bare)| **bare).filter_map(|(applied, _)| match applied {
            Applied::Message { message, .. } | Applied::Started { message, .. } | Applied::Ended { message, .. } => {
                Some(message)
            }
            _ => None,
        })
    }

    /// The answer, marked as repeated.
    pub fn into_committed(self) -> Committed {
        self.committed
    }
}

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

/// What was applied, and whether it carries a message without its body.
fn from_kept(kept: KeptApplied) -> (Applied, bool) {
    match kept {
        KeptApplied::Thread(thread) => (Applied::Thread(thread), false),
        KeptApplied::Message { message: KeptMessage { envelope: message, filled }, stopping } => {
            (Applied::Message { message, stopping: stopping.map(StoppingRun::from) }, filled)
        }
        KeptApplied::Started { run, message: KeptMessage { envelope: message, filled }, fence } => {
            (Applied::Started { run, message, fence }, filled)
        }
        KeptApplied::Stopping(run) => (Applied::Stopping(run.into()), false),
        KeptApplied::AlreadyOver(run) => (Applied::AlreadyOver(run), false),
        KeptApplied::Ended { run, message: KeptMessage { envelope: message, filled } } => {
            (Applied::Ended { run, message }, filled)
        }
        KeptApplied::Deleted => (Applied::Deleted, false),
    }
}
