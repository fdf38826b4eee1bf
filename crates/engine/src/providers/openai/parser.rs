//! Frames of a chat completion into chunks: lenient in form, strict in meaning.
//!
//! Endpoints differ, and whatever form an answer has is taken: deltas or whole messages, text or lists of parts, odd
//! finish reasons, no finish reason, no `[DONE]`, vendors' own fields. But nothing that belongs to the answer is dropped
//! unsaid. What is left out on purpose (a second choice, a part that has no place in a message) or is in a field that
//! nobody knows is named in the message's `warnings`; a frame that cannot be read makes the run fail at its end, with what
//! could be read kept; and how the answer ended is in the message if it did not simply stop.

use serde_json::{Map, Value, json};
use threadmill_proto::json::value_from_str;
use threadmill_proto::{Chunk, JsonText, Limits, is_blank};

use crate::providers::failure::{Failure, ProviderError, classify};
use crate::providers::openai::answer::{Answer, Open, RAW_BYTES, words_of};
use crate::providers::openai::errors::{all_words, error_of, message_of, plain, status_of};
use crate::providers::openai::forms::{
    Place, is_bookkeeping, is_done, is_keep_alive, is_line, is_said, parse, strange, unified,
};
use crate::providers::openai::surrogates::whole;
use crate::providers::openai::tools::Tools;
use crate::providers::words::{Secrets, prefix};

/// More is no answer; what counts exactly is the limit of a message, where the chunks go.
const ANSWER_BYTES: usize = 2 * Limits::DEFAULT.message_bytes;
/// A larger account of tokens is left out.
const USAGE_BYTES: usize = 4 << 10;

/// Fields that are reasoning. Where several have the same words, they are said once.
const THOUGHTS: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];
/// Fields that say in pieces, or in another form, what the above do; read where those are not.
const DETAILS: &str = "reasoning_details";

/// How far an answer has come.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    answer: Answer,
    tools: Tools,
    /// The choice that is followed: the first that came.
    choice: Option<u64>,
    reason: Option<String>,
    /// What came of the answer: something in a delta, and a whole message.
    in_deltas: bool,
    in_messages: bool,
    /// The messages have the answer in pieces, and not more of it each time.
    in_pieces: bool,
    /// What it cites came, which some endpoints say again in every frame.
    cited: bool,
    usage: Option<String>,
    /// The usage that the message has.
    told: Option<String>,
    bytes: usize,
    /// Frames that came.
    frames: u64,
    /// A finish reason or `[DONE]` came.
    pub(crate) finished: bool,
    /// `[DONE]` came.
    pub(crate) done: bool,
}

impl Parser {
    /// One that has read nothing. `warnings` stand in the message already.
    pub(crate) fn new(secrets: Secrets, warnings: Vec<String>) -> Self {
        Self { answer: Answer::new(secrets, warnings), ..Self::default() }
    }

    /// Bytes of the answer that came so far, shown or not: it grows with whatever is a part of the answer.
    pub(crate) fn size(&self) -> usize {
        self.bytes + self.tools.bytes
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
            Some(Value::Array(all)) => all.iter().try_for_each(|value| self.value(name, value, out))?,
            Some(value) => self.value(name, &value, out)?,
            // Events without blank lines between them, or one JSON value a line.
            None if data.contains('\n') && data.lines().all(is_line) => {
                return data.lines().try_for_each(|line| self.frame(name, line, out));
            }
            None if name == Some("error") => return Err(self.failed(None, data, data)),
            None => self.answer.unreadable(data),
        }
        self.bytes += out[before..].iter().map(Chunk::bytes).sum::<usize>();
        if self.size() > ANSWER_BYTES {
            return Err(ProviderError::new(Failure::AnswerTooLong, "The answer is longer than a message may be."));
        }
        Ok(())
    }

    fn value(&mut self, name: Option<&str>, value: &Value, out: &mut Vec<Chunk>) -> Result<(), ProviderError> {
        // Words that stand beside an error belong to the answer: they are read first, and the error ends it then.
        let mut failure = error_of(name, value).map(|error| self.failed_by(error));
        match (value.get("choices"), value.as_object()) {
            (Some(Value::Array(choices)), Some(frame)) => {
                if choices.is_empty() && failure.is_none() {
                    strange(Place::Frame, frame).for_each(|field| self.answer.strange(field));
                }
                for (at, choice) in (0..).zip(choices) {
                    let failed = self.choice(at, choice, out);
                    failure = failure.or(failed);
                }
                self.cite(frame, out);
            }
            _ if failure.is_some() => {}
            (None | Some(Value::Null), _) if is_bookkeeping(value) => {}
            _ => self.answer.unreadable(&value.to_string()),
        }
        if let Some(usage) = value.get("usage").filter(|usage| usage.as_object().is_some_and(|usage| !usage.is_empty()))
        {
            self.usage(usage, out);
        }
        failure.map_or(Ok(()), Err)
    }

    /// What the answer cites, as Perplexity says it beside the choices, again in every frame.
    fn cite(&mut self, frame: &Map<String, Value>, out: &mut Vec<Chunk>) {
        let cited = ["search_results", "citations"].iter().find_map(|field| frame.get(*field));
        let Some(cited) = cited.filter(|cited| is_said(cited) && !self.cited) else { return };
        self.cited = true;
        self.answer.sources(cited, out);
    }

    /// The first account is passed on at once, in case the answer is stopped; later ones replace it at the end.
    fn usage(&mut self, usage: &Value, out: &mut Vec<Chunk>) {
        let text = usage.to_string();
        if text.len() > USAGE_BYTES {
            self.answer.warn("The provider's account of tokens was too long to keep.");
            return;
        }
        if self.told.is_none() {
            let told = if self.answer.secrets.are_in(&text) { String::new() } else { text.clone() };
            if !told.is_empty() {
                out.push(Chunk::Metadata { metadata: JsonText(json!({"usage": usage}).to_string()) });
            }
            self.told = Some(told);
        }
        self.usage = Some(text);
    }

    /// The choice at a place of its frame, and the error that it has.
    fn choice(&mut self, at: u64, choice: &Value, out: &mut Vec<Chunk>) -> Option<ProviderError> {
        let Value::Object(choice) = choice else {
            self.answer.unreadable(&choice.to_string());
            return None;
        };
        let said = choice.get("index").and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok()));
        // Without an index the first of a frame goes on with the one that is followed; those beside it are others.
        let index = said.unwrap_or_else(|| self.choice.unwrap_or(0).wrapping_add(at));
        if *self.choice.get_or_insert(index) != index {
            self.answer.warn("The provider gave more than one answer; only the first is kept.");
            return None;
        }
        strange(Place::Choice, choice).for_each(|field| self.answer.strange(field));
        let before = out.len();
        match choice.get("delta") {
            None | Some(Value::Null) => {}
            Some(Value::Object(delta)) => {
                self.delta(delta, out);
                self.in_deltas |= out.len() > before;
            }
            Some(other) => self.answer.unreadable(&other.to_string()),
        }
        match choice.get("message") {
            None | Some(Value::Null) => {}
            Some(Value::Object(message)) => self.message(message, out),
            Some(other) => self.answer.unreadable(&other.to_string()),
        }
        // What completions that are no chat say. Beside others it says the same.
        if let Some(text) = choice.get("text").filter(|_| out.len() == before) {
            self.answer.content(text, out);
        }
        match choice.get("finish_reason") {
            None | Some(Value::Null) => {}
            Some(Value::String(reason)) if reason.is_empty() => {}
            Some(reason) => self.reason(reason),
        }
        choice.get("error").filter(|error| is_said(error)).map(|error| self.failed_by(error))
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
        if !self.answer.text.is_empty()
            && let Some(content) = news.shift_remove("content")
        {
            self.said_again(&words_of(&content), out);
        }
        let said: [(bool, &[&str]); 5] = [
            (self.answer.thought > 0, &THOUGHTS),
            (self.answer.thought > 0, &[DETAILS]),
            (self.answer.refused, &["refusal"]),
            (self.answer.attached, &["images", "annotations", "citations", "audio"]),
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
        if words.is_empty() || words == self.answer.text {
            return;
        }
        match words.strip_prefix(self.answer.text.as_str()) {
            Some(more) if !self.in_pieces => self.answer.prose(Open::Text, more, out),
            None if self.in_deltas => {
                self.answer.warn("The provider said its answer again, and differently; what came first is kept.");
            }
            Some(_) | None => {
                self.in_pieces = true;
                self.answer.prose(Open::Text, words, out);
            }
        }
    }

    fn delta(&mut self, delta: &Map<String, Value>, out: &mut Vec<Chunk>) {
        strange(Place::Delta, delta).for_each(|field| self.answer.strange(field));
        let filled = |key: &str| delta.get(key).filter(|value| is_said(value));
        let mut thoughts: Vec<&Value> = Vec::new();
        for thought in THOUGHTS.iter().filter_map(|field| filled(field)) {
            if !thoughts.contains(&thought) {
                thoughts.push(thought);
            }
        }
        if thoughts.is_empty() {
            thoughts.extend(filled(DETAILS));
        }
        for thought in thoughts {
            self.answer.thought(thought, out);
        }
        if let Some(details) = filled(DETAILS) {
            self.answer.sealed(details);
        }
        match (filled("content"), delta.get("role").and_then(Value::as_str)) {
            (Some(result), Some("tool" | "function")) => self.result(delta, result, out),
            (Some(content), _) => self.answer.content(content, out),
            (None, _) => {}
        }
        if let Some(refusal) = filled("refusal") {
            self.answer.refused = true;
            self.answer.content(refusal, out);
        }
        if let Some(audio) = filled("audio") {
            self.answer.audio(audio, out);
        }
        if let Some(images) = filled("images") {
            self.answer.images(images, out);
        }
        for notes in ["annotations", "citations"].iter().filter_map(|field| filled(field)) {
            self.answer.sources(notes, out);
        }
        if let Some(call) = filled("function_call") {
            self.call(&json!({"index": 0, "function": call}), out);
        }
        match filled("tool_calls") {
            Some(Value::Array(calls)) => calls.iter().for_each(|call| self.call(call, out)),
            Some(call @ Value::Object(_)) => self.call(call, out),
            Some(other) => self.answer.unreadable(&other.to_string()),
            None => {}
        }
    }

    /// What came of a call that the provider ran itself: no words of the model. Those of a call that nobody made stay in
    /// the text, since they are lost otherwise.
    fn result(&mut self, delta: &Map<String, Value>, result: &Value, out: &mut Vec<Chunk>) {
        let call = delta.get("tool_call_id").and_then(Value::as_str).map(whole);
        if self.tools.result(call.as_deref(), &words_of(result)) {
            self.answer.switch(Open::Nothing, out);
        } else {
            self.answer.warn("A tool's result that belongs to no call of the answer stands in its text.");
            self.answer.content(result, out);
        }
    }

    fn call(&mut self, call: &Value, out: &mut Vec<Chunk>) {
        match call {
            Value::Object(entry) => {
                self.answer.switch(Open::Nothing, out);
                self.tools.take(entry, out);
            }
            Value::Null => {}
            other => self.answer.unreadable(&other.to_string()),
        }
    }

    fn failed_by(&self, error: &Value) -> ProviderError {
        self.failed(status_of(error), &all_words(error), &message_of(error))
    }

    fn failed(&self, status: Option<u16>, hints: &str, words: &str) -> ProviderError {
        let mut error = ProviderError::new(classify(status, hints), "The provider failed.");
        error.status = status;
        error.with_words(self.answer.secrets.clean(&whole(words)))
    }

    /// The stream is over. Closes what is open, says how the answer ended, and what is wrong with it.
    pub(crate) fn finish(mut self, broken: Option<ProviderError>) -> (Vec<Chunk>, Option<ProviderError>) {
        let mut out = Vec::new();
        self.answer.switch(Open::Nothing, &mut out);
        let reason = self.reason.take().map_or_else(|| "stop".into(), |reason| self.answer.word(&reason));
        let unified = if self.answer.refused && unified(&reason) == "stop" { "refusal" } else { unified(&reason) };
        let failure = broken.or_else(|| self.failure(unified));
        if self.answer.unread > 0 {
            let (unread, frames) = (self.answer.unread, self.frames);
            tracing::warn!(unread, frames, "frames of a provider could not be read");
        }
        self.warn_at_the_end(failure.is_none());
        std::mem::take(&mut self.tools).finish(failure.is_some() || unified == "length", &mut out);
        if let Some(metadata) = self.ending(&reason, unified) {
            out.push(Chunk::Metadata { metadata });
        }
        (out, failure)
    }

    fn warn_at_the_end(&mut self, is_whole: bool) {
        if is_whole && self.shows_nothing() {
            self.answer.warn("The provider's answer is empty.");
        }
        if !self.is_empty() && !self.answer.strange.is_empty() {
            let fields = self.answer.strange_words();
            self.answer.warn(&format!("Of the answer, “{fields}” could not be kept: nobody knows it."));
        }
        for (known, said) in std::mem::take(&mut self.tools.renamed) {
            let (known, said) = (self.answer.word(&known), self.answer.word(&said));
            self.answer.warn(&format!("A tool call was named “{known}” and then “{said}”; the first name is kept."));
        }
    }

    /// Whether nothing came that a message could hold.
    fn is_empty(&self) -> bool {
        self.answer.is_empty() && self.tools.is_empty()
    }

    /// Whether what came is nothing to be seen: nothing at all, or white space.
    fn shows_nothing(&self) -> bool {
        let answer = &self.answer;
        self.is_empty() || (self.tools.is_empty() && !answer.attached && answer.thought == 0 && is_blank(&answer.text))
    }

    fn failure(&self, unified: &str) -> Option<ProviderError> {
        if self.answer.unread > 0 {
            let all = if self.is_empty() { "The provider's answer" } else { "A part of the provider's answer" };
            let said = self.answer.secrets.clean(&whole(&plain(&self.answer.sample)));
            return Some(ProviderError::new(Failure::Malformed, format!("{all} could not be read.")).with_words(said));
        }
        let (code, why) = if self.is_empty() && !self.answer.strange.is_empty() {
            let fields = self.answer.strange_words();
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
        let mut warnings = self.answer.warnings.clone();
        let secrets = &self.answer.secrets;
        let hides = self.usage != self.told && self.usage.as_deref().is_some_and(|usage| secrets.are_in(usage));
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
