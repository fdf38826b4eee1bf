//! What a client should know before it starts: version, providers, limits, and whom the server takes it for.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::query::Query;

/// `GET /v1/info`.
pub(crate) async fn info(State(app): State<App>, Caller(scope): Caller) -> Json<Value> {
    let (limits, analytics) = (app.engine.limits(), app.engine.analytics());
    let providers: Vec<_> = app
        .engine
        .providers()
        .all()
        .iter()
        .map(|provider| json!({"name": provider.name, "title": provider.title, "note": provider.note}))
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "node": app.engine.node().name(),
        "mode": app.engine.mode().now().name(),
        "tenant": scope.tenant.as_str(),
        "user": scope.user.as_str(),
        "providers": providers,
        "rum": app.guard().reports.name(),
        "analytics": {"on": analytics.is_on(), "hints": analytics.hints(&scope.tenant)},
        "limits": {
            "messageBytes": limits.message_bytes,
            "bodyBytes": limits.body_bytes,
            "frameBytes": limits.frame_bytes,
            "pageBytes": limits.page_bytes,
            "pageMessages": limits.page_messages,
            "partPreviewBytes": limits.part_preview_bytes,
            "parts": limits.parts,
            "titleBytes": limits.title_bytes,
        },
    }))
}

/// The most that is asked for.
static CONSTANT: [u8; 1 << 20] = [b'x'; 1 << 20];

/// `GET /v1/constant?bytes=N`: so many bytes that cost nothing to find, for measuring the rest against. They are the same
/// ones for everybody, so that nobody who does not read them holds any.
pub(crate) async fn constant(_: Caller, query: Query) -> Result<Bytes, ApiProblem> {
    let bytes = query.number("bytes", 1024, CONSTANT.len() as u64)?;
    Ok(Bytes::from_static(&CONSTANT[..usize::try_from(bytes).unwrap_or_default()]))
}
