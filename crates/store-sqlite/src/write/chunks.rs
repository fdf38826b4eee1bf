//! Chunks: checked against the run's token without a query, and gathered into one journal row a commit.

use rusqlite::params;
use threadmill_store::{ChunkAppend, ChunkBatch, Committing, Missing, StoreError};

use super::lock::admit;
use crate::codec::Chunks;
use crate::db::Db;
use crate::fail::{Done, invalid};
use crate::live::{LiveRuns, SharedStream, lock};
use crate::rows::message;
use crate::stream::put_varint;

/// The journal row of the commit under way.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    body: Vec<u8>,
    runs: Vec<i64>,
    streams: Vec<SharedStream>,
}

impl Journal {
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

/// Checks an append and puts it into the journal row; `epoch` is the store's part of the epoch. Changes nothing if it is refused.
pub(crate) fn append(
    db: &Db<'_>,
    live: &LiveRuns,
    journal: &mut Journal,
    append: &ChunkAppend,
    epoch: u64,
) -> Done<Option<Committing>> {
    let Some(run) = live.find(&append.scope, &append.run) else {
        return Err(refusal(db, append)?.into());
    };
    if run.sealed || run.fence != append.fence {
        return Err(StoreError::Fenced.into());
    }
    admit(db, &append.scope, append.under.as_ref(), epoch)?;
    let mut stream = lock(&run.stream);
    if stream.length() != append.from {
        return Err(invalid(format_args!("the stream ends at {}, not at {}", stream.length(), append.from)));
    }
    if let Some(body) = &append.checkpoint {
        message::update_body(db, run.message_key, body)?;
        db.change(
            "UPDATE runs SET folded = ?2 WHERE num = ?1",
            params![run.num, append.from + append.chunks.len() as u64],
        )?;
    }
    if append.chunks.is_empty() {
        return Ok(None);
    }
    let range = stream.append(&append.chunks);
    put_varint(&mut journal.body, run.num.unsigned_abs());
    put_varint(&mut journal.body, range.len() as u64);
    journal.body.extend_from_slice(&stream.bytes()[range]);
    journal.runs.push(run.num);
    journal.streams.push(run.stream.clone());
    Ok(Some(Committing::Chunks(ChunkBatch {
        tenant: append.scope.tenant.clone(),
        thread: run.thread.clone(),
        run: run.run.clone(),
        message: run.message.clone(),
        from: append.from,
        chunks: append.chunks.clone(),
    })))
}

/// Why a run that is not live takes no chunks: it has ended, or is not the caller's.
fn refusal(db: &Db<'_>, append: &ChunkAppend) -> Done<StoreError> {
    let owned = db.one(
        "SELECT 1 FROM runs r CROSS JOIN tenants t ON t.id = ?1 AND t.num = r.tenant
         CROSS JOIN threads h ON h.num = r.thread CROSS JOIN users u ON u.num = h.owner AND u.id = ?2
         WHERE r.tenant = (SELECT num FROM tenants WHERE id = ?1) AND r.id = ?3",
        params![append.scope.tenant.as_str(), append.scope.user.as_str(), append.run.as_str()],
        |_| Ok(()),
    )?;
    Ok(match owned {
        Some(()) => StoreError::Fenced,
        None => Missing::Run.into(),
    })
}
