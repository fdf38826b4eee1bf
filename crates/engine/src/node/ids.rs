//! The one place where the server reads the clock and makes ids.

#![allow(clippy::disallowed_methods, reason = "time and chance enter here and nowhere else")]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use threadmill_proto::{BranchId, InvalidId, MessageId, Millis, RunId, ThreadId};
use uuid::Uuid;

/// Now, in milliseconds since 1970. Decoration and leases only: order is the log's.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn mint<T>(parse: impl Fn(&str) -> Result<T, InvalidId>) -> T {
    parse(&Uuid::now_v7().to_string()).unwrap_or_else(|_| unreachable!("a UUID is a valid id"))
}

pub(crate) fn thread_id() -> ThreadId {
    mint(ThreadId::parse)
}

pub(crate) fn branch_id() -> BranchId {
    mint(BranchId::parse)
}

pub(crate) fn message_id() -> MessageId {
    mint(MessageId::parse)
}

pub(crate) fn run_id() -> RunId {
    mint(RunId::parse)
}

/// A name for this process, new at every start, so that no lease outlives it by mistake.
pub(crate) fn node_name() -> String {
    Uuid::now_v7().simple().to_string()
}

/// A name for one holding of a lock, or one request.
pub(crate) fn holder() -> String {
    Uuid::now_v7().to_string()
}

/// A secret: 32 bytes of the system's randomness. Ids would not do, since half of one is the time.
pub(crate) fn secret() -> String {
    let bytes = ring::rand::generate::<[u8; 32]>(&SystemRandom::new()).expect("the system gives random bytes");
    BASE64_URL_SAFE_NO_PAD.encode(bytes.expose())
}

/// Where a sequence of waits begins: the random half of a new id.
pub(crate) fn seed() -> u64 {
    Uuid::now_v7().as_u64_pair().1
}

/// Any number, each as likely as the others.
pub(crate) fn chance() -> u32 {
    let [.., a, b, c, d] = *Uuid::now_v7().as_bytes();
    u32::from_be_bytes([a, b, c, d])
}
