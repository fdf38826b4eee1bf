//! Tool calls as an endpoint streams them, put together.
//!
//! Calls are told apart by their index, and by their id where an endpoint gives all the same index or none. Each has an
//! id of its own in the message, whatever the endpoint does.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use threadmill_proto::json::value_from_str;
use threadmill_proto::{Chunk, JsonText};

use crate::providers::openai::surrogates::{Joiner, whole};

#[derive(Debug, Default)]
struct Call {
    /// The id in the message.
    id: String,
    /// The id as the endpoint gave it.
    given: String,
    name: String,
    begun: bool,
    arguments: String,
    joiner: Joiner,
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
}

/// What a call takes beside its texts: its place here and in the indexes.
const CALL_BYTES: usize = 256;

impl Tools {
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// One entry of `tool_calls`.
    pub(crate) fn take(&mut self, entry: &Value, out: &mut Vec<Chunk>) {
        let function = entry.get("function").unwrap_or(&Value::Null);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(whole).unwrap_or_default();
        let (id, name) = (text(entry.get("id")), text(function.get("name")));
        let at = self.place(entry.get("index").and_then(Value::as_u64), &id, &name);
        let call = &mut self.calls[at];
        if call.name.is_empty() {
            call.name = name;
        }
        let piece = match function.get("arguments") {
            Some(Value::String(piece)) => call.joiner.take(piece),
            None | Some(Value::Null) => String::new(),
            Some(object) => object.to_string(),
        };
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
        if let Some(at) = known.filter(same) {
            return at;
        }
        let at = self.calls.len();
        let mut own = if id.is_empty() { format!("call-{}", index.unwrap_or(at as u64)) } else { id.to_owned() };
        while !self.ids.insert(own.clone()) {
            own = format!("{own}-{at}");
        }
        self.bytes += CALL_BYTES + id.len() + name.len();
        self.calls.push(Call { id: own, given: id.to_owned(), ..Call::default() });
        if !id.is_empty() {
            self.by_given.insert(id.to_owned(), at);
        }
        if let Some(index) = index {
            self.by_index.insert(index, at);
        }
        at
    }

    /// The answer is over. Calls whose input is whole say so; with `cut`, one that is not is left as it is.
    pub(crate) fn finish(self, cut: bool, out: &mut Vec<Chunk>) {
        for mut call in self.calls {
            let rest = call.joiner.end();
            call.arguments.push_str(&rest);
            if !call.begun {
                call.begin(out);
            }
            let (call_id, name) = (call.id, call.name);
            if call.arguments.trim().is_empty() && !cut {
                // A tool without parameters.
                call.arguments = "{}".into();
            }
            if value_from_str(&call.arguments).is_ok() {
                out.push(Chunk::ToolInputAvailable { call_id, name, input: JsonText(call.arguments), dynamic: true });
            } else if !cut {
                let input = JsonText(Value::String(call.arguments).to_string());
                out.push(Chunk::ToolInputError { call_id, name, input, error: "The input is not JSON.".into() });
            }
        }
    }
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_that_nobody_names_are_counted() {
        let (mut tools, mut out) = (Tools::default(), Vec::new());
        for n in 0..4 {
            let function = json!({"arguments": "x".repeat(1000)});
            tools.take(&json!({"index": n, "id": format!("c{n}"), "function": function}), &mut out);
        }
        assert!(out.is_empty() && tools.bytes > 4 * 1000, "{} bytes", tools.bytes);
    }

    #[test]
    fn each_call_has_an_id_of_its_own() {
        let (mut tools, mut out) = (Tools::default(), Vec::new());
        for (index, id) in [(0, "a"), (1, "a-2"), (2, "a"), (3, "a")] {
            tools.take(&json!({"index": index, "id": id, "function": {"name": "f"}}), &mut out);
        }
        assert_eq!(tools.ids.len(), 4);
        // Without an index, a known id goes on with its call.
        tools.take(&json!({"id": "a-2", "function": {"arguments": "1"}}), &mut out);
        assert_eq!((tools.calls.len(), tools.calls[1].arguments.as_str()), (4, "1"));
    }
}
