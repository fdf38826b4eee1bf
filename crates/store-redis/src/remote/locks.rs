//! Advisory locks. The owner's name is kept sealed, as bytes that are the same whenever it asks, so that the script can
//! compare them. Whoever else writes there may keep a lock from its owners, and can pass for none of them.

use std::time::Duration;

use threadmill_proto::to_cbor;
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
    let place = to_cbor(&(key.as_str(), "owner"));
    let asks = remote.framer.wrap(&place, owner.as_bytes());
    let reply = remote.ask(Command::script(&LOCK, &[&key]).arg(what).arg(asks).arg(W::millis(ttl))).await?;
    match reply.list() {
        Some([done]) if done.number() == Some(1) => Ok(LockAnswer::Held),
        Some([_, Reply::Bytes(holder), left]) => {
            let holder = if holder.is_empty() { None } else { remote.verified(&place, holder) };
            let owner = holder.and_then(|owner| String::from_utf8(owner.into()).ok());
            Ok(LockAnswer::Refused { owner, left: Duration::from_millis(left.number().unwrap_or(0)) })
        }
        Some(_) | None => Err(remote.nonsense("a lock")),
    }
}
