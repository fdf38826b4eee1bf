//! What a backend gives of named streams.

use async_trait::async_trait;
use threadmill_proto::{Millis, Scope};

use super::words::{
    Appended, Created, Listed, NewStream, ReadStream, StreamAnswer, StreamAppend, StreamHead, StreamKey, StreamSlice,
    StreamTail, Swept,
};
use crate::StoreResult;

/// Named streams. Every call names its scope; what another user has is not found.
///
/// - What is answered `Ok(Ok(_))` is durable. After `Unavailable` the effect is unknown: repeat it, an append with its
///   producer.
/// - An append, its producer's number, the writer's own order and the closing are one commit.
/// - A fork holds its source: deleted, or expired, the source stays for as long as it has forks, and nobody reads it but
///   through them. What makes and deletes forks counts them in the same commit.
/// - A stream that lives by its use is never gone before its time is over, and at most an eighth of it after: so a read
///   writes at most once in that time.
/// - A stream that has expired is gone for whoever asks, whether or not its rows are.
#[async_trait]
pub trait StreamStore: Send + Sync {
    /// Makes a stream, or finds the same one there.
    async fn create_stream(&self, key: &StreamKey, new: NewStream) -> StreamAnswer<Created>;

    /// Appends to a stream, closes it, or both at once.
    async fn append_stream(&self, key: &StreamKey, append: StreamAppend) -> StreamAnswer<Appended>;

    /// Part of a stream.
    async fn read_stream(&self, key: &StreamKey, read: ReadStream) -> StreamAnswer<StreamSlice>;

    /// How a stream stands.
    async fn head_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<StreamHead>;

    /// Takes note that a stream was used.
    async fn touch_stream(&self, key: &StreamKey, at: Millis) -> StoreResult<()>;

    /// Deletes a stream.
    async fn delete_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<()>;

    /// Where streams end, in the order in which they were named; nothing of those that are not there.
    async fn stream_tails(&self, keys: &[StreamKey], at: Millis) -> StoreResult<Vec<Option<StreamTail>>>;

    /// A user's streams after a number, in the order of their numbers.
    async fn list_streams(&self, scope: &Scope, after: i64, limit: u32, at: Millis) -> StoreResult<Vec<Listed>>;

    /// Deletes at most so many of the streams that have expired, or, where none has, removes some megabytes of those that are
    /// gone. To be asked until it has done nothing.
    async fn sweep_streams(&self, at: Millis, limit: u32) -> StoreResult<Swept>;
}
