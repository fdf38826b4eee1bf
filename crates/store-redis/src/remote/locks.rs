//! Advisory locks.

use std::time::Duration;

use threadmill_store::hot::{HotResult, LockAnswer, LockKey};

use super::Remote;
use crate::script::LOCK;
use crate::wire::{Command, Reply, Wire};

pub(super) async fn ask<W: Wire>(
    remote: &Remote<W>,
    what: &'static str,
    lock: &LockKey,
    owner: &str,
    ttl: Duration,
) -> HotResult<LockAnswer> {
    lock.check(owner)?;
    let key = remote.keys.lock(lock);
    let reply = remote.ask(Command::script(&LOCK, &[&key]).arg(what).arg(owner).arg(W::millis(ttl))).await?;
    let words: Option<Vec<String>> = reply.list().and_then(|list| list.iter().map(Reply::text).collect());
    match words.as_deref() {
        Some([done]) if done == "1" => Ok(LockAnswer::Held),
        Some([_, owner, left]) => Ok(LockAnswer::Refused {
            owner: (!owner.is_empty()).then(|| owner.clone()),
            left: Duration::from_millis(left.parse().unwrap_or(0)),
        }),
        Some(_) | None => Err(remote.nonsense("a lock")),
    }
}
