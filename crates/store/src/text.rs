//! What every backend derives from a body in the same way: titles, snippets, previews.

use threadmill_proto::message::Body;
use threadmill_proto::{JsonText, Message, Part, Preview};

/// A branch whose lineage would have more segments than this copies slots instead.
pub const MAX_SEGMENTS: usize = 64;

/// How many of the oldest segments such a branch keeps; the slots after them become its own. The oldest are the
/// long ones where people edit near the tip, so that the copy stays small.
pub const KEPT_SEGMENTS: usize = 32;

/// How many slots back from the default branch's tip a summary looks for a message with text.
pub const SNIPPET_REACH: u64 = 64;

/// How many slots a page may look at for each message it was asked for: bounds what a row of tombstones costs.
pub const SCAN: u64 = 4;

const TITLE_CHARS: usize = 80;
const SNIPPET_CHARS: usize = 160;

fn one_line(body: &Body, chars: usize) -> String {
    let text = body.parts.iter().find_map(|part| match part {
        Part::Text { text, .. } if !text.trim().is_empty() => Some(text.as_str()),
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

/// Cuts parts longer than `limit` bytes and marks them. JSON is left out rather than cut.
pub fn preview(message: &mut Message, limit: usize) {
    for (index, part) in message.parts.iter_mut().enumerate() {
        let bytes = part.bytes();
        if bytes <= limit {
            continue;
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
        let part = u32::try_from(index).unwrap_or(u32::MAX);
        message.previews.push(Preview { part, bytes: bytes as u64 });
    }
}
