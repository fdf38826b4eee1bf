//! Limits on what a client may write, checked before anything is stored.

use threadmill_proto::limits::MAX_DEPTH;
use threadmill_proto::message::Body;
use threadmill_proto::{ErrorCode, Limits, Part, Problem};

/// Refuses a body without parts, with too many, too large, or whose JSON is nested too deep.
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
    let deep = body.parts.iter().map(Part::depth).enumerate().find(|(_, depth)| *depth > MAX_DEPTH);
    if let Some((index, depth)) = deep {
        return Err(too_deep(ErrorCode::InvalidParts, &format!("parts[{index}]"), depth));
    }
    Ok(())
}

/// The refusal of JSON that is nested deeper than may be stored.
#[must_use]
pub fn too_deep(code: ErrorCode, what: &str, depth: usize) -> Problem {
    let detail = format!("{what} is nested {depth} levels deep; the limit is {MAX_DEPTH}.");
    let hint = Some("Nest less, or put the deep part into a string.".into());
    Problem { hint, ..Problem::new(code, detail) }
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
