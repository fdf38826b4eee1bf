//! Following the log that other nodes write too: hints of their commits, and reading what they do not bring.
//!
//! There is such a room only where a store has peers. It looks down to delivery, whose topics it keeps in step with
//! their logs ([`followed::FollowedTopic`]), and nothing in delivery knows of it. It knows no runs: whoever writes one is
//! told through [`reader::RunsOver`].

pub(crate) mod followed;
pub(crate) mod heads;
pub(crate) mod hints;
pub(crate) mod hub;
pub(crate) mod lists;
pub(crate) mod reader;
pub(crate) mod tail;
