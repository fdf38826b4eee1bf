//! What every backend derives from a body in the same way: titles, snippets, previews.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, JsonText, Message, Part, Preview, is_blank};

/// A branch whose lineage would have more segments than this copies slots instead.
pub const MAX_SEGMENTS: usize = 64;

/// How many of the oldest segments such a branch keeps; the slots after them become its own. The oldest are the
/// long ones where people edit near the tip, so that the copy stays small.
pub const KEPT_SEGMENTS: usize = 32;

/// How many slots back from the default branch's tip a summary looks for a message with text.
pub const SNIPPET_REACH: u64 = 64;

/// How many slots from the beginning of the default branch are looked at for the question that a title is made of.
pub const TITLE_REACH: u64 = 16;

/// How many slots a page may look at for each message it was asked for: bounds what a row of tombstones costs.
pub const SCAN: u64 = 4;

/// What an import is told whose branch names a parent that no row before it made: another thread's, its own or none.
#[must_use]
pub fn unknown_parent(branch: &BranchId, parent: &BranchId) -> String {
    format!("branch {branch} names the parent {parent}, which no row before it made")
}

const TITLE_CHARS: usize = 80;
const SNIPPET_CHARS: usize = 160;

fn one_line(body: &Body, chars: usize) -> String {
    let text = body.parts.iter().find_map(|part| match part {
        Part::Text { text, .. } if !is_blank(text) => Some(text.as_str()),
        _ => None,
    });
    let words = text.unwrap_or_default().split_whitespace();
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.chars().count() > chars {
            let cut: String = line.chars().take(chars - 1).collect();
            return cut + "…";
        }
    }
    line
}

/// The title a thread gets from its first user message: its first 80 characters on one line.
#[must_use]
pub fn title_of(body: &Body) -> String {
    one_line(body, TITLE_CHARS)
}

/// What a list shows of the last message: its first 160 characters on one line.
#[must_use]
pub fn snippet_of(body: &Body) -> String {
    one_line(body, SNIPPET_CHARS)
}

fn cut(text: &mut String, limit: usize) {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn drop_json(json: &mut Option<JsonText>, limit: usize) {
    if json.as_ref().is_some_and(|j| j.0.len() > limit) {
        *json = None;
    }
}

/// A message in a window has at most this many times a part's limit, whatever it is made of.
const MESSAGE_PREVIEWS: usize = 12;
/// What a part costs beside its texts: its names, brackets and ids.
const PART_COST: usize = 96;

/// Cuts parts longer than `limit` bytes and marks them. JSON is left out rather than cut.
///
/// Of a message that is still too long, because it has very many parts, the first are kept; metadata that is longer than
/// a part may be is left out. What is missing is then marked on the last part kept.
pub fn preview(message: &mut Message, limit: usize) {
    let whole = message.bytes();
    for (index, part) in message.parts.iter_mut().enumerate() {
        let bytes = part.bytes();
        if cut_part(part, limit) {
            let part = u32::try_from(index).unwrap_or(u32::MAX);
            message.previews.push(Preview { part, bytes: bytes as u64 });
        }
    }
    let mut left = limit.saturating_mul(MESSAGE_PREVIEWS);
    let fits = |part: &&Part| {
        let cost = part.bytes().saturating_add(PART_COST);
        let fits = cost <= left;
        left = left.saturating_sub(cost);
        fits
    };
    let kept = message.parts.iter().take_while(fits).count().max(1);
    let metadata = message.metadata.as_ref().map_or(0, |metadata| metadata.0.len());
    if kept < message.parts.len() || metadata > limit {
        message.parts.truncate(kept);
        drop_json(&mut message.metadata, limit);
        let last = u32::try_from(kept - 1).unwrap_or(u32::MAX);
        message.previews.retain(|preview| preview.part < last);
        if !message.parts.is_empty() {
            message.previews.push(Preview { part: last, bytes: whole as u64 });
        }
    }
}

/// Cuts a part if it is longer than that.
fn cut_part(part: &mut Part, limit: usize) -> bool {
    if part.bytes() <= limit {
        return false;
    }
    match part {
        Part::Text { text, extra } | Part::Reasoning { text, extra } => {
            cut(text, limit);
            drop_json(extra, limit);
        }
        Part::Tool(tool) => {
            drop_json(&mut tool.input, limit);
            drop_json(&mut tool.output, limit);
            drop_json(&mut tool.extra, limit);
        }
        Part::File { url, .. } => url.clear(),
        Part::SourceUrl { url, .. } => url.clear(),
        Part::Data { data, .. } => data.0 = "null".into(),
        Part::Other { json, .. } => json.0 = "{}".into(),
        Part::StepStart => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{MessageId, MessageStatus, Role};

    use super::*;

    fn message(parts: Vec<Part>, metadata: Option<usize>) -> Message {
        let metadata = metadata.map(|bytes| JsonText(format!("{{\"a\":\"{}\"}}", "x".repeat(bytes))));
        let (id, branch) = (MessageId::parse("m").expect("an id"), BranchId::parse("b").expect("an id"));
        let (role, status) = (Role::Assistant, MessageStatus::Complete);
        Message { id, role, parts, metadata, status, branch, depth: 0, rev: 1, created_at: 0, previews: Vec::new() }
    }

    #[test]
    fn a_message_in_a_window_is_bounded_whatever_it_is_made_of() {
        const LIMIT: usize = 16 << 10;
        let check = |mut message: Message| {
            preview(&mut message, LIMIT);
            assert!(message.bytes() <= LIMIT * 13, "{} bytes in {} parts", message.bytes(), message.parts.len());
            assert!(message.parts.len() < 2100, "{} parts", message.parts.len());
            assert!(message.previews.iter().all(|preview| (preview.part as usize) < message.parts.len()));
            assert!(!message.previews.is_empty(), "what is missing is marked");
        };
        check(message(vec![Part::text("a"); 60_000], None));
        check(message(vec![Part::StepStart; 60_000], None));
        check(message(vec![Part::text("x".repeat(LIMIT)); 256], None));
        check(message(vec![Part::text("a")], Some(600 << 10)));
    }

    #[test]
    fn a_message_that_fits_comes_whole() {
        let whole = message(vec![Part::text("x".repeat(1000)); 100], Some(1000));
        let mut shown = whole.clone();
        preview(&mut shown, 16 << 10);
        assert_eq!(shown, whole);
        let mut shown = message(vec![Part::text("x".repeat(100_000)); 100], Some(100_000));
        preview(&mut shown, usize::MAX);
        assert!(shown.previews.is_empty(), "no limit cuts nothing");
    }
}
