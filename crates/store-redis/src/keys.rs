//! How keys and channels are written. Frozen: nodes of several releases share a server. A change of layout raises
//! [`LAYOUT`], and then nobody finds what is stored under the old one, which expires.
//!
//! `<namespace><layout>:{p<partition>}:<kind>:…`. The braces are Cluster's hash tag: everything of a partition is in
//! one slot, so one script may touch all keys of a thread.

use threadmill_proto::BranchId;
use threadmill_store::hot::{LockKey, Partition, TailKey, ThreadKey};

/// The version of the layout.
const LAYOUT: u8 = 1;

/// Writes keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys(String);

/// A thread's part of its keys. `/` is in no id.
fn path(thread: &ThreadKey) -> String {
    format!("{}/{}/{:x}", thread.tenant, thread.thread, thread.birth)
}

impl Keys {
    pub(crate) fn new(namespace: &str) -> Self {
        Self(format!("{namespace}{LAYOUT}"))
    }

    fn key(&self, partition: Partition, kind: &str, rest: &str) -> String {
        format!("{}:{{p{}}}:{kind}:{rest}", self.0, partition.number())
    }

    fn of(&self, thread: &ThreadKey, kind: &str, rest: &str) -> String {
        self.key(thread.partition(), kind, &format!("{}{rest}", path(thread)))
    }

    /// A string: a page, in a frame that says its revision.
    pub(crate) fn page(&self, thread: &ThreadKey, branch: &BranchId, page: u64) -> String {
        self.of(thread, "pg", &format!("/{branch}/{page}"))
    }

    /// A stream: `d` is an entry's frame, `n` the bytes appended up to its end.
    pub(crate) fn tail(&self, tail: &TailKey) -> String {
        match tail {
            TailKey::Log(thread) => self.of(thread, "lg", ""),
            TailKey::Run(thread, run) => self.of(thread, "rn", &format!("/{run}")),
        }
    }

    /// A hash: from a member to `<until>:<frame>`.
    pub(crate) fn presence(&self, thread: &ThreadKey) -> String {
        self.of(thread, "pr", "")
    }

    /// A set of the thread's other keys that cannot be guessed: pages and runs. It outlives each of them.
    pub(crate) fn index(&self, thread: &ThreadKey) -> String {
        self.of(thread, "ix", "")
    }

    /// What the keys that the index may list begin with: pages, runs.
    pub(crate) fn prefixes(&self, thread: &ThreadKey) -> (String, String) {
        (self.of(thread, "pg", "/"), self.of(thread, "rn", "/"))
    }

    /// A string: the owner.
    pub(crate) fn lock(&self, lock: &LockKey) -> String {
        self.key(lock.partition(), "lk", &format!("{}/{}", lock.tenant, lock.name))
    }

    /// A channel, sharded on a cluster.
    pub(crate) fn channel(&self, partition: Partition) -> String {
        self.key(partition, "hc", "")
    }

    /// A stream of hints, where there are no channels.
    pub(crate) fn hints(&self, partition: Partition) -> String {
        self.key(partition, "hl", "")
    }

    /// The partition of a channel.
    pub(crate) fn partition_of(&self, channel: &[u8]) -> Option<Partition> {
        let text = std::str::from_utf8(channel).ok()?;
        let number = text.strip_prefix(&self.0)?.strip_prefix(":{p")?.split_once('}')?.0;
        let partition = Partition::numbered(number.parse().ok()?)?;
        (self.channel(partition) == text).then_some(partition)
    }
}

/// The slot of a key on a cluster: CRC-16/XMODEM of the hash tag, modulo 16384 (Valkey cluster specification).
pub(crate) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(key, |(tag, _)| tag);
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % 16384
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{RunId, TenantId, ThreadId};

    use super::*;

    #[test]
    fn keys_do_not_change() {
        let thread = ThreadKey {
            tenant: TenantId::parse("acme").expect("an id"),
            thread: ThreadId::parse("t1").expect("an id"),
            birth: 255,
        };
        let keys = Keys::new("tm");
        let run = TailKey::Run(thread.clone(), RunId::parse("r1").expect("an id"));
        let lock = LockKey { tenant: thread.tenant.clone(), name: "sweep".to_owned() };
        let partition = Partition::numbered(7).expect("a partition");
        let found = [
            keys.page(&thread, &BranchId::parse("main").expect("an id"), 12),
            keys.tail(&TailKey::Log(thread.clone())),
            keys.tail(&run),
            keys.presence(&thread),
            keys.index(&thread),
            keys.lock(&lock),
            keys.channel(partition),
            keys.hints(partition),
        ];
        assert_eq!(
            found,
            [
                "tm1:{p119}:pg:acme/t1/ff/main/12",
                "tm1:{p119}:lg:acme/t1/ff",
                "tm1:{p119}:rn:acme/t1/ff/r1",
                "tm1:{p119}:pr:acme/t1/ff",
                "tm1:{p119}:ix:acme/t1/ff",
                "tm1:{p8}:lk:acme/sweep",
                "tm1:{p7}:hc:",
                "tm1:{p7}:hl:",
            ]
        );
    }

    #[test]
    fn channels_are_read_back() {
        let keys = Keys::new("tm");
        for partition in Partition::all() {
            assert_eq!(keys.partition_of(keys.channel(partition).as_bytes()), Some(partition));
        }
        for wrong in ["", "tm1:{p7}:lg:", "tm1:{p200}:hc:", "tm1:{p07}:hc:", "xx1:{p7}:hc:", "tm1:{p7}:hc:x"] {
            assert_eq!(keys.partition_of(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(keys.partition_of(b"\xff\xfe"), None);
    }

    /// The specification's own example, and what servers answer to `CLUSTER KEYSLOT`.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31c3);
        assert_eq!(slot("a{123456789}b"), 0x31c3);
        assert_eq!(slot("foo"), 12182);
    }
}
