//! What a user may know of themselves.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::request::caller::Caller;

/// `GET /v1/me/connections`.
pub(crate) async fn connections(State(app): State<App>, Caller(scope): Caller) -> Json<Value> {
    let count = app.connections.of(&scope);
    Json(json!({"connections": count.live, "opened": count.opened}))
}
