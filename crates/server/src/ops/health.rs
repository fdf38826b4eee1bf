//! Whether this node is alive, and whether it should be sent requests.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::app::App;
use threadmill_engine::{Engine, Ready};

/// `GET /readyz`: 200 if requests may come, 503 if not, and why.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let ready = app.engine.ready().await;
    let status = if ready == Ready::Yes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut value = json!({"ready": ready == Ready::Yes, "status": why(ready), "mode": app.engine.mode().now().name()});
    if let Some(hot) = hot(&app.engine) {
        value["hot"] = hot;
    }
    (status, Json(value)).into_response()
}

/// Whether requests may come, in words.
pub(crate) fn why(ready: Ready) -> String {
    match ready {
        Ready::Yes => "ready".to_owned(),
        Ready::Draining => "draining".to_owned(),
        Ready::StoreAway => "the store does not answer".to_owned(),
        Ready::ReadOnly => "the store refuses writes".to_owned(),
        Ready::Unwritable => "no write can be made".to_owned(),
        Ready::Broken(task) => format!("the task {task} panics again and again"),
    }
}

/// How the hot tier was used, if there is one.
pub(crate) fn hot(engine: &Engine) -> Option<Value> {
    let reading = engine.tier()?.reading();
    Some(json!({
        "hits": reading.hits,
        "fallbacks": reading.fallbacks,
        "fallbackRatio": reading.fallback_ratio(),
        "pageHits": reading.page_hits,
        "pageMisses": reading.page_misses,
        "spread": reading.spread,
        "dropped": reading.dropped,
        "switches": reading.switches,
        "unverified": reading.unverified,
    }))
}
