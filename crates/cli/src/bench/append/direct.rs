//! Appends to the embedded store itself, and then the rows that they made to a bare SQLite (see `bare`).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use threadmill_client::mint;
use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, MessageId, Part, Role, Scope, ThreadId};
use threadmill_store::{Command, DurableStore, IfMoved, NewMessage, Transaction};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

use super::bare;
use crate::bench::rig;
use crate::bench::stats::{Stats, compare};
use crate::sample;
use crate::transfer::local_scope;

/// 2024-01-01, and a millisecond later with every message: the store takes times as they come.
const START: u64 = 1_704_067_200_000;

pub(super) async fn measure(
    disk: Option<&Path>,
    texts: &Arc<Vec<String>>,
    clients: usize,
    time: Duration,
) -> anyhow::Result<Vec<Value>> {
    let directory = rig::directory(disk)?;
    let data = directory.path().join("data");
    let (mut stats, over) = store(&data, texts, clients, time).await?;
    let mut row = stats.row(&format!("append at the store, {clients} clients"), over);
    let (mut bare, over) = bare::measure(&data, &directory.path().join("bare.db"), clients).await?;
    let control = bare.row("  the same rows, bare SQLite", over);
    compare(&mut row, &control);
    Ok(vec![row, control])
}

async fn store(
    data: &Path,
    texts: &Arc<Vec<String>>,
    clients: usize,
    time: Duration,
) -> anyhow::Result<(Stats, Duration)> {
    let store = SqliteStore::open(data, SqliteOptions::default())?;
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..clients {
        let (store, texts) = (Arc::clone(&store), Arc::clone(texts));
        tasks.push(tokio::spawn(async move { write(&*store, &texts, number, begun + time).await }));
    }
    let mut stats = Stats::default();
    for task in tasks {
        stats.merge(task.await??);
    }
    let over = begun.elapsed();
    store.close().await?;
    Ok((stats, over))
}

async fn write(store: &dyn DurableStore, texts: &[String], client: usize, until: Instant) -> anyhow::Result<Stats> {
    let scope = local_scope("bench")?;
    let thread = ThreadId::parse(&mint())?;
    let (branch, title) = (BranchId::parse("main")?, "bench".to_owned());
    let made = Command::CreateThread { id: thread.clone(), branch: branch.clone(), title, metadata: None };
    store.apply(transaction(&scope, START, made)).await?;
    let (mut stats, mut written) = (Stats::default(), 0);
    while Instant::now() < until {
        let said = Body { parts: vec![Part::text(sample::text(texts, client, written))], metadata: None };
        let message = NewMessage { id: MessageId::parse(&format!("a-{written}"))?, role: Role::User, body: said };
        let (after, fork) = (None, BranchId::parse("fork")?);
        let append =
            Command::Append { thread: thread.clone(), branch: None, after, if_moved: IfMoved::Append, message, fork };
        let sent = Instant::now();
        written += 1;
        store.apply(transaction(&scope, START + written, append)).await?;
        stats.add(sent.elapsed());
    }
    Ok(stats)
}

fn transaction(scope: &Scope, at: u64, command: Command) -> Transaction {
    Transaction { scope: scope.clone(), at, key: None, under: None, commands: vec![command] }
}
