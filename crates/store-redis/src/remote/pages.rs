//! Pages, and forgetting a thread.

use bytes::Bytes;
use threadmill_proto::to_cbor;
use threadmill_store::hot::{HotResult, PageKey, TailKey, ThreadKey};

use super::{Remote, grouped};
use crate::wire::{Command, Fault, Reply, Wire};

/// How many keys one command removes, so that none holds a server up.
const BATCH: usize = 256;

/// What a page's seal covers besides the page.
fn place(key: &str, page: &PageKey) -> Vec<u8> {
    to_cbor(&(key, page.epoch, page.revision))
}

/// Epoch and revision stand before the frame, in the clear: a page of another revision is whole and only not what
/// was asked for, while one that does not verify is a sign of trouble.
fn stored<W: Wire>(remote: &Remote<W>, key: &str, page: &PageKey, bytes: &Bytes) -> Bytes {
    let frame = remote.framer.wrap(&place(key, page), bytes);
    [&page.epoch.to_le_bytes()[..], &page.revision.to_le_bytes(), &frame].concat().into()
}

/// `SADD` and `PEXPIRE` of the index come first: a page that is not listed would not be flushed.
pub(super) async fn put<W: Wire>(remote: &Remote<W>, pages: Vec<(PageKey, Bytes)>) -> HotResult<()> {
    let groups = grouped(pages, |(key, _)| key.thread.clone());
    let groups =
        groups.into_iter().map(|(thread, pages)| (thread.partition(), put_group(remote, &thread, &pages))).collect();
    for outcome in remote.send_all(groups).await?.into_iter().flatten() {
        match outcome {
            Ok(_) => {}
            // Garbage where the index should be: the pages work, and go when their time is over.
            Err(Fault::WrongType) => remote.doubt(),
            fault => drop(remote.succeeded(fault)?),
        }
    }
    Ok(())
}

fn put_group<W: Wire>(remote: &Remote<W>, thread: &ThreadKey, pages: &[(usize, (PageKey, Bytes))]) -> Vec<Command> {
    let index = remote.keys.index(thread);
    let keys: Vec<_> = pages.iter().map(|(_, (page, _))| remote.keys.page(thread, &page.branch, page.page)).collect();
    let mut commands = vec![
        Command::new("SADD").arg(index.as_str()).args(keys.iter().map(String::as_str)),
        Command::new("PEXPIRE").arg(index).arg(remote.index_ttl()),
    ];
    for (key, (_, (page, bytes))) in keys.into_iter().zip(pages) {
        let value = stored(remote, &key, page, bytes);
        commands.push(Command::new("SET").arg(key).arg(value).arg("PX").arg(remote.page_ttl()));
    }
    commands
}

/// One `GETEX` a page (Redis 6.2 and later), and one `PEXPIRE` of the index.
pub(super) async fn read<W: Wire>(remote: &Remote<W>, keys: &[PageKey]) -> HotResult<Vec<Option<Bytes>>> {
    let groups = grouped(keys, |key| key.thread.clone());
    let commands = groups.iter().map(|(thread, pages)| {
        let index = Command::new("PEXPIRE").arg(remote.keys.index(thread)).arg(remote.index_ttl());
        let pages = pages.iter().map(|(_, page)| {
            let key = remote.keys.page(thread, &page.branch, page.page);
            Command::new("GETEX").arg(key).arg("PX").arg(remote.page_ttl())
        });
        (thread.partition(), pages.chain([index]).collect())
    });
    let replies = remote.send_all(commands.collect()).await?;
    let mut found = vec![None; keys.len()];
    for ((thread, pages), outcomes) in groups.into_iter().zip(replies) {
        for ((at, page), outcome) in pages.into_iter().zip(outcomes) {
            found[at] = match outcome {
                Ok(Reply::Bytes(bytes)) => checked(remote, &thread, page, &bytes),
                Ok(Reply::Nil) => None,
                Ok(Reply::Int(_) | Reply::List(_)) | Err(Fault::WrongType) => {
                    remote.doubt();
                    None
                }
                fault => return remote.succeeded(fault).map(|_| Vec::new()),
            };
        }
    }
    Ok(found)
}

fn checked<W: Wire>(remote: &Remote<W>, thread: &ThreadKey, page: &PageKey, bytes: &Bytes) -> Option<Bytes> {
    let found = opened(remote, thread, page, bytes);
    if found.is_none() {
        remote.doubt();
    }
    found.filter(|(stored, _)| stored == page).map(|(_, payload)| payload)
}

/// A page that verifies, and which one it is.
fn opened<W: Wire>(remote: &Remote<W>, thread: &ThreadKey, page: &PageKey, bytes: &Bytes) -> Option<(PageKey, Bytes)> {
    let value = remote.wire.data(bytes)?;
    let (epoch, rest) = value.split_first_chunk()?;
    let (revision, _) = rest.split_first_chunk()?;
    let (epoch, revision) = (u64::from_le_bytes(*epoch), u64::from_le_bytes(*revision));
    let stored = PageKey { epoch, revision, ..page.clone() };
    let key = remote.keys.page(thread, &page.branch, page.page);
    let payload = remote.framer.unwrap(&place(&key, &stored), &value.slice(16..))?;
    Some((stored, payload))
}

/// Removes what the index lists, then the rest.
pub(super) async fn flush<W: Wire>(remote: &Remote<W>, thread: &ThreadKey) -> HotResult<()> {
    let index = remote.keys.index(thread);
    let listed = remote.send(vec![Command::new("SMEMBERS").arg(index.as_str())]).await?.pop();
    let listed = match listed {
        Some(Err(Fault::WrongType)) | None => Vec::new(),
        Some(outcome) => match remote.succeeded(outcome)? {
            Reply::List(list) => list,
            Reply::Nil | Reply::Int(_) | Reply::Bytes(_) => Vec::new(),
        },
    };
    // The index is a set that anybody may have written to: only keys of this very thread are removed.
    let (pages, runs) = remote.keys.prefixes(thread);
    let listed: Vec<_> =
        listed.iter().filter_map(Reply::text).filter(|key| key.starts_with(&pages) || key.starts_with(&runs)).collect();
    for batch in listed.chunks(BATCH) {
        remote.ask(Command::new("UNLINK").args(batch.iter().map(String::as_str))).await?;
    }
    let rest = [remote.keys.tail(&TailKey::Log(thread.clone())), remote.keys.presence(thread), index];
    remote.ask(Command::new("UNLINK").args(rest)).await.map(|_| ())
}
