//! The rows that a backend gives to the rules of streams: those of one write, locked, or of one snapshot.

use super::row::StreamRow;
use super::words::StreamKey;
use crate::relational::Refusal;

/// An append as it is kept: where it begins, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The offset of its first byte.
    pub at: u64,
    /// What was appended.
    pub body: Vec<u8>,
}

/// The rows of streams. In a write, what was found is locked until its end.
#[expect(async_fn_in_trait, reason = "whoever implements it knows whether its futures are to be sent")]
pub trait StreamRows {
    /// The store's own error.
    type Fail: Refusal;

    /// The stream at a path.
    async fn find(&mut self, key: &StreamKey) -> Result<Option<StreamRow>, Self::Fail>;

    /// A stream by its number.
    async fn by_num(&mut self, num: i64) -> Result<Option<StreamRow>, Self::Fail>;

    /// How many streams a key's user has. In a write it is locked until the end, before any stream is.
    async fn count(&mut self, key: &StreamKey) -> Result<u64, Self::Fail>;

    /// Adds a stream; returns its number.
    async fn insert(&mut self, key: &StreamKey, row: &StreamRow) -> Result<i64, Self::Fail>;

    /// Writes a stream back.
    async fn update(&mut self, row: &StreamRow) -> Result<(), Self::Fail>;

    /// Gives the stream's path free. What is left of it is removed by and by.
    async fn bury(&mut self, num: i64) -> Result<(), Self::Fail>;

    /// A producer's epoch and the highest number taken in it.
    async fn producer(&mut self, num: i64, id: &str) -> Result<Option<(u64, u64)>, Self::Fail>;

    /// Writes a producer's epoch and number.
    async fn put_producer(&mut self, num: i64, id: &str, state: (u64, u64)) -> Result<(), Self::Fail>;

    /// Adds an append.
    async fn push(&mut self, num: i64, entry: &Entry) -> Result<(), Self::Fail>;

    /// The appends of a stretch, in their order: the one that `from` lies in, and those that begin after it and before `to`.
    async fn entries(&mut self, num: i64, from: u64, to: u64) -> Result<Vec<Entry>, Self::Fail>;

    /// Streams whose time is over, at most so many.
    async fn expired(&mut self, at: u64, limit: u32) -> Result<Vec<StreamRow>, Self::Fail>;

    /// Removes rows of buried streams, one stream after another, of about so many bytes ([`removed_bytes`] each); returns how
    /// many rows.
    async fn remove_some(&mut self, bytes: u64) -> Result<u64, Self::Fail>;
}

/// The least that a row counts where rows are removed, in bytes: so that a step has an end in rows, too.
const ROW_BYTES: u64 = 8 << 10;

/// What a row counts where rows are removed, by the length of its body: no less than 8 KiB.
#[must_use]
pub fn removed_bytes(body: u64) -> u64 {
    body.max(ROW_BYTES)
}

/// The most rows of a budget of bytes.
#[must_use]
pub fn removed_rows(bytes: u64) -> u64 {
    bytes.div_ceil(ROW_BYTES)
}
