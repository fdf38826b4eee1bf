//! Named streams: append-only logs of bytes or of JSON messages that clients make under a path, append to and read from an
//! offset. What runs write has its own place ([`crate::DurableStore::stream`]); nothing here knows of threads or runs.
//!
//! | here | what |
//! |---|---|
//! | `path` | what a path may look like |
//! | `words` | what is asked and answered |
//! | `store` | [`StreamStore`], what a backend gives |
//! | `row` | a stream as it is kept, and how it decides alone: what it takes, how long it lives |
//! | `rows` | the rows that a backend gives to the rules |
//! | `messages` | where the messages of an append lie in it |
//! | `rules`, `reading`, `fork` | what an operation does in rows, the same in every store |
//!
//! Offsets count bytes, from 0, in one space that a fork shares with its source: below the fork's own beginning the
//! source's rows are read. One append is one row. A stream of JSON keeps its messages with a comma after each, so that any
//! stretch of rows is the inside of a list.

mod fork;
mod messages;
mod path;
mod reading;
mod row;
mod rows;
mod rules;
mod store;
mod words;

pub use path::{PATH_BYTES, StreamPath};
pub use reading::{read_stream, stream_head, stream_tail};
pub use row::{StreamAbout, StreamRow, is_json, same_type};
pub use rows::{Entry, StreamRows, removed_bytes, removed_rows};
pub use rules::{append_stream, create_stream, delete_stream, sweep_expired, touch_stream};
pub use store::StreamStore;
pub use words::{
    Appended, Created, ForkOf, Listed, MOST_BYTES, MOST_FORKS_DEEP, MOST_PRODUCERS, MOST_STREAMS, NewStream, Producer,
    ReadFrom, ReadStream, StreamAnswer, StreamAppend, StreamHead, StreamKey, StreamLife, StreamRefusal, StreamSlice,
    StreamTail, Swept, is_news,
};
