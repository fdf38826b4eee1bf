//! Named streams, answered by asking the writer or a reader.

use async_trait::async_trait;
use threadmill_proto::{Millis, Scope};
use threadmill_store::StoreResult;
use threadmill_store::relational::at_once;
use threadmill_store::streams::{
    self, Appended, Created, Listed, NewStream, ReadStream, StreamAnswer, StreamAppend, StreamHead, StreamKey,
    StreamSlice, StreamStore, StreamTail, Swept,
};

use crate::rows::named::{self, Named};
use crate::store::{SqliteStore, quiet};

#[async_trait]
impl StreamStore for SqliteStore {
    async fn create_stream(&self, key: &StreamKey, new: NewStream) -> StreamAnswer<Created> {
        let key = key.clone();
        self.writer.ask(move |rows| quiet(streams::create_stream(&mut Named(rows.db), &key, &new))).await
    }

    async fn append_stream(&self, key: &StreamKey, append: StreamAppend) -> StreamAnswer<Appended> {
        let key = key.clone();
        self.writer.ask(move |rows| quiet(streams::append_stream(&mut Named(rows.db), &key, &append))).await
    }

    async fn read_stream(&self, key: &StreamKey, read: ReadStream) -> StreamAnswer<StreamSlice> {
        let key = key.clone();
        self.readers.read(move |db| at_once(streams::read_stream(&mut Named(db), &key, read))).await
    }

    async fn head_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<StreamHead> {
        let key = key.clone();
        self.readers.read(move |db| at_once(streams::stream_head(&mut Named(db), &key, at))).await
    }

    async fn touch_stream(&self, key: &StreamKey, at: Millis) -> StoreResult<()> {
        let key = key.clone();
        self.writer.ask(move |rows| quiet(streams::touch_stream(&mut Named(rows.db), &key, at))).await
    }

    async fn delete_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<()> {
        let key = key.clone();
        self.writer.ask(move |rows| quiet(streams::delete_stream(&mut Named(rows.db), &key, at))).await
    }

    async fn stream_tails(&self, keys: &[StreamKey], at: Millis) -> StoreResult<Vec<Option<StreamTail>>> {
        let keys = keys.to_vec();
        let read = move |db: &crate::db::Db<'_>| {
            keys.iter().map(|key| at_once(streams::stream_tail(&mut Named(db), key, at))).collect()
        };
        self.readers.read(read).await
    }

    async fn list_streams(&self, scope: &Scope, after: i64, limit: u32, at: Millis) -> StoreResult<Vec<Listed>> {
        let scope = scope.clone();
        self.readers.read(move |db| named::list(db, &scope, after, limit, at)).await
    }

    async fn sweep_streams(&self, at: Millis, limit: u32) -> StoreResult<Swept> {
        self.writer.ask(move |rows| quiet(streams::sweep_expired(&mut Named(rows.db), at, limit))).await
    }
}
