//! The beginning of a commit: its locks, in one order on every node (threads, then runs, then the
//! locks of clients, then budgets, then users), and all that its operations are known to read, in one round trip.
//!
//! A statement sees what was committed before it began. So whatever is read of a thread or a run is read by a
//! statement after the one that locks it: an answer of the locking statement itself may be older than its lock, but
//! for the locked rows, which PostgreSQL reads again once it has waited.

use std::collections::BTreeSet;

use threadmill_proto::{LockName, RunId, RunStatus, Scope, ThreadId};
use threadmill_store::relational::{NONE, Principal, ReceiptRow};

use super::ask::Needs;
use super::budgets;
use super::stamp::Stamp;
use crate::codec::uint;
use crate::db::{Db, Param, get};
use crate::fail::{Done, damage};
use crate::rows::{
    BRANCH_COLUMNS, MESSAGE_COLUMNS, RUN_COLUMNS, branch_columns, intern, lock_columns, message_columns, read_branch,
    read_lock, read_message, read_run, read_thread, run_columns, thread_columns,
};
use crate::sheet::{LockSheet, Mark, Receipt, Reserved, RunSheet, Sheet, ThreadSheet, followers, only_follower};

/// The numbers of the threads named by `$1`, `$2` (tenant and id), and of those of the runs `$3`, `$4`.
macro_rules! threads_named {
    () => {
        "SELECT t.num FROM unnest($1::int8[], $2::text[]) k (tenant, id)
         JOIN threadmill.threads t ON t.tenant = k.tenant AND t.id = k.id
         UNION
         SELECT r.thread FROM unnest($3::int8[], $4::text[]) k (tenant, id)
         JOIN threadmill.runs r ON r.tenant = k.tenant AND r.id = k.id"
    };
}

const THREADS: &str = concat!(
    "SELECT ",
    thread_columns!(),
    " FROM threadmill.threads t WHERE t.num = ANY (ARRAY(",
    threads_named!(),
    ")) ORDER BY t.num FOR NO KEY UPDATE"
);

/// The unended runs of those threads, the runs `$5`, `$6`, and the unended ones that the nodes `$7` write.
const RUNS: &str = concat!(
    "SELECT ",
    run_columns!(),
    ", (SELECT epoch FROM threadmill.meta WHERE one),
        EXISTS (SELECT 1 FROM threadmill.threads t WHERE t.num = r.thread)
     FROM threadmill.runs r WHERE r.num = ANY (ARRAY(
        SELECT r.num FROM threadmill.threads t
        JOIN threadmill.runs r ON r.open = t.num
        WHERE t.num = ANY (ARRAY(",
    threads_named!(),
    ")) UNION
        SELECT r.num FROM unnest($5::int8[], $6::text[]) k (tenant, id)
        JOIN threadmill.runs r ON r.tenant = k.tenant AND r.id = k.id
        UNION
        SELECT r.num FROM threadmill.runs r WHERE r.holder = ANY ($7::text[]) AND r.open IS NOT NULL
     )) ORDER BY r.num FOR NO KEY UPDATE"
);

/// Where the streams of the runs `$1` end.
const ENDS: &str = "SELECT k.run, coalesce(
        (SELECT c.at + c.count FROM threadmill.chunks c WHERE c.run = k.run
         ORDER BY c.at DESC LIMIT 1), 0)
     FROM unnest($1::int8[]) k (run)";

/// The default branches of the threads named, with what follows their tips.
const LINES: &str = concat!(
    "SELECT ",
    branch_columns!(),
    ", t.num, p.total, p.last, CASE WHEN p.pred IS NULL THEN ",
    only_follower!("b.tip_branch", "b.total"),
    " END FROM threadmill.threads t
      JOIN threadmill.branches b ON b.key = (t.num << 32) | t.default_branch
      LEFT JOIN threadmill.forkpoints p ON p.pred = b.tip
      WHERE t.num = ANY (ARRAY(",
    threads_named!(),
    "))"
);

/// The branches named by `$1`, `$2`, `$3` (tenant, thread, id), with what follows their tips.
const BRANCHES: &str = concat!(
    "SELECT ",
    branch_columns!(),
    ", t.num, p.total, p.last, CASE WHEN p.pred IS NULL THEN ",
    only_follower!("b.tip_branch", "b.total"),
    " END FROM unnest($1::int8[], $2::text[], $3::text[]) k (tenant, thread, id)
      JOIN threadmill.threads t ON t.tenant = k.tenant AND t.id = k.thread
      JOIN threadmill.branches b ON b.tenant = t.tenant AND b.thread = t.num AND b.id = k.id
      LEFT JOIN threadmill.forkpoints p ON p.pred = b.tip"
);

/// The messages named by `$1`, `$2`, `$3` (tenant, thread, id).
const MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", t.num FROM unnest($1::int8[], $2::text[], $3::text[]) k (tenant, thread, id)
      JOIN threadmill.threads t ON t.tenant = k.tenant AND t.id = k.thread
      JOIN threadmill.messages m ON m.tenant = t.tenant AND m.thread = t.num AND m.id = k.id
      JOIN threadmill.branches b ON b.key = m.branch"
);

/// The receipts `$1`, `$2` (user and key), and whether they hold. Those of a deleted thread are only not removed yet.
const RECEIPTS: &str = "SELECT r.owner, r.key, r.tenant, r.digest, r.thread, r.answer, r.makes,
        r.thread IS NULL OR EXISTS (SELECT 1 FROM threadmill.threads t WHERE t.num = r.thread)
     FROM unnest($1::int8[], $2::bytea[]) k (owner, key)
     JOIN threadmill.receipts r ON r.owner = k.owner AND r.key = k.key";

/// Which of the threads `$1`, `$2` (user and id) were deleted. Asked after the threads are locked: whoever deletes one
/// holds that lock until there is the tombstone.
const TOMBSTONES: &str = "SELECT t.owner, t.thread FROM unnest($1::int8[], $2::text[]) k (owner, thread)
     JOIN threadmill.tombstones t ON t.thread = k.thread AND t.owner = k.owner";

/// The locks `$1`, `$2` (tenant and name), and the epoch.
const LOCKS: &str = concat!(
    "SELECT l.tenant, l.name, (SELECT epoch FROM threadmill.meta WHERE one), ",
    lock_columns!(),
    " FROM unnest($1::int8[], $2::text[]) k (tenant, name)
      JOIN threadmill.locks l ON l.name = k.name AND l.tenant = k.tenant
      ORDER BY l.tenant, l.name FOR NO KEY UPDATE OF l"
);

/// Rows for the locks `$1`, `$2` that have none. In order, so that two nodes that make the same ones wait for each
/// other and not both at once.
const NEW_LOCKS: &str = "INSERT INTO threadmill.locks (tenant, name)
     SELECT DISTINCT k.tenant, k.name FROM unnest($1::int8[], $2::text[]) k (tenant, name)
     WHERE NOT EXISTS (SELECT 1 FROM threadmill.locks l WHERE l.name = k.name AND l.tenant = k.tenant)
     ORDER BY k.tenant, k.name ON CONFLICT DO NOTHING";

/// Numbers for `$1` threads, each with a secret (two random ids are 244 random bits), and the epoch.
const NEW_THREADS: &str = "SELECT nextval('threadmill.threads_num'), decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, \
     '-', ''), 'hex'), (SELECT epoch FROM threadmill.meta WHERE one) FROM generate_series(1, $1::int8)";

const NEW_RUNS: &str = "SELECT nextval('threadmill.runs_num') FROM generate_series(1, $1::int8)";

/// What is settled before the transaction begins: who is who, and numbers for what may be made.
pub(super) async fn prepare(db: &Db<'_>, needs: &Needs<'_>) -> Done<Sheet> {
    let scopes: Vec<&Scope> = needs.scopes.iter().copied().collect();
    let making: Vec<&Scope> = needs.making.iter().copied().collect();
    let mut sheet = Sheet::default();
    if !scopes.is_empty() {
        sheet.who = intern(db, &scopes, &making).await?;
    }
    if !needs.granting.is_empty() {
        let (tenants, names) = lock_names(&needs.granting, &sheet);
        db.change(NEW_LOCKS, &[&tenants, &names]).await?;
    }
    if !needs.lines.is_empty() {
        budgets::make(db, needs).await?;
    }
    if needs.new_threads > 0 {
        for row in &db.all(NEW_THREADS, &[&needs.new_threads]).await? {
            let secret: &[u8] = get(row, 1)?;
            let secret = secret.try_into().map_err(|_| damage("a new secret has not 32 bytes"))?;
            let reserved = Reserved { num: get(row, 0)?, secret, base: uint(get(row, 2)?)? };
            sheet.threads_reserved.push(reserved);
        }
    }
    if needs.new_runs > 0 {
        for row in &db.all(NEW_RUNS, &[&needs.new_runs]).await? {
            sheet.runs_reserved.push(get(row, 0)?);
        }
    }
    Ok(sheet)
}

/// Begins the transaction, marks it, takes its locks and reads what is known to be needed.
pub(super) async fn lock(db: &Db<'_>, needs: &Needs<'_>, sheet: &mut Sheet, stamp: &Stamp) -> Done<()> {
    let keys = Keys::of(needs, sheet);
    // Prepared before, so that none of the statements waits while a later one is sent.
    for sql in [Stamp::WRITE, THREADS, RUNS, LOCKS, LINES, BRANCHES, MESSAGES, RECEIPTS, TOMBSTONES] {
        db.prepare(sql).await?;
    }
    let touches_threads = !needs.no_threads();
    let begin = db.batch("BEGIN ISOLATION LEVEL READ COMMITTED");
    let mark: [Param<'_>; 2] = [&stamp.node, &stamp.flush];
    let mark = db.change(Stamp::WRITE, &mark);
    let threads_named: [Param<'_>; 4] = [&keys.threads.0, &keys.threads.1, &keys.run_threads.0, &keys.run_threads.1];
    let runs_named: Vec<Param<'_>> =
        threads_named.into_iter().chain([&keys.runs.0 as Param<'_>, &keys.runs.1, &keys.holders]).collect();
    let runs = db.all(RUNS, &runs_named);
    let locks_named: [Param<'_>; 2] = [&keys.locks.0, &keys.locks.1];
    let locks = async { if keys.locks.0.is_empty() { Ok(Vec::new()) } else { db.all(LOCKS, &locks_named).await } };
    if !touches_threads {
        let ((), marked, runs, locks) = tokio::try_join!(biased; begin, mark, runs, locks)?;
        Stamp::settled(marked)?;
        note_locks(sheet, &locks)?;
        return note_runs(db, sheet, &runs).await;
    }
    let branches: [Param<'_>; 3] = [&keys.branches.0, &keys.branches.1, &keys.branches.2];
    let messages: [Param<'_>; 3] = [&keys.messages.0, &keys.messages.1, &keys.messages.2];
    let receipts: [Param<'_>; 2] = [&keys.receipts.0, &keys.receipts.1];
    let created: [Param<'_>; 2] = [&keys.created.0, &keys.created.1];
    let tombstones =
        async { if keys.created.0.is_empty() { Ok(Vec::new()) } else { db.all(TOMBSTONES, &created).await } };
    let ((), marked, threads, runs, locks, lines, branches, messages, receipts, tombstones) = tokio::try_join!(
        biased;
        begin,
        mark,
        db.all(THREADS, &threads_named),
        runs,
        locks,
        db.all(LINES, &threads_named),
        db.all(BRANCHES, &branches),
        db.all(MESSAGES, &messages),
        db.all(RECEIPTS, &receipts),
        tombstones,
    )?;
    Stamp::settled(marked)?;
    for row in &tombstones {
        let thread = ThreadId::parse(get(row, 1)?).map_err(damage)?;
        sheet.remembered.insert((get(row, 0)?, thread));
    }
    for row in &threads {
        sheet.put_thread(ThreadSheet::new(read_thread(row)?, Mark::Kept));
    }
    note_runs(db, sheet, &runs).await?;
    note_locks(sheet, &locks)?;
    budgets::lock(db, needs, sheet).await?;
    for row in lines.iter().chain(&branches) {
        note_line(sheet, row)?;
    }
    for row in &messages {
        let thread: i64 = get(row, MESSAGE_COLUMNS)?;
        if let Some(thread) = sheet.threads.get_mut(&thread) {
            thread.note_message(read_message(row)?);
        }
    }
    note_receipts(sheet, &receipts)?;
    note_absent(needs, sheet);
    Ok(())
}

async fn note_runs(db: &Db<'_>, sheet: &mut Sheet, rows: &[tokio_postgres::Row]) -> Done<()> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for row in rows {
        let (run, epoch) = (read_run(row)?, uint(get(row, RUN_COLUMNS)?)?);
        // One of a deleted thread is none, though its row may still be there.
        if !get::<bool>(row, RUN_COLUMNS + 1)? {
            sheet.dead_runs.push((run.id, run.num));
            continue;
        }
        open.extend((run.status != RunStatus::Ended).then_some(run.num));
        found.push((run, epoch));
    }
    let mut ends = std::collections::HashMap::new();
    if !open.is_empty() {
        for row in &db.all(ENDS, &[&open]).await? {
            ends.insert(get::<i64>(row, 0)?, uint(get(row, 1)?)?);
        }
    }
    for (run, epoch) in found {
        let length = ends.get(&run.num).copied().unwrap_or(run.length);
        sheet.put_run(RunSheet::kept(run, length, epoch));
    }
    Ok(())
}

fn note_locks(sheet: &mut Sheet, rows: &[tokio_postgres::Row]) -> Done<()> {
    for row in rows {
        let name = LockName::parse(get(row, 1)?).map_err(damage)?;
        let lock = LockSheet { row: read_lock(row, 3)?, mark: Mark::Kept, epoch: uint(get(row, 2)?)? };
        sheet.locks.insert((get(row, 0)?, name), lock);
    }
    Ok(())
}

fn note_line(sheet: &mut Sheet, row: &tokio_postgres::Row) -> Done<()> {
    const AT: usize = BRANCH_COLUMNS;
    let branch = read_branch(row)?;
    let follow = followers(get(row, AT + 1)?, get(row, AT + 2)?, get(row, AT + 3)?)?;
    if let Some(thread) = sheet.threads.get_mut(&get::<i64>(row, AT)?) {
        thread.note_followers(branch.tip.map_or(NONE, |tip| tip.num), follow);
        thread.note_branch(branch);
    }
    Ok(())
}

fn note_receipts(sheet: &mut Sheet, rows: &[tokio_postgres::Row]) -> Done<()> {
    for row in rows {
        let key: &[u8] = get(row, 1)?;
        let key = key.try_into().map_err(|_| damage("a receipt's key has not 32 bytes"))?;
        let kept = ReceiptRow { digest: get(row, 3)?, thread: get(row, 4)?, answer: get(row, 5)?, makes: get(row, 6)? };
        let receipt = Receipt { tenant: get(row, 2)?, row: kept, mark: Mark::Kept };
        let place = (get(row, 0)?, key);
        if get(row, 7)? {
            sheet.receipts.insert(place, receipt);
        } else {
            sheet.freed.push(place);
        }
    }
    Ok(())
}

/// What was looked for and not found is known not to be there.
fn note_absent(needs: &Needs<'_>, sheet: &mut Sheet) {
    for (scope, thread, id) in &needs.branches {
        if let Some(thread) = thread_mut(sheet, scope, thread) {
            thread.note_no_branch(id);
        }
    }
    for (scope, thread, id) in &needs.messages {
        if let Some(thread) = thread_mut(sheet, scope, thread) {
            thread.note_no_message(id);
        }
    }
}

fn thread_mut<'s>(sheet: &'s mut Sheet, scope: &Scope, thread: &ThreadId) -> Option<&'s mut ThreadSheet> {
    let tenant = sheet.who.get(scope)?.tenant;
    let num = sheet.thread_ids.get(&(tenant, thread.clone()))?;
    sheet.threads.get_mut(num)
}

/// What the statements are given, an array a column.
struct Keys<'k> {
    threads: (Vec<i64>, Vec<&'k str>),
    run_threads: (Vec<i64>, Vec<&'k str>),
    runs: (Vec<i64>, Vec<&'k str>),
    branches: (Vec<i64>, Vec<&'k str>, Vec<&'k str>),
    messages: (Vec<i64>, Vec<&'k str>, Vec<&'k str>),
    receipts: (Vec<i64>, Vec<Vec<u8>>),
    /// By user.
    created: (Vec<i64>, Vec<&'k str>),
    locks: (Vec<i64>, Vec<&'k str>),
    holders: Vec<String>,
}

/// Locks as the statements are given them.
fn lock_names<'k>(locks: &BTreeSet<(&'k Scope, &'k LockName)>, sheet: &Sheet) -> (Vec<i64>, Vec<&'k str>) {
    let tenant = |scope: &Scope| sheet.who.get(scope).map_or(NONE, |who| who.tenant);
    locks.iter().map(|(scope, name)| (tenant(scope), name.as_str())).unzip()
}

impl<'k> Keys<'k> {
    /// Who is unknown has nothing that could be named.
    fn of(needs: &Needs<'k>, sheet: &Sheet) -> Self {
        let who = |scope: &Scope| sheet.who.get(scope).copied();
        let tenant = |scope: &Scope| who(scope).map_or(NONE, |who: Principal| who.tenant);
        let run = |(scope, run): &(&'k Scope, &'k RunId)| (tenant(scope), run.as_str());
        let mut branches = (Vec::new(), Vec::new(), Vec::new());
        for (scope, thread, id) in &needs.branches {
            branches.0.push(tenant(scope));
            branches.1.push(thread.as_str());
            branches.2.push(id.as_str());
        }
        let mut messages = (Vec::new(), Vec::new(), Vec::new());
        for (scope, thread, id) in &needs.messages {
            messages.0.push(tenant(scope));
            messages.1.push(thread.as_str());
            messages.2.push(id.as_str());
        }
        let mut receipts = (Vec::new(), Vec::new());
        for (who, key) in needs.receipts.iter().filter_map(|(scope, key)| Some((who(scope)?, key))) {
            receipts.0.push(who.user);
            receipts.1.push(key.to_vec());
        }
        Self {
            threads: needs.threads.iter().map(|(scope, thread)| (tenant(scope), thread.as_str())).unzip(),
            run_threads: needs.run_threads.iter().map(run).unzip(),
            runs: needs.runs.iter().map(run).unzip(),
            branches,
            messages,
            receipts,
            created: needs
                .created
                .iter()
                .filter_map(|(scope, thread)| Some((who(scope)?.user, thread.as_str())))
                .unzip(),
            locks: lock_names(&needs.locks, sheet),
            holders: needs.holders.iter().map(|holder| crate::codec::text_to(holder)).collect(),
        }
    }
}

/// Takes the locks of the users whose summary logs grow; returns each one's newest place.
pub(super) async fn users(db: &Db<'_>, mut users: Vec<i64>) -> Done<std::collections::HashMap<i64, u64>> {
    users.sort_unstable();
    users.dedup();
    const SQL: &str =
        "SELECT num, pos FROM threadmill.users WHERE num = ANY ($1::int8[]) ORDER BY num FOR NO KEY UPDATE";
    let rows = db.all(SQL, &[&users]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, uint(get(row, 1)?)?))).collect()
}
