//! What several pages of the ops API write the same way.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use serde_json::{Value, json};
use threadmill_engine::telemetry::histogram::Spread;
use threadmill_engine::telemetry::run_line::RunLine;
use threadmill_proto::{ErrorCode, Scope, TenantId, json as shape};

use crate::problem::ApiProblem;
use crate::serve::peers::Peer;

/// Rows of an answer.
pub(super) const ROWS: usize = 200;

/// The peer of a request, if it came by a socket.
pub(super) type From = Option<Extension<Arc<Peer>>>;

/// Its address, for the audit.
pub(super) fn address(from: &From) -> Option<String> {
    from.as_ref().map(|Extension(peer)| peer.address.to_string())
}

/// A tenant that is named; `default` if none is.
pub(super) fn tenant(text: Option<&str>) -> Result<TenantId, ApiProblem> {
    TenantId::parse(text.unwrap_or("default"))
        .map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("`tenant`: {rule}.")))
}

/// A time in milliseconds, to the tenth of one.
pub(super) fn ms(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e4).round() / 10.0)
}

/// A share, to the ten thousandth.
pub(super) fn share(part: u64, rest: u64) -> Value {
    use threadmill_engine::telemetry::family::number;
    let whole = part + rest;
    if whole == 0 { Value::Null } else { json!((number(part) / number(whole) * 1e4).round() / 1e4) }
}

/// The half and the ninety-nine hundredths of times.
pub(super) fn spread(spread: &Spread) -> Value {
    let at = |share| spread.quantile(share).map(|seconds| ms(Duration::from_secs_f64(seconds)));
    json!({"p50": at(0.5), "p99": at(0.99)})
}

/// Where the time of a run went.
pub(super) fn run(line: &RunLine) -> Value {
    let Scope { tenant, user } = &line.scope;
    json!({
        "id": line.run.as_str(), "tenant": tenant.as_str(), "user": user.as_str(), "thread": line.thread.as_str(),
        "provider": line.provider, "fence": line.fence, "state": line.state, "outcome": line.outcome,
        "acceptedAt": shape::iso(line.accepted_at), "askedMs": line.asked.map(ms), "firstByteMs": line.first_byte.map(ms),
        "firstCommitMs": line.first_commit.map(ms), "firstDeliveryMs": line.first_delivery.map(ms),
        "endedMs": line.ended.map(ms), "commits": line.commits, "chunks": line.chunks, "bytes": line.bytes,
        "failure": line.failure, "trace": line.trace,
    })
}
