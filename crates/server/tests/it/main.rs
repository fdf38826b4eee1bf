//! What the server promises in writing and between its own parts. The tests of the running binary are the `cli` crate's.

mod docs;
mod vocabulary;
