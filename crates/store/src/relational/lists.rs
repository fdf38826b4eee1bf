//! The summary log: pages of it newest first, and what came after a place in it. And single things: a thread, a message,
//! its branches.

use threadmill_proto::{Message, MessageId, Scope, Summary, Thread, ThreadId, TitleFilter};

use super::codec::NONE;
use super::fail::damage;
use super::read::{Got, Reads};
use super::rows::{BranchRow, ThreadRow};
use crate::{Branch, ListQuery, Missing, StoreError, StoreResult, SummaryPage, Surveyed, SurveyedThread, ThreadPage};

/// Rows read at a time where they are filtered by their title.
const BATCH: usize = 500;

/// A page of the list, newest first.
///
/// # Errors
/// What the store says.
pub async fn threads<R: Reads>(rows: &R, scope: &Scope, query: &ListQuery) -> Got<R, ThreadPage> {
    let Some(who) = rows.principal(scope).await? else {
        return Ok(ThreadPage { threads: Vec::new(), next: None, pos: 0 });
    };
    let filter = TitleFilter::new(query.title.as_deref().unwrap_or_default());
    let wanted = query.limit as usize + 1;
    let batch = if filter.is_empty() { wanted } else { BATCH };
    let mut below = query.below.unwrap_or(u64::MAX);
    let mut threads: Vec<Summary> = Vec::new();
    // What a database's own lower() does depends on the database, so titles are compared here.
    loop {
        let page = rows.listed(who, below, query.archived, batch).await?;
        let last = page.last().map(|last| last.pos).filter(|_| page.len() == batch);
        threads.extend(page.into_iter().filter(|row| filter.finds(&row.title)));
        match last {
            Some(last) if threads.len() < wanted => below = last,
            _ => break,
        }
    }
    let more = threads.len() >= wanted;
    threads.truncate(query.limit as usize);
    let next = threads.last().filter(|_| more).map(|last| last.pos);
    Ok(ThreadPage { next, threads, pos: rows.newest(who).await? })
}

/// Entries after a place, oldest first.
///
/// # Errors
/// What the store says.
pub async fn summaries<R: Reads>(rows: &R, scope: &Scope, since: u64, limit: u32) -> Got<R, SummaryPage> {
    let Some(who) = rows.principal(scope).await? else {
        return Ok(SummaryPage { items: Vec::new(), pos: 0, more: false });
    };
    let mut items = rows.summaries_after(who, since, u64::from(limit) + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let pos = match items.last() {
        Some(last) if more => last.pos,
        _ => rows.newest(who).await?,
    };
    Ok(SummaryPage { items, pos, more })
}

/// A thread.
///
/// # Errors
/// If there is none for this scope, or what the store says.
pub async fn thread<R: Reads>(rows: &R, scope: &Scope, id: &ThreadId) -> Got<R, Thread> {
    shown(rows, &rows.visible(scope, id).await?).await
}

/// The thread as its owner reads it.
pub(super) async fn shown<R: Reads>(rows: &R, row: &ThreadRow) -> Got<R, Thread> {
    let branch = rows.branch_ids(row, &[row.default_branch]).await?.remove(&row.default_branch);
    Ok(row.shown(branch.ok_or_else(|| damage("a thread's default branch is not there"))?))
}

/// A whole message.
///
/// # Errors
/// If there is none for this scope, or what the store says.
pub async fn message<R: Reads>(rows: &R, scope: &Scope, thread: &ThreadId, id: &MessageId) -> Got<R, Message> {
    let thread = rows.visible(scope, thread).await?;
    let row = rows.messages_named(&thread, &[id]).await?.pop();
    Ok(row.ok_or(Missing::Message)?.shown())
}

/// Branches in the order of their making.
///
/// # Errors
/// If there is no such thread for this scope, or what the store says.
pub async fn branches<R: Reads>(
    rows: &R,
    scope: &Scope,
    thread: &ThreadId,
    skip: u64,
    limit: u32,
) -> Got<R, Vec<Branch>> {
    let thread = rows.visible(scope, thread).await?;
    let listed = branches_from(rows, &thread, skip, limit).await?;
    let branch =
        |(row, parent): (BranchRow, _)| Branch { id: row.id, parent, fork_depth: row.fork_depth, total: row.total };
    Ok(listed.into_iter().map(branch).collect())
}

/// Branches from a number on, each with its parent's id.
pub(super) async fn branches_from<R: Reads>(
    rows: &R,
    thread: &ThreadRow,
    from: u64,
    limit: u32,
) -> Got<R, Vec<(BranchRow, Option<threadmill_proto::BranchId>)>> {
    let Some(from) = i64::try_from(from).ok().filter(|from| *from < thread.branches) else {
        return Ok(Vec::new());
    };
    let listed = rows.branches(thread, from, limit).await?;
    let mut nums: Vec<i64> = listed.iter().map(|row| row.parent).filter(|parent| *parent != NONE).collect();
    nums.sort_unstable();
    nums.dedup();
    let ids = if nums.is_empty() { std::collections::HashMap::new() } else { rows.branch_ids(thread, &nums).await? };
    let with_parent = |row: BranchRow| match row.parent {
        NONE => Ok((row, None)),
        parent => match ids.get(&parent) {
            Some(id) => Ok((row, Some(id.clone()))),
            None => Err(damage("a branch's parent is not there").into()),
        },
    };
    listed.into_iter().map(with_parent).collect()
}

/// The number of the thread after which a page of all threads begins.
///
/// # Errors
/// `Invalid`: no store said that.
pub fn survey_place(after: Option<&str>) -> StoreResult<i64> {
    let place =
        after.map(|after| after.parse().map_err(|_| StoreError::Invalid("that is no place of a survey".into())));
    place.unwrap_or(Ok(i64::MIN))
}

/// A page of all threads, of rows in the order of their numbers; of each whether an import still hides it.
#[must_use]
pub fn surveyed(rows: Vec<(i64, bool, SurveyedThread)>, limit: u32) -> Surveyed {
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|(num, ..)| num.to_string());
    let shown = rows.into_iter().filter(|(_, hidden, _)| !hidden);
    Surveyed { threads: shown.map(|(.., thread)| thread).collect(), next }
}
