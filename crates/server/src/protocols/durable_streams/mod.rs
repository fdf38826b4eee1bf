//! Durable Streams: logs under paths of the client's choice, by the public protocol of that name (1.0 draft), on
//! `/v1/stream/{path}`.
//!
//! | here | what |
//! |---|---|
//! | `ask` | what headers and queries say |
//! | `body` | bytes as they are kept, and JSON opened by one level |
//! | `offset` | offsets and cursors as they are written |
//! | `answer` | headers of answers, and refusals |
//! | `write` | `PUT`, `POST`, `DELETE`, `HEAD` |
//! | `read` | `GET`: catching up, and waiting once |
//! | `live` | `GET …&live=sse` |
//! | `subscriptions` | workers that are woken |
//!
//! A stream is the caller's own: the tenant and the user are part of its key, and no path leads out of it. Paths that begin
//! with `__ds` are the protocol's own and never a stream.

mod answer;
mod ask;
mod body;
mod live;
mod offset;
mod read;
mod subscriptions;
mod write;

use axum::Router;
use axum::routing::{delete, get, head, post, put};

use crate::app::App;

/// The routes, below `/v1`.
pub(crate) fn routes() -> Router<App> {
    let stream = head(write::head).get(read::read).put(write::create).post(write::append).delete(write::delete);
    let subscription = put(subscriptions::create).get(subscriptions::read).delete(subscriptions::delete);
    Router::new()
        .route("/stream/{*path}", stream)
        .route("/stream/__ds/jwks.json", get(subscriptions::keys))
        .route("/stream/__ds/subscriptions/{id}", subscription)
        .route("/stream/__ds/subscriptions/{id}/streams", post(subscriptions::name))
        .route("/stream/__ds/subscriptions/{id}/streams/{*path}", delete(subscriptions::unname))
        .route("/stream/__ds/subscriptions/{id}/claim", post(subscriptions::claim))
        .route("/stream/__ds/subscriptions/{id}/ack", post(subscriptions::hear))
        .route("/stream/__ds/subscriptions/{id}/callback", post(subscriptions::hear))
        .route("/stream/__ds/subscriptions/{id}/release", post(subscriptions::release))
}
