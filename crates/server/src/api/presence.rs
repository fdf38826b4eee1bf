//! Who is in a thread.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use threadmill_proto::{ErrorCode, ThreadId};

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::Fields;
use crate::request::query::path_id;
use threadmill_engine::{Activity, PRESENT_FOR};

type Answer<T> = Result<T, ApiProblem>;

/// The longest name of a device, in bytes: that of an id.
const NAME: usize = 128;

/// `POST /v1/threads/{thread}/presence`: somebody is there, for as long as it says so again in time.
pub(crate) async fn be(
    State(app): State<App>,
    Caller(scope): Caller,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Answer<StatusCode> {
    let thread = path_id(&id, ThreadId::parse)?;
    let device = fields.text("device")?.filter(|name| !name.is_empty() && name.len() <= NAME);
    let device = device.ok_or_else(|| {
        ApiProblem::new(ErrorCode::InvalidRequest, format!("`device` is a name of 1 to {NAME} bytes."))
    })?;
    let activity = fields.text("state")?;
    fields.finish()?;
    let activity = activity.as_deref().map_or(Some(Activity::Viewing), Activity::named);
    let activity =
        activity.ok_or_else(|| ApiProblem::new(ErrorCode::InvalidRequest, "`state` is viewing or typing."))?;
    app.engine.presence().set(&scope, &thread, &device, activity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/threads/{thread}/presence`.
pub(crate) async fn read(State(app): State<App>, Caller(scope): Caller, Path(id): Path<String>) -> Answer<Json<Value>> {
    let present = app.engine.presence().list(&scope, &path_id(&id, ThreadId::parse)?).await?;
    let present: Vec<_> =
        present.iter().map(|(device, activity)| json!({"device": device, "state": activity.name()})).collect();
    let ttl = PRESENT_FOR.as_secs();
    // `sayAgainWithin` is what it was called: clients of the release before this one read that.
    Ok(Json(json!({"present": present, "ttl": ttl, "sayAgainWithin": ttl})))
}
