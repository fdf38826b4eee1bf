//! Tails.

use threadmill_proto::to_cbor;
use threadmill_store::hot::{
    Extended, HotResult, MAX_NUMBER, OnGap, Partition, Place, TailAppend, TailEntry, TailKey, TailRead,
};

use super::{Remote, grouped};
use crate::script::EXTEND;
use crate::wire::{Command, Fault, Outcome, Reply, Wire};

/// What an entry's seal covers besides the entry.
fn place(key: &str, epoch: u64, seq: u64) -> Vec<u8> {
    to_cbor(&(key, epoch, seq))
}

pub(super) async fn extend<W: Wire>(remote: &Remote<W>, appends: Vec<TailAppend>) -> HotResult<Vec<Extended>> {
    let mut answers = vec![Extended::Accepted; appends.len()];
    let (mut places, mut groups) = (Vec::new(), Vec::new());
    for (partition, group) in grouped(&appends, |append| append.tail.thread().partition()) {
        places.push(group.iter().map(|(at, _)| *at).collect::<Vec<_>>());
        groups.push((partition, group.into_iter().map(|(_, append)| call(remote, partition, append)).collect()));
    }
    for (places, outcomes) in places.into_iter().zip(remote.send_all(groups).await?) {
        for (at, outcome) in places.into_iter().zip(outcomes) {
            answers[at] = answer(remote, outcome)?;
        }
    }
    Ok(answers)
}

/// The script, which also tells of the append: whoever hears of it finds it there, for one command.
fn call<W: Wire>(remote: &Remote<W>, partition: Partition, append: &TailAppend) -> Command {
    let (key, index) = (remote.keys.tail(&append.tail), remote.keys.index(append.tail.thread()));
    let word = append.word(remote.wire.told());
    let telling = word.map(|word| remote.wire.announce(partition, remote.codec.encode(partition, &[word])));
    let telling = telling.unwrap_or_default();
    let Place { epoch, seq } = append.after;
    let entries = append.entries.iter().zip(seq + 1..);
    let entries = entries.map(|(entry, seq)| remote.framer.wrap(&place(&key, epoch, seq), entry)).collect::<Vec<_>>();
    let listed = match &append.tail {
        TailKey::Log(_) => "",
        TailKey::Run(..) => key.as_str(),
    };
    // Where it is told is in the same slot, and a cluster wants to know of it.
    let mut keys = vec![key.as_str(), &index];
    keys.extend(telling.first().and_then(Command::key));
    let script = Command::script(&EXTEND, &keys)
        .arg(epoch)
        .arg(seq)
        .arg(if append.on_gap == OnGap::Restart { "1" } else { "0" })
        .arg(u64::from(append.keep.entries))
        .arg(u64::from(append.keep.bytes))
        .arg(remote.tail_ttl())
        .arg(remote.index_ttl())
        .arg(listed)
        .arg(telling.len() as u64);
    let told = |script: Command, command: Command| script.arg(command.args.len() as u64).args(command.args);
    telling.into_iter().fold(script, told).args(entries)
}

fn answer<W: Wire>(remote: &Remote<W>, outcome: Outcome) -> HotResult<Extended> {
    let reply = remote.succeeded(outcome)?;
    let words: Option<Vec<u64>> = reply.list().and_then(|list| list.iter().map(Reply::number).collect());
    match words.as_deref() {
        Some([1]) => Ok(Extended::Accepted),
        Some([0, epoch, seq]) => Ok(Extended::Refused { there: Place { epoch: *epoch, seq: *seq } }),
        Some(_) | None => Err(remote.nonsense("an append")),
    }
}

/// One `XRANGE`; where the tail ends is asked only if it gives nothing.
pub(super) async fn read<W: Wire>(remote: &Remote<W>, tail: &TailKey, after: Place, limit: u32) -> HotResult<TailRead> {
    if after.epoch > MAX_NUMBER || after.seq >= MAX_NUMBER {
        return end(remote, tail, after).await;
    }
    match following(remote, tail, after, limit).await? {
        Some(entries) if entries.is_empty() => match end(remote, tail, after).await? {
            // What was appended between the two questions is no gap.
            gap @ TailRead::Gap { there: Some(there) } if there.epoch == after.epoch && there > after => {
                let entries = following(remote, tail, after, limit).await?.filter(|entries| !entries.is_empty());
                Ok(entries.map_or(gap, TailRead::Entries))
            }
            answer => Ok(answer),
        },
        Some(entries) => Ok(TailRead::Entries(entries)),
        None => end(remote, tail, after).await,
    }
}

/// The entries that follow a place, none if the tail has nothing beyond it. `None` if what it has is not what follows.
async fn following<W: Wire>(
    remote: &Remote<W>,
    tail: &TailKey,
    after: Place,
    limit: u32,
) -> HotResult<Option<Vec<TailEntry>>> {
    let key = remote.keys.tail(tail);
    let range = Command::new("XRANGE")
        .arg(key.as_str())
        .arg(format!("{}-{}", after.epoch, after.seq + 1))
        .arg(format!("{}-{}", after.epoch, u64::MAX))
        .arg("COUNT")
        .arg(u64::from(limit));
    let found = remote.send(vec![range]).await?.pop().ok_or_else(|| remote.nonsense("a read"))?;
    if let Err(Fault::WrongType) = found {
        remote.doubt();
        return Ok(None);
    }
    let found = remote.succeeded(found)?;
    let entries = found.list().ok_or_else(|| remote.nonsense("a read"))?;
    let taken = contiguous(remote, &key, after, entries);
    Ok((entries.is_empty() || !taken.is_empty()).then_some(taken))
}

/// The entries that follow `after` up to the first that is missing or does not verify.
fn contiguous<W: Wire>(remote: &Remote<W>, key: &str, after: Place, entries: &[Reply]) -> Vec<TailEntry> {
    let mut taken = Vec::with_capacity(entries.len());
    for (entry, seq) in entries.iter().zip(after.seq + 1..) {
        let Some((id, fields)) = parts(entry) else {
            remote.doubt();
            break;
        };
        if id != (Place { epoch: after.epoch, seq }) {
            break;
        }
        let data = match fields {
            [_, Reply::Bytes(data), ..] => data.clone(),
            _ => bytes::Bytes::new(),
        };
        let Some(bytes) = remote.verified(&place(key, after.epoch, seq), &data) else { break };
        taken.push(TailEntry { seq, bytes });
    }
    taken
}

/// An entry's id and fields.
fn parts(entry: &Reply) -> Option<(Place, &[Reply])> {
    let [id, fields] = entry.list()? else { return None };
    let id = id.text()?;
    let (epoch, seq) = id.split_once('-')?;
    Some((Place { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? }, fields.list()?))
}

/// Nothing follows: because the place is the tail's end, or because the tail does not know.
async fn end<W: Wire>(remote: &Remote<W>, tail: &TailKey, after: Place) -> HotResult<TailRead> {
    let last = Command::new("XREVRANGE").arg(remote.keys.tail(tail)).args(["+", "-", "COUNT", "1"]);
    let there = match remote.send(vec![last]).await?.pop() {
        Some(Err(Fault::WrongType)) | None => None,
        Some(outcome) => {
            let reply = remote.succeeded(outcome)?;
            reply.list().and_then(<[Reply]>::first).and_then(parts).map(|(place, _)| place)
        }
    };
    if there == Some(after) { Ok(TailRead::Entries(Vec::new())) } else { Ok(TailRead::Gap { there }) }
}
