//! Tool calls as an endpoint streams them, put together.
//!
//! Calls are told apart by their index, and by their id where an endpoint gives all the same index or none. Some give the
//! same index and no id (Gemini's OpenAI-compatible endpoint, and gateways before it): then what follows a whole object of
//! arguments and begins another one is the next call. Each call has an id of its own in the message, whatever the endpoint
//! does.
//!
//! A call is a function's, with JSON for arguments, or a custom tool's, whose input is a text. One of another kind is kept
//! with all that was said of it as its input. Arguments are kept as they were written; those that are no JSON, or are nested
//! deeper than a message may be, are kept as text in a call that failed. A result that the endpoint sends, having run the tool
//! itself, is the call's output, as text.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use threadmill_proto::json::value_from_str;
use threadmill_proto::limits::MAX_DEPTH;
use threadmill_proto::{Chunk, JsonText, is_blank};

use crate::providers::openai::surrogates::{Joiner, whole};
use crate::providers::words::prefix;

/// What a call takes beside its texts: its place here and in the indexes.
const CALL_BYTES: usize = 256;
/// Calls that one piece may be taken apart into, with those before it. No message has more parts.
const APART: usize = 256;
/// Changes of names that are said, and how much of a name.
const RENAMED: usize = 4;
const NAME_BYTES: usize = 1 << 10;

/// What a call's input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Input {
    #[default]
    Json,
    Text,
}

/// How far a JSON object has come: only what is needed to know where it ends. One pass over all its pieces.
#[derive(Debug, Clone, Copy, Default)]
struct Outline {
    begun: bool,
    /// It began with something else than a brace: no end is looked for.
    other: bool,
    open: usize,
    in_string: bool,
    escaped: bool,
    whole: bool,
}

impl Outline {
    /// Takes a piece up to where the object ends; what follows is something else. All of it if it does not end.
    fn take(&mut self, piece: &str) -> usize {
        for (at, byte) in piece.bytes().enumerate() {
            if self.whole {
                return at;
            }
            if !self.begun {
                if byte.is_ascii_whitespace() {
                    continue;
                }
                (self.begun, self.other) = (true, byte != b'{');
            }
            if self.other {
                break;
            }
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.open += 1,
                b'}' | b']' if !self.in_string => {
                    self.open -= 1;
                    self.whole = self.open == 0;
                }
                _ => {}
            }
        }
        piece.len()
    }
}

#[derive(Debug, Default)]
struct Call {
    /// The id in the message.
    id: String,
    /// The id as the endpoint gave it.
    given: String,
    name: String,
    begun: bool,
    input: Input,
    arguments: String,
    outline: Outline,
    joiner: Joiner,
    /// What the endpoint says came of it.
    output: Option<String>,
}

/// One entry of `tool_calls`, taken apart.
struct Entry {
    index: Option<u64>,
    id: String,
    name: String,
    input: Input,
    piece: Option<Value>,
}

/// The tool calls of one answer, while their pieces come.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    calls: Vec<Call>,
    by_index: HashMap<u64, usize>,
    /// The newest call of each id that the endpoint gave.
    by_given: HashMap<String, usize>,
    ids: HashSet<String>,
    /// What is kept of calls, shown or not.
    pub(crate) bytes: usize,
    /// Names that calls had, and those that they were given later.
    pub(crate) renamed: Vec<(String, String)>,
}

/// Takes an entry apart, in one of the forms there are.
fn entry(entry: &Map<String, Value>) -> Entry {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(whole).unwrap_or_default();
    let index = entry.get("index").and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok()));
    let (id, kind) = (text(entry.get("id")), text(entry.get("type")));
    let said = |body: &Map<String, Value>| {
        let piece = ["arguments", "input", "parameters"].iter().find_map(|key| body.get(*key)).cloned();
        (text(body.get("name")), piece.filter(|piece| !piece.is_null()))
    };
    let within = |key: &str| entry.get(key).and_then(Value::as_object);
    if let Some(custom) = within("custom") {
        let (name, piece) = said(custom);
        return Entry { index, id, name, input: Input::Text, piece };
    }
    if let Some(function) = within("function") {
        let (name, piece) = said(function);
        return Entry { index, id, name, input: Input::Json, piece };
    }
    let (name, piece) = within(&kind).map_or_else(|| said(entry), said);
    if !name.is_empty() || piece.is_some() {
        return Entry { index, id, name, input: Input::Json, piece };
    }
    let mut rest = entry.clone();
    rest.retain(|key, value| {
        !["id", "index", "type", "function", "custom"].contains(&key.as_str()) && !value.is_null()
    });
    let piece = (!rest.is_empty()).then_some(Value::Object(rest));
    let name = if piece.is_some() && kind != "function" { kind } else { String::new() };
    Entry { index, id, name, input: Input::Json, piece }
}

impl Tools {
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// One entry of `tool_calls`.
    pub(crate) fn take(&mut self, said: &Map<String, Value>, out: &mut Vec<Chunk>) {
        let Entry { index, id, name, input, piece } = entry(said);
        let mut at = self.place(index, &id, &name);
        if self.calls[at].arguments.is_empty() {
            self.calls[at].input = input;
        }
        let mut piece = match piece {
            Some(Value::String(piece)) => self.calls[at].joiner.take(&piece),
            Some(object) => object.to_string(),
            None => String::new(),
        };
        let mut name = name;
        loop {
            let call = &mut self.calls[at];
            let taken = if call.input == Input::Json { call.outline.take(&piece) } else { piece.len() };
            let rest = piece.split_off(taken);
            // An object again behind one that is whole is the next call's, with the same name if it says none.
            let next = rest.trim_start().starts_with('{') && self.calls.len() < APART;
            if !next {
                piece.push_str(&rest);
            }
            let is_named = !next || !piece.is_empty();
            if is_named {
                self.rename(at, std::mem::take(&mut name));
            }
            self.say(at, piece, out);
            if !next {
                return;
            }
            let known = self.calls[at].name.clone();
            let given = if is_named { String::new() } else { id.clone() };
            at = self.add(index, &given);
            name = if name.is_empty() { known } else { name };
            piece = rest.trim_start().to_owned();
        }
    }

    /// A call's name came, perhaps another one.
    fn rename(&mut self, at: usize, name: String) {
        let call = &mut self.calls[at];
        if call.name.is_empty() {
            call.name = name;
        } else if !name.is_empty() && name != call.name && self.renamed.len() < RENAMED {
            let short = |name: &str| prefix(name, NAME_BYTES).to_owned();
            self.renamed.push((short(&call.name), short(&name)));
        }
    }

    /// A piece of a call's input came.
    fn say(&mut self, at: usize, piece: String, out: &mut Vec<Chunk>) {
        let call = &mut self.calls[at];
        call.arguments.push_str(&piece);
        self.bytes += piece.len();
        // A call is shown by its name, which some endpoints send after its id.
        if call.begun {
            if !piece.is_empty() {
                out.push(Chunk::ToolInputDelta { call_id: call.id.clone(), delta: piece });
            }
        } else if !call.name.is_empty() {
            call.begin(out);
        }
    }

    fn place(&mut self, index: Option<u64>, id: &str, name: &str) -> usize {
        let known = match index {
            Some(index) => self.by_index.get(&index).copied(),
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => self.by_given.get(id).copied(),
        };
        let same = |at: &usize| id.is_empty() || name.is_empty() || self.calls[*at].given == id;
        known.filter(same).unwrap_or_else(|| self.add(index, id))
    }

    fn add(&mut self, index: Option<u64>, id: &str) -> usize {
        let at = self.calls.len();
        let mut own = if id.is_empty() { format!("call-{}", index.unwrap_or(at as u64)) } else { id.to_owned() };
        while !self.ids.insert(own.clone()) {
            own = format!("{own}-{at}");
        }
        self.bytes += CALL_BYTES + id.len();
        self.calls.push(Call { id: own, given: id.to_owned(), ..Call::default() });
        if !id.is_empty() {
            self.by_given.insert(id.to_owned(), at);
        }
        if let Some(index) = index {
            self.by_index.insert(index, at);
        }
        at
    }

    /// Words of what came of a call: of the one with this id, else of the newest. Whether there is one.
    pub(crate) fn result(&mut self, given: Option<&str>, words: &str) -> bool {
        let at = match given {
            Some(given) => self.by_given.get(given).copied(),
            None => self.calls.len().checked_sub(1),
        };
        let Some(at) = at else { return false };
        self.calls[at].output.get_or_insert_default().push_str(words);
        self.bytes += words.len();
        true
    }

    /// The answer is over. Calls whose input is whole say so; with `cut`, one that is not is left as it is.
    pub(crate) fn finish(self, cut: bool, out: &mut Vec<Chunk>) {
        for call in self.calls {
            call.finish(cut, out);
        }
    }
}
/// A text as JSON.
fn quoted(text: String) -> JsonText {
    JsonText(Value::String(text).to_string())
}

impl Call {
    fn begin(&mut self, out: &mut Vec<Chunk>) {
        self.begun = true;
        if self.name.is_empty() {
            self.name = "unnamed".into();
        }
        out.push(Chunk::ToolInputStart { call_id: self.id.clone(), name: self.name.clone(), dynamic: true });
        if !self.arguments.is_empty() {
            out.push(Chunk::ToolInputDelta { call_id: self.id.clone(), delta: self.arguments.clone() });
        }
    }

    fn finish(mut self, cut: bool, out: &mut Vec<Chunk>) {
        let rest = self.joiner.end();
        self.arguments.push_str(&rest);
        if !self.begun {
            self.begin(out);
        }
        let output = self.output.take().map(quoted);
        let output = output.map(|output| Chunk::ToolOutputAvailable { call_id: self.id.clone(), output });
        out.extend(self.input(cut, output.is_some()));
        out.extend(output);
    }

    /// What the input is, or what is wrong with it; nothing of one that is no JSON if it was cut off, or worked all the same.
    fn input(self, cut: bool, worked: bool) -> Option<Chunk> {
        let (call_id, name, dynamic) = (self.id, self.name, true);
        if self.input == Input::Text {
            return Some(Chunk::ToolInputAvailable { call_id, name, input: quoted(self.arguments), dynamic });
        }
        // A tool without parameters.
        let bare = is_blank(&self.arguments) && !cut;
        let input = JsonText(if bare { "{}".into() } else { self.arguments });
        let deep = input.depth() > MAX_DEPTH;
        if value_from_str(&input.0).is_ok() && !deep {
            return Some(Chunk::ToolInputAvailable { call_id, name, input, dynamic });
        }
        let error = if deep { "The input is nested too deep." } else { "The input is not JSON." };
        (!cut && !worked).then(|| Chunk::ToolInputError { call_id, name, input: quoted(input.0), error: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(tools: &mut Tools, said: Value, out: &mut Vec<Chunk>) {
        let Value::Object(said) = said else { panic!("{said} is no entry") };
        tools.take(&said, out);
    }

    /// The calls that entries make: their names, and their inputs or what is wrong with them.
    fn calls(entries: &[Value]) -> Vec<(String, String)> {
        let (mut tools, mut out) = (Tools::default(), Vec::new());
        entries.iter().for_each(|entry| take(&mut tools, entry.clone(), &mut out));
        tools.finish(false, &mut out);
        let whole = |chunk: Chunk| match chunk {
            Chunk::ToolInputAvailable { name, input, .. } => Some((name, input.0)),
            Chunk::ToolInputError { name, error, .. } => Some((name, error)),
            _ => None,
        };
        out.into_iter().filter_map(whole).collect()
    }

    fn check(entries: &[Value], want: &[(&str, &str)]) {
        let want: Vec<_> = want.iter().map(|(name, input)| (String::from(*name), String::from(*input))).collect();
        assert_eq!(calls(entries), want, "{entries:?}");
    }

    fn function(name: &str, arguments: &str) -> Value {
        json!({"index": 0, "function": {"name": name, "arguments": arguments}})
    }

    #[test]
    fn calls_that_nobody_names_are_counted() {
        let (mut tools, mut out) = (Tools::default(), Vec::new());
        for n in 0..4 {
            let function = json!({"arguments": "x".repeat(1000)});
            take(&mut tools, json!({"index": n, "id": format!("c{n}"), "function": function}), &mut out);
        }
        assert!(out.is_empty() && tools.bytes > 4 * 1000, "{} bytes", tools.bytes);
    }

    #[test]
    fn each_call_has_an_id_of_its_own() {
        let (mut tools, mut out) = (Tools::default(), Vec::new());
        for (index, id) in [(0, "a"), (1, "a-2"), (2, "a"), (3, "a")] {
            take(&mut tools, json!({"index": index, "id": id, "function": {"name": "f"}}), &mut out);
        }
        assert_eq!(tools.ids.len(), 4);
        // Without an index, a known id goes on with its call.
        take(&mut tools, json!({"id": "a-2", "function": {"arguments": "1"}}), &mut out);
        assert_eq!((tools.calls.len(), tools.calls[1].arguments.as_str()), (4, "1"));
    }

    #[test]
    fn an_object_behind_one_that_is_whole_is_the_next_call() {
        let [a, b] = [r#"{"a":"}"}"#, r#"{"b":[{}]}"#];
        let two = [("f", a), ("f", b)];
        check(&[function("f", a), function("f", b)], &two);
        check(&[function("f", a), function("", b)], &two);
        check(&[function("f", &format!("{a}\n{b}"))], &two);
        check(&[function("f", &a[..5]), function("", &format!("{}{}", &a[5..], &b[..2])), function("", &b[2..])], &two);
        check(&[function("f", a), function("g", b)], &[("f", a), ("g", b)]);
        check(&[function("f", a), function("f", "\n"), function("f", "")], &[("f", "{\"a\":\"}\"}\n")]);
        check(&[function("f", "[{}]{}")], &[("f", "The input is not JSON.")]);
        check(&[function("f", "[{},"), function("", "{}]")], &[("f", "[{},{}]")]);
    }

    #[test]
    fn a_piece_is_not_taken_apart_for_ever() {
        let made = calls(&[function("f", &"{}".repeat(1 << 20))]);
        assert_eq!((made.len(), made[0].1.as_str()), (APART, "{}"));
        assert_eq!(made[APART - 1].1, "The input is not JSON.", "and nothing of it is lost");
    }

    #[test]
    fn a_call_of_any_kind_is_kept() {
        let custom = |input: &str| json!({"index": 0, "type": "custom", "custom": {"name": "sql", "input": input}});
        check(&[custom("select \"a\""), custom("\nfrom b")], &[("sql", r#""select \"a\"\nfrom b""#)]);
        check(&[json!({"type": "mcp", "mcp": {"name": "m", "arguments": "{}"}})], &[("m", "{}")]);
        check(&[json!({"type": "probe", "query": [1]})], &[("probe", r#"{"query":[1]}"#)]);
        check(&[json!({"name": "flat", "arguments": {"a": 1}})], &[("flat", r#"{"a":1}"#)]);
        check(&[json!({"id": "x", "type": "function"})], &[("unnamed", "{}")]);
    }

    #[test]
    fn another_name_is_said_and_the_first_is_kept() {
        let (mut tools, mut out) = (Tools::default(), Vec::new());
        take(&mut tools, function("f", "{\"a\":"), &mut out);
        take(&mut tools, function("g", "1}"), &mut out);
        assert_eq!(tools.renamed, [("f".to_owned(), "g".to_owned())]);
        assert_eq!(tools.calls.len(), 1);
    }

    #[test]
    fn arguments_are_kept_as_written_or_say_what_is_wrong() {
        for kept in [r#"{"a":1,"a":2}"#, r#"{"n":123456789012345678901234567890}"#, r#"{"e":1E5,"z":-0}"#, "7", "null"]
        {
            check(&[function("f", kept)], &[("f", kept)]);
        }
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        check(&[function("f", &deep(100))], &[("f", &deep(100))]);
        check(&[function("f", &deep(101))], &[("f", "The input is nested too deep.")]);
        check(&[function("f", &deep(5000))], &[("f", "The input is nested too deep.")]);
        check(&[function("f", "{oh")], &[("f", "The input is not JSON.")]);
        check(&[function("f", " \n")], &[("f", "{}")]);
    }
}
