//! What of an answer fits into a message: the limits of a message hold for what a run writes, too.

use std::collections::HashMap;

use threadmill_core::fold::{Fold, is_part};
use threadmill_proto::limits::METADATA_BYTES;
use threadmill_proto::message::Body;
use threadmill_proto::{Chunk, Limits, Part};

use crate::providers::{Failure, ProviderError};

/// Kept free for what is said at the end: how the answer ended, and why.
const ENDING_BYTES: usize = METADATA_BYTES / 2;

/// How much of a message's limits an answer has used.
#[derive(Debug)]
pub(crate) struct Allowance {
    limits: Limits,
    bytes: usize,
    parts: usize,
    metadata: Fold,
    /// Text and reasoning that is open, and bytes of each tool call's input.
    open: HashMap<String, usize>,
}

/// A chunk that does not fit: what of it does, and what is wrong.
#[derive(Debug)]
pub(crate) struct Exceeded {
    pub(crate) fits: Option<Chunk>,
    pub(crate) why: ProviderError,
}

impl Allowance {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, bytes: 0, parts: 0, metadata: Fold::new(), open: HashMap::new() }
    }

    /// What is left of an answer that is taken up again. A part that is open counts once more when it goes on.
    pub(crate) fn of(limits: Limits, body: &Body) -> Self {
        let mut allowance = Self::new(limits);
        allowance.bytes = body.parts.iter().map(Part::bytes).sum();
        allowance.parts = body.parts.len();
        for part in &body.parts {
            if let Part::Tool(tool) = part {
                allowance.open.insert(format!("c{}", tool.call_id), 0);
            }
        }
        if let Some(metadata) = &body.metadata {
            allowance.metadata.apply(&Chunk::Metadata { metadata: metadata.clone() });
        }
        allowance
    }

    /// Takes a chunk if the message has room for it.
    pub(crate) fn take(&mut self, chunk: Chunk) -> Result<Chunk, Box<Exceeded>> {
        if let Chunk::Metadata { .. } = &chunk {
            self.metadata.apply(&chunk);
            let bytes = self.metadata.body().metadata.map_or(0, |text| text.0.len());
            let room = METADATA_BYTES - ENDING_BYTES;
            return if bytes > room { Err(exceeded(None, &format!("{room} bytes of metadata"))) } else { Ok(chunk) };
        }
        self.parts += self.opens(&chunk);
        if self.parts > self.limits.parts {
            return Err(exceeded(None, &format!("{} parts", self.limits.parts)));
        }
        let room = self.limits.message_bytes.saturating_sub(METADATA_BYTES);
        let (freed, bytes) = self.cost(&chunk);
        self.bytes -= freed.min(self.bytes);
        if self.bytes + bytes > room {
            let fits = cut(chunk, room.saturating_sub(self.bytes));
            return Err(exceeded(fits, &format!("{} bytes", self.limits.message_bytes)));
        }
        self.bytes += bytes;
        Ok(chunk)
    }

    /// Parts that the chunk begins.
    fn opens(&mut self, chunk: &Chunk) -> usize {
        let mut enter = |kind: &str, id: &str, again: bool| {
            let key = format!("{kind}{id}");
            let known = self.open.contains_key(&key);
            self.open.entry(key).or_default();
            usize::from(!known || again)
        };
        match chunk {
            Chunk::TextStart { id } => enter("t", id, true),
            Chunk::TextDelta { id, .. } => enter("t", id, false),
            Chunk::ReasoningStart { id } => enter("r", id, true),
            Chunk::ReasoningDelta { id, .. } => enter("r", id, false),
            Chunk::ToolInputStart { call_id, .. }
            | Chunk::ToolInputAvailable { call_id, .. }
            | Chunk::ToolInputError { call_id, .. } => enter("c", call_id, false),
            Chunk::TextEnd { id } => {
                self.open.remove(&format!("t{id}"));
                0
            }
            Chunk::ReasoningEnd { id } => {
                self.open.remove(&format!("r{id}"));
                0
            }
            Chunk::SourceUrl { .. } | Chunk::File { .. } | Chunk::Data { .. } | Chunk::StartStep => 1,
            Chunk::Other { kind, .. } => usize::from(is_part(kind)),
            Chunk::ToolInputDelta { .. }
            | Chunk::ToolOutputAvailable { .. }
            | Chunk::ToolOutputError { .. }
            | Chunk::Metadata { .. }
            | Chunk::FinishStep => 0,
        }
    }

    /// Bytes that the chunk gives back, and those that it takes. Input is kept as text while it streams, quoted, and
    /// once more when it is whole.
    fn cost(&mut self, chunk: &Chunk) -> (usize, usize) {
        match chunk {
            Chunk::ToolInputDelta { call_id, delta } => {
                let bytes = quoted(delta);
                *self.open.entry(format!("c{call_id}")).or_default() += bytes;
                (0, bytes)
            }
            Chunk::ToolInputAvailable { call_id, .. } | Chunk::ToolInputError { call_id, .. } => {
                (self.open.insert(format!("c{call_id}"), 0).unwrap_or_default(), chunk.bytes())
            }
            _ => (0, chunk.bytes()),
        }
    }
}

/// Bytes of a text within quotes.
fn quoted(text: &str) -> usize {
    let cost = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(cost).sum()
}

/// As much of a delta as has room.
fn cut(chunk: Chunk, room: usize) -> Option<Chunk> {
    let shorter = |id: &str, mut delta: String| {
        let mut end = room.saturating_sub(id.len()).min(delta.len());
        while !delta.is_char_boundary(end) {
            end -= 1;
        }
        delta.truncate(end);
        (end > 0).then_some(delta)
    };
    match chunk {
        Chunk::TextDelta { id, delta } => shorter(&id, delta).map(|delta| Chunk::TextDelta { id, delta }),
        Chunk::ReasoningDelta { id, delta } => shorter(&id, delta).map(|delta| Chunk::ReasoningDelta { id, delta }),
        _ => None,
    }
}

fn exceeded(fits: Option<Chunk>, limit: &str) -> Box<Exceeded> {
    let why = format!("The answer reached the limit of {limit} for a message.");
    Box::new(Exceeded { fits, why: ProviderError::new(Failure::AnswerTooLong, why) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use threadmill_proto::JsonText;

    fn limits(message_bytes: usize, parts: usize) -> Limits {
        Limits { message_bytes: message_bytes + METADATA_BYTES, parts, ..Limits::DEFAULT }
    }

    fn text(id: &str, delta: &str) -> Chunk {
        Chunk::TextDelta { id: id.into(), delta: delta.into() }
    }

    #[test]
    fn text_is_kept_up_to_the_limit() {
        let mut allowance = Allowance::new(limits(10, 9));
        assert!(allowance.take(text("0", "12345")).is_ok());
        let over = allowance.take(text("0", "12é45")).expect_err("it is too long");
        assert_eq!((over.fits, over.why.code), (Some(text("0", "12")), Failure::AnswerTooLong));
    }

    #[test]
    fn parts_are_counted_however_they_begin() {
        let mut allowance = Allowance::new(limits(1000, 3));
        let s = String::from;
        for chunk in [
            Chunk::TextStart { id: s("0") },
            text("0", "a"),
            Chunk::TextEnd { id: s("0") },
            Chunk::ReasoningDelta { id: s("0"), delta: s("a") },
            Chunk::ToolInputStart { call_id: s("c"), name: s("t"), dynamic: true },
            Chunk::ToolInputAvailable { call_id: s("c"), name: s("t"), input: JsonText(s("{}")), dynamic: true },
        ] {
            allowance.take(chunk).expect("three parts fit");
        }
        assert!(allowance.take(text("0", "a")).is_err(), "an ended part does not go on");
    }

    #[test]
    fn metadata_and_input_have_room_and_no_more() {
        let mut allowance = Allowance::new(limits(60, 3));
        let usage = |size: usize| Chunk::Metadata { metadata: JsonText(format!("{{\"u\":\"{}\"}}", "x".repeat(size))) };
        for _ in 0..20 {
            allowance.take(usage(4000)).expect("it replaces the one before");
        }
        assert!(allowance.take(usage(METADATA_BYTES)).is_err());
        let piece = || Chunk::ToolInputDelta { call_id: "c".into(), delta: "\"\"\"\"\"\"\"\"\"\"".into() };
        allowance.take(piece()).expect("twenty bytes");
        allowance.take(piece()).expect("forty bytes");
        let input = JsonText("0".repeat(30));
        let whole = Chunk::ToolInputAvailable { call_id: "c".into(), name: "t".into(), input, dynamic: true };
        allowance.take(whole).expect("it takes the place of its pieces");
    }
}
