//! Following the log that other nodes write too: hints of their commits, and reading what they do not bring.

pub(crate) mod catch_up;
pub(crate) mod followed;
pub(crate) mod hints;
pub(crate) mod reader;
