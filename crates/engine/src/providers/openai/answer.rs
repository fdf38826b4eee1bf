//! What an answer says, as chunks: text, reasoning, files and sources, in the order in which they come; and the names of
//! what has no place in a message.
//!
//! Text and reasoning go on in one part until something else comes between. What cannot be kept is named once, in a
//! warning; what cannot be read is counted, and the answer fails at its end for it.

use serde_json::Value;
use threadmill_proto::Chunk;

use crate::providers::openai::forms::is_said;
use crate::providers::openai::surrogates::{Joiner, whole};
use crate::providers::words::{Secrets, prefix};

/// Kept of warnings, each once.
const WARNINGS: usize = 8;
/// Kept of a word that an endpoint made up.
const WORD_BYTES: usize = 64;
/// Kept of it until it is cleaned: once, as that takes its time, and there may be a hundred thousand in an answer.
pub(crate) const RAW_BYTES: usize = 1 << 10;
/// Levels of a list in a list that are looked through.
const LEVELS: usize = 8;

/// What is open in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) secrets: Secrets,
    open: Open,
    parts: u32,
    prose: Joiner,
    /// The text so far, by which a message that says it again is known.
    pub(crate) text: String,
    /// The reasoning so far, in bytes.
    pub(crate) thought: usize,
    /// Files or sources came.
    pub(crate) attached: bool,
    pub(crate) refused: bool,
    /// Types of parts that have no place in a message, and fields that nobody knows.
    kinds: Vec<String>,
    pub(crate) strange: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// What could not be read, and the first of it.
    pub(crate) unread: u64,
    pub(crate) sample: String,
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

/// Whether an address is a script, as a browser reads it: without white space and control characters before and within the
/// scheme. No client of an answer should have to look for that.
fn is_script(url: &str) -> bool {
    let scheme: String = url.chars().filter(|char| !char.is_whitespace() && !char.is_control()).take(11).collect();
    let scheme = scheme.to_ascii_lowercase();
    scheme.starts_with("javascript:") || scheme.starts_with("vbscript:")
}

/// The words of a message's content.
pub(crate) fn words_of(content: &Value) -> String {
    match content {
        Value::String(text) => whole(text),
        Value::Array(parts) => parts.iter().map(words_of).collect(),
        Value::Object(part) => part.get("text").map(words_of).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

impl Answer {
    /// Nothing yet, with warnings that are known beforehand.
    pub(crate) fn new(secrets: Secrets, warnings: Vec<String>) -> Self {
        Self { secrets, warnings, ..Self::default() }
    }

    /// Whether nothing came that a message could hold.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts == 0
    }

    /// Something that cannot be read.
    pub(crate) fn unreadable(&mut self, what: &str) {
        self.unread += 1;
        if self.sample.is_empty() {
            prefix(what, RAW_BYTES).clone_into(&mut self.sample);
        }
    }

    fn unreadable_value(&mut self, value: &Value) {
        self.unreadable(&value.to_string());
    }

    /// A field that nobody knows.
    pub(crate) fn strange(&mut self, field: &str) {
        once(&mut self.strange, &whole(field));
    }

    /// Content in one of its forms: text, a list of parts, a part.
    pub(crate) fn content(&mut self, content: &Value, out: &mut Vec<Chunk>) {
        self.content_within(content, LEVELS, out);
    }

    fn content_within(&mut self, content: &Value, levels: usize, out: &mut Vec<Chunk>) {
        match content {
            Value::String(text) => self.prose(Open::Text, text, out),
            Value::Array(parts) if levels > 0 => {
                parts.iter().for_each(|part| self.content_within(part, levels - 1, out));
            }
            Value::Object(_) => self.part(content, levels, out),
            Value::Null => {}
            Value::Array(_) | Value::Bool(_) | Value::Number(_) => self.unreadable_value(content),
        }
    }

    /// One part of a list.
    fn part(&mut self, part: &Value, levels: usize, out: &mut Vec<Chunk>) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let text = part.get("text").or_else(|| part.get("content"));
        let text = text.map(|text| text.get("value").unwrap_or(text));
        match kind {
            "thinking" | "reasoning" | "reasoning.text" | "reasoning.summary" => self.thought(part, out),
            "refusal" => {
                self.refused = true;
                match part.get("refusal").or(text) {
                    Some(words) => self.content_within(words, levels.saturating_sub(1), out),
                    None => self.warn_of_part(kind),
                }
            }
            "image_url" | "image" => self.image(part, out),
            "text" | "output_text" | "" if text.is_some_and(Value::is_string) => {
                self.prose(Open::Text, text.and_then(Value::as_str).unwrap_or_default(), out);
            }
            _ => {
                self.warn_of_part(kind);
                // Words in a part that nobody knows are words still.
                if let Some(words) = text.filter(|text| text.is_string() || text.is_array()) {
                    self.content_within(words, levels.saturating_sub(1), out);
                }
            }
        }
    }

    /// Files of their own beside the content.
    pub(crate) fn images(&mut self, images: &Value, out: &mut Vec<Chunk>) {
        match images {
            Value::Array(all) => all.iter().for_each(|image| match image {
                Value::String(url) => self.file(url, out),
                _ => self.part(image, LEVELS, out),
            }),
            _ => self.warn_of_part("image"),
        }
    }

    fn image(&mut self, part: &Value, out: &mut Vec<Chunk>) {
        let url = part.pointer("/image_url/url").or_else(|| part.get("image_url")).or_else(|| part.get("url"));
        match url.and_then(Value::as_str) {
            Some(url) => self.file(url, out),
            None => self.warn_of_part("image"),
        }
    }

    fn file(&mut self, url: &str, out: &mut Vec<Chunk>) {
        if is_script(url) {
            return self.warn_of_script();
        }
        let declared = url.strip_prefix("data:").and_then(|rest| rest.split([';', ',']).next());
        let media_type = declared.filter(|kind| !kind.is_empty()).unwrap_or("image/*").to_owned();
        self.switch(Open::Nothing, out);
        (self.parts, self.attached) = (self.parts + 1, true);
        out.push(Chunk::File { media_type, url: whole(url) });
    }

    /// What an answer cites: notes of their own, or addresses alone.
    pub(crate) fn sources(&mut self, notes: &Value, out: &mut Vec<Chunk>) {
        match notes {
            Value::Array(all) => all.iter().for_each(|note| self.source(note, out)),
            _ => self.warn_of_part("annotation"),
        }
    }

    fn source(&mut self, note: &Value, out: &mut Vec<Chunk>) {
        let cited = note.get("url_citation").unwrap_or(note);
        let url = cited.as_str().or_else(|| cited.get("url").and_then(Value::as_str));
        let Some(url) = url.filter(|url| !url.is_empty()) else { return self.warn_of_part("annotation") };
        if is_script(url) {
            return self.warn_of_script();
        }
        self.switch(Open::Nothing, out);
        let title = cited.get("title").and_then(Value::as_str).map(whole);
        (self.parts, self.attached) = (self.parts + 1, true);
        out.push(Chunk::SourceUrl { source_id: format!("source-{}", self.parts), url: whole(url), title });
    }

    /// Sound: what was said in it is text.
    pub(crate) fn audio(&mut self, audio: &Value, out: &mut Vec<Chunk>) {
        self.attached = true;
        self.warn_of_part("audio");
        if let Some(words) = audio.get("transcript").filter(|words| is_said(words)) {
            self.content(words, out);
        }
    }

    /// Reasoning in one of its forms: text, a list of parts, a part with text within.
    pub(crate) fn thought(&mut self, thought: &Value, out: &mut Vec<Chunk>) {
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
            Value::Bool(_) | Value::Number(_) => self.unreadable_value(thought),
        }
    }

    /// Names what of a list of reasoning has no words, such as what is encrypted.
    pub(crate) fn sealed(&mut self, details: &Value) {
        let all = details.as_array().map_or_else(|| std::slice::from_ref(details), Vec::as_slice);
        for detail in all.iter().filter(|detail| detail.get("data").is_some_and(is_said)) {
            self.warn_of_part(detail.get("type").and_then(Value::as_str).unwrap_or_default());
        }
    }

    /// Words that go on, or begin a part.
    pub(crate) fn prose(&mut self, kind: Open, text: &str, out: &mut Vec<Chunk>) {
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
                self.thought += delta.len();
                out.push(Chunk::ReasoningDelta { id, delta });
            }
            Open::Nothing => {}
        }
    }

    fn part_id(&self) -> String {
        self.parts.to_string()
    }

    /// Something else comes: what is open ends.
    pub(crate) fn switch(&mut self, to: Open, out: &mut Vec<Chunk>) {
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

    /// Says once that something was left out.
    pub(crate) fn warn(&mut self, warning: &str) {
        if self.warnings.len() < WARNINGS && !self.warnings.iter().any(|known| known == warning) {
            self.warnings.push(warning.to_owned());
        }
    }

    fn warn_of_script(&mut self) {
        self.warn("An address in the answer that is a script was left out.");
    }

    pub(crate) fn warn_of_part(&mut self, kind: &str) {
        let kind = if kind.is_empty() { "unnamed" } else { kind };
        if once(&mut self.kinds, kind) {
            let kind = self.word(kind);
            self.warn(&format!("A part of the answer of type “{kind}” could not be kept."));
        }
    }

    /// A word that an endpoint made up, as it may be shown.
    pub(crate) fn word(&self, raw: &str) -> String {
        prefix(&self.secrets.clean(raw), WORD_BYTES).to_owned()
    }

    /// Fields that nobody knows, as they may be shown.
    pub(crate) fn strange_words(&self) -> String {
        self.strange.iter().map(|field| self.word(field)).collect::<Vec<_>>().join("”, “")
    }
}
