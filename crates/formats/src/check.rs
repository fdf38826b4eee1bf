//! What a thread and its rows may be like that are brought in.

use threadmill_proto::limits::{IMPORT, IMPORT_DEPTH};
use threadmill_proto::{JsonText, MessageStatus, Part, Role};
use threadmill_store::{ImportRow, ImportThread};

/// Refuses the head of a thread whose metadata is none or is larger than a whole message. What has the limit of a request
/// may have been brought in by an earlier release, which looked at it only where it came over HTTP.
///
/// # Errors
/// Says what is wrong with it, or which limit and by how much.
pub fn check_head(thread: &ImportThread) -> Result<(), String> {
    let Some(metadata) = &thread.metadata else { return Ok(()) };
    if !metadata.0.trim_start().starts_with('{') {
        return Err("the thread's metadata is not an object".into());
    }
    let bytes = metadata.0.len();
    if bytes > IMPORT.message_bytes {
        return Err(format!("the thread's metadata has {bytes} bytes; the limit is {}", IMPORT.message_bytes));
    }
    check_depth("the thread's metadata", metadata.depth())
}

fn check_depth(what: &str, depth: usize) -> Result<(), String> {
    if depth > IMPORT_DEPTH {
        return Err(format!("{what} is nested {depth} levels deep; the limit is {IMPORT_DEPTH}"));
    }
    Ok(())
}

/// Refuses a message that no release can have stored. Ordinary limits do not hold here: what was exported can be read,
/// and runs of earlier releases wrote more than a request may bring.
///
/// # Errors
/// Says which message, which limit and by how much.
pub fn check(row: &ImportRow) -> Result<(), String> {
    let ImportRow::Message(message) = row else { return Ok(()) };
    if message.status == MessageStatus::Removed {
        return Ok(());
    }
    let (id, parts) = (&message.id, message.parts.len());
    // An answer may have ended before its first word; nobody writes a message without one.
    if parts == 0 && message.role != Role::Assistant {
        return Err(format!("message {id} has no parts"));
    }
    if parts > IMPORT.parts {
        return Err(format!("message {id} has {parts} parts; the limit is {}", IMPORT.parts));
    }
    let metadata = message.metadata.as_ref().map_or(0, |metadata| metadata.0.len());
    let bytes = metadata + message.parts.iter().map(Part::bytes).sum::<usize>();
    if bytes > IMPORT.message_bytes {
        return Err(format!("message {id} has {bytes} bytes; the limit is {}", IMPORT.message_bytes));
    }
    let depth = message.metadata.as_ref().map_or(0, JsonText::depth);
    let depth = message.parts.iter().map(Part::depth).fold(depth, usize::max);
    check_depth(&format!("message {id}"), depth)
}
