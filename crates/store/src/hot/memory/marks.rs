//! Presence in memory.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tokio::time::Instant;

use crate::hot::{MAX_PRESENT, Mark, Present, ThreadKey};

/// The most threads with somebody present. Beyond it new ones show nobody, so that memory stays bounded.
const MAX_THREADS: usize = 65_536;

#[derive(Default)]
pub(super) struct Marks(HashMap<ThreadKey, BTreeMap<String, (Bytes, Instant)>>);

impl Marks {
    pub(super) fn set(&mut self, mark: Mark, now: Instant, until: Instant) {
        if self.0.len() >= MAX_THREADS && !self.0.contains_key(&mark.thread) {
            self.sweep(now);
            if self.0.len() >= MAX_THREADS {
                return;
            }
        }
        let members = self.0.entry(mark.thread).or_default();
        if members.len() >= MAX_PRESENT {
            members.retain(|_, (_, until)| *until > now);
        }
        if members.len() < MAX_PRESENT || members.contains_key(&mark.member) {
            members.insert(mark.member, (mark.state, until));
        }
    }

    pub(super) fn list(&mut self, thread: &ThreadKey, now: Instant) -> Vec<Present> {
        let Some(members) = self.0.get_mut(thread) else { return Vec::new() };
        members.retain(|_, (_, until)| *until > now);
        let present =
            members.iter().map(|(member, (state, _))| Present { member: member.clone(), state: state.clone() });
        let present = present.collect();
        if members.is_empty() {
            self.0.remove(thread);
        }
        present
    }

    pub(super) fn forget(&mut self, thread: &ThreadKey) {
        self.0.remove(thread);
    }

    fn sweep(&mut self, now: Instant) {
        for members in self.0.values_mut() {
            members.retain(|_, (_, until)| *until > now);
        }
        self.0.retain(|_, members| !members.is_empty());
    }
}
