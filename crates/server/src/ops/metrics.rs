//! `GET /metrics`: what this node counted, in Prometheus' text format. No name of a tenant, a user, a thread or a lock is in
//! it, so whoever reaches the port may read it.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::app::App;
use crate::ops::collect::collect;
use crate::ops::exposition::{TYPE, render};

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TYPE)], render(&collect(&app).await))
}
