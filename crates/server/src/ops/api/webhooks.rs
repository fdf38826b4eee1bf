//! Webhooks, for operators: who is told, what waits, what became of it; to send again, to test, to switch on. Addresses are
//! shown without their paths, secrets not at all. Looking at a body is audited, since it may name people.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Value, json};
use threadmill_engine::webhooks::{Delivery, Overview, Shown};
use threadmill_proto::{ErrorCode, json as shape};

use super::actions::{Wish, act};
use super::shapes::{From, address};
use crate::app::App;
use crate::ops::access::MayAct;
use crate::ops::audit::Entry;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::fields::Fields;

type Answer<T> = Result<T, ApiProblem>;

/// `GET /ops/api/webhooks`.
pub(super) async fn list(State(app): State<App>) -> Answer<Json<Value>> {
    let Overview { endpoints, waiting, oldest, deliveries } = app.engine.webhooks().overview().await?;
    let endpoint = |Shown { name, origin, events, off }: Shown| json!({"name": name, "origin": origin, "events": events, "offSince": off.map(shape::iso)});
    Ok(Json(json!({
        "endpoints": endpoints.into_iter().map(endpoint).collect::<Vec<_>>(),
        "waiting": waiting,
        "oldest": oldest.map(shape::iso),
        "deliveries": deliveries.iter().map(line).collect::<Vec<_>>(),
        "write": app.guard().ops.may_write(),
    })))
}

/// `GET /ops/api/webhooks/{id}`: an event's deliveries, with what is sent.
pub(super) async fn show(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    from: From,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    let found = app.engine.webhooks().find(&id).await?;
    let (at, subject) = (app.engine.node().now(), id);
    ops.audit.look(&Entry { at, what: "webhook_body", subject, why: None, from: address(&from), allowed: true });
    let whole = |delivery: &Delivery| {
        let mut line = line(delivery);
        line["body"] = json!(delivery.body);
        line
    };
    Ok(Json(json!({"deliveries": found.iter().map(whole).collect::<Vec<_>>()})))
}

/// `POST /ops/api/webhooks/{name}/{action}`: `replay` an event by its id, perhaps at one `endpoint` alone; `test` or `enable`
/// an endpoint by its name.
pub(super) async fn action(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    may: Result<MayAct, ApiProblem>,
    from: From,
    Path((name, action)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Json<Value>> {
    let what = match action.as_str() {
        "replay" => "webhook_replay",
        "test" => "webhook_test",
        "enable" => "webhook_enable",
        _ => return Err(ApiProblem::new(ErrorCode::RouteNotFound, "There is no such action of webhooks.")),
    };
    let (why, endpoint) = (fields.text("why")?, fields.text("endpoint")?);
    fields.finish()?;
    let at = endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
    let wish = Wish { what, subject: format!("{name}{at}"), why, from: address(&from) };
    act(&app, &ops, may, wish)?;
    let webhooks = app.engine.webhooks();
    Ok(Json(match what {
        "webhook_replay" => json!({"replayed": webhooks.replay(&name, endpoint.as_deref()).await?}),
        "webhook_test" => json!({"id": webhooks.test(&name).await?}),
        _ => {
            webhooks.enable(&name).await?;
            json!({"enabled": true})
        }
    }))
}

/// A delivery without what is sent.
fn line(delivery: &Delivery) -> Value {
    let Delivery { id, endpoint, event, at, due, state, attempts, replays, last, since: _, body: _ } = delivery;
    let last = last
        .as_ref()
        .map(|last| json!({"at": shape::iso(last.at), "ms": last.ms, "status": last.status, "said": last.said}));
    json!({
        "id": id, "endpoint": endpoint, "event": event, "at": shape::iso(*at), "state": state.word(),
        "due": shape::iso(*due), "attempts": attempts, "replays": replays, "last": last,
    })
}
