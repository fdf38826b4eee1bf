//! What a client can write, as the requests that do it. Every id is minted here, so that a repeated request has one
//! effect, and a message has its name before the server knows of it.

use reqwest::Method;
use serde_json::{Map, Value, json};
use threadmill_core::outbox::Purpose;
use threadmill_core::window::text_of;
use threadmill_proto::json::part_to_value;
use threadmill_proto::{BranchId, InvalidId, MessageId, Part, RunId, ThreadId};

use crate::edit::{Answered, Edit};
use crate::error::Error;
use crate::ids::mint;

/// A message to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// What it says. A row of a view may hold previews of long parts: whoever says again what a row says reads it with
    /// [`Http::message`](crate::Http::message) first.
    pub parts: Vec<Part>,
    /// The branch; the default one if none is named.
    pub branch: Option<BranchId>,
    /// The message it was written after. If the branch has moved on it is appended all the same.
    pub after: Option<MessageId>,
    /// Whether a model answers it.
    pub answered: Answered,
}

impl NewMessage {
    /// A message of one text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let parts = vec![Part::Text { text: text.into(), extra: None }];
        Self { parts, branch: None, after: None, answered: Answered::No }
    }

    /// Has it answered.
    #[must_use]
    pub fn answered(mut self, answered: Answered) -> Self {
        self.answered = answered;
        self
    }

    /// Puts it on a branch.
    #[must_use]
    pub fn on(mut self, branch: BranchId) -> Self {
        self.branch = Some(branch);
        self
    }

    fn parts(&self) -> Value {
        self.parts.iter().map(part_to_value).collect()
    }

    fn shown(&self) -> String {
        text_of(&self.parts)
    }
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// Makes a thread.
    Create,
    /// Appends a message.
    Send,
    /// Edits one.
    Edit,
    /// Has an answer given again.
    Regenerate,
    /// Stops a run.
    Stop,
    /// Removes a message.
    Remove,
    /// Gives a thread a title.
    Rename,
    /// Puts a thread aside or brings it back.
    Archive,
    /// Deletes a thread.
    Delete,
}

impl WriteKind {
    const ALL: [Self; 9] = [
        Self::Create,
        Self::Send,
        Self::Edit,
        Self::Regenerate,
        Self::Stop,
        Self::Remove,
        Self::Rename,
        Self::Archive,
        Self::Delete,
    ];

    /// The word for it, as it is kept.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Send => "send",
            Self::Edit => "edit",
            Self::Regenerate => "regenerate",
            Self::Stop => "stop",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Archive => "archive",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Create | Self::Send | Self::Regenerate | Self::Stop => Method::POST,
            Self::Edit | Self::Rename | Self::Archive => Method::PATCH,
            Self::Remove | Self::Delete => Method::DELETE,
        }
    }
}

/// A write: plain data, so that it can be kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    /// Also the idempotency key.
    pub(crate) key: String,
    pub(crate) kind: WriteKind,
    pub(crate) thread: ThreadId,
    /// The message it makes or changes.
    pub(crate) message: Option<MessageId>,
    /// The run it starts or, if it is a stop, stops.
    pub(crate) run: Option<RunId>,
    /// What a person would recognise it by.
    pub(crate) text: Option<String>,
    /// Under `/v1`.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

impl Write {
    fn new(kind: WriteKind, thread: ThreadId, path: String, body: Option<Value>) -> Self {
        Self { key: mint(), kind, thread, message: None, run: None, text: None, path, body }
    }

    /// What it means for a run.
    pub(crate) fn purpose(&self) -> Purpose {
        match (&self.run, self.kind) {
            (Some(run), WriteKind::Stop) => Purpose::Stops(run.clone()),
            (Some(run), _) => Purpose::Starts(run.clone()),
            (None, _) => Purpose::Plain,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": self.kind.as_str(), "thread": self.thread.as_str(),
            "message": self.message.as_ref().map(MessageId::as_str), "run": self.run.as_ref().map(RunId::as_str),
            "text": self.text, "path": self.path,
        });
        value["body"] = self.body.clone().unwrap_or_default();
        value
    }

    /// Reads a write that was kept under a key.
    pub(crate) fn from_value(key: &str, value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Self {
            key: key.into(),
            kind: WriteKind::ALL.into_iter().find(|kind| value["kind"] == kind.as_str())?,
            thread: ThreadId::parse(value["thread"].as_str()?).ok()?,
            message: value["message"].as_str().map(MessageId::parse).transpose().ok()?,
            run: value["run"].as_str().map(RunId::parse).transpose().ok()?,
            text: text("text"),
            path: text("path")?,
            body: value.get("body").filter(|body| !body.is_null()).cloned(),
        })
    }
}

/// What the server said to a write that it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The message that was made, changed or, for a new answer, begun.
    pub message: Option<MessageId>,
    /// The branch to read it on.
    pub branch: Option<BranchId>,
    /// The run that was started.
    pub run: Option<RunId>,
    /// An edit made a branch of its own.
    pub forked: bool,
}

impl Answer {
    /// Nothing is there of what an answer does not say.
    pub(crate) fn of(answer: &Value) -> Self {
        let (message, run) = (&answer["message"], &answer["run"]);
        let branch = message["branch"].as_str().or_else(|| run["branch"].as_str());
        Self {
            message: message["id"].as_str().and_then(|id| MessageId::parse(id).ok()),
            branch: branch.and_then(|id| BranchId::parse(id).ok()),
            run: run["id"].as_str().and_then(|id| RunId::parse(id).ok()),
            forked: answer["forked"] == true,
        }
    }
}

pub(crate) fn create(title: Option<&str>, message: &NewMessage) -> Result<Write, Error> {
    let (thread, id) = (fresh(ThreadId::parse)?, fresh(MessageId::parse)?);
    let (run, run_body) = run_of(&message.answered)?;
    let first = body([("id", id.as_str().into()), ("role", "user".into()), ("parts", message.parts())]);
    let mut body = body([("id", thread.as_str().into()), ("message", first)]);
    put(&mut body, "title", title.map(Into::into));
    put(&mut body, "run", run_body);
    let write = Write::new(WriteKind::Create, thread, "/threads".into(), Some(body));
    Ok(Write { message: Some(id), run, text: Some(message.shown()), ..write })
}

pub(crate) fn send(thread: ThreadId, message: &NewMessage) -> Result<Write, Error> {
    let id = fresh(MessageId::parse)?;
    let (run, run_body) = run_of(&message.answered)?;
    let mut body = body([("id", id.as_str().into()), ("role", "user".into()), ("parts", message.parts())]);
    put(&mut body, "branch", message.branch.as_ref().map(|branch| branch.as_str().into()));
    put(&mut body, "after", message.after.as_ref().map(|after| after.as_str().into()));
    put(&mut body, "run", run_body);
    let path = format!("/threads/{thread}/messages");
    let write = Write::new(WriteKind::Send, thread, path, Some(body));
    Ok(Write { message: Some(id), run, text: Some(message.shown()), ..write })
}

pub(crate) fn edit(thread: ThreadId, message: MessageId, edit: &Edit) -> Result<Write, Error> {
    let (run, run_body) = run_of(&edit.answered)?;
    let (rev, fields) = edit.fields();
    let mut body = body([("id", mint().into()), ("rev", rev.into())]);
    fields.into_iter().for_each(|(name, value)| put(&mut body, name, Some(value)));
    put(&mut body, "branch", edit.branch.as_ref().map(|branch| branch.as_str().into()));
    put(&mut body, "run", run_body);
    let path = format!("/threads/{thread}/messages/{message}");
    let write = Write::new(WriteKind::Edit, thread, path, Some(body));
    Ok(Write { message: Some(message), run, text: Some(edit.shown()), ..write })
}

pub(crate) fn regenerate(thread: ThreadId, message: MessageId) -> Result<Write, Error> {
    let run = fresh(RunId::parse)?;
    let body = json!({"id": run.as_str(), "message": mint(), "regenerate": message.as_str()});
    let path = format!("/threads/{thread}/runs");
    let write = Write::new(WriteKind::Regenerate, thread, path, Some(body));
    Ok(Write { message: Some(message), run: Some(run), ..write })
}

/// `thread`: the run's, as far as it is known.
pub(crate) fn stop(thread: ThreadId, run: RunId) -> Write {
    let path = format!("/runs/{run}/stop");
    Write { run: Some(run), ..Write::new(WriteKind::Stop, thread, path, None) }
}

pub(crate) fn remove(thread: ThreadId, message: MessageId) -> Write {
    let path = format!("/threads/{thread}/messages/{message}");
    Write { message: Some(message), ..Write::new(WriteKind::Remove, thread, path, None) }
}

pub(crate) fn rename(thread: ThreadId, title: &str) -> Write {
    let path = format!("/threads/{thread}");
    let write = Write::new(WriteKind::Rename, thread, path, Some(json!({"title": title})));
    Write { text: Some(title.into()), ..write }
}

pub(crate) fn archive(thread: ThreadId, place: Archive) -> Write {
    let path = format!("/threads/{thread}");
    Write::new(WriteKind::Archive, thread, path, Some(json!({"archived": place == Archive::In})))
}

pub(crate) fn delete(thread: ThreadId) -> Write {
    let path = format!("/threads/{thread}");
    Write::new(WriteKind::Delete, thread, path, None)
}

/// Where a thread is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// Aside.
    In,
    /// Back among the others.
    Out,
}

fn fresh<T>(parse: impl Fn(&str) -> Result<T, InvalidId>) -> Result<T, Error> {
    parse(&mint()).map_err(|rule| Error::Malformed(rule.to_string()))
}

/// The run that answers, and how it is asked for.
fn run_of(answered: &Answered) -> Result<(Option<RunId>, Option<Value>), Error> {
    let provider = match answered {
        Answered::No => return Ok((None, None)),
        Answered::ByDefault => None,
        Answered::By(name) => Some(name.as_str().into()),
    };
    let run = fresh(RunId::parse)?;
    let mut asked = body([("id", run.as_str().into()), ("message", mint().into())]);
    put(&mut asked, "provider", provider);
    Ok((Some(run), Some(asked)))
}

fn body<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
}

/// Absent fields are left out of what is sent.
fn put(body: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body[name] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::EditText;

    #[test]
    fn an_edit_by_a_text_names_no_other_part() {
        let edited = |change: Edit| {
            let (thread, message) = (ThreadId::parse("t").expect("an id"), MessageId::parse("m").expect("an id"));
            edit(thread, message, &change).expect("a write").body.expect("a body")
        };
        let one = edited(EditText::only(7, "words").into());
        assert_eq!((&one["text"], one.get("parts"), &one["rev"]), (&json!("words"), None, &json!(7)));
        let some = edited(EditText::of(7, [(2, "words".into())]).into());
        assert_eq!((&some["texts"], some.get("parts")), (&json!([{"part": 2, "text": "words"}]), None));
        assert_eq!(some["rev"], 7);
    }

    #[test]
    fn what_is_kept_is_what_was_written() {
        let thread = || ThreadId::parse("t").expect("an id");
        let message = || MessageId::parse("m").expect("an id");
        let run = RunId::parse("r").expect("an id");
        let said = NewMessage::text("words").answered(Answered::By("model".into()));
        let writes = [
            create(Some("title"), &said).expect("a write"),
            send(thread(), &said).expect("a write"),
            edit(thread(), message(), &Edit::from(EditText::only(1, "words")).answered(said.answered.clone()))
                .expect("a write"),
            regenerate(thread(), message()).expect("a write"),
            stop(thread(), run),
            remove(thread(), message()),
            rename(thread(), "title"),
            archive(thread(), Archive::In),
            delete(thread()),
        ];
        for (write, kind) in writes.into_iter().zip(WriteKind::ALL) {
            assert_eq!(write.kind, kind);
            // The key makes one effect of a repetition only if the body is the same to the byte.
            let kept = write.to_value().to_string();
            let read = Write::from_value(&write.key, &serde_json::from_str(&kept).expect("JSON")).expect("a write");
            assert_eq!(read.body.as_ref().map(Value::to_string), write.body.as_ref().map(Value::to_string));
            let rest = |write: Write| Write { body: None, ..write };
            assert_eq!(rest(read), rest(write));
        }
        assert!(Write::from_value("key", &json!({"kind": "else", "thread": "t", "path": "/"})).is_none());
    }
}
