//! Hints: how they are written. A message holds several of one partition, in a frame that belongs to its channel.
//! Frozen: nodes of two releases hear each other. What is not understood is counted and left out; whoever listens
//! compares heads now and then anyway.

use std::sync::Arc;

use bytes::Bytes;
use minicbor::bytes::ByteVec;
use threadmill_proto::{RunId, Scope, TenantId, ThreadId, UserId, from_cbor, to_cbor};
use threadmill_store::hot::{Hint, HotResult, Partition, Place, ThreadKey};

use super::{Remote, grouped};
use crate::doubts::Doubts;
use crate::frame::Framer;
use crate::keys::Keys;
use crate::options::HotOptions;
use crate::wire::Wire;

/// Kind, tenant, thread or user, birth, run, epoch, number, entries. What a kind does not have is empty or 0.
type Row = (u8, TenantId, String, u64, String, u64, u64, Vec<ByteVec>);

const THREAD: u8 = 0;
const RUN: u8 = 1;
const SUMMARY: u8 = 2;

/// Hints in one message at most, so that a message stays small whatever a caller publishes at once.
const MESSAGE: usize = 256;

/// Writes and reads messages of hints.
#[derive(Debug, Clone)]
pub(crate) struct HintCodec {
    pub(crate) keys: Keys,
    framer: Framer,
    doubts: Arc<Doubts>,
}

impl HintCodec {
    pub(crate) fn new(options: &HotOptions, doubts: Arc<Doubts>) -> Self {
        Self { keys: Keys::new(&options.namespace), framer: Framer::new(options.seal.clone()), doubts }
    }

    pub(super) fn encode(&self, partition: Partition, hints: &[Hint]) -> Bytes {
        let rows: Vec<Row> = hints.iter().map(row).collect();
        self.framer.wrap(self.keys.channel(partition).as_bytes(), &to_cbor(&rows))
    }

    /// The hints of a message on this partition's channel.
    pub(crate) fn decode(&self, partition: Partition, message: &Bytes) -> Vec<Hint> {
        let payload = self.framer.unwrap(self.keys.channel(partition).as_bytes(), message);
        let rows = payload.and_then(|payload| from_cbor::<Vec<Row>>(&payload).ok());
        let hints: Option<Vec<_>> = rows.and_then(|rows| rows.into_iter().map(hint).collect());
        hints.unwrap_or_else(|| {
            self.doubts.note("a hint");
            Vec::new()
        })
    }
}

fn row(hint: &Hint) -> Row {
    let of = |kind, thread: &ThreadKey, run: &str, place: &Place, entries: &[Bytes]| {
        let (tenant, name) = (thread.tenant.clone(), thread.thread.as_str().to_owned());
        let entries = entries.iter().map(|entry| entry.to_vec().into()).collect();
        (kind, tenant, name, thread.birth, run.to_owned(), place.epoch, place.seq, entries)
    };
    match hint {
        Hint::Thread { thread, head } => of(THREAD, thread, "", head, &[]),
        Hint::Run { thread, run, end, entries } => of(RUN, thread, run.as_str(), end, entries),
        Hint::Summary { scope, pos } => {
            let (tenant, user) = (scope.tenant.clone(), scope.user.as_str().to_owned());
            (SUMMARY, tenant, user, 0, String::new(), 0, *pos, Vec::new())
        }
    }
}

fn hint((kind, tenant, name, birth, run, epoch, seq, entries): Row) -> Option<Hint> {
    let place = Place { epoch, seq };
    if kind == SUMMARY {
        let user = UserId::parse(&name).ok()?;
        return Some(Hint::Summary { scope: Scope { tenant, user }, pos: seq });
    }
    let thread = ThreadKey { tenant, thread: ThreadId::parse(&name).ok()?, birth };
    match kind {
        THREAD => Some(Hint::Thread { thread, head: place }),
        RUN => {
            let entries = entries.into_iter().map(|entry| Vec::from(entry).into()).collect();
            Some(Hint::Run { thread, run: RunId::parse(&run).ok()?, end: place, entries })
        }
        _ => None,
    }
}

/// One message a partition, or one for every [`MESSAGE`] hints.
pub(super) async fn publish<W: Wire>(remote: &Remote<W>, hints: Vec<Hint>) -> HotResult<()> {
    let groups = grouped(hints, Hint::partition).into_iter().flat_map(|(partition, hints)| {
        let hints: Vec<_> = hints.into_iter().map(|(_, hint)| hint).collect();
        let messages = hints.chunks(MESSAGE).map(|hints| remote.codec.encode(partition, hints));
        messages.map(|message| (partition, remote.wire.announce(partition, message))).collect::<Vec<_>>()
    });
    // A wire may have no way to announce anything.
    let groups = groups.filter(|(_, commands)| !commands.is_empty()).collect();
    for outcome in remote.send_all(groups).await?.into_iter().flatten() {
        remote.succeeded(outcome)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use threadmill_store::hot::conformance::kit;

    use super::*;

    fn codec(namespace: &str) -> HintCodec {
        let options = HotOptions { namespace: namespace.to_owned(), ..HotOptions::default() };
        HintCodec::new(&options, Arc::default())
    }

    #[test]
    fn hints_come_back() {
        let (thread, codec) = (kit::some_thread(), codec("tm"));
        let place = Place { epoch: 3, seq: u64::MAX };
        let hints = vec![
            Hint::Thread { thread: thread.clone(), head: place },
            Hint::Run { thread: thread.clone(), run: kit::run("r"), end: place, entries: vec![kit::bytes("\0")] },
            Hint::Summary { scope: kit::user(&thread.tenant, "ann"), pos: 9 },
        ];
        let partition = thread.partition();
        assert_eq!(codec.decode(partition, &codec.encode(partition, &hints)), hints);
    }

    #[test]
    fn what_is_not_understood_is_counted() {
        let (thread, codec) = (kit::some_thread(), codec("tm"));
        let hints = [Hint::Thread { thread: thread.clone(), head: Place { epoch: 1, seq: 1 } }];
        let partition = thread.partition();
        let elsewhere = Partition::all().find(|other| *other != partition).expect("there are many");
        let rows: Vec<Row> = vec![(9, thread.tenant.clone(), "th".to_owned(), 0, String::new(), 0, 0, Vec::new())];
        let channel = codec.keys.channel(partition);
        let seal = crate::options::SealKey::derive(&crate::options::Secret::new("another"));
        let other_seal = HintCodec::new(&HotOptions { seal, ..HotOptions::default() }, Arc::default());
        for message in [
            Bytes::from_static(b"garbage"),
            codec.encode(elsewhere, &hints),
            self::codec("other").encode(partition, &hints),
            codec.framer.wrap(channel.as_bytes(), &to_cbor(&rows)),
            codec.framer.wrap(channel.as_bytes(), b"\xff"),
            other_seal.encode(partition, &hints),
        ] {
            assert_eq!(codec.decode(partition, &message), []);
        }
        assert_eq!(codec.doubts.count(), 6);
    }
}
