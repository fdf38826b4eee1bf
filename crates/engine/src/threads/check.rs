//! Limits on what a client may write, checked before anything is stored.

use threadmill_proto::message::Body;
use threadmill_proto::{ErrorCode, Limits, Part, Problem};

/// Refuses a body without parts, with too many, or too large.
///
/// # Errors
/// Says which limit and by how much.
pub fn check_body(body: &Body, limits: &Limits) -> Result<(), Problem> {
    if body.parts.is_empty() || body.parts.len() > limits.parts {
        let detail = format!("The message has {} parts.", body.parts.len());
        return Err(Problem::new(ErrorCode::InvalidParts, detail));
    }
    let metadata = body.metadata.as_ref().map_or(0, |m| m.0.len());
    let bytes = metadata + body.parts.iter().map(Part::bytes).sum::<usize>();
    if bytes > limits.message_bytes {
        let detail = format!("The message has {bytes} bytes; the limit is {}.", limits.message_bytes);
        return Err(Problem::new(ErrorCode::MessageTooLarge, detail));
    }
    Ok(())
}

/// Refuses a title that is too long.
///
/// # Errors
/// Says by how much.
pub fn check_title(title: &str, limits: &Limits) -> Result<(), Problem> {
    if title.len() > limits.title_bytes {
        let detail = format!("The title has {} bytes; the limit is {}.", title.len(), limits.title_bytes);
        return Err(Problem::new(ErrorCode::TitleTooLong, detail));
    }
    Ok(())
}
