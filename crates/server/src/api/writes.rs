//! What requests that write have in common: a message to append, a run to start with it, and what the write did.

use serde_json::{Map, Value, json};
use threadmill_engine::{AppendRequest, NewRun, WhenBusy, Written, WrittenBy};
use threadmill_proto::cursor::Cursor;
use threadmill_proto::{ErrorCode, Role, Scope, ThreadId, json as shape};
use threadmill_store::IfMoved;

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::fields::Fields;

type Answer<T> = Result<T, ApiProblem>;

/// The fields of a message to append.
pub(crate) fn append_request(mut fields: Fields) -> Answer<AppendRequest> {
    let word = |name: &str, word: String, known: &str| {
        ApiProblem::new(ErrorCode::InvalidRequest, format!("`{name}` is `{word}`, not one of {known}."))
    };
    let role = match fields.text("role")? {
        None => Role::User,
        Some(role) => {
            shape::role_from_str(&role).map_err(|why| ApiProblem::new(ErrorCode::InvalidRequest, format!("{why}.")))?
        }
    };
    let if_moved = match fields.text("ifMoved")?.as_deref() {
        None | Some("append") => IfMoved::Append,
        Some("fork") => IfMoved::Fork,
        Some("refuse") => IfMoved::Refuse,
        Some(other) => return Err(word("ifMoved", other.into(), "append, fork, refuse")),
    };
    let when_busy = match fields.text("whenBusy")?.as_deref() {
        None | Some("refuse") => WhenBusy::Refuse,
        Some("wait") => WhenBusy::Wait,
        Some(other) => return Err(word("whenBusy", other.into(), "refuse, wait")),
    };
    let request = AppendRequest {
        id: fields.message_id("id")?,
        role,
        body: fields.message_body()?,
        branch: fields.branch_id("branch")?,
        after: fields.message_id("after")?,
        if_moved,
        when_busy,
    };
    fields.finish()?;
    Ok(request)
}

/// The fields of a run that another request starts.
pub(crate) fn new_run(mut fields: Fields) -> Answer<NewRun> {
    let run = NewRun { id: fields.run_id("id")?, message: fields.message_id("message")?, by: written_by(&mut fields)? };
    fields.finish()?;
    Ok(run)
}

/// Who answers: a provider, or with `external` a program outside.
pub(crate) fn written_by(fields: &mut Fields) -> Answer<WrittenBy> {
    match (fields.text("provider")?, fields.flag("external")?) {
        (Some(_), Some(true)) => {
            Err(ApiProblem::new(ErrorCode::InvalidRequest, "A run has a `provider` or is `external`, not both."))
        }
        (None, Some(true)) => Ok(WrittenBy::Outside),
        (provider, _) => Ok(WrittenBy::Provider(provider)),
    }
}

/// What a write did, and for the writer of a run that is external its token and where it writes.
pub(crate) async fn written_with_writer(
    app: &App,
    scope: &Scope,
    written: &Written,
    thread: Option<&ThreadId>,
) -> Answer<Value> {
    let mut value = written_value(written, thread);
    let token = app.engine.runs().token_of(scope, written).await?;
    if let (Value::Object(map), Some(token), Some(run)) = (&mut value, token, &written.run) {
        let href = format!("/v1/runs/{}/chunks", run.id);
        map.insert("writer".into(), json!({"token": token.text(), "href": href}));
    }
    Ok(value)
}

/// What a write did, as JSON: `thread`, `message`, `run`, `runMessage` where there are, and `cursor`.
pub(crate) fn written_value(written: &Written, thread: Option<&ThreadId>) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.into(), value);
        }
    };
    put("thread", written.thread.as_ref().map(shape::thread_to_value));
    put("message", written.message.as_ref().map(|m| shape::message_to_value(m, thread)));
    put("run", written.run.as_ref().map(shape::run_to_value));
    put("runMessage", written.run_message.as_ref().map(|m| shape::message_to_value(m, thread)));
    let cursor = Cursor { position: written.position, runs: Vec::new() };
    put("cursor", thread.map(|thread| shape::cursor_token(thread, &cursor).into()));
    Value::Object(map)
}
