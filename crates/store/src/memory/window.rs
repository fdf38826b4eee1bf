//! Windows on the model.

use threadmill_proto::{
    Anchor, Cursor, Fork, ForkOption, Message, MessageStatus, Millis, RunInfo, Scope, StreamOffset, Window,
};

use super::state::{State, ThreadState};
use crate::{Conflict, SCAN, StoreResult, WindowQuery, preview};

pub(super) fn window(state: &State, scope: &Scope, query: &WindowQuery) -> StoreResult<Window> {
    let thread = state.visible(scope, &query.thread)?;
    let (line, anchor) = locate(thread, query)?;
    let slots: Vec<&Message> = thread.branches[line].line.iter().filter_map(|id| thread.message(id).ok()).collect();
    let (from, to) = extent(&slots, anchor, query);
    let shown = &slots[from..to];
    let is_shown = |message: &Message| is_live(message) || fork(thread, message).is_some();
    let messages: Vec<Message> =
        shown.iter().filter(|message| is_shown(message)).map(|message| cut(message, query)).collect();
    let runs: Vec<RunInfo> = messages.iter().filter_map(|message| writing(thread, message)).collect();
    Ok(Window {
        thread: thread.id.clone(),
        branch: thread.branches[line].id.clone(),
        cursor: Cursor { position: thread.position(), runs: runs.iter().map(offset).collect() },
        total: slots.len() as u64,
        from: from as u64,
        to: to as u64,
        messages,
        runs,
        forks: shown.iter().filter_map(|message| fork(thread, message)).collect(),
        lineage: thread.branches[line].lineage.clone(),
    })
}

fn is_live(message: &Message) -> bool {
    message.status != MessageStatus::Removed
}

fn cut(message: &Message, query: &WindowQuery) -> Message {
    let mut message = message.clone();
    preview(&mut message, query.limits.preview);
    message
}

fn offset(run: &RunInfo) -> StreamOffset {
    StreamOffset { run: run.id.clone(), offset: run.offset }
}

/// The run that writes a message, with its offset at the last checkpoint.
fn writing(thread: &ThreadState, message: &Message) -> Option<RunInfo> {
    let run = thread.unended().find(|run| run.info.message == message.id)?;
    Some(RunInfo { offset: run.folded, ..run.info.clone() })
}

fn locate(thread: &ThreadState, query: &WindowQuery) -> StoreResult<(usize, usize)> {
    let mut line = thread.named_or_default(query.branch.as_ref())?;
    let total = thread.branches[line].line.len();
    let depth = match &query.anchor {
        Anchor::Tip => total,
        Anchor::Depth(depth) => usize::try_from(*depth).map_or(total, |depth| depth.min(total)),
        Anchor::Time(at) => first_since(thread, line, *at)?,
        Anchor::Message(id) => {
            let message = thread.message(id)?;
            if !thread.is_on(line, message) {
                if query.branch.is_some() {
                    return Err(Conflict::NotOnBranch.into());
                }
                line = thread.find_branch(&message.branch)?;
            }
            usize::try_from(message.depth).unwrap_or(total)
        }
    };
    Ok((line, depth))
}

/// By bisection, like every backend: so that times that do not grow along a line give the same answer everywhere.
fn first_since(thread: &ThreadState, line: usize, at: Millis) -> StoreResult<usize> {
    let line = &thread.branches[line].line;
    let (mut low, mut high) = (0, line.len());
    while low < high {
        let middle = low.midpoint(high);
        if thread.message(&line[middle])?.created_at < at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Which slots a page covers: first up from the anchor, with half of the bytes if there is something to show below
/// it too, then down with what is left.
fn extent(slots: &[&Message], anchor: usize, query: &WindowQuery) -> (usize, usize) {
    let share = if query.before == 0 { 1 } else { 2 };
    let mut used = 0;
    let up = slots[anchor..].iter();
    let above = cover(up, query, query.after, query.limits.bytes / share, &mut used);
    let down = slots[..anchor].iter().rev();
    let below = cover(down, query, query.before, query.limits.bytes, &mut used);
    (anchor - below, anchor + above)
}

/// How many of these slots the page takes.
fn cover<'s>(
    slots: impl Iterator<Item = &'s &'s Message>,
    query: &WindowQuery,
    count: u32,
    budget: usize,
    used: &mut usize,
) -> usize {
    let reach = usize::try_from(SCAN * u64::from(count)).unwrap_or(usize::MAX);
    let (mut covered, mut live) = (0, 0);
    for slot in slots.take(reach) {
        if live == count {
            break;
        }
        if is_live(slot) {
            let bytes = cut(slot, query).bytes();
            if *used > 0 && *used + bytes > budget {
                break;
            }
            *used += bytes;
            live += 1;
        }
        covered += 1;
    }
    covered
}

fn fork(thread: &ThreadState, message: &Message) -> Option<Fork> {
    let siblings = thread.siblings(message);
    if siblings.len() < 2 {
        return None;
    }
    let index = siblings.iter().position(|other| other.id == message.id)?;
    let option = |at: usize| {
        siblings.get(at).map(|other| ForkOption { branch: other.branch.clone(), message: other.id.clone() })
    };
    Some(Fork {
        depth: message.depth,
        message: message.id.clone(),
        index: index as u64,
        total: siblings.len() as u64,
        previous: index.checked_sub(1).and_then(option),
        next: option(index + 1),
    })
}
