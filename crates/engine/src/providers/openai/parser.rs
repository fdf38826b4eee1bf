//! Frames of a chat completion into chunks: lenient in form, strict in meaning.
//!
//! Endpoints differ, and whatever form an answer has is taken: deltas or whole messages, text or lists of parts, odd
//! finish reasons, no finish reason, no `[DONE]`, vendors' own fields. But nothing that belongs to the answer is dropped
//! unsaid. What is left out on purpose (a second choice, a part that has no place in a message) is named in the
//! message's `warnings`; a frame that cannot be read makes the run fail at its end, with what could be read kept; and
//! how the answer ended is in the message if it did not simply stop.

use serde_json::{Map, Value, json};
use threadmill_proto::json::value_from_str;
use threadmill_proto::{Chunk, JsonText, Limits};

use crate::providers::failure::{Failure, ProviderError, classify};
use crate::providers::openai::forms::{
    all_words, error_of, is_bookkeeping, is_done, is_keep_alive, is_line, is_said, message_of, parse, status_of,
    unified,
};
use crate::providers::openai::surrogates::{Joiner, whole};
use crate::providers::openai::tools::Tools;
use crate::providers::words::{Secrets, prefix};

/// More is no answer; what counts exactly is the limit of a message, where the chunks go.
const ANSWER_BYTES: usize = 2 * Limits::DEFAULT.message_bytes;
/// A larger account of tokens is left out.
const USAGE_BYTES: usize = 4 << 10;
/// Kept of warnings, each once.
const WARNINGS: usize = 8;
/// Kept of a word that an endpoint made up.
const WORD_BYTES: usize = 64;
/// Kept of it until it is cleaned: once, as that takes its time, and there may be a hundred thousand in an answer.
const RAW_BYTES: usize = 1 << 10;

/// Fields of a delta that are read, and those that endpoints send beside them.
const KNOWN: [&str; 27] = [
    "role",
    "name",
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "function_call",
    "audio",
    "images",
    "annotations",
    "id",
    "type",
    "channel",
    "citations",
    "executed_tools",
    "extra_content",
    "logprobs",
    "obfuscation",
    "padding",
    "provider_specific_fields",
    "reasoning_signature",
    "signature",
    "stop_reason",
    "token_ids",
];
/// Those of them that are reasoning.
const THOUGHTS: [&str; 4] = ["reasoning", "reasoning_content", "reasoning_details", "thinking"];

/// What is open in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

/// How far an answer has come.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    secrets: Secrets,
    open: Open,
    parts: u32,
    prose: Joiner,
    /// The text so far, by which a message that says it again is known.
    text: String,
    tools: Tools,
    /// The choice that is followed: the first that came.
    choice: Option<u64>,
    reason: Option<String>,
    refused: bool,
    /// What came of the answer: reasoning, files or sources, something in a delta, and a whole message.
    thought: bool,
    attached: bool,
    in_deltas: bool,
    in_messages: bool,
    /// The messages have the answer in pieces, and not more of it each time.
    in_pieces: bool,
    /// Fields of deltas that nobody knows.
    strange: Vec<String>,
    /// Types of parts that have no place in a message.
    kinds: Vec<String>,
    usage: Option<String>,
    /// The usage that the message has.
    told: Option<String>,
    warnings: Vec<String>,
    bytes: usize,
    /// Frames that came, and those that could not be read.
    frames: u64,
    unread: u64,
    /// A finish reason or `[DONE]` came.
    pub(crate) finished: bool,
    /// `[DONE]` came.
    pub(crate) done: bool,
}

/// Adds a word to those that are known, of which there are a few. Whether it is new.
fn once(known: &mut Vec<String>, word: &str) -> bool {
    let word = prefix(word, RAW_BYTES);
    let is_new = known.len() < WARNINGS && !known.iter().any(|known| known == word);
    if is_new {
        known.push(word.to_owned());
    }
    is_new
}

/// The words of a message's content.
fn words_of(content: &Value) -> String {
    match content {
        Value::String(text) => whole(text),
        Value::Array(parts) => parts.iter().map(words_of).collect(),
        Value::Object(part) => part.get("text").map(words_of).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

impl Parser {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, ..Self::default() }
    }

    /// One frame. An error ends the answer; what came before it is in `out` all the same.
    pub(crate) fn frame(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        let data = data.trim();
        if data.is_empty() || is_keep_alive(data) {
            return Ok(());
        }
        self.frames += 1;
        if is_done(data) {
            (self.finished, self.done) = (true, true);
            return Ok(());
        }
        let before = out.len();
        match parse(data) {
            Some(Value::Null) => {}
            Some(value) => self.value(name, &value, out)?,
            // Events without blank lines between them, or one JSON value a line.
            None if data.contains('\n') && data.lines().all(is_line) => {
                return data.lines().try_for_each(|line| self.frame(name, line, out));
            }
            None if name == Some("error") => return Err(self.failed(None, data, data)),
            None => self.unread += 1,
        }
        self.bytes += out[before..].iter().map(Chunk::bytes).sum::<usize>();
        if self.bytes + self.tools.bytes > ANSWER_BYTES {
            return Err(ProviderError::new(Failure::AnswerTooLong, "The answer is longer than a message may be."));
        }
        Ok(())
    }

    fn value(&mut self, name: Option<&str>, value: &Value, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        if let Some(error) = error_of(name, value) {
            return Err(self.failed(status_of(error), &all_words(error), message_of(error)));
        }
        match value.get("choices") {
            Some(Value::Array(choices)) => {
                for (at, choice) in (0..).zip(choices) {
                    self.choice(at, choice, out)?;
                }
            }
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
            let told = if self.secrets.are_in(&text) { String::new() } else { text.clone() };
            if !told.is_empty() {
                out.push(Chunk::Metadata { metadata: JsonText(json!({"usage": usage}).to_string()) });
            }
            self.told = Some(told);
        }
        self.usage = Some(text);
    }

    /// The choice at a place of its frame.
    fn choice(&mut self, at: u64, choice: &Value, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        if !choice.is_object() {
            self.unread += 1;
            return Ok(());
        }
        let said = choice.get("index").and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok()));
        // Without an index the first of a frame goes on with the one that is followed; those beside it are others.
        let index = said.unwrap_or_else(|| self.choice.unwrap_or(0).wrapping_add(at));
        if *self.choice.get_or_insert(index) != index {
            self.warn("The provider gave more than one answer; only the first is kept.");
            return Ok(());
        }
        if let Some(error) = choice.get("error").filter(|error| is_said(error)) {
            return Err(self.failed(status_of(error), &all_words(error), message_of(error)));
        }
        let before = out.len();
        match choice.get("delta") {
            None | Some(Value::Null) => {}
            Some(Value::Object(delta)) => {
                self.delta(delta, out);
                self.in_deltas |= out.len() > before;
            }
            Some(_) => self.unread += 1,
        }
        match choice.get("message") {
            None | Some(Value::Null) => {}
            Some(Value::Object(message)) => self.message(message, out),
            Some(_) => self.unread += 1,
        }
        // What completions that are no chat say. Beside others it says the same.
        if let Some(text) = choice.get("text").filter(|_| out.len() == before) {
            self.content(text, out);
        }
        self.parts = self.parts.max(u32::from(out.len() > before));
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
            self.reason = Some(prefix(&text, RAW_BYTES).to_owned());
        }
    }

    /// A whole message: from endpoints that send no deltas, that say all of it again at the end, or more of it each
    /// time. What it has that was not said yet is taken.
    fn message(&mut self, message: &Map<String, Value>, out: &mut Vec<Chunk>) {
        self.in_messages = true;
        let mut news = message.clone();
        if !self.text.is_empty()
            && let Some(content) = news.shift_remove("content")
        {
            self.said_again(&words_of(&content), out);
        }
        let said: [(bool, &[&str]); 4] = [
            (self.thought, &THOUGHTS),
            (self.refused, &["refusal"]),
            (self.attached, &["images", "annotations", "audio"]),
            (!self.tools.is_empty(), &["tool_calls", "function_call"]),
        ];
        for (said, fields) in said {
            for field in fields.iter().filter(|_| said) {
                news.shift_remove(*field);
            }
        }
        self.delta(&news, out);
    }

    /// Words of a message after others of the answer.
    fn said_again(&mut self, words: &str, out: &mut Vec<Chunk>) {
        if words.is_empty() || words == self.text {
            return;
        }
        match words.strip_prefix(self.text.as_str()) {
            Some(more) if !self.in_pieces => self.prose(Open::Text, more, out),
            None if self.in_deltas => {
                self.warn("The provider said its answer again, and differently; what came first is kept.");
            }
            Some(_) | None => {
                self.in_pieces = true;
                self.prose(Open::Text, words, out);
            }
        }
    }

    fn delta(&mut self, delta: &Map<String, Value>, out: &mut Vec<Chunk>) {
        for (field, _) in delta.iter().filter(|(field, value)| !KNOWN.contains(&field.as_str()) && is_said(value)) {
            once(&mut self.strange, &whole(field));
        }
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
            self.attached = true;
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
        self.attached = true;
        out.push(Chunk::File { media_type, url: whole(url) });
    }

    fn source(&mut self, note: &Value, out: &mut Vec<Chunk>) {
        let cited = note.get("url_citation").unwrap_or(note);
        let Some(url) = cited.get("url").and_then(Value::as_str) else { return self.warn_of_part("annotation") };
        self.switch(Open::Nothing, out);
        let title = cited.get("title").and_then(Value::as_str).map(whole);
        (self.parts, self.attached) = (self.parts + 1, true);
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
            Open::Text => {
                self.text.push_str(&delta);
                out.push(Chunk::TextDelta { id, delta });
            }
            Open::Reasoning => {
                self.thought = true;
                out.push(Chunk::ReasoningDelta { id, delta });
            }
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
        if once(&mut self.kinds, kind) {
            let kind = self.word(kind);
            self.warn(&format!("A part of the answer of type “{kind}” could not be kept."));
        }
    }

    /// A word that an endpoint made up, as it may be shown.
    fn word(&self, raw: &str) -> String {
        prefix(&self.secrets.clean(raw), WORD_BYTES).to_owned()
    }

    fn failed(&self, status: Option<u16>, hints: &str, words: &str) -> ProviderError {
        let mut error = ProviderError::new(classify(status, hints), "The provider failed.");
        error.status = status;
        error.with_words(self.secrets.clean(&whole(words)))
    }

    /// The stream is over. Closes what is open, says how the answer ended, and what is wrong with it.
    pub(crate) fn finish(mut self, broken: Option<ProviderError>) -> (Vec<Chunk>, Option<ProviderError>) {
        let mut out = Vec::new();
        self.switch(Open::Nothing, &mut out);
        let reason = self.reason.take().map_or_else(|| "stop".into(), |reason| self.word(&reason));
        let unified = if self.refused && unified(&reason) == "stop" { "refusal" } else { unified(&reason) };
        let failure = broken.or_else(|| self.failure(unified));
        if failure.is_none() && self.is_empty() {
            self.warn("The provider's answer is empty.");
        }
        if self.unread > 0 {
            tracing::warn!(unread = self.unread, frames = self.frames, "frames of a provider could not be read");
        }
        std::mem::take(&mut self.tools).finish(failure.is_some() || unified == "length", &mut out);
        if let Some(metadata) = self.ending(&reason, unified) {
            out.push(Chunk::Metadata { metadata });
        }
        (out, failure)
    }

    /// Whether nothing came that a message could hold.
    fn is_empty(&self) -> bool {
        self.parts == 0 && self.tools.is_empty()
    }

    fn failure(&self, unified: &str) -> Option<ProviderError> {
        let (code, why) = if self.unread > 0 {
            let all =
                if self.frames == self.unread { "The provider's answer" } else { "A part of the provider's answer" };
            (Failure::Malformed, format!("{all} could not be read."))
        } else if self.is_empty() && !self.strange.is_empty() {
            let fields = self.strange.iter().map(|field| self.word(field)).collect::<Vec<_>>().join("”, “");
            (Failure::Malformed, format!("The provider's answer could not be read: nobody knows its “{fields}”."))
        } else if !self.finished && !self.in_messages {
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
        let mut warnings = self.warnings.clone();
        let hides = self.usage != self.told && self.usage.as_deref().is_some_and(|usage| self.secrets.are_in(usage));
        if hides {
            warnings.push("The provider's account of tokens had a secret in it and was left out.".into());
        }
        if !warnings.is_empty() {
            map.insert("warnings".into(), warnings.into());
        }
        if self.usage != self.told
            && !hides
            && let Some(usage) = self.usage.as_deref().and_then(|usage| value_from_str(usage).ok())
        {
            map.insert("usage".into(), usage);
        }
        (!map.is_empty()).then(|| JsonText(Value::Object(map).to_string()))
    }
}
