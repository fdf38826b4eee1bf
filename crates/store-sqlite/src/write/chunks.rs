//! The journal row of a commit: every run's chunks in it, gathered without a query.

use threadmill_proto::Chunk;
use threadmill_store::relational::put_varint;

use crate::codec::Chunks;
use crate::db::Db;
use crate::fail::Done;
use crate::live::{SharedStream, lock};

/// The journal row of the commit under way.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    body: Vec<u8>,
    runs: Vec<i64>,
    streams: Vec<SharedStream>,
}

impl Journal {
    /// Adds chunks to a run's stream and to the row.
    pub(crate) fn add(&mut self, run: i64, stream: SharedStream, chunks: &[Chunk]) {
        let mut open = lock(&stream);
        let range = open.append(chunks);
        put_varint(&mut self.body, run.unsigned_abs());
        put_varint(&mut self.body, range.len() as u64);
        self.body.extend_from_slice(&open.bytes()[range]);
        drop(open);
        self.runs.push(run);
        self.streams.push(stream);
    }

    /// The runs that have chunks in it.
    pub(crate) fn runs(&self) -> &[i64] {
        &self.runs
    }

    /// Writes the row, if there is anything in it; returns its number.
    pub(crate) fn write(&self, db: &Db<'_>) -> Done<Option<i64>> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let body = Chunks::Journal.summed(&self.body);
        db.insert("INSERT INTO journal (body) VALUES (?1)", [body]).map(Some)
    }

    /// Lets readers see what has become durable.
    pub(crate) fn show(&self) {
        for stream in &self.streams {
            lock(stream).show();
        }
    }
}
