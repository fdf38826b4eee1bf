//! Named streams in memory: rows in ordered maps, for the rules that every store runs. Whoever writes works on a copy, so
//! that a refusal leaves nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use threadmill_proto::{Millis, Scope};

use super::MemoryStore;
use crate::relational::at_once;
use crate::streams::{
    self, Appended, Created, Entry, Listed, NewStream, ReadStream, StreamAnswer, StreamAppend, StreamHead, StreamKey,
    StreamRow, StreamRows, StreamSlice, StreamStore, StreamTail, Swept,
};
use crate::{StoreError, StoreResult};

/// All named streams.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    made: i64,
    at: BTreeMap<StreamKey, i64>,
    rows: BTreeMap<i64, StreamRow>,
    entries: BTreeMap<(i64, u64), Vec<u8>>,
    producers: BTreeMap<(i64, String), (u64, u64)>,
    buried: Vec<i64>,
}

/// The model has no trouble of its own: what cannot be is a store's error.
#[derive(Debug)]
pub(super) struct Broken(StoreError);

impl<E: Into<StoreError>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<crate::relational::Damage> for Broken {
    fn from(damage: crate::relational::Damage) -> Self {
        Self(StoreError::Internal { store: "memory", detail: damage.0 })
    }
}

impl StreamRows for Named {
    type Fail = Broken;

    async fn find(&mut self, key: &StreamKey) -> Result<Option<StreamRow>, Broken> {
        Ok(self.at.get(key).and_then(|num| self.rows.get(num)).cloned())
    }

    async fn by_num(&mut self, num: i64) -> Result<Option<StreamRow>, Broken> {
        Ok(self.rows.get(&num).filter(|_| !self.buried.contains(&num)).cloned())
    }

    async fn count(&mut self, key: &StreamKey) -> Result<u64, Broken> {
        Ok(self.at.keys().filter(|known| known.scope == key.scope).count() as u64)
    }

    async fn insert(&mut self, key: &StreamKey, row: &StreamRow) -> Result<i64, Broken> {
        self.made += 1;
        self.at.insert(key.clone(), self.made);
        self.rows.insert(self.made, StreamRow { num: self.made, ..row.clone() });
        Ok(self.made)
    }

    async fn update(&mut self, row: &StreamRow) -> Result<(), Broken> {
        self.rows.insert(row.num, row.clone());
        Ok(())
    }

    async fn bury(&mut self, num: i64) -> Result<(), Broken> {
        self.at.retain(|_, known| *known != num);
        self.buried.push(num);
        Ok(())
    }

    async fn producer(&mut self, num: i64, id: &str) -> Result<Option<(u64, u64)>, Broken> {
        Ok(self.producers.get(&(num, id.to_owned())).copied())
    }

    async fn put_producer(&mut self, num: i64, id: &str, state: (u64, u64)) -> Result<(), Broken> {
        self.producers.insert((num, id.to_owned()), state);
        Ok(())
    }

    async fn push(&mut self, num: i64, entry: &Entry) -> Result<(), Broken> {
        self.entries.insert((num, entry.at), entry.body.clone());
        Ok(())
    }

    async fn entries(&mut self, num: i64, from: u64, to: u64) -> Result<Vec<Entry>, Broken> {
        let first = self.entries.range((num, 0)..=(num, from)).next_back().map_or(from, |((_, at), _)| *at);
        let found = self.entries.range((num, first)..(num, to.max(first)));
        Ok(found.map(|((_, at), body)| Entry { at: *at, body: body.clone() }).collect())
    }

    async fn expired(&mut self, at: u64, limit: u32) -> Result<Vec<StreamRow>, Broken> {
        let over = |row: &&StreamRow| row.has_expired(at) && !row.deleted && !self.buried.contains(&row.num);
        Ok(self.rows.values().filter(over).take(limit as usize).cloned().collect())
    }

    async fn remove_some(&mut self, bytes: u64) -> Result<u64, Broken> {
        let (mut removed, mut left) = (0, bytes);
        while left > 0
            && let Some(num) = self.buried.first().copied()
        {
            let entry = self.entries.range((num, 0)..=(num, u64::MAX)).next();
            let (place, body) = entry.map_or((None, 0), |(place, body)| (Some(*place), body.len() as u64));
            if let Some(place) = place {
                self.entries.remove(&place);
            } else {
                self.producers.retain(|(of, _), _| *of != num);
                self.rows.remove(&num);
                self.buried.remove(0);
            }
            removed += 1;
            left = left.saturating_sub(streams::removed_bytes(body));
        }
        Ok(removed)
    }
}

impl MemoryStore {
    fn named(&self) -> std::sync::MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes on a copy, which stands if nothing failed.
    fn write_named<T>(&self, write: impl AsyncFnOnce(&mut Named) -> Result<T, Broken>) -> StoreResult<T> {
        let mut named = self.named();
        let mut copy = named.clone();
        let done = at_once(write(&mut copy)).map_err(|broken| broken.0)?;
        *named = copy;
        Ok(done)
    }
}

#[async_trait]
impl StreamStore for MemoryStore {
    async fn create_stream(&self, key: &StreamKey, new: NewStream) -> StreamAnswer<Created> {
        self.write_named(async |rows| streams::create_stream(rows, key, &new).await)
    }

    async fn append_stream(&self, key: &StreamKey, append: StreamAppend) -> StreamAnswer<Appended> {
        self.write_named(async |rows| streams::append_stream(rows, key, &append).await)
    }

    async fn read_stream(&self, key: &StreamKey, read: ReadStream) -> StreamAnswer<StreamSlice> {
        at_once(streams::read_stream(&mut *self.named(), key, read)).map_err(|broken| broken.0)
    }

    async fn head_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<StreamHead> {
        at_once(streams::stream_head(&mut *self.named(), key, at)).map_err(|broken| broken.0)
    }

    async fn touch_stream(&self, key: &StreamKey, at: Millis) -> StoreResult<()> {
        self.write_named(async |rows| streams::touch_stream(rows, key, at).await)
    }

    async fn delete_stream(&self, key: &StreamKey, at: Millis) -> StreamAnswer<()> {
        self.write_named(async |rows| streams::delete_stream(rows, key, at).await)
    }

    async fn stream_tails(&self, keys: &[StreamKey], at: Millis) -> StoreResult<Vec<Option<StreamTail>>> {
        let mut named = self.named();
        let mut tails = Vec::with_capacity(keys.len());
        for key in keys {
            tails.push(at_once(streams::stream_tail(&mut *named, key, at)).map_err(|broken| broken.0)?);
        }
        Ok(tails)
    }

    async fn list_streams(&self, scope: &Scope, after: i64, limit: u32, at: Millis) -> StoreResult<Vec<Listed>> {
        let named = self.named();
        let mut all: Vec<Listed> = named
            .at
            .iter()
            .filter(|(key, num)| key.scope == *scope && **num > after)
            .filter_map(|(key, num)| Some((key, named.rows.get(num)?)))
            .filter(|(_, row)| !row.deleted && !row.has_expired(at))
            .map(|(key, row)| Listed { num: row.num, path: key.path.clone(), start: row.start, end: row.end })
            .collect();
        all.sort_by_key(|listed| listed.num);
        all.truncate(limit as usize);
        Ok(all)
    }

    async fn sweep_streams(&self, at: Millis, limit: u32) -> StoreResult<Swept> {
        self.write_named(async |rows| streams::sweep_expired(rows, at, limit).await)
    }
}
