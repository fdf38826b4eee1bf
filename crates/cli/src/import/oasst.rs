//! Open Assistant trees: a `prompt` with `replies`, nested. Every leaf is a branch here.
//!
//! The first reply goes on where its parent is; every further one forks. Rows are in the order of a walk that
//! finishes a reply before it begins the next, so siblings keep their order.

use serde_json::{Map, Value};
use threadmill_proto::{BranchId, JsonText, Message, MessageId, MessageStatus, Millis, Part, Role, ThreadId};
use threadmill_store::{ImportRow, ImportThread, title_of};

/// Trees say nothing of time: this is 2023-04-15, when the data set was published.
const WHEN: Millis = 1_681_516_800_000;

/// A tree as rows.
pub(super) struct Tree {
    pub(super) id: String,
    pub(super) rows: Vec<ImportRow>,
    metadata: JsonText,
}

/// Whether a line is one.
pub(super) fn is_tree(value: &Value) -> bool {
    value.get("message_tree_id").is_some() || value.get("prompt").is_some()
}

struct Node {
    value: Value,
    branch: BranchId,
    depth: u64,
    /// What the node forks from; none goes on where its parent is.
    fork: Option<Option<BranchId>>,
}

/// Reads a tree.
pub(super) fn read(value: Value) -> Result<Tree, String> {
    let Value::Object(mut tree) = value else { return Err("a tree must be an object".into()) };
    let id = text(&tree, "message_tree_id")?;
    let prompt = tree.shift_remove("prompt").ok_or("`prompt` is missing")?;
    let mut source = Map::new();
    source.insert("format".into(), "oasst".into());
    source.extend(tree);
    let mut metadata = Map::new();
    metadata.insert("source".into(), Value::Object(source));
    let rows = walk(prompt)?;
    Ok(Tree { id, rows, metadata: JsonText(Value::Object(metadata).to_string()) })
}

fn walk(prompt: Value) -> Result<Vec<ImportRow>, String> {
    let main = BranchId::parse("main").map_err(|rule| rule.to_string())?;
    let mut stack = vec![Node { value: prompt, branch: main, depth: 0, fork: Some(None) }];
    let mut rows = Vec::new();
    while let Some(node) = stack.pop() {
        let Value::Object(mut fields) = node.value else { return Err("a message must be an object".into()) };
        let id = text(&fields, "message_id")?;
        let at = |why: String| format!("message {id}: {why}");
        if let Some(parent) = node.fork {
            rows.push(ImportRow::Branch { id: node.branch.clone(), parent, fork_depth: node.depth });
        }
        let replies = match fields.shift_remove("replies") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(replies)) => replies,
            Some(_) => return Err(at("`replies` must be an array".into())),
        };
        rows.push(ImportRow::Message(message(fields, &node.branch, node.depth).map_err(at)?));
        let mut next = Vec::with_capacity(replies.len());
        for (index, value) in replies.into_iter().enumerate() {
            let depth = node.depth + 1;
            next.push(if index == 0 {
                Node { value, branch: node.branch.clone(), depth, fork: None }
            } else {
                let name = value.get("message_id").and_then(Value::as_str).ok_or("`message_id` is missing")?;
                let branch = BranchId::parse(&format!("at-{name}")).map_err(|rule| at(rule.to_string()))?;
                Node { value, branch, depth, fork: Some(Some(node.branch.clone())) }
            });
        }
        stack.extend(next.into_iter().rev());
    }
    Ok(rows)
}

fn message(mut fields: Map<String, Value>, branch: &BranchId, depth: u64) -> Result<Message, String> {
    let id = MessageId::parse(&text(&fields, "message_id")?).map_err(|rule| format!("`message_id`: {rule}"))?;
    let role = match text(&fields, "role")?.as_str() {
        "prompter" => Role::User,
        "assistant" => Role::Assistant,
        other => return Err(format!("`role` is `{other}`, not prompter or assistant")),
    };
    let body = text(&fields, "text")?;
    for known in ["message_id", "parent_id", "role", "text"] {
        fields.shift_remove(known);
    }
    Ok(Message {
        id,
        role,
        parts: vec![Part::text(body)],
        metadata: (!fields.is_empty()).then(|| JsonText(Value::Object(fields).to_string())),
        status: MessageStatus::Complete,
        branch: branch.clone(),
        depth,
        rev: 1,
        created_at: WHEN,
        previews: Vec::new(),
    })
}

fn text(map: &Map<String, Value>, key: &str) -> Result<String, String> {
    match map.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("`{key}` must be a string")),
        None => Err(format!("`{key}` is missing")),
    }
}

impl Tree {
    pub(super) fn messages(&self) -> u64 {
        self.rows.iter().filter(|row| matches!(row, ImportRow::Message(_))).count() as u64
    }

    pub(super) fn branches(&self) -> u64 {
        self.rows.len() as u64 - self.messages()
    }

    pub(super) fn thread(&self, id: ThreadId) -> ImportThread {
        let first = self.rows.iter().find_map(|row| match row {
            ImportRow::Message(message) => Some(message.parts.clone()),
            ImportRow::Branch { .. } => None,
        });
        let body = threadmill_proto::message::Body { parts: first.unwrap_or_default(), metadata: None };
        ImportThread {
            id,
            title: title_of(&body),
            metadata: Some(self.metadata.clone()),
            archived: false,
            created_at: WHEN,
            updated_at: WHEN,
        }
    }
}
