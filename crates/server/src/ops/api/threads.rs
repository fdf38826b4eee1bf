//! Finding a thread and looking at it: where its log stands, its branches, who follows it. Texts are shown only where they are
//! asked for, and that look is audited.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Value, json};
use threadmill_proto::{ErrorCode, Message, Part, Record, Scope, TenantId, ThreadId, Window, json as shape, to_cbor};

use super::shapes::{From, address, tenant};
use crate::app::App;
use crate::ops::audit::Entry;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::query::{Query, path_id};

/// Letters that an id must be known by.
const LEAST: usize = 3;
/// Threads that are found at once.
const FOUND: u32 = 50;
/// Entries of the log that are shown.
const LOG: u32 = 50;
/// Branches that are shown.
const BRANCHES: u32 = 100;
/// Messages that are shown.
const MESSAGES: u32 = 20;

/// `GET /ops/api/threads`.
pub(super) async fn find(State(app): State<App>, query: Query) -> Result<Json<Value>, ApiProblem> {
    let tenant = tenant(query.text("tenant"))?;
    let prefix = query.text("find").unwrap_or_default();
    if prefix.len() < LEAST {
        let detail = format!("`find` must have {LEAST} letters at least.");
        return Err(ApiProblem::new(ErrorCode::InvalidParameter, detail));
    }
    let prefix = path_id(prefix, ThreadId::parse)?;
    let mut found = app.engine.inspect().find(&tenant, &prefix, FOUND + 1).await?;
    let more = found.len() > FOUND as usize;
    found.truncate(FOUND as usize);
    let rows = found.iter().map(|(user, id)| json!({"tenant": tenant.as_str(), "user": user.as_str(), "id": id.as_str()}));
    Ok(Json(json!({"threads": rows.collect::<Vec<_>>(), "more": more})))
}

/// Whose a thread is.
pub(super) async fn owner(app: &App, tenant: &TenantId, thread: &ThreadId) -> Result<Scope, ApiProblem> {
    let found = app.engine.inspect().find(tenant, thread, 1).await?;
    let user = found.into_iter().find(|(_, id)| id == thread).map(|(user, _)| user);
    let user = user.ok_or_else(|| ApiProblem::new(ErrorCode::ThreadNotFound, "The tenant has no such thread."))?;
    Ok(Scope { tenant: tenant.clone(), user })
}

/// `GET /ops/api/threads/{tenant}/{thread}`.
pub(super) async fn look(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    from: From,
    Path((of, thread)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, ApiProblem> {
    let (tenant, id) = (tenant(Some(&of))?, path_id(&thread, ThreadId::parse)?);
    let texts = wants_text(&query)?;
    if texts == Texts::Shown {
        let (at, subject) = (app.engine.node().now(), format!("{tenant}/{id}"));
        ops.audit.write(&Entry { at, what: "thread_text", subject, why: None, from: address(&from), allowed: true });
    }
    let scope = owner(&app, &tenant, &id).await?;
    let (engine, inspect) = (&app.engine, app.engine.inspect());
    let thread = engine.threads().thread(&scope, &id).await?;
    let branches = engine.threads().branches(&scope, &id, 0, BRANCHES).await?;
    let log = inspect.log(&scope, &id, LOG).await?;
    let window = inspect.newest(&scope, &id, MESSAGES).await?;
    let live = inspect.live(&tenant, &id).map_or_else(
        || json!({"followed": false, "watchers": 0, "runs": []}),
        |live| {
            let runs = live.runs.iter().map(|(run, message, offset)| {
                json!({"id": run.as_str(), "message": message.as_str(), "offset": offset})
            });
            json!({"followed": true, "watchers": live.watchers, "runs": runs.collect::<Vec<_>>()})
        },
    );
    let position = window.cursor.position;
    let lines = branches.iter().map(|branch| {
        json!({
            "id": branch.id.as_str(), "parent": branch.parent.as_ref().map(|parent| parent.as_str()),
            "forkDepth": branch.fork_depth, "length": branch.total, "default": branch.id == thread.default_branch,
        })
    });
    Ok(Json(json!({
        "tenant": tenant.as_str(), "user": scope.user.as_str(), "id": id.as_str(),
        "title": (texts == Texts::Shown).then_some(thread.title.as_str()),
        "createdAt": shape::iso(thread.created_at), "updatedAt": shape::iso(thread.updated_at),
        "position": {"epoch": position.epoch, "seq": position.seq, "hash": hex(&position.hash.0)},
        "messages": thread.messages, "defaultBranch": thread.default_branch.as_str(),
        "branches": lines.collect::<Vec<_>>(), "moreBranches": thread.branches > u64::from(BRANCHES),
        "log": log.iter().rev().map(entry).collect::<Vec<_>>(), "live": live,
        "keptWindows": engine.threads().kept_of(&tenant, &id), "window": shown(&window, texts), "digest": digest(&window),
    })))
}

/// Whether texts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    Hidden,
    Shown,
}

pub(super) fn wants_text(query: &Query) -> Result<Texts, ApiProblem> {
    Ok(if query.number("text", 0, 1)? == 1 { Texts::Shown } else { Texts::Hidden })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change without what anybody wrote.
pub(super) fn redacted(change: &threadmill_proto::Change) -> Value {
    let mut value = shape::change_to_value(change);
    if let Value::Object(map) = &mut value {
        map.remove("title");
        map.remove("error");
    }
    value
}

fn entry(record: &Record) -> Value {
    let mut value = redacted(&record.change);
    let kind = value["type"].take();
    if let Value::Object(map) = &mut value {
        map.remove("type");
    }
    value["kind"] = kind;
    value["seq"] = record.seq.into();
    value["at"] = shape::iso(record.at).into();
    value
}

fn shown(window: &Window, texts: Texts) -> Value {
    let messages = window.messages.iter().map(|message| {
        let mut value = json!({
            "id": message.id.as_str(), "depth": message.depth, "role": shape::role_word(message.role),
            "status": shape::status_word(message.status), "bytes": message.bytes(), "digest": hex(&hash(message)[..8]),
        });
        if texts == Texts::Shown {
            value["text"] = text_of(message).into();
        }
        value
    });
    json!({"from": window.from, "to": window.to, "messages": messages.collect::<Vec<_>>()})
}

/// The texts of a message.
fn text_of(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn hash(message: &Message) -> [u8; 32] {
    *blake3::hash(&to_cbor(message)).as_bytes()
}

/// What the newest messages hold, in one number: the same wherever they are the same.
fn digest(window: &Window) -> String {
    let mut digest = blake3::Hasher::new();
    window.messages.iter().for_each(|message| {
        digest.update(&hash(message));
    });
    digest.finalize().to_hex().to_string()
}
