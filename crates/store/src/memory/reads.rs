//! The model's other reads: changes, lists, branches, exports, the digest.

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    ChainHash, Change, Event, Message, Position, Scope, Summary, TenantId, ThreadId, TitleFilter, UserId,
};

use super::state::{State, ThreadState};
use crate::{
    Branch, Changes, Digest, ExportPage, ImportRow, ListQuery, PageLimits, StoreError, StoreResult, SummaryPage,
    Surveyed, SurveyedThread, ThreadPage, preview,
};

/// What a row costs in a page beyond its message.
const ENVELOPE: usize = 128;

pub(super) fn changes(
    state: &State,
    scope: &Scope,
    id: &ThreadId,
    after: Position,
    limits: PageLimits,
) -> StoreResult<Changes> {
    let thread = state.visible(scope, id)?;
    let head = thread.position();
    if after.epoch > head.epoch {
        return Ok(Changes::Reset(ResetReason::Epoch));
    }
    let known = hash_at(thread, after.seq);
    if after.seq <= head.seq && known.is_none() {
        return Ok(Changes::Reset(ResetReason::Expired));
    }
    if known == Some(after.hash) {
        let events = since(thread, after, limits)?;
        return Ok(Changes::Since { events, head });
    }
    Ok(Changes::Reset(ResetReason::Epoch))
}

/// The chained hash at a seq, if the log can be continued from there.
fn hash_at(thread: &ThreadState, seq: u64) -> Option<ChainHash> {
    if seq == thread.seq {
        return Some(thread.hash);
    }
    if seq == 0 {
        let (_, first) = thread.log.first()?;
        return (first.seq == 1).then(ChainHash::default);
    }
    let known = thread.log.iter().find(|(_, record)| record.seq == seq);
    known.map(|(hash, _)| *hash)
}

fn since(thread: &ThreadState, after: Position, limits: PageLimits) -> StoreResult<Vec<Event>> {
    let (mut events, mut used) = (Vec::new(), 0);
    for (hash, record) in thread.log.iter().filter(|(_, record)| record.seq > after.seq) {
        let body = body(thread, &record.change, limits.preview)?;
        used += ENVELOPE + body.as_ref().map_or(0, Message::bytes);
        if used > limits.bytes && !events.is_empty() {
            break;
        }
        events.push(Event { epoch: thread.epoch, hash: *hash, record: record.clone(), body });
    }
    Ok(events)
}

fn body(thread: &ThreadState, change: &Change, limit: usize) -> StoreResult<Option<Message>> {
    match change {
        Change::MessageRemoved(_) => Ok(None),
        other => other
            .message()
            .map(|reference| {
                let mut message = thread.message(&reference.id)?.clone();
                preview(&mut message, limit);
                Ok(message)
            })
            .transpose(),
    }
}

/// A user's entries, in the order of the log.
fn entries(state: &State, scope: &Scope) -> (Vec<Summary>, u64) {
    let Some(user) = state.users.get(scope) else {
        return (Vec::new(), 0);
    };
    let mut items: Vec<Summary> = user.summaries.values().cloned().collect();
    items.sort_by_key(|summary| summary.pos);
    (items, user.pos)
}

pub(super) fn threads(state: &State, scope: &Scope, query: &ListQuery) -> ThreadPage {
    let (mut items, pos) = entries(state, scope);
    let wanted = TitleFilter::new(query.title.as_deref().unwrap_or_default());
    items.retain(|summary| {
        !summary.deleted
            && summary.archived == query.archived
            && query.below.is_none_or(|below| summary.pos < below)
            && wanted.finds(&summary.title)
    });
    items.reverse();
    let limit = query.limit as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    ThreadPage { next: items.last().filter(|_| more).map(|last| last.pos), threads: items, pos }
}

pub(super) fn find_threads(state: &State, tenant: &TenantId, prefix: &ThreadId, limit: u32) -> Vec<(UserId, ThreadId)> {
    let all = state
        .threads
        .iter()
        .filter(|((of, id), thread)| of == tenant && id.as_str().starts_with(prefix.as_str()) && !thread.hidden);
    all.take(limit as usize).map(|((_, id), thread)| (thread.owner.clone(), id.clone())).collect()
}

pub(super) fn survey(state: &State, after: Option<&str>, limit: u32) -> StoreResult<Surveyed> {
    // No id has a `/`.
    if after.is_some_and(|after| !after.contains('/')) {
        return Err(StoreError::Invalid("that is no place of a survey".into()));
    }
    let named = state.threads.iter().map(|((tenant, id), thread)| (format!("{tenant}/{id}"), tenant, thread));
    let mut named: Vec<_> = named.collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.retain(|(name, ..)| after.is_none_or(|after| name.as_str() > after));
    let more = named.len() > limit as usize;
    named.truncate(limit as usize);
    let next = named.last().filter(|_| more).map(|(name, ..)| name.clone());
    let shown = named.into_iter().filter(|(.., thread)| !thread.hidden);
    let threads = shown.map(|(_, tenant, thread)| SurveyedThread {
        scope: Scope { tenant: tenant.clone(), user: thread.owner.clone() },
        thread: thread.id.clone(),
        seq: thread.seq,
        updated_at: thread.updated_at,
        pinning: thread.metadata.clone().filter(|json| json.0.contains("\"pinned\"")),
    });
    Ok(Surveyed { threads: threads.collect(), next })
}

pub(super) fn summaries(state: &State, scope: &Scope, since: u64, limit: u32) -> SummaryPage {
    let (mut items, newest) = entries(state, scope);
    items.retain(|summary| summary.pos > since);
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let reached = items.last().filter(|_| more).map(|last| last.pos);
    SummaryPage { items, pos: reached.unwrap_or(newest), more }
}

pub(super) fn branches(state: &State, scope: &Scope, id: &ThreadId, skip: u64, limit: u32) -> StoreResult<Vec<Branch>> {
    let thread = state.visible(scope, id)?;
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let page = thread.branches.iter().skip(skip).take(limit as usize);
    Ok(page
        .map(|branch| Branch {
            id: branch.id.clone(),
            parent: branch.parent.clone(),
            fork_depth: branch.fork_depth,
            total: branch.line.len() as u64,
        })
        .collect())
}

/// A thread's rows in the order of their making: a branch before the messages made after it.
fn rows(thread: &ThreadState) -> Vec<ImportRow> {
    let mut rows = Vec::new();
    let mut branches = thread.branches.iter().peekable();
    for made in 0..=thread.messages.len() {
        while let Some(branch) = branches.next_if(|branch| branch.made <= made) {
            rows.push(ImportRow::Branch {
                id: branch.id.clone(),
                parent: branch.parent.clone(),
                fork_depth: branch.fork_depth,
            });
        }
        rows.extend(thread.messages.get(made).cloned().map(ImportRow::Message));
    }
    rows
}

pub(super) fn export(state: &State, scope: &Scope, id: &ThreadId, from: u64, bytes: usize) -> StoreResult<ExportPage> {
    let thread = state.visible(scope, id)?;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let all = rows(thread);
    let (mut page, mut used) = (Vec::new(), 0);
    let mut next = None;
    for (at, row) in all.into_iter().enumerate().skip(from) {
        used += match &row {
            ImportRow::Branch { .. } => ENVELOPE,
            ImportRow::Message(message) => message.bytes(),
        };
        if used > bytes && !page.is_empty() {
            next = Some(at as u64);
            break;
        }
        page.push(row);
    }
    Ok(ExportPage { thread: thread.shown(), rows: page, next })
}

pub(super) fn digest(state: &State) -> [u8; 32] {
    let mut digest = Digest::default();
    let mut scopes: Vec<Scope> = state.users.keys().cloned().collect();
    for ((tenant, _), thread) in &state.threads {
        scopes.push(Scope { tenant: tenant.clone(), user: thread.owner.clone() });
    }
    scopes.sort();
    scopes.dedup();
    for scope in scopes {
        digest_scope(state, &scope, &mut digest);
    }
    digest.finish()
}

fn digest_scope(state: &State, scope: &Scope, digest: &mut Digest) {
    let threads: Vec<&ThreadState> =
        state.tenant_threads(&scope.tenant).filter(|thread| thread.owner == scope.user && !thread.hidden).collect();
    let (summaries, _) = entries(state, scope);
    if threads.is_empty() && summaries.is_empty() {
        return;
    }
    digest.scope(scope);
    for thread in threads {
        digest.thread(&thread.shown(), thread.seq);
        rows(thread).iter().for_each(|row| digest.row(row));
        let mut runs: Vec<_> = thread.runs.iter().collect();
        runs.sort_by(|a, b| a.info.id.cmp(&b.info.id));
        runs.iter().for_each(|run| digest.run(&run.info));
    }
    summaries.iter().for_each(|summary| digest.summary(summary));
}
