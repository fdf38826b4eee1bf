//! Frames of a chat completion into chunks: lenient in form, strict in meaning.
//!
//! Endpoints differ, and whatever form an answer has is taken: deltas or whole messages, text or lists of parts, odd
//! finish reasons, no finish reason, no `[DONE]`, vendors' own fields. But nothing that belongs to the answer is dropped
//! unsaid. What is left out on purpose (a second choice, a part that has no place in a message) is named in the
//! message's `warnings`; a frame that cannot be read makes the run fail at its end, with what could be read kept; and
//! how the answer ended is in the message if it did not simply stop.

use serde_json::{Map, Value, json};
use threadmill_proto::{Chunk, JsonText, Limits};

use super::super::failure::{Failure, ProviderError, classify};
use super::super::words::{Secrets, prefix};
use super::forms::{
    all_words, error_of, is_bookkeeping, is_keep_alive, is_line, is_said, message_of, parse, status_of, unified,
};
use super::surrogates::{Joiner, whole};
use super::tools::Tools;

/// More is no answer; what counts exactly is the limit of a message, where the chunks go.
const ANSWER_BYTES: usize = 2 * Limits::DEFAULT.message_bytes;
/// A larger account of tokens is left out.
const USAGE_BYTES: usize = 4 << 10;
/// Kept of warnings, each once.
const WARNINGS: usize = 8;
/// Kept of a word that an endpoint made up.
const WORD_BYTES: usize = 64;

/// What is open in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parser {
    secrets: Secrets,
    open: Open,
    parts: u32,
    prose: Joiner,
    tools: Tools,
    /// The choice that is followed: the first that came.
    choice: Option<u64>,
    reason: Option<String>,
    refused: bool,
    usage: Option<String>,
    /// The usage that the message has.
    told: Option<String>,
    warnings: Vec<String>,
    bytes: usize,
    /// Frames that came, and those that could not be read.
    frames: u64,
    unread: u64,
    /// A finish reason or `[DONE]` came.
    pub(super) finished: bool,
    /// `[DONE]` came.
    pub(super) done: bool,
}

impl Parser {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self { secrets, ..Self::default() }
    }

    /// One frame. An error ends the answer; what came before it is in `out` all the same.
    pub(super) fn frame(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        let data = data.trim();
        if data.is_empty() || is_keep_alive(data) {
            return Ok(());
        }
        self.frames += 1;
        if data == "[DONE]" {
            (self.finished, self.done) = (true, true);
            return Ok(());
        }
        let before = out.len();
        match parse(data) {
            Some(value) => self.value(name, &value, out)?,
            // Events without blank lines between them, or one JSON value a line.
            None if data.contains('\n') && data.lines().all(is_line) => {
                return data.lines().try_for_each(|line| self.frame(name, line, out));
            }
            None if name == Some("error") => return Err(self.failed(None, data, data)),
            None => self.unread += 1,
        }
        self.bytes += out[before..].iter().map(Chunk::bytes).sum::<usize>();
        if self.bytes > ANSWER_BYTES {
            return Err(ProviderError::new(Failure::AnswerTooLong, "The answer is longer than a message may be."));
        }
        Ok(())
    }

    fn value(&mut self, name: Option<&str>, value: &Value, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        if let Some(error) = error_of(name, value) {
            return Err(self.failed(status_of(error), &all_words(error), message_of(error)));
        }
        match value.get("choices") {
            Some(Value::Array(choices)) => choices.iter().try_for_each(|choice| self.choice(choice, out))?,
            None | Some(Value::Null) if is_bookkeeping(value) => {}
            _ => self.unread += 1,
        }
        if let Some(usage) = value.get("usage").filter(|usage| usage.as_object().is_some_and(|usage| !usage.is_empty()))
        {
            self.usage(usage, out);
        }
        Ok(())
    }

    /// The first account is passed on at once, in case the answer is stopped; later ones replace it at the end.
    fn usage(&mut self, usage: &Value, out: &mut Vec<Chunk>) {
        let text = usage.to_string();
        if text.len() > USAGE_BYTES {
            self.warn("The provider's account of tokens was too long to keep.");
            return;
        }
        if self.told.is_none() {
            out.push(Chunk::Metadata { metadata: JsonText(json!({"usage": usage}).to_string()) });
            self.told = Some(text.clone());
        }
        self.usage = Some(text);
    }

    fn choice(&mut self, choice: &Value, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        if !choice.is_object() {
            self.unread += 1;
            return Ok(());
        }
        let index = choice.get("index").and_then(Value::as_u64).or(self.choice).unwrap_or(0);
        if *self.choice.get_or_insert(index) != index {
            self.warn("The provider gave more than one answer; only the first is kept.");
            return Ok(());
        }
        if let Some(error) = choice.get("error").filter(|error| is_said(error)) {
            return Err(self.failed(status_of(error), &all_words(error), message_of(error)));
        }
        match (choice.get("delta"), choice.get("message"), choice.get("text")) {
            (Some(delta @ Value::Object(_)), _, _) => self.delta(delta, out),
            // Some endpoints say the whole answer again at its end.
            (None | Some(Value::Null), Some(message @ Value::Object(_)), _) => {
                self.finished = true;
                if self.parts == 0 {
                    self.delta(message, out);
                }
            }
            (None | Some(Value::Null), None | Some(Value::Null), Some(text)) => self.content(text, out),
            (None | Some(Value::Null), None | Some(Value::Null), None) => {}
            _ => self.unread += 1,
        }
        match choice.get("finish_reason") {
            None | Some(Value::Null) => {}
            Some(Value::String(reason)) if reason.is_empty() => {}
            Some(reason) => self.reason(reason),
        }
        Ok(())
    }

    fn reason(&mut self, reason: &Value) {
        let text = reason.as_str().map_or_else(|| reason.to_string(), whole);
        self.finished = true;
        if self.reason.is_none() || text != "stop" {
            self.reason = Some(prefix(&self.secrets.clean(&text), WORD_BYTES).to_owned());
        }
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<Chunk>) {
        let filled = |key: &str| delta.get(key).filter(|value| is_said(value));
        let thought = filled("reasoning_content").or_else(|| filled("reasoning")).or_else(|| filled("thinking"));
        match (thought, filled("reasoning_details")) {
            (Some(thought), _) => self.thought(thought, out),
            // It repeats the other fields where there are any.
            (None, Some(details)) => self.thought(details, out),
            (None, None) => {}
        }
        if let Some(content) = filled("content") {
            self.content(content, out);
        }
        if let Some(refusal) = filled("refusal") {
            self.refused = true;
            self.content(refusal, out);
        }
        if let Some(audio) = filled("audio") {
            self.warn_of_part("audio");
            if let Some(words) = audio.get("transcript").and_then(Value::as_str) {
                self.prose(Open::Text, words, out);
            }
        }
        for image in filled("images").and_then(Value::as_array).into_iter().flatten() {
            self.part(image, out);
        }
        for note in filled("annotations").and_then(Value::as_array).into_iter().flatten() {
            self.source(note, out);
        }
        if let Some(call) = filled("function_call") {
            self.switch(Open::Nothing, out);
            self.tools.take(&json!({"index": 0, "function": call}), out);
        }
        match filled("tool_calls") {
            Some(Value::Array(calls)) => {
                for call in calls {
                    self.switch(Open::Nothing, out);
                    self.tools.take(call, out);
                }
            }
            Some(_) => self.unread += 1,
            None => {}
        }
        self.parts = self.parts.max(u32::from(!out.is_empty()));
    }

    fn content(&mut self, content: &Value, out: &mut Vec<Chunk>) {
        match content {
            Value::String(text) => self.prose(Open::Text, text, out),
            Value::Array(parts) => parts.iter().for_each(|part| self.part(part, out)),
            Value::Object(_) => self.part(content, out),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => self.unread += 1,
        }
    }

    /// One part of a list.
    fn part(&mut self, part: &Value, out: &mut Vec<Chunk>) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let text = part.get("text").or_else(|| part.get("content"));
        let text = text.map(|text| text.get("value").unwrap_or(text));
        match (part, kind) {
            (Value::String(text), _) => self.prose(Open::Text, text, out),
            (_, "thinking" | "reasoning" | "reasoning.text" | "reasoning.summary") => self.thought(part, out),
            (_, "refusal") => {
                self.refused = true;
                if let Some(words) = part.get("refusal").or(text).and_then(Value::as_str) {
                    self.prose(Open::Text, words, out);
                }
            }
            (_, "image_url" | "image") => self.image(part, out),
            (_, "text" | "output_text" | "") if text.is_some_and(Value::is_string) => {
                self.prose(Open::Text, text.and_then(Value::as_str).unwrap_or_default(), out);
            }
            _ => {
                self.warn_of_part(kind);
                // Words in a part that nobody knows are words still.
                if let Some(words) = text.and_then(Value::as_str) {
                    self.prose(Open::Text, words, out);
                }
            }
        }
    }

    fn image(&mut self, part: &Value, out: &mut Vec<Chunk>) {
        let url = part.pointer("/image_url/url").or_else(|| part.get("image_url")).or_else(|| part.get("url"));
        let Some(url) = url.and_then(Value::as_str) else { return self.warn_of_part("image") };
        let declared = url.strip_prefix("data:").and_then(|rest| rest.split([';', ',']).next());
        let media_type = declared.filter(|kind| !kind.is_empty()).unwrap_or("image/*").to_owned();
        self.switch(Open::Nothing, out);
        out.push(Chunk::File { media_type, url: whole(url) });
    }

    fn source(&mut self, note: &Value, out: &mut Vec<Chunk>) {
        let cited = note.get("url_citation").unwrap_or(note);
        let Some(url) = cited.get("url").and_then(Value::as_str) else { return self.warn_of_part("annotation") };
        self.switch(Open::Nothing, out);
        let title = cited.get("title").and_then(Value::as_str).map(whole);
        self.parts += 1;
        out.push(Chunk::SourceUrl { source_id: format!("source-{}", self.parts), url: whole(url), title });
    }

    /// Reasoning in one of its forms: text, a list of parts, a part with text within.
    fn thought(&mut self, thought: &Value, out: &mut Vec<Chunk>) {
        match thought {
            Value::String(text) => self.prose(Open::Reasoning, text, out),
            Value::Array(all) => all.iter().for_each(|thought| self.thought(thought, out)),
            Value::Object(map) => {
                let words = ["thinking", "text", "summary", "content", "reasoning"];
                // Where there are none, it is sealed.
                if let Some(within) = words.iter().find_map(|key| map.get(*key)) {
                    self.thought(within, out);
                }
            }
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => self.unread += 1,
        }
    }

    fn prose(&mut self, kind: Open, text: &str, out: &mut Vec<Chunk>) {
        if text.is_empty() {
            return;
        }
        self.switch(kind, out);
        let delta = self.prose.take(text);
        self.say(kind, delta, out);
    }

    fn say(&mut self, kind: Open, delta: String, out: &mut Vec<Chunk>) {
        let id = self.part_id();
        match kind {
            _ if delta.is_empty() => {}
            Open::Text => out.push(Chunk::TextDelta { id, delta }),
            Open::Reasoning => out.push(Chunk::ReasoningDelta { id, delta }),
            Open::Nothing => {}
        }
    }

    fn part_id(&self) -> String {
        self.parts.to_string()
    }

    fn switch(&mut self, to: Open, out: &mut Vec<Chunk>) {
        if self.open == to {
            return;
        }
        let rest = self.prose.end();
        self.say(self.open, rest, out);
        let id = self.part_id();
        match self.open {
            Open::Text => out.push(Chunk::TextEnd { id }),
            Open::Reasoning => out.push(Chunk::ReasoningEnd { id }),
            Open::Nothing => {}
        }
        self.open = to;
        if to == Open::Nothing {
            return;
        }
        self.parts += 1;
        let id = self.part_id();
        out.push(if to == Open::Text { Chunk::TextStart { id } } else { Chunk::ReasoningStart { id } });
    }

    fn warn(&mut self, warning: &str) {
        if self.warnings.len() < WARNINGS && !self.warnings.iter().any(|known| known == warning) {
            self.warnings.push(warning.to_owned());
        }
    }

    fn warn_of_part(&mut self, kind: &str) {
        let kind = if kind.is_empty() { "unnamed" } else { kind };
        let kind = prefix(&self.secrets.clean(kind), WORD_BYTES).to_owned();
        self.warn(&format!("A part of the answer of type “{kind}” could not be kept."));
    }

    fn failed(&self, status: Option<u16>, hints: &str, words: &str) -> ProviderError {
        let mut error = ProviderError::new(classify(status, hints), "The provider failed.");
        error.status = status;
        error.with_words(self.secrets.clean(&whole(words)))
    }

    /// The stream is over. Closes what is open, says how the answer ended, and what is wrong with it.
    pub(super) fn finish(mut self, broken: Option<ProviderError>) -> (Vec<Chunk>, Option<ProviderError>) {
        let mut out = Vec::new();
        self.switch(Open::Nothing, &mut out);
        let reason = self.reason.take().unwrap_or_else(|| "stop".into());
        let unified = if self.refused && unified(&reason) == "stop" { "refusal" } else { unified(&reason) };
        let failure = broken.or_else(|| self.failure(unified));
        if self.unread > 0 {
            tracing::warn!(unread = self.unread, frames = self.frames, "frames of a provider could not be read");
        }
        std::mem::take(&mut self.tools).finish(failure.is_some() || unified == "length", &mut out);
        if let Some(metadata) = self.ending(&reason, unified) {
            out.push(Chunk::Metadata { metadata });
        }
        (out, failure)
    }

    fn failure(&self, unified: &str) -> Option<ProviderError> {
        let (code, why) = if self.unread > 0 {
            let all =
                if self.frames == self.unread { "The provider's answer" } else { "A part of the provider's answer" };
            (Failure::Malformed, format!("{all} could not be read."))
        } else if !self.finished {
            (Failure::CutShort, "The provider's answer was cut short.".into())
        } else if unified == "content-filter" {
            (Failure::ContentFiltered, "The provider's filter ended the answer.".into())
        } else if unified == "error" {
            (Failure::Failed, "The provider failed in mid answer.".into())
        } else {
            return None;
        };
        Some(ProviderError::new(code, why))
    }

    /// What the message keeps of how the answer ended: nothing if it simply stopped.
    fn ending(&self, reason: &str, unified: &str) -> Option<JsonText> {
        let mut map = Map::new();
        if unified != "stop" {
            map.insert("finishReason".into(), unified.into());
        }
        if !matches!(reason, "stop" | "length" | "error") {
            map.insert("rawFinishReason".into(), reason.into());
        }
        if !self.warnings.is_empty() {
            map.insert("warnings".into(), self.warnings.clone().into());
        }
        if self.usage != self.told
            && let Some(usage) = self.usage.as_deref().and_then(|usage| serde_json::from_str(usage).ok())
        {
            map.insert("usage".into(), usage);
        }
        (!map.is_empty()).then(|| JsonText(Value::Object(map).to_string()))
    }
}
