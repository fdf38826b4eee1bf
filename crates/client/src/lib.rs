//! The native client: the same engine as in the browser, driven by tokio, and typed HTTP calls.
//!
//! [`Client::connect`] opens one socket; [`Client::open`] shows a thread on it; [`Http`] stands alone where
//! no live view is needed. What a view holds is read under a lock and never copied as a whole.

mod client;
mod driver;
mod error;
mod http;
mod ids;
mod socket;

pub use client::{Client, ThreadView};
pub use error::Error;
pub use http::{Edited, Http, NewThread, Sent};
pub use ids::mint;
pub use threadmill_core::window::{Edge, Head, Phase, Row, Side, View};
