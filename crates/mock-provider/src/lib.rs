//! An OpenAI-compatible chat completions server for tests.
//!
//! What it says, when and what goes wrong follow from the model's name (see [`plan`]) and the last user message, so
//! that a test can compute the same bytes. It counts what it did and what clients did to it (see [`counters`]).

mod answer;
pub mod counters;
pub mod plan;
mod server;
pub mod text;

pub use counters::Counters;
pub use plan::{Fault, Plan};
pub use server::Mock;
