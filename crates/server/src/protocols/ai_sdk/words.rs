//! The AI SDK's chunks of what a run says.
//!
//! A run's stored chunks are nearly the SDK's, but the fold that makes messages of them forgives more than the SDK does:
//! version 5 throws at a delta whose part was not begun, at an output whose call it does not know, and any version at a
//! `type` it has not heard of. So what is open is followed here, and what is said is what the fold made of it: a part is
//! begun before it grows and ended before it is begun again, and what the fold leaves out is left out.

use serde_json::{Map, Value, json};
use threadmill_engine::{INPUT_CUT, NOT_RUN, push_joined};
use threadmill_proto::message::Body;
use threadmill_proto::{Chunk, JsonText, MessageId, Outcome, Part, RunId, json as shape};

/// Whose words are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// What versions 5, 6 and 7 all parse.
    Common,
    /// That, and what only version 7 has.
    Seven,
}

/// How growing text is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deltas {
    /// What is there already comes as one.
    Joined,
    /// One by one, so that a chunk has the same number at every reading.
    AsWritten,
}

/// Kinds that a run may carry without this server knowing more of them than that they are parts, the fields without which the
/// SDK refuses them, and whether all versions have them. What the message does not keep is not said: what is read live and
/// what is loaded later shall be the same.
const CARRIED: [(&str, &[&str], Dialect); 4] = [
    ("source-document", &["sourceId", "mediaType", "title"], Dialect::Common),
    ("custom", &["kind"], Dialect::Seven),
    ("reasoning-file", &["url", "mediaType"], Dialect::Seven),
    ("steering-message", &["id"], Dialect::Seven),
];

/// The finish reasons that all versions know.
const REASONS: [&str; 6] = ["stop", "length", "content-filter", "tool-calls", "error", "other"];

/// The name of the data part that says which run is read, and how it ended. It is transient: handed to `onData`, and part
/// of no message.
const RUN_EVENT: &str = "data-threadmill-run";

/// A tool call as far as it was said.
#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    dynamic: bool,
    state: CallState,
}

#[derive(Debug)]
enum CallState {
    /// Its input comes: this is it so far.
    Input(String),
    /// It waits for an answer.
    Waiting,
    Answered,
}

/// Says one answer.
#[derive(Debug)]
pub(super) struct Words {
    dialect: Dialect,
    deltas: Deltas,
    /// Parts that are open, in the order of their beginning, each by its kind's word and its id.
    open: Vec<(&'static str, String)>,
    /// Tool calls, in the order of their beginning.
    calls: Vec<Call>,
    reason: Option<String>,
}

impl Words {
    pub(super) fn new(dialect: Dialect, deltas: Deltas) -> Self {
        Self { dialect, deltas, open: Vec::new(), calls: Vec::new(), reason: None }
    }

    /// How an answer begins. The message's id takes the place of the one that the client made up.
    pub(super) fn start(run: &RunId, message: &MessageId) -> Vec<Value> {
        let live = json!({"run": run.as_str(), "message": message.as_str(), "status": "live"});
        vec![json!({"type": "start", "messageId": message.as_str()}), event(&live)]
    }

    /// What a run said.
    pub(super) fn said(&mut self, chunks: Vec<Chunk>) -> Vec<Value> {
        let mut joined = Vec::new();
        for chunk in chunks {
            match self.deltas {
                Deltas::Joined => push_joined(&mut joined, chunk),
                Deltas::AsWritten => joined.push(chunk),
            }
        }
        let mut out = Vec::new();
        for chunk in &joined {
            self.chunk(chunk, &mut out);
        }
        out
    }

    /// A whole message, as its run would have said it.
    pub(super) fn whole(&mut self, body: &Body) -> Vec<Value> {
        self.said(chunks_of(body))
    }

    /// How it ended. What is open is ended first, so that no reader shows it as growing.
    pub(super) fn end(&mut self, run: &RunId, outcome: Outcome, error: Option<&str>) -> Vec<Value> {
        let mut out = Vec::new();
        self.close_all(&mut out);
        self.give_up(&mut out);
        out.push(event(&json!({"run": run.as_str(), "status": shape::outcome_word(outcome)})));
        out.push(match outcome {
            Outcome::Complete => json!({"type": "finish", "finishReason": self.reason.as_deref().unwrap_or("stop")}),
            Outcome::Stopped => json!({"type": "abort"}),
            // Never `stop`: the answer is not whole.
            Outcome::Interrupted if self.dialect == Dialect::Common => {
                json!({"type": "finish", "finishReason": "other"})
            }
            Outcome::Interrupted => json!({"type": "finish", "finishReason": "interrupted"}),
            Outcome::Failed => failure(error.unwrap_or("The provider failed.")),
        });
        out
    }

    fn chunk(&mut self, chunk: &Chunk, out: &mut Vec<Value>) {
        match chunk {
            Chunk::TextStart { id } => self.begin("text", id, out),
            Chunk::ReasoningStart { id } => self.begin("reasoning", id, out),
            Chunk::TextDelta { id, .. } => self.grow("text", id, chunk, out),
            Chunk::ReasoningDelta { id, .. } => self.grow("reasoning", id, chunk, out),
            Chunk::TextEnd { id } => self.close("text", id, out),
            Chunk::ReasoningEnd { id } => self.close("reasoning", id, out),
            Chunk::ToolInputStart { call_id, name, dynamic } => {
                self.enter(call_id, name, *dynamic).state = CallState::Input(String::new());
                out.push(shape::chunk_to_value(chunk));
            }
            Chunk::ToolInputDelta { call_id, delta } => {
                if let Some(Call { state: CallState::Input(input), .. }) = self.call(call_id) {
                    input.push_str(delta);
                    out.push(shape::chunk_to_value(chunk));
                }
            }
            Chunk::ToolInputAvailable { call_id, name, dynamic, .. } => {
                self.enter(call_id, name, *dynamic).state = CallState::Waiting;
                out.push(shape::chunk_to_value(chunk));
            }
            Chunk::ToolInputError { call_id, name, .. } => {
                let is_dynamic = self.call(call_id).is_some_and(|call| call.dynamic);
                self.enter(call_id, name, is_dynamic).state = CallState::Answered;
                out.push(dynamic(shape::chunk_to_value(chunk), is_dynamic));
            }
            Chunk::ToolOutputAvailable { call_id, .. } | Chunk::ToolOutputError { call_id, .. } => {
                if let Some(call) = self.call(call_id) {
                    call.state = CallState::Answered;
                    out.push(dynamic(shape::chunk_to_value(chunk), call.dynamic));
                }
            }
            Chunk::SourceUrl { .. } | Chunk::File { .. } | Chunk::Data { .. } | Chunk::StartStep => {
                out.push(shape::chunk_to_value(chunk));
            }
            Chunk::FinishStep => {
                self.close_all(out);
                out.push(shape::chunk_to_value(chunk));
            }
            Chunk::Metadata { metadata } => self.metadata(metadata, chunk, out),
            Chunk::Other { kind, json } => out.extend(self.carried(kind, json)),
        }
    }

    fn begin(&mut self, kind: &'static str, id: &str, out: &mut Vec<Value>) {
        self.close(kind, id, out);
        self.open.push((kind, id.to_owned()));
        out.push(json!({"type": format!("{kind}-start"), "id": id}));
    }

    fn grow(&mut self, kind: &'static str, id: &str, chunk: &Chunk, out: &mut Vec<Value>) {
        if !self.open.iter().any(|(known, open)| *known == kind && open == id) {
            self.begin(kind, id, out);
        }
        out.push(shape::chunk_to_value(chunk));
    }

    fn close(&mut self, kind: &'static str, id: &str, out: &mut Vec<Value>) {
        if let Some(at) = self.open.iter().position(|(known, open)| *known == kind && open == id) {
            self.open.remove(at);
            out.push(json!({"type": format!("{kind}-end"), "id": id}));
        }
    }

    fn close_all(&mut self, out: &mut Vec<Value>) {
        for (kind, id) in std::mem::take(&mut self.open) {
            out.push(json!({"type": format!("{kind}-end"), "id": id}));
        }
    }

    fn call(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == id)
    }

    /// A call that is known from now on.
    fn enter(&mut self, id: &str, name: &str, dynamic: bool) -> &mut Call {
        let at = self.calls.iter().position(|call| call.id == id).unwrap_or_else(|| {
            let (id, name) = (id.to_owned(), name.to_owned());
            self.calls.push(Call { id, name, dynamic, state: CallState::Waiting });
            self.calls.len() - 1
        });
        self.calls[at].dynamic = dynamic;
        &mut self.calls[at]
    }

    /// What the message keeps of calls that nobody answered is that they were not.
    fn give_up(&mut self, out: &mut Vec<Value>) {
        for call in &mut self.calls {
            let (call_id, name) = (call.id.clone(), call.name.clone());
            let chunk = match std::mem::replace(&mut call.state, CallState::Answered) {
                CallState::Input(input) => {
                    let input = JsonText(Value::String(input).to_string());
                    Chunk::ToolInputError { call_id, name, input, error: INPUT_CUT.into() }
                }
                CallState::Waiting => Chunk::ToolOutputError { call_id, error: NOT_RUN.into() },
                CallState::Answered => continue,
            };
            out.push(dynamic(shape::chunk_to_value(&chunk), call.dynamic));
        }
    }

    fn metadata(&mut self, metadata: &JsonText, chunk: &Chunk, out: &mut Vec<Value>) {
        let Ok(Value::Object(map)) = shape::level_from_slice(metadata.0.as_bytes()) else { return };
        if let Some(reason) = map.get("finishReason").and_then(Value::as_str) {
            let known = REASONS.contains(&reason);
            self.reason = Some(if known { reason } else { "other" }.to_owned());
        }
        out.push(shape::chunk_to_value(chunk));
    }

    /// What this server only carries, if this reader knows it and it is what the SDK takes for one.
    fn carried(&self, kind: &str, json: &JsonText) -> Option<Value> {
        let (_, fields, since) = CARRIED.iter().find(|(known, ..)| *known == kind)?;
        if *since == Dialect::Seven && self.dialect == Dialect::Common {
            return None;
        }
        let Ok(Value::Object(map)) = shape::level_from_slice(json.0.as_bytes()) else { return None };
        let whole = fields.iter().all(|field| map.get(*field).is_some_and(Value::is_string));
        whole.then_some(Value::Object(map))
    }
}

/// What a reader is told that cannot be told anything else any more.
pub(super) fn failure(why: &str) -> Value {
    json!({"type": "error", "errorText": why})
}

fn event(data: &Value) -> Value {
    json!({"type": RUN_EVENT, "data": data, "transient": true})
}

fn dynamic(mut value: Value, is_dynamic: bool) -> Value {
    if let (Value::Object(map), true) = (&mut value, is_dynamic) {
        map.insert("dynamic".into(), true.into());
    }
    value
}

/// Chunks that fold to a message.
fn chunks_of(body: &Body) -> Vec<Chunk> {
    let mut out = Vec::new();
    for (index, part) in body.parts.iter().enumerate() {
        let id = index.to_string();
        match part {
            Part::Text { text, .. } => {
                let delta = (!text.is_empty()).then(|| Chunk::TextDelta { id: id.clone(), delta: text.clone() });
                out.push(Chunk::TextStart { id: id.clone() });
                out.extend(delta);
                out.push(Chunk::TextEnd { id });
            }
            Part::Reasoning { text, .. } => {
                let delta = (!text.is_empty()).then(|| Chunk::ReasoningDelta { id: id.clone(), delta: text.clone() });
                out.push(Chunk::ReasoningStart { id: id.clone() });
                out.extend(delta);
                out.push(Chunk::ReasoningEnd { id });
            }
            Part::Tool(tool) => {
                let (call_id, name) = (tool.call_id.clone(), tool.name.clone());
                let input = tool.input.clone().unwrap_or_else(|| JsonText("null".into()));
                let input = Chunk::ToolInputAvailable { call_id: call_id.clone(), name, input, dynamic: tool.dynamic };
                out.push(input);
                match (&tool.output, &tool.error) {
                    (_, Some(error)) => out.push(Chunk::ToolOutputError { call_id, error: error.clone() }),
                    (Some(output), None) => out.push(Chunk::ToolOutputAvailable { call_id, output: output.clone() }),
                    (None, None) => {}
                }
            }
            Part::File { media_type, url, .. } => {
                out.push(Chunk::File { media_type: media_type.clone(), url: url.clone() });
            }
            Part::SourceUrl { source_id, url, title } => {
                let (source_id, url, title) = (source_id.clone(), url.clone(), title.clone());
                out.push(Chunk::SourceUrl { source_id, url, title });
            }
            Part::Data { name, id, data } => {
                out.push(Chunk::Data { name: name.clone(), id: id.clone(), data: data.clone() });
            }
            Part::StepStart => out.push(Chunk::StartStep),
            Part::Other { kind, json } => out.push(Chunk::Other { kind: kind.clone(), json: json.clone() }),
        }
    }
    out.extend(body.metadata.clone().map(|metadata| Chunk::Metadata { metadata }));
    out
}

/// A JSON object as it is sent.
pub(super) fn frame(fields: impl IntoIterator<Item = (&'static str, Value)>) -> String {
    let map: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(map).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(text: &str) -> String {
        text.to_owned()
    }

    fn types(values: &[Value]) -> Vec<String> {
        values.iter().map(|value| value["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn what_a_lenient_fold_takes_is_said_in_the_order_that_version_5_needs() {
        let mut words = Words::new(Dialect::Common, Deltas::Joined);
        let said = words.said(vec![
            Chunk::TextDelta { id: s("a"), delta: s("x") },
            Chunk::TextDelta { id: s("a"), delta: s("y") },
            Chunk::TextStart { id: s("a") },
            Chunk::TextEnd { id: s("never") },
            Chunk::ToolInputDelta { call_id: s("c"), delta: s("{") },
            Chunk::ToolOutputAvailable { call_id: s("c"), output: JsonText(s("1")) },
            Chunk::ReasoningStart { id: s("r") },
            Chunk::FinishStep,
        ]);
        let want = "text-start text-delta text-end text-start reasoning-start text-end reasoning-end finish-step";
        assert_eq!(types(&said).join(" "), want);
        assert_eq!(said[1]["delta"], "xy");
    }

    #[test]
    fn an_answer_of_a_dynamic_tool_says_that_it_is_one() {
        let mut words = Words::new(Dialect::Common, Deltas::Joined);
        let said = words.said(vec![
            Chunk::ToolInputStart { call_id: s("c"), name: s("t"), dynamic: true },
            Chunk::ToolInputDelta { call_id: s("c"), delta: s("{}") },
            Chunk::ToolInputAvailable { call_id: s("c"), name: s("t"), input: JsonText(s("{}")), dynamic: true },
            Chunk::ToolInputDelta { call_id: s("c"), delta: s("late") },
            Chunk::ToolOutputError { call_id: s("c"), error: s("no") },
        ]);
        assert_eq!(types(&said).join(" "), "tool-input-start tool-input-delta tool-input-available tool-output-error");
        assert_eq!(said[3]["dynamic"], true);
    }

    #[test]
    fn calls_that_nobody_answered_are_said_to_be_so_as_the_message_keeps_them() {
        let mut words = Words::new(Dialect::Common, Deltas::Joined);
        words.said(vec![
            Chunk::ToolInputAvailable { call_id: s("a"), name: s("t"), input: JsonText(s("{}")), dynamic: true },
            Chunk::ToolInputStart { call_id: s("b"), name: s("t"), dynamic: false },
            Chunk::ToolInputDelta { call_id: s("b"), delta: s("{\"x\":") },
            Chunk::ToolInputAvailable { call_id: s("c"), name: s("t"), input: JsonText(s("{}")), dynamic: false },
            Chunk::ToolOutputAvailable { call_id: s("c"), output: JsonText(s("1")) },
        ]);
        let end = words.end(&RunId::parse("r").expect("an id"), Outcome::Complete, None);
        assert_eq!(types(&end).join(" "), "tool-output-error tool-input-error data-threadmill-run finish");
        assert_eq!((&end[0]["errorText"], &end[0]["dynamic"]), (&json!(NOT_RUN), &json!(true)));
        assert_eq!((&end[1]["errorText"], &end[1]["input"]), (&json!(INPUT_CUT), &json!("{\"x\":")));
    }

    #[test]
    fn words_of_version_7_are_said_to_nobody_else_and_malformed_ones_to_nobody() {
        let chunks = || {
            let other = |kind: &str, json: &str| Chunk::Other { kind: s(kind), json: JsonText(s(json)) };
            vec![
                other("custom", r#"{"type":"custom","kind":"a.b"}"#),
                other("reset-step", r#"{"type":"reset-step"}"#),
                other("unheard-of", r#"{"type":"unheard-of"}"#),
                other("source-document", r#"{"type":"source-document","sourceId":"1"}"#),
                other("source-document", r#"{"type":"source-document","sourceId":"1","mediaType":"a","title":"b"}"#),
                Chunk::Metadata { metadata: JsonText(s("7")) },
            ]
        };
        assert_eq!(types(&Words::new(Dialect::Common, Deltas::Joined).said(chunks())), ["source-document"]);
        assert_eq!(types(&Words::new(Dialect::Seven, Deltas::Joined).said(chunks())), ["custom", "source-document"]);
    }

    #[test]
    fn an_interrupted_answer_is_never_said_to_have_stopped_by_itself() {
        let run = RunId::parse("r").expect("an id");
        let last =
            |dialect, outcome| Words::new(dialect, Deltas::Joined).end(&run, outcome, None).pop().expect("the end");
        assert_eq!(last(Dialect::Common, Outcome::Interrupted)["finishReason"], "other");
        assert_eq!(last(Dialect::Seven, Outcome::Interrupted)["finishReason"], "interrupted");
        assert_eq!(last(Dialect::Common, Outcome::Complete)["finishReason"], "stop");
        assert_eq!(last(Dialect::Common, Outcome::Stopped)["type"], "abort");
        assert_eq!(last(Dialect::Common, Outcome::Failed)["type"], "error");
        let mut words = Words::new(Dialect::Common, Deltas::Joined);
        words.said(vec![Chunk::Metadata { metadata: JsonText(s(r#"{"finishReason":"refusal"}"#)) }]);
        assert_eq!(words.end(&run, Outcome::Complete, None).pop().expect("the end")["finishReason"], "other");
    }

    #[test]
    fn a_whole_message_is_said_as_its_run_would_have() {
        let body = Body {
            parts: vec![
                Part::StepStart,
                Part::Reasoning { text: String::new(), extra: None },
                Part::text("hello"),
                Part::Data { name: s("x"), id: None, data: JsonText(s("1e999")) },
            ],
            metadata: Some(JsonText(s(r#"{"a":1}"#))),
        };
        let said = Words::new(Dialect::Common, Deltas::Joined).whole(&body);
        let want = "start-step reasoning-start reasoning-end text-start text-delta text-end data-x message-metadata";
        assert_eq!(types(&said).join(" "), want);
        assert_eq!(said[6].to_string(), r#"{"type":"data-x","data":1e999}"#);
    }
}
