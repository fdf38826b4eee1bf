//! Lines of an answer: chunks of the AI SDK, one a line of JSON or one an event of its stream.

use std::borrow::Cow;

use serde_json::{Map, Value};
use threadmill_engine::{Line, MARK, too_deep};
use threadmill_proto::limits::MAX_DEPTH;
use threadmill_proto::{Chunk, ErrorCode, JsonText, Outcome, Problem, json as shape};

/// How lines come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// `application/x-ndjson`: a JSON object a line.
    Lines,
    /// `text/event-stream`: a JSON object an event, as the AI SDK's servers answer.
    Events,
}

/// Takes a body apart as it comes.
#[derive(Debug)]
pub(super) struct Splitter {
    framing: Framing,
    /// Bytes that may be held for a line that is not whole.
    most: usize,
    waiting: Vec<u8>,
    /// Of `waiting`, what was looked through for a line's end.
    looked: usize,
    /// The data of an event that is not whole.
    event: Vec<u8>,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, detail)
}

impl Splitter {
    pub(super) fn new(framing: Framing, most: usize) -> Self {
        Self { framing, most, waiting: Vec::new(), looked: 0, event: Vec::new() }
    }

    /// Takes a piece, and gives the lines that are whole with it. Those before one that is malformed are given with the
    /// refusal of that one.
    pub(super) fn take(&mut self, piece: &[u8]) -> (Vec<Line>, Option<Problem>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(piece);
        let (mut lines, mut begins) = (Vec::new(), 0);
        while let Some(end) = waiting[self.looked..].iter().position(|byte| *byte == b'\n') {
            let line = &waiting[begins..self.looked + end];
            self.looked += end + 1;
            begins = self.looked;
            if let Err(problem) = self.line(line.trim_ascii_end(), &mut lines) {
                self.looked = 0;
                return (lines, Some(problem));
            }
        }
        // What is whole is taken away at once: line by line would be quadratic.
        waiting.drain(..begins);
        self.looked = waiting.len();
        self.waiting = waiting;
        let held = self.waiting.len() + self.event.len();
        let too_long = (held > self.most).then(|| {
            let detail = format!("A line has more than {} bytes.", self.most);
            Problem::new(ErrorCode::BodyTooLarge, detail)
        });
        (lines, too_long)
    }

    /// The body is over: what is left is a line, too.
    pub(super) fn finish(&mut self) -> (Vec<Line>, Option<Problem>) {
        let (mut lines, problem) = self.take(b"\n");
        if problem.is_none()
            && let Err(problem) = self.line(b"", &mut lines)
        {
            return (lines, Some(problem));
        }
        (lines, problem)
    }

    fn line(&mut self, line: &[u8], lines: &mut Vec<Line>) -> Result<(), Problem> {
        let data = match self.framing {
            Framing::Lines => Cow::Borrowed(line),
            Framing::Events if line.is_empty() => Cow::Owned(std::mem::take(&mut self.event)),
            Framing::Events => {
                if let Some(data) = line.strip_prefix(b"data:") {
                    self.event.extend_from_slice(data.trim_ascii_start());
                }
                return Ok(());
            }
        };
        if !data.is_empty() && *data != *b"[DONE]" {
            let value = shape::level_from_slice(&data)
                .map_err(|error| Problem::new(ErrorCode::InvalidJson, format!("A line is not JSON: {error}.")))?;
            lines.push(said(value)?);
        }
        Ok(())
    }
}

/// The lines of a whole body: an object, or a list of them.
pub(super) fn all_of(body: &[u8], most: usize) -> Result<Vec<Line>, Problem> {
    let value = shape::level_from_slice(body)
        .map_err(|error| Problem::new(ErrorCode::InvalidJson, format!("The body is not JSON: {error}.")))?;
    if shape::is_object(&value) {
        return Ok(vec![said(value)?]);
    }
    let items = shape::list(value, "The body", most).map_err(|why| invalid(format!("{why}.")))?;
    items.into_iter().map(said).collect()
}

/// What a chunk of the SDK says here. How an answer begins is known already, and how it ends is no chunk.
fn said(value: Value) -> Result<Line, Problem> {
    let mut map = shape::object(value, "A line").map_err(|why| invalid(format!("{why}.")))?;
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(match kind.as_str() {
        "start" => metadata_of(&mut map)?.map_or(Line::Nothing, |metadata| Line::Chunk(Chunk::Metadata { metadata })),
        "finish" => Line::End { outcome: Outcome::Complete, error: None, metadata: ending_of(&mut map)? },
        "abort" => Line::End { outcome: Outcome::Stopped, error: None, metadata: None },
        "error" => {
            let error = map.get("errorText").and_then(Value::as_str).unwrap_or("The answer failed.");
            Line::End { outcome: Outcome::Failed, error: Some(error.chars().take(500).collect()), metadata: None }
        }
        "message-metadata" => {
            let metadata = metadata_of(&mut map)?.ok_or_else(|| invalid("`messageMetadata` must be an object."))?;
            Line::Chunk(Chunk::Metadata { metadata })
        }
        MARK => return Err(invalid(format!("`{MARK}` is a word of the server's own."))),
        _ => {
            let chunk = shape::chunk_from_value(Value::Object(map)).map_err(|why| invalid(format!("{why}.")))?;
            let depth = depth_of(&chunk);
            if depth > MAX_DEPTH {
                return Err(too_deep(ErrorCode::InvalidRequest, "A chunk", depth));
            }
            Line::Chunk(chunk)
        }
    })
}

fn depth_of(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::ToolInputAvailable { input: json, .. }
        | Chunk::ToolInputError { input: json, .. }
        | Chunk::ToolOutputAvailable { output: json, .. }
        | Chunk::Data { data: json, .. }
        | Chunk::Metadata { metadata: json }
        | Chunk::Other { json, .. } => json.depth(),
        Chunk::TextStart { .. }
        | Chunk::TextDelta { .. }
        | Chunk::TextEnd { .. }
        | Chunk::ReasoningStart { .. }
        | Chunk::ReasoningDelta { .. }
        | Chunk::ReasoningEnd { .. }
        | Chunk::ToolInputStart { .. }
        | Chunk::ToolInputDelta { .. }
        | Chunk::ToolOutputError { .. }
        | Chunk::SourceUrl { .. }
        | Chunk::File { .. }
        | Chunk::StartStep
        | Chunk::FinishStep => 0,
    }
}

fn metadata_of(map: &mut Map<String, Value>) -> Result<Option<JsonText>, Problem> {
    let value = map.shift_remove("messageMetadata").filter(shape::is_object);
    value.map(|value| shallow("`messageMetadata`", JsonText(value.to_string()))).transpose()
}

/// Metadata that goes no deeper than a message may.
fn shallow(what: &str, text: JsonText) -> Result<JsonText, Problem> {
    let depth = text.depth();
    if depth > MAX_DEPTH { Err(too_deep(ErrorCode::InvalidRequest, what, depth)) } else { Ok(text) }
}

/// What the message keeps of how its answer ended: metadata, the reason unless it simply stopped, and what was used.
fn ending_of(map: &mut Map<String, Value>) -> Result<Option<JsonText>, Problem> {
    let metadata = metadata_of(map)?.and_then(|text| shape::level_from_slice(text.0.as_bytes()).ok());
    let mut kept = metadata.and_then(|value| shape::object(value, "metadata").ok()).unwrap_or_default();
    if let Some(reason) = map.get("finishReason").and_then(Value::as_str).filter(|reason| *reason != "stop") {
        kept.insert("finishReason".into(), reason.into());
    }
    if let Some(usage) = map.shift_remove("usage").filter(shape::is_object) {
        kept.insert("usage".into(), usage);
    }
    let kept = (!kept.is_empty()).then(|| JsonText(Value::Object(kept).to_string()));
    kept.map(|text| shallow("`usage` with what holds it", text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(text: &str) -> Line {
        Line::Chunk(Chunk::TextDelta { id: "0".into(), delta: text.into() })
    }

    fn json(text: &str) -> String {
        format!(r#"{{"type":"text-delta","id":"0","delta":"{text}"}}"#)
    }

    /// Bytes come in pieces of any size, also within characters.
    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let body = format!("{}\n\n{}\r\n{}", json("é"), json("b"), json("c"));
        for size in 1..body.len() {
            let mut splitter = Splitter::new(Framing::Lines, 1 << 10);
            let mut lines: Vec<_> = body.as_bytes().chunks(size).flat_map(|piece| splitter.take(piece).0).collect();
            lines.extend(splitter.finish().0);
            assert_eq!(lines, [delta("é"), delta("b"), delta("c")], "in pieces of {size}");
        }
    }

    #[test]
    fn events_are_taken_with_what_surrounds_them() {
        let body =
            format!(": hello\nid: 7\ndata: {}\n\ndata:{}\r\n\r\nevent: x\n\ndata: [DONE]\n\n", json("a"), json("b"));
        for size in 1..body.len() {
            let mut splitter = Splitter::new(Framing::Events, 1 << 10);
            let mut lines: Vec<_> = body.as_bytes().chunks(size).flat_map(|piece| splitter.take(piece).0).collect();
            lines.extend(splitter.finish().0);
            assert_eq!(lines, [delta("a"), delta("b")], "in pieces of {size}");
        }
    }

    #[test]
    fn what_comes_before_a_malformed_line_is_taken() {
        let mut splitter = Splitter::new(Framing::Lines, 64);
        let (lines, problem) = splitter.take(format!("{}\n{{\n{}\n", json("a"), json("b")).as_bytes());
        assert_eq!((lines, problem.map(|problem| problem.code)), (vec![delta("a")], Some(ErrorCode::InvalidJson)));
        let mut splitter = Splitter::new(Framing::Lines, 64);
        assert_eq!(splitter.take(&[b' '; 65]).1.map(|problem| problem.code), Some(ErrorCode::BodyTooLarge));
    }

    /// Line by line this took minutes.
    #[test]
    fn many_lines_of_one_piece_cost_what_they_are_long() {
        let piece = "\n".repeat(1 << 20) + &json("a") + "\n";
        let began = std::time::Instant::now();
        assert_eq!(Splitter::new(Framing::Lines, 64).take(piece.as_bytes()), (vec![delta("a")], None));
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "it took {:?}", began.elapsed());
    }

    #[test]
    fn what_goes_too_deep_is_refused_wherever_it_is() {
        let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels) + "1", "}".repeat(levels));
        for (line, field) in
            [("start", "messageMetadata"), ("message-metadata", "messageMetadata"), ("finish", "usage")]
        {
            let of =
                |levels: usize| all_of(format!(r#"{{"type":"{line}","{field}":{}}}"#, nested(levels)).as_bytes(), 1);
            // What was used is kept one level down.
            let most = if field == "usage" { MAX_DEPTH - 1 } else { MAX_DEPTH };
            of(most).expect(line);
            let refused = of(most + 1).expect_err(line);
            assert_eq!(refused.code, ErrorCode::InvalidRequest);
            assert!(refused.detail.contains(field) && refused.detail.contains("101 levels"), "{}", refused.detail);
        }
        let metadata = format!(r#"{{"type":"finish","messageMetadata":{}}}"#, nested(MAX_DEPTH + 1));
        assert!(all_of(metadata.as_bytes(), 1).is_err(), "it was dropped without a word");
    }

    #[test]
    fn beginnings_and_ends_are_no_chunks() {
        let one = |text: &str| all_of(text.as_bytes(), 9).map(|mut lines| lines.pop());
        assert_eq!(one(r#"{"type":"start","messageId":"x"}"#), Ok(Some(Line::Nothing)));
        let finish =
            r#"{"type":"finish","finishReason":"length","usage":{"outputTokens":7},"messageMetadata":{"a":1e999}}"#;
        let kept = JsonText(r#"{"a":1e999,"finishReason":"length","usage":{"outputTokens":7}}"#.into());
        let end = |outcome, error, metadata| Ok(Some(Line::End { outcome, error, metadata }));
        assert_eq!(one(finish), end(Outcome::Complete, None, Some(kept)));
        assert_eq!(one(r#"[{"type":"abort"}]"#), end(Outcome::Stopped, None, None));
        assert_eq!(one(r#"{"type":"error","errorText":"no"}"#), end(Outcome::Failed, Some("no".into()), None));
        for bad in ["7", "[7]", "{}", r#"{"type":"threadmill-writer"}"#, r#"{"type":"text-delta","id":7}"#] {
            assert_eq!(one(bad).expect_err(bad).code, ErrorCode::InvalidRequest, "{bad}");
        }
    }
}
