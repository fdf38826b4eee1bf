//! Live delivery: what became durable, in order, to every connection that follows it.
//!
//! It knows no node, no wire, no other nodes and no store: it is handed what became durable ([`hub::Hub`] is a
//! [`threadmill_store::CommitSink`]), reads snapshots through [`snapshot::Snapshot`], and says what is to be sent as
//! events that a protocol encodes. Where other nodes write too, the room above it decides when what comes next
//! ([`topics::Tracked`]).

pub(crate) mod commits;
pub(crate) mod connection;
pub(crate) mod ends;
pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod hub;
pub(crate) mod lists;
pub(crate) mod open;
pub(crate) mod queue;
pub(crate) mod request;
pub(crate) mod run_feed;
pub(crate) mod snapshot;
pub(crate) mod subscription;
pub(crate) mod topic;
pub(crate) mod topics;
pub(crate) mod unsent;
