//! The end of a commit: what its sheet says is written, one statement a table, and committed in the same round trip.

use std::collections::BTreeMap;

use threadmill_proto::{RunId, Summary, to_cbor};
use threadmill_store::relational::{
    BranchRow, MessageRow, NONE, Principal, RunRow, body_to_blob, held_to, key, outcome_to, role_to, run_status_to,
    status_to,
};
use threadmill_store::{Committing, TOMBSTONES};
use tokio_postgres::types::ToSql;

use crate::codec::{int, text_to};
use crate::db::{Write, columns};
use crate::sheet::{Grave, KeyHash, Mark, Receipt, Sheet, ThreadSheet};

/// The newest entry of each thread in its owner's log.
pub(super) type Summaries = BTreeMap<(Principal, String), Summary>;

/// Collects statements and leaves out those with no rows.
#[derive(Default)]
struct Writes(Vec<Write>);

impl Writes {
    fn add<T>(&mut self, sql: &'static str, rows: &[T], columns: impl Fn(&[T]) -> Vec<Box<dyn ToSql + Sync + Send>>) {
        if !rows.is_empty() {
            self.0.push(Write { sql, columns: columns(rows) });
        }
    }
}

/// Everything that a commit writes, in an order in which no statement meets what a later one removes.
pub(super) fn writes(sheet: &Sheet, summaries: &Summaries, positions: &BTreeMap<i64, u64>) -> Vec<Write> {
    let mut writes = Writes::default();
    remember(&mut writes, sheet);
    bury(&mut writes, &sheet.graves);
    let threads: Vec<&ThreadSheet> = sheet.threads.values().collect();
    thread_rows(&mut writes, &threads);
    descriptions(&mut writes, &threads);
    branch_rows(&mut writes, &threads);
    message_rows(&mut writes, &threads);
    fork_rows(&mut writes, &threads);
    change_rows(&mut writes, &threads);
    run_rows(&mut writes, sheet);
    writes.add(
        "UPDATE threadmill.messages m SET body = k.body
         FROM unnest($1::int8[], $2::bytea[]) k (key, body) WHERE m.key = k.key",
        &checkpoints(sheet),
        |rows| columns!(rows; ((thread, message), body) => key(*thread, *message), body.to_vec()),
    );
    summary_rows(&mut writes, summaries, positions);
    receipt_rows(&mut writes, sheet);
    lock_rows(&mut writes, sheet);
    budget_rows(&mut writes, sheet);
    writes.0
}

/// Checkpoints of messages that are not written anyway, after them in their run.
fn checkpoints(sheet: &Sheet) -> Vec<(&(i64, i64), &[u8])> {
    let written = |thread: &i64, message| sheet.threads.get(thread).is_some_and(|thread| thread.writes(message));
    let left = sheet.checkpoints.iter().filter(|((thread, message), _)| !written(thread, *message));
    left.map(|(place, body)| (place, body.as_slice())).collect()
}

/// Tombstones, of which each user has a bounded number. The user's row is locked, since a deletion is in the summary log.
fn remember(writes: &mut Writes, sheet: &Sheet) {
    writes.add(
        "WITH back AS (
            DELETE FROM threadmill.tombstones t USING unnest($1::int8[], $2::text[], $3::int8[]) k (owner, thread, num)
            WHERE t.thread = k.thread AND t.owner = k.owner RETURNING t.owner, t.key, k.num)
         UPDATE threadmill.receipts r SET thread = back.num FROM back
         WHERE r.owner = back.owner AND r.key = back.key AND r.answer = ''",
        &sheet.returned,
        |rows| columns!(rows; (owner, id, num) => *owner, id.as_str().to_owned(), *num),
    );
    writes.add(
        "WITH k AS (
            SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::bytea[]) k (owner, num, thread, key)),
         made AS (
            UPDATE threadmill.receipts r SET thread = NULL, answer = '' FROM k
            WHERE r.thread = k.num AND r.makes RETURNING k.num, r.key)
         INSERT INTO threadmill.tombstones (owner, ord, thread, key)
         SELECT k.owner, row_number() OVER (PARTITION BY k.owner ORDER BY k.num)
                + coalesce((SELECT max(t.ord) FROM threadmill.tombstones t WHERE t.owner = k.owner), 0),
                k.thread, coalesce(k.key, (SELECT m.key FROM made m WHERE m.num = k.num LIMIT 1)) FROM k
         ON CONFLICT (thread, owner) DO UPDATE SET key = coalesce(excluded.key, tombstones.key)",
        &sheet.tombstones,
        |rows| columns!(rows; t => t.owner, t.num, t.id.as_str().to_owned(), t.key.map(|key| key.to_vec())),
    );
    writes.add(
        "WITH old AS (
            DELETE FROM threadmill.tombstones t USING unnest($1::int8[], $2::int8[]) k (owner, kept)
            WHERE t.owner = k.owner AND t.ord <= (
                SELECT max(n.ord) FROM threadmill.tombstones n WHERE n.owner = k.owner) - k.kept
            RETURNING t.owner, t.key)
         DELETE FROM threadmill.receipts r USING old
         WHERE r.owner = old.owner AND r.key = old.key AND r.answer = ''",
        &sheet.tombstones,
        |rows| columns!(rows; t => t.owner, int(TOMBSTONES)),
    );
}

/// What leads to a deleted thread goes at once, the rest is removed later, a little at a time.
fn bury(writes: &mut Writes, graves: &[Grave]) {
    let keys = |graves: &[Grave]| columns!(graves; grave => grave.thread);
    writes.add(
        "INSERT INTO threadmill.graves (thread, runs)
         SELECT k.thread, ARRAY(SELECT r.num FROM threadmill.runs r WHERE r.open = k.thread)
         FROM unnest($1::int8[]) k (thread)",
        graves,
        keys,
    );
    writes.add(
        // What has not ended is looked for by every sweeper, and on every branch.
        "DELETE FROM threadmill.runs r USING unnest($1::int8[]) k (thread) WHERE r.open = k.thread",
        graves,
        keys,
    );
    writes.add("DELETE FROM threadmill.threads t USING unnest($1::int8[]) k (num) WHERE t.num = k.num", graves, keys);
}

fn thread_rows(writes: &mut Writes, threads: &[&ThreadSheet]) {
    let fresh: Vec<_> = threads.iter().filter(|thread| thread.mark == Mark::Fresh).collect();
    writes.add(
        "INSERT INTO threadmill.threads (num, tenant, id, owner, metadata, secret, epoch, created_at, title, archived,
            hidden, default_branch, seq, hash, branches, messages, updated_at)
         SELECT num, tenant, id, owner, metadata, secret, 0, created_at, title, archived, hidden, default_branch, seq,
                hash, branches, messages, updated_at
         FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::text[], $6::bytea[], $7::int8[], $8::text[],
                     $9::bool[], $10::bool[], $11::int8[], $12::int8[], $13::bytea[], $14::int8[], $15::int8[],
                     $16::int8[])
              k (num, tenant, id, owner, metadata, secret, created_at, title, archived, hidden, default_branch, seq,
                 hash, branches, messages, updated_at)",
        &fresh,
        |rows| {
            columns!(rows; t => t.row.num, t.row.tenant, t.row.id.as_str().to_owned(), t.row.owner,
                t.row.metadata.as_ref().map(|json| text_to(&json.0)), t.row.secret.to_vec(), int(t.row.created_at),
                text_to(&t.row.title), t.row.archived, t.row.hidden, t.row.default_branch, int(t.row.seq),
                t.row.hash.0.to_vec(), t.row.branches, t.row.messages, int(t.row.updated_at))
        },
    );
    let changed: Vec<_> = threads.iter().filter(|thread| thread.mark == Mark::Changed).collect();
    writes.add(
        "UPDATE threadmill.threads t SET title = k.title, archived = k.archived, hidden = k.hidden,
            default_branch = k.default_branch, seq = k.seq, hash = k.hash, branches = k.branches,
            messages = k.messages, updated_at = k.updated_at
         FROM unnest($1::int8[], $2::text[], $3::bool[], $4::bool[], $5::int8[], $6::int8[], $7::bytea[], $8::int8[],
                     $9::int8[], $10::int8[])
              k (num, title, archived, hidden, default_branch, seq, hash, branches, messages, updated_at)
         WHERE t.num = k.num",
        &changed,
        |rows| {
            columns!(rows; t => t.row.num, text_to(&t.row.title), t.row.archived, t.row.hidden, t.row.default_branch,
                int(t.row.seq), t.row.hash.0.to_vec(), t.row.branches, t.row.messages, int(t.row.updated_at))
        },
    );
}

/// Metadata, of those threads whose changed.
fn descriptions(writes: &mut Writes, threads: &[&ThreadSheet]) {
    let told: Vec<_> = threads.iter().filter(|thread| thread.redescribed && thread.mark == Mark::Changed).collect();
    writes.add(
        "UPDATE threadmill.threads t SET metadata = k.metadata
         FROM unnest($1::int8[], $2::text[]) k (num, metadata) WHERE t.num = k.num",
        &told,
        |rows| columns!(rows; t => t.row.num, t.row.metadata.as_ref().map(|json| text_to(&json.0))),
    );
}

/// Rows of many threads, each with its thread.
fn of_threads<'t, T>(
    threads: &[&'t ThreadSheet],
    rows: impl Fn(&'t ThreadSheet) -> Vec<T>,
) -> Vec<(&'t ThreadSheet, T)> {
    threads.iter().flat_map(|thread| rows(thread).into_iter().map(|row| (*thread, row))).collect()
}

/// The last message on a line, and where that was first written.
fn tip(row: &BranchRow) -> (i64, i64) {
    row.tip.map_or((NONE, NONE), |tip| (tip.num, tip.branch))
}

fn branch_rows(writes: &mut Writes, threads: &[&ThreadSheet]) {
    let fresh: Vec<(_, &BranchRow)> = of_threads(threads, |thread| thread.branches_marked(Mark::Fresh).collect());
    writes.add(
        "INSERT INTO threadmill.branches (key, tenant, thread, id, parent, fork_depth, total, made, tip, tip_branch,
            lineage)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::int8[], $6::int8[], $7::int8[],
            $8::int8[], $9::int8[], $10::int8[], $11::bytea[])",
        &fresh,
        |rows| {
            columns!(rows; (t, b) => t.key(b.num), t.row.tenant, t.row.num, b.id.as_str().to_owned(), t.key(b.parent),
                int(b.fork_depth), int(b.total), b.made, t.key(tip(b).0), t.key(tip(b).1), to_cbor(&b.lineage))
        },
    );
    let changed: Vec<(_, &BranchRow)> = of_threads(threads, |thread| thread.branches_marked(Mark::Changed).collect());
    writes.add(
        "UPDATE threadmill.branches b SET total = k.total, tip = k.tip, tip_branch = k.tip_branch
         FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]) k (key, total, tip, tip_branch)
         WHERE b.key = k.key",
        &changed,
        |rows| columns!(rows; (t, b) => t.key(b.num), int(b.total), t.key(tip(b).0), t.key(tip(b).1)),
    );
    let slots = of_threads(threads, |thread| thread.new_slots.clone());
    writes.add(
        "INSERT INTO threadmill.slots (branch, depth, message)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[])",
        &slots,
        |rows| columns!(rows; (t, (branch, depth, message)) => t.key(*branch), int(*depth), t.key(*message)),
    );
}

fn message_rows(writes: &mut Writes, threads: &[&ThreadSheet]) {
    let fresh: Vec<(_, &MessageRow)> = of_threads(threads, |thread| thread.messages_marked(Mark::Fresh).collect());
    writes.add(
        "INSERT INTO threadmill.messages (key, tenant, thread, id, role, status, rev, branch, depth, created_at, body)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::int8[], $6::int8[], $7::int8[],
            $8::int8[], $9::int8[], $10::int8[], $11::bytea[])",
        &fresh,
        |rows| {
            columns!(rows; (t, m) => t.key(m.num), t.row.tenant, t.row.num, m.id.as_str().to_owned(), role_to(m.role),
                status_to(m.status), int(m.rev), t.key(m.branch), int(m.depth), int(m.created_at), body_to_blob(&m.body))
        },
    );
    let changed: Vec<(_, &MessageRow)> = of_threads(threads, |thread| thread.messages_marked(Mark::Changed).collect());
    writes.add(
        "UPDATE threadmill.messages m SET status = k.status, rev = k.rev, body = k.body
         FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::bytea[]) k (key, status, rev, body)
         WHERE m.key = k.key",
        &changed,
        |rows| {
            columns!(rows; (t, m) => t.key(m.num), status_to(m.status), int(m.rev),
                body_to_blob(&m.body))
        },
    );
}

fn fork_rows(writes: &mut Writes, threads: &[&ThreadSheet]) {
    let links = of_threads(threads, |thread| thread.links.iter().collect());
    writes.add(
        "INSERT INTO threadmill.forks (message, pred, ord, prev_message, prev_branch, next_message,
            next_branch)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::text[])",
        &links,
        |rows| {
            columns!(rows; (t, (message, link)) => t.key(**message), t.key(link.pred), int(link.index),
                link.prev.as_ref().map(|(message, _)| message.as_str().to_owned()),
                link.prev.as_ref().map(|(_, branch)| branch.as_str().to_owned()),
                link.next.as_ref().map(|(message, _)| message.as_str().to_owned()),
                link.next.as_ref().map(|(_, branch)| branch.as_str().to_owned()))
        },
    );
    let relinked = of_threads(threads, |thread| thread.relinked.iter().collect());
    writes.add(
        "UPDATE threadmill.forks f SET next_message = k.next_message, next_branch = k.next_branch
         FROM unnest($1::int8[], $2::text[], $3::text[]) k (message, next_message, next_branch)
         WHERE f.message = k.message",
        &relinked,
        |rows| {
            columns!(rows; (t, (message, next)) => t.key(**message), next.0.as_str().to_owned(),
                next.1.as_str().to_owned())
        },
    );
    let points = of_threads(threads, |thread| thread.forkpoints().collect());
    writes.add(
        "INSERT INTO threadmill.forkpoints (pred, total, last)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[])
         ON CONFLICT (pred) DO UPDATE SET total = excluded.total, last = excluded.last",
        &points,
        |rows| columns!(rows; (t, (pred, followers)) => t.key(*pred), int(followers.total), t.key(followers.last)),
    );
}

fn change_rows(writes: &mut Writes, threads: &[&ThreadSheet]) {
    let changes = of_threads(threads, |thread| thread.changes.iter().collect());
    writes.add(
        "INSERT INTO threadmill.changes (thread, seq, at, hash, record)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::bytea[], $5::bytea[])",
        &changes,
        |rows| {
            columns!(rows; (t, c) => t.row.num, int(c.seq), int(c.at), c.hash.0.to_vec(),
                c.record.clone())
        },
    );
    let pruned = of_threads(threads, |thread| thread.prune_before.into_iter().collect());
    writes.add(
        "DELETE FROM threadmill.changes c USING unnest($1::int8[], $2::int8[]) k (thread, before)
         WHERE c.thread = k.thread AND c.seq < coalesce(
            (SELECT y.seq FROM threadmill.changes y
             WHERE y.thread = k.thread AND y.at >= k.before ORDER BY y.seq LIMIT 1), 0)",
        &pruned,
        |rows| columns!(rows; (t, before) => t.row.num, int(*before)),
    );
}

fn run_rows(writes: &mut Writes, sheet: &Sheet) {
    let marked =
        |mark| -> Vec<&RunRow> { sheet.runs.values().filter(|run| run.mark == mark).map(|run| &*run.row).collect() };
    // The ended ones first: another may begin on the branch of one in the same commit.
    writes.add(
        "UPDATE threadmill.runs r SET status = k.status, outcome = k.outcome, fence = k.fence, holder = k.holder,
            until = k.until, folded = k.folded, length = k.length, error = k.error, ended_at = k.ended_at,
            held = CASE WHEN k.ended_at IS NULL THEN r.held END,
            open = CASE WHEN k.ended_at IS NULL THEN r.thread END, kept = k.ended_at IS NOT NULL
         FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::text[], $6::int8[], $7::int8[], $8::int8[],
            $9::text[], $10::int8[])
            k (num, status, outcome, fence, holder, until, folded, length, error, ended_at)
         WHERE r.num = k.num",
        &marked(Mark::Changed),
        |rows| {
            columns!(rows; r => r.num, run_status_to(r.status), r.outcome.map(outcome_to), int(r.fence),
                text_to(&r.holder), int(r.until), int(r.folded), int(r.length), r.error.as_deref().map(text_to),
                r.ended_at.map(int))
        },
    );
    // Their ids are taken by runs of deleted threads, whose rows are only not removed yet.
    let again = |id: &RunId| sheet.runs.values().any(|run| run.mark == Mark::Fresh && run.row.id == *id);
    let dead: Vec<i64> = sheet.dead_runs.iter().filter(|(id, _)| again(id)).map(|(_, num)| *num).collect();
    writes.add(
        "WITH gone AS (DELETE FROM threadmill.chunks c USING unnest($1::int8[]) k (num) WHERE c.run = k.num)
         DELETE FROM threadmill.runs r USING unnest($1::int8[]) k (num) WHERE r.num = k.num",
        &dead,
        |rows| columns!(rows; num => *num),
    );
    writes.add(
        "INSERT INTO threadmill.runs (num, tenant, id, owner, thread, thread_id, branch, branch_id, message,
            message_id, depth, provider, request, started_at, status, outcome, fence, holder, until, folded, length,
            error, ended_at, held, open, kept)
         SELECT *, CASE WHEN ended_at IS NULL THEN thread END, ended_at IS NOT NULL FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::int8[], $6::text[],
            $7::int8[], $8::text[], $9::int8[], $10::text[], $11::int8[], $12::text[], $13::text[], $14::int8[],
            $15::int8[], $16::int8[], $17::int8[], $18::text[], $19::int8[], $20::int8[], $21::int8[], $22::text[],
            $23::int8[], $24::bytea[])
            k (num, tenant, id, owner, thread, thread_id, branch, branch_id, message, message_id, depth, provider,
               request, started_at, status, outcome, fence, holder, until, folded, length, error, ended_at, held)",
        &marked(Mark::Fresh),
        |rows| {
            columns!(rows; r => r.num, r.tenant, r.id.as_str().to_owned(), r.owner, r.thread,
                r.thread_id.as_str().to_owned(), r.branch, r.branch_id.as_str().to_owned(), r.message,
                r.message_id.as_str().to_owned(), int(r.depth), text_to(&r.provider), text_to(&r.request.0),
                int(r.started_at), run_status_to(r.status), r.outcome.map(outcome_to), int(r.fence),
                text_to(&r.holder), int(r.until), int(r.folded), int(r.length), r.error.as_deref().map(text_to),
                r.ended_at.map(int), held_to(r.held.as_ref()))
        },
    );
    let streams: Vec<_> = sheet.runs.values().filter(|run| run.packed.count > 0).collect();
    writes.add(
        "INSERT INTO threadmill.chunks (run, at, count, body)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::bytea[])",
        &streams,
        |rows| {
            columns!(rows; run => run.row.num, int(run.from), int(run.packed.count),
                run.packed.bytes.clone())
        },
    );
}

fn summary_rows(writes: &mut Writes, summaries: &Summaries, positions: &BTreeMap<i64, u64>) {
    let rows: Vec<_> = summaries.iter().collect();
    writes.add(
        "INSERT INTO threadmill.summaries (tenant, owner, thread, pos, title, snippet, running, archived, deleted,
            updated_at)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::text[], $6::text[], $7::bool[],
            $8::bool[], $9::bool[], $10::int8[])
         ON CONFLICT (thread, owner) DO UPDATE SET pos = excluded.pos, title = excluded.title,
            snippet = excluded.snippet, running = excluded.running, archived = excluded.archived,
            deleted = excluded.deleted, updated_at = excluded.updated_at",
        &rows,
        |rows| {
            columns!(rows; ((who, thread), s) => who.tenant, who.user, thread.clone(), int(s.pos), text_to(&s.title),
                text_to(&s.snippet), s.running, s.archived, s.deleted, int(s.updated_at))
        },
    );
    let positions: Vec<_> = positions.iter().collect();
    writes.add(
        "UPDATE threadmill.users u SET pos = k.pos FROM unnest($1::int8[], $2::int8[]) k (num, pos)
         WHERE u.num = k.num",
        &positions,
        |rows| columns!(rows; (user, pos) => **user, int(**pos)),
    );
}

fn receipt_rows(writes: &mut Writes, sheet: &Sheet) {
    let receipts: Vec<(&(i64, KeyHash), &Receipt)> =
        sheet.receipts.iter().filter(|(_, receipt)| receipt.mark == Mark::Fresh).collect();
    writes.add(
        // Not one that another node has made for the same key since it was looked for: its thread is there.
        "DELETE FROM threadmill.receipts r USING unnest($1::int8[], $2::bytea[]) k (owner, key)
         WHERE r.owner = k.owner AND r.key = k.key AND r.thread IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM threadmill.threads t WHERE t.num = r.thread)",
        &sheet.freed,
        |rows| columns!(rows; (owner, key) => *owner, key.to_vec()),
    );
    writes.add(
        // Whoever used the key meanwhile is met here, and this commit is done over: its effect is not made twice.
        "INSERT INTO threadmill.receipts (tenant, owner, key, digest, thread, answer, makes)
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::bytea[], $4::bytea[], $5::int8[], $6::bytea[], $7::bool[])",
        &receipts,
        |rows| {
            columns!(rows; ((owner, key), r) => r.tenant, *owner, key.to_vec(), r.row.digest.clone(), r.row.thread,
                r.row.answer.clone(), r.row.makes)
        },
    );
}

fn lock_rows(writes: &mut Writes, sheet: &Sheet) {
    let changed: Vec<_> = sheet.locks.iter().filter(|(_, lock)| lock.mark != Mark::Kept).collect();
    writes.add(
        "UPDATE threadmill.locks l SET token = k.token, owner = k.owner, holder = k.holder, since = k.since,
            until = k.until, released = k.released
         FROM unnest($1::int8[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::int8[], $8::bool[])
            k (tenant, name, token, owner, holder, since, until, released)
         WHERE l.name = k.name AND l.tenant = k.tenant",
        &changed,
        |rows| {
            columns!(rows; ((tenant, name), l) => *tenant, name.as_str().to_owned(), int(l.row.token),
                l.row.owner.as_ref().map(|owner| owner.as_str().to_owned()), text_to(&l.row.holder),
                int(l.row.since), int(l.row.until), l.row.released)
        },
    );
}

fn budget_rows(writes: &mut Writes, sheet: &Sheet) {
    let changed: Vec<_> = sheet.budgets.iter().filter(|(_, budget)| budget.mark != Mark::Kept).collect();
    writes.add(
        "UPDATE threadmill.budgets b SET until = k.until, money = k.money, tokens = k.tokens, held_money = k.held_money,
            held_tokens = k.held_tokens, runs = k.runs
         FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[])
            k (key, start, until, money, tokens, held_money, held_tokens, runs)
         WHERE b.key = k.key AND b.start = k.start",
        &changed,
        |rows| {
            columns!(rows; ((key, start), b) => key.clone(), int(*start), int(b.row.until), int(b.row.spent.money),
                int(b.row.spent.tokens), int(b.row.held.money), int(b.row.held.tokens), int(b.row.runs))
        },
    );
}

/// Gives each summary its place in its owner's log, in the order in which they are told. Returns the newest entry of
/// each thread.
pub(super) fn place_summaries(sheet: &Sheet, out: &mut [Committing], positions: &mut BTreeMap<i64, u64>) -> Summaries {
    let mut newest = Summaries::new();
    for committing in out {
        if let Committing::Summary { scope, summary } = committing
            && let Some(who) = sheet.who.get(scope)
            && let Some(pos) = positions.get_mut(&who.user)
        {
            *pos += 1;
            summary.pos = *pos;
            newest.insert((*who, summary.thread.as_str().to_owned()), summary.clone());
        }
    }
    newest
}
