//! Webhooks: what happens in the deployment, told to addresses outside, signed by the rules of Standard Webhooks.
//!
//! A delivery is a setting in the durable tier, one for each endpoint that wants the event, and is put together with the fact
//! that it reports or not at all: [`Webhooks::enqueue`] makes the puts and whoever makes the fact durable adds them to its own.
//! One node sends at a time ([`crate::lead`]); if it dies another goes on within 20 s. Deliveries are at least once, under a
//! `webhook-id` that is the same over all attempts, nodes and replays.
//!
//! | file | what |
//! |---|---|
//! | `event` | what is told, and its body |
//! | `endpoint` | who is told: address, secrets, wishes; signing |
//! | `address` | where nothing is ever sent |
//! | `delivery` | one delivery, and its table of states: without a clock, without I/O |
//! | `queue` | deliveries as settings: what is due, what waits, what has ended |
//! | `post` | one attempt over HTTP, within bounds |
//! | `hook` | the same to an address that a user named, for subscriptions to streams |
//! | `service` | polls, sends, and does what operators ask |
//!
//! Bounds: [`endpoint::MOST`] endpoints, [`queue::MOST`] deliveries that wait (what comes beyond is dropped, counted and
//! logged), [`queue::ENDED`] that have ended, for 30 days; 20 KB a body; ten attempts over three days; 15 s and 4 KB an answer;
//! four attempts at once an endpoint. An endpoint that hangs delays no other.

mod address;
mod delivery;
pub mod endpoint;
pub mod event;
pub(crate) mod hook;
mod post;
mod queue;
mod service;

pub use delivery::{Attempt, Delivery, State};
pub use endpoint::{Endpoint, Wish};
pub use event::{Event, EventKind};
pub use service::{Overview, Shown, Webhooks};
