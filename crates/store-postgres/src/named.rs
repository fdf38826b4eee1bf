//! Named streams: each write a transaction of its own that locks the rows it changes, so that nodes take turns; one that met
//! another's is done over. They share the connections for reading with those who read. What became durable is hinted to the
//! other nodes.

use async_trait::async_trait;
use deadpool_postgres::Object;
use threadmill_proto::{Millis, Scope};
use threadmill_store::StoreResult;
use threadmill_store::streams::{
    self, Appended, Created, Listed, NewStream, ReadStream, StreamAnswer, StreamAppend, StreamHead, StreamKey,
    StreamRefusal, StreamSlice, StreamStore, StreamTail, Swept, is_news,
};

use crate::db::Db;
use crate::fail::{Done, Fail, Kind};
use crate::rows::named::{self, Found, Named};
use crate::session::reading;
use crate::store::PostgresStore;

/// How often a write is done over that met another.
const ATTEMPTS: u32 = 16;

/// Writes in a transaction, with `rows` as its name for the rows. A macro for the reason that [`reading`] is one.
macro_rules! writing {
    ($store:expr, $rows:ident => $write:expr) => {{
        let connections = &$store.connections;
        let _turn = connections.turn().await?;
        let mut attempts = 0;
        loop {
            let loan = connections.lend(connections.reader().await?);
            let done = {
                let db = &Db::new(loan.client()?, connections.deadline());
                let work = async {
                    db.batch("BEGIN").await?;
                    let $rows = &mut Named { db, found: Found::Locked };
                    $write.await
                };
                db.finish(work.await, |_| true).await
            };
            let client = loan.back();
            match done {
                Err(Fail::Broken(trouble)) if trouble.kind == Kind::Race && attempts < ATTEMPTS => attempts += 1,
                Err(Fail::Broken(trouble)) => {
                    // Nobody knows whether the session is in mid-transaction.
                    drop(client.map(Object::take));
                    break Err(Fail::Broken(trouble).into());
                }
                done => break done.map_err(Into::into),
            }
        }
    }};
}

impl PostgresStore {
    /// Tells the other nodes of a write, if it is one to tell of.
    fn tell(&self, key: &StreamKey, news: bool) {
        if news {
            self.hints.told_stream(key);
        }
    }
}

/// The rows of a read.
fn read<'d>(db: &'d Db<'d>) -> Named<'d> {
    Named { db, found: Found::Read }
}

async fn slice(db: &Db<'_>, key: &StreamKey, asked: ReadStream) -> Done<Result<StreamSlice, StreamRefusal>> {
    streams::read_stream(&mut read(db), key, asked).await
}

async fn head(db: &Db<'_>, key: &StreamKey, at: Millis) -> Done<Result<StreamHead, StreamRefusal>> {
    streams::stream_head(&mut read(db), key, at).await
}

#[async_trait]
impl StreamStore for PostgresStore {
    async fn create_stream(&self, key: &StreamKey, new: NewStream) -> StreamAnswer<Created> {
        let done = writing!(self, rows => streams::create_stream(rows, key, &new));
        self.tell(key, is_news(&done, |created| created.fresh));
        done
    }

    async fn append_stream(&self, key: &StreamKey, append: StreamAppend) -> StreamAnswer<Appended> {
        let done = writing!(self, rows => streams::append_stream(rows, key, &append));
        self.tell(key, is_news(&done, |appended| !appended.repeated));
        done
    }

    async fn read_stream(&self, key: &StreamKey, asked: ReadStream) -> StreamAnswer<StreamSlice> {
        reading!(self.connections, snapshot, db => slice(db, key, asked))
    }

    async fn head_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<StreamHead> {
        reading!(self.connections, plain, db => head(db, key, at))
    }

    async fn touch_stream(&self, key: &StreamKey, at: Millis) -> StoreResult<()> {
        writing!(self, rows => streams::touch_stream(rows, key, at))
    }

    async fn delete_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<()> {
        let done = writing!(self, rows => streams::delete_stream(rows, key, at));
        self.tell(key, is_news(&done, |()| true));
        done
    }

    async fn stream_tails(&self, keys: &[StreamKey], at: Millis) -> StoreResult<Vec<Option<StreamTail>>> {
        reading!(self.connections, plain, db => named::tails(db, keys, at))
    }

    async fn list_streams(&self, scope: &Scope, after: i64, limit: u32, at: Millis) -> StoreResult<Vec<Listed>> {
        reading!(self.connections, plain, db => named::list(db, scope, after, limit, at))
    }

    async fn sweep_streams(&self, at: Millis, limit: u32) -> StoreResult<Swept> {
        writing!(self, rows => streams::sweep_expired(rows, at, limit))
    }
}
