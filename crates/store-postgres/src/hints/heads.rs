//! The heads of what is watched, read from the database: four times a second where notifications do not arrive, every
//! few seconds where they do, since any of them may be lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::{RunId, Scope, TenantId, ThreadId, UserId};
use threadmill_store::{Hint, StoreResult, Subject};
use tokio::time::sleep;

use super::state::{HintMode, Hints, Key, lock};
use crate::codec::uint;
use crate::db::{Db, get};
use crate::fail::Done;
use crate::session::{Connections, reading};
use threadmill_store::store_id as id;

/// The pause where notifications do not arrive.
const POLL: Duration = Duration::from_millis(250);

/// The pause where they do.
const CHECK: Duration = Duration::from_secs(5);

/// What one question is about: a statement about everything that is watched would take longer than any may.
const AT_ONCE: usize = 500;

type Heads = HashMap<Key, u64>;

/// Reads and compares for as long as the store is open.
pub(super) async fn work(hints: Arc<Hints>, connections: Arc<Connections>) {
    let mut mode = hints.mode();
    let mut known = Heads::new();
    loop {
        let pause = match *mode.borrow_and_update() {
            HintMode::Polling => POLL,
            HintMode::Listening | HintMode::Connecting => CHECK,
        };
        tokio::select! {
            () = sleep(pause) => {}
            changed = mode.changed() => if changed.is_err() { return; },
        }
        match read(&hints, &connections).await {
            Ok(heads) => {
                tell(&hints, &known, &heads);
                known = heads;
            }
            Err(error) => tracing::debug!(%error, "heads could not be read"),
        }
    }
}

/// Hints for what moved. Of what is watched anew the first head is told, too: it may have moved before. A thread that
/// is not there any more was deleted, which is at least one more change than it had.
fn tell(hints: &Hints, known: &Heads, heads: &Heads) {
    for (key, at) in heads.iter().filter(|(key, at)| known.get(*key) != Some(*at)) {
        hints.hear(hint(key.clone(), *at));
    }
    for (key, at) in known.iter().filter(|(key, _)| !heads.contains_key(*key)) {
        if let Key::Thread(tenant, thread) = key
            && lock(&hints.watched).contains_key(&Subject::Thread(tenant.clone(), thread.clone()))
        {
            hints.hear(hint(key.clone(), at + 1));
        }
    }
}

fn hint(key: Key, at: u64) -> Hint {
    match key {
        Key::Thread(tenant, thread) => Hint::Thread { tenant, thread, seq: at },
        Key::Run(tenant, thread, run) => Hint::Run { tenant, thread, run, offset: at },
        Key::Summaries(scope) => Hint::Summaries { scope, pos: at },
        Key::Stream(key) => Hint::Stream { key },
        Key::Everything => Hint::Recheck,
    }
}

async fn read(hints: &Hints, connections: &Connections) -> StoreResult<Heads> {
    let subjects: Vec<Subject> = lock(&hints.watched).keys().cloned().collect();
    of(&subjects, connections).await
}

/// Where these stand, as hints.
pub(crate) async fn heads(subjects: &[Subject], connections: &Connections) -> StoreResult<Vec<Hint>> {
    let heads = of(subjects, connections).await?;
    Ok(heads.into_iter().map(|(key, at)| hint(key, at)).collect())
}

async fn of(subjects: &[Subject], connections: &Connections) -> StoreResult<Heads> {
    let (mut threads, mut scopes) = (Vec::new(), Vec::new());
    for subject in subjects {
        match subject {
            Subject::Thread(tenant, thread) => threads.push((tenant.clone(), thread.clone())),
            Subject::Summaries(scope) => scopes.push(scope.clone()),
        }
    }
    let mut heads = Heads::new();
    for threads in threads.chunks(AT_ONCE) {
        heads.extend(reading!(connections, plain, db => look(db, threads, &[]))?);
    }
    for scopes in scopes.chunks(AT_ONCE) {
        heads.extend(reading!(connections, plain, db => look(db, &[], scopes))?);
    }
    Ok(heads)
}

async fn look(db: &Db<'_>, threads: &[(TenantId, ThreadId)], scopes: &[Scope]) -> Done<Heads> {
    let mut heads = Heads::new();
    let tenants: Vec<&str> = threads.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let ids: Vec<&str> = threads.iter().map(|(_, thread)| thread.as_str()).collect();
    const THREADS: &str = "SELECT k.tenant, k.id, t.seq, r.id,
            (SELECT c.at + c.count FROM threadmill.chunks c WHERE c.run = r.num
             ORDER BY c.at DESC LIMIT 1)
         FROM unnest($1::text[], $2::text[]) k (tenant, id)
         JOIN threadmill.tenants n ON n.id = k.tenant
         JOIN threadmill.threads t ON t.tenant = n.num AND t.id = k.id AND NOT t.hidden
         LEFT JOIN threadmill.runs r ON r.open = t.num";
    for row in &db.all(THREADS, &[&tenants, &ids]).await? {
        let (tenant, thread): (TenantId, ThreadId) = (id!(TenantId, get(row, 0)?)?, id!(ThreadId, get(row, 1)?)?);
        if let (Some(run), Some(end)) = (get::<Option<&str>>(row, 3)?, get::<Option<i64>>(row, 4)?) {
            let run: RunId = id!(RunId, run)?;
            heads.insert(Key::Run(tenant.clone(), thread.clone(), run), uint(end)?);
        }
        heads.insert(Key::Thread(tenant, thread), uint(get(row, 2)?)?);
    }
    let tenants: Vec<&str> = scopes.iter().map(|scope| scope.tenant.as_str()).collect();
    let users: Vec<&str> = scopes.iter().map(|scope| scope.user.as_str()).collect();
    const USERS: &str = "SELECT k.tenant, k.id, u.pos FROM unnest($1::text[], $2::text[]) k (tenant, id)
         JOIN threadmill.tenants n ON n.id = k.tenant
         JOIN threadmill.users u ON u.tenant = n.num AND u.id = k.id";
    for row in &db.all(USERS, &[&tenants, &users]).await? {
        let (tenant, user): (TenantId, UserId) = (id!(TenantId, get(row, 0)?)?, id!(UserId, get(row, 1)?)?);
        heads.insert(Key::Summaries(Scope { tenant, user }), uint(get(row, 2)?)?);
    }
    Ok(heads)
}
