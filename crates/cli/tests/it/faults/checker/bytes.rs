//! The bytes that were shown against those that were written: none of before an acknowledged edit or deletion, none that
//! nobody wrote.

use super::super::history::{Act, Body, End, Micros, Record, Said, Shown};
use super::{Done, Facts, Verdict, Violation, found};

pub(super) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let mut all = Vec::new();
    for call in &facts.calls {
        if let End::Shown(shown) = &call.end {
            window(facts, &call.thread, call.from, shown, &format!("a window of node {}", call.node), &mut all);
        }
    }
    for frame in &facts.frames {
        let place = format!("watcher {} at node {}", frame.watcher, frame.node);
        match &frame.said {
            Said::Window(shown) => window(facts, &frame.thread, frame.asked, shown, &place, &mut all),
            Said::Change { body: Some(body), .. } => {
                shown_body(facts, &frame.thread, frame.asked, body, &place, &mut all);
            }
            Said::Change { body: None, .. }
            | Said::Resumed
            | Said::Reset { .. }
            | Said::Advance { .. }
            | Said::Chunks { .. }
            | Said::Left => {}
        }
    }
    all
}

/// A window that was asked for at a time.
fn window(facts: &Facts<'_>, thread: &str, asked: Micros, shown: &Shown, place: &str, all: &mut Vec<Violation>) {
    let before = facts.done.get(thread).into_iter().flatten().filter(|done| done.to < asked);
    if let Some(newest) = before.map(|done| done.seq).max().filter(|seq| *seq > shown.seq) {
        let detail = format!("{place}, {thread}: it is of {}, and {newest} was acknowledged before", shown.seq);
        all.push(found(Verdict::Stale, detail));
    }
    for body in &shown.bodies {
        shown_body(facts, thread, asked, body, place, all);
    }
}

fn shown_body(facts: &Facts<'_>, thread: &str, asked: Micros, body: &Body, place: &str, all: &mut Vec<Violation>) {
    let Body { message, rev, text, .. } = body;
    let Some(seq) = facts.revisions.get(&(thread, message.as_str(), *rev)).copied() else {
        all.push(found(Verdict::Foreign, format!("{place}, {thread}: {message} never came to revision {rev}")));
        return;
    };
    let later = facts.done.get(thread).into_iter().flatten();
    let later = later.filter(|done| done.to < asked && done.seq > seq && changes(done, message));
    let verdicts =
        later.map(|done| if matches!(done.act, Act::Remove { .. }) { Verdict::Deleted } else { Verdict::Stale });
    if let Some(verdict) = verdicts.max() {
        let detail = format!("{place}, {thread}: {message} of revision {rev}, change {seq}, at {asked}: {text}");
        all.push(found(verdict, detail));
    }
    if body.removed && !text.is_empty() {
        all.push(found(Verdict::Deleted, format!("{place}, {thread}: {message} is removed and says {text}")));
    }
    if !is_of(facts, thread, body, seq) {
        all.push(found(Verdict::Foreign, format!("{place}, {thread}: {message} of revision {rev} says {text}")));
    }
}

/// Whether a write changed a message that was there.
fn changes(done: &Done<'_>, id: &str) -> bool {
    match done.act {
        Act::Edit { message, .. } => message == id && !matches!(done.end, End::Forked { .. }),
        Act::Remove { message } => message == id,
        Act::Append { .. } | Act::Ask { .. } | Act::Stop { .. } | Act::Read => false,
    }
}

/// Whether somebody wrote these bytes at this change.
fn is_of(facts: &Facts<'_>, thread: &str, body: &Body, seq: u64) -> bool {
    let Some(logged) = facts.logged_at(thread, seq) else { return false };
    let calls = facts.about.get(&(thread, body.message.as_str())).map_or(&[][..], Vec::as_slice);
    match &logged.record {
        Record::Appended { message: id, .. } => calls.iter().any(|call| match &call.act {
            Act::Append { message, text } | Act::Ask { message, text, .. } => message == id && *text == body.text,
            Act::Edit { fork, text, .. } => fork == id && *text == body.text,
            Act::Remove { .. } | Act::Stop { .. } | Act::Read => false,
        }),
        Record::Edited { message: id, .. } => {
            // Its own acknowledgement says which edit it was; otherwise it is one whose end is not known.
            let named = |end: &End| matches!(end, End::Acknowledged { seq: of } if *of == seq);
            let open = |end: &End| matches!(end, End::Unknown { .. });
            let edits: Vec<_> =
                calls.iter().filter(|call| matches!(&call.act, Act::Edit { message, .. } if message == id)).collect();
            let acknowledged = edits.iter().any(|call| named(&call.end));
            edits.iter().any(|call| {
                let Act::Edit { text, .. } = &call.act else { return false };
                *text == body.text && if acknowledged { named(&call.end) } else { open(&call.end) }
            })
        }
        Record::Removed { .. } => body.text.is_empty(),
        // What a run says is compared as a whole.
        Record::Started { .. } | Record::Ended { .. } | Record::Stopping { .. } | Record::Other => true,
    }
}
