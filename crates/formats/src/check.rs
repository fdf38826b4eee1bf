//! What a row may be like that is brought in.

use threadmill_proto::limits::IMPORT;
use threadmill_proto::{MessageStatus, Part, Role};
use threadmill_store::ImportRow;

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
    Ok(())
}
