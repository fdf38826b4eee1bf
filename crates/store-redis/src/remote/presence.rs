//! Presence.

use std::time::Duration;

use threadmill_proto::to_cbor;
use threadmill_store::hot::{HotResult, MAX_PRESENT, Mark, Present, ThreadKey};

use super::{Remote, grouped};
use crate::script::{MARK, PRESENT};
use crate::wire::{Command, Reply, Wire};

/// What a mark's seal covers besides the state.
fn place(key: &str, member: &str) -> Vec<u8> {
    to_cbor(&(key, member))
}

pub(super) async fn set<W: Wire>(remote: &Remote<W>, marks: Vec<Mark>, ttl: Duration) -> HotResult<()> {
    let groups = grouped(marks, |mark| mark.thread.clone()).into_iter().map(|(thread, marks)| {
        let key = remote.keys.presence(&thread);
        let mut call = Command::script(&MARK, &[&key]).arg(W::millis(ttl)).arg(MAX_PRESENT as u64);
        for (_, mark) in marks {
            let state = remote.framer.wrap(&place(&key, &mark.member), &mark.state);
            call = call.arg(mark.member).arg(state);
        }
        (thread.partition(), vec![call])
    });
    for outcome in remote.send_all(groups.collect()).await?.into_iter().flatten() {
        remote.succeeded(outcome)?;
    }
    Ok(())
}

pub(super) async fn list<W: Wire>(remote: &Remote<W>, thread: &ThreadKey) -> HotResult<Vec<Present>> {
    let key = remote.keys.presence(thread);
    let reply = remote.ask(Command::script(&PRESENT, &[&key])).await?;
    let words = reply.list().ok_or_else(|| remote.nonsense("presence"))?;
    let mut present: Vec<_> = words.chunks(2).filter_map(|pair| member(remote, &key, pair)).collect();
    present.sort_by(|a, b| a.member.cmp(&b.member));
    Ok(present)
}

fn member<W: Wire>(remote: &Remote<W>, key: &str, pair: &[Reply]) -> Option<Present> {
    let [member, Reply::Bytes(state)] = pair else {
        remote.doubt();
        return None;
    };
    let member = member.text().unwrap_or_default();
    let state = remote.verified(&place(key, &member), state)?;
    Some(Present { member, state })
}
