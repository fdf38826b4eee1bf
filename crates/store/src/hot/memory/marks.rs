//! Presence in memory: bounded in bytes, and swept now and then, whether anybody asks for it or not.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::hot::{MAX_PRESENT, Mark, Present, ThreadKey};

/// The most bytes of members, over all threads. Beyond it new ones are not shown.
const MAX_BYTES: usize = 16 << 20;
/// What a member costs besides its name and state.
const MEMBER: usize = 128;
/// What a thread costs besides its members.
const THREAD: usize = 256;
/// How often those whose time is over are looked for.
const SWEEP: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Marks {
    threads: HashMap<ThreadKey, BTreeMap<String, (Bytes, Instant)>>,
    bytes: usize,
    swept: Option<Instant>,
}

fn cost(member: &str, state: &Bytes) -> usize {
    MEMBER + member.len() + state.len()
}

impl Marks {
    pub(super) fn set(&mut self, mark: Mark, now: Instant, until: Instant) {
        self.sweep(now);
        let Mark { thread, member, state } = mark;
        let added = cost(&member, &state);
        let known = self.threads.get(&thread);
        let before = known.and_then(|members| members.get(&member)).map_or(0, |(state, _)| cost(&member, state));
        let room = if known.is_none() { THREAD } else { 0 };
        let is_full = before == 0 && known.is_some_and(|members| members.len() >= MAX_PRESENT);
        if is_full || self.bytes + room + added > MAX_BYTES + before {
            return;
        }
        self.bytes = self.bytes + room + added - before;
        self.threads.entry(thread).or_default().insert(member, (state, until));
    }

    pub(super) fn list(&mut self, thread: &ThreadKey, now: Instant) -> Vec<Present> {
        self.sweep(now);
        let members = self.threads.get(thread).into_iter().flatten().filter(|(_, (_, until))| *until > now);
        members.map(|(member, (state, _))| Present { member: member.clone(), state: state.clone() }).collect()
    }

    pub(super) fn forget(&mut self, thread: &ThreadKey) {
        if let Some(members) = self.threads.remove(thread) {
            let freed: usize = members.iter().map(|(member, (state, _))| cost(member, state)).sum();
            self.bytes -= THREAD + freed;
        }
    }

    /// Forgets those whose time is over, at most once in [`SWEEP`].
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        self.swept = Some(now);
        let mut freed = 0;
        self.threads.retain(|_, members| {
            members.retain(|member, (state, until)| {
                let stays = *until > now;
                freed += if stays { 0 } else { cost(member, state) };
                stays
            });
            freed += if members.is_empty() { THREAD } else { 0 };
            !members.is_empty()
        });
        self.bytes -= freed;
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, ThreadId};

    use super::*;

    fn mark(thread: u32, member: u32) -> Mark {
        let (tenant, thread) = (TenantId::parse("t").expect("an id"), ThreadId::parse(&format!("t{thread}")));
        let thread = ThreadKey { tenant, thread: thread.expect("an id"), birth: 1 };
        Mark { thread, member: format!("m{member}"), state: Bytes::from_static(b"viewing") }
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_bounded_in_bytes_and_swept_though_nobody_reads_them() {
        let (mut marks, ttl) = (Marks::default(), Duration::from_secs(15));
        for n in 0..300_000 {
            let now = Instant::now();
            marks.set(mark(n % 2_000, n), now, now + ttl);
        }
        assert!(marks.bytes <= MAX_BYTES, "{}", marks.bytes);
        tokio::time::advance(ttl + SWEEP).await;
        let now = Instant::now();
        marks.set(mark(0, 0), now, now + ttl);
        let names: usize = marks.threads.values().map(BTreeMap::len).sum();
        assert_eq!((names, marks.bytes), (1, THREAD + cost("m0", &Bytes::from_static(b"viewing"))));
        marks.forget(&mark(0, 0).thread);
        assert_eq!(marks.bytes, 0);
    }
}
