//! The first screen: a verdict in a line, what is wrong now, what is watched, and the last hour as series.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde_json::{Value, json};
use threadmill_engine::Ready;
use threadmill_engine::telemetry::concern::{Concern, Severity};
use threadmill_engine::telemetry::concerns::concerns as all_concerns;
use threadmill_engine::telemetry::history::{History, STEP_SECONDS, Series, Stat, TICKS};
use threadmill_engine::telemetry::insight::{Standing, Watched, watched};
use threadmill_engine::telemetry::judge::{Judge, Wrong, all};
use threadmill_proto::{ErrorCode, json as shape};

use crate::app::App;
use crate::ops::health::why;
use crate::ops::state::Ops;
use crate::problem::ApiProblem;
use crate::request::query::Query;

/// Names that may be asked for at once, and series that are answered.
const NAMES: usize = 32;
const MOST_SERIES: usize = 200;
/// Minutes that figures are of.
const MINUTES: u64 = 5;

/// `GET /ops/api/summary`.
pub(super) async fn summary(State(app): State<App>, Extension(ops): Extension<Arc<Ops>>) -> Json<Value> {
    let (ready, node) = (app.engine.ready().await, app.engine.node());
    let now = node.now();
    let resident = app.process.read().await.resident;
    let history = ops.history();
    let all = watched(&history);
    let mut firing: Vec<&Watched> = all.iter().filter(|watched| watched.standing == Standing::Firing).collect();
    firing.sort_by(|a, b| b.severity.cmp(&a.severity).then(b.ticks.cmp(&a.ticks)));
    let (verdict, line) = verdict(&firing, all.len());
    let insights: Vec<_> = firing.iter().map(|watched| insight(watched, node.name(), now)).collect();
    Json(json!({
        "verdict": verdict, "line": line, "at": shape::iso(now), "windowSeconds": MINUTES * 60,
        "node": {
            "name": node.name(), "version": env!("CARGO_PKG_VERSION"), "startedAt": shape::iso(ops.started),
            "uptimeMs": now.saturating_sub(ops.started), "ready": ready == Ready::Yes, "status": why(ready),
            "mode": app.engine.mode().now().name(),
        },
        "write": app.guard().ops.may_write(),
        "figures": figures(&app, &history, resident),
        "insights": insights,
        "watched": all.iter().map(standing).collect::<Vec<_>>(),
    }))
}

/// In one word and one line.
fn verdict(firing: &[&Watched], watched: usize) -> (&'static str, String) {
    let Some(worst) = firing.first() else {
        return ("ok", format!("All is well: {watched} concerns are watched, nothing is wrong."));
    };
    let more = match firing.len() - 1 {
        0 => String::new(),
        1 => " One more thing is wrong.".into(),
        more => format!(" {more} more things are wrong."),
    };
    let word = match worst.severity {
        Severity::Warning => "watch",
        Severity::Critical => "act",
    };
    (word, format!("{}: {}{more}", worst.concern.title, worst.what()))
}

fn insight(watched: &Watched, node: &str, now: u64) -> Value {
    let Concern { id, title, why, act, command, source, .. } = watched.concern;
    let since = now.saturating_sub(watched.seconds() * 1_000);
    json!({
        "id": id, "title": title, "severity": watched.severity.word(), "what": watched.what(), "who": watched.who(node),
        "since": shape::iso(since), "why": why, "act": act, "command": command, "runbook": runbook(id),
        "value": watched.measured.map(|measured| measured.value), "threshold": watched.threshold,
        "unit": watched.concern.unit.word(), "samples": watched.measured.map(|measured| measured.samples),
        "source": source,
    })
}

fn runbook(id: &str) -> String {
    format!("docs/runbook.md#{id}")
}

fn standing(watched: &Watched) -> Value {
    json!({
        "id": watched.concern.id, "title": watched.concern.title, "severity": watched.severity.word(),
        "state": watched.standing.word(), "value": watched.measured.map(|measured| measured.value),
        "threshold": watched.threshold, "unit": watched.concern.unit.word(),
        "samples": watched.measured.map(|measured| measured.samples),
    })
}

/// The numbers of the first screen, of the last five minutes or of now.
fn figures(app: &App, history: &History, resident: Option<u64>) -> Value {
    let end = history.ticks();
    let of = |id: &str| {
        let concern = all_concerns().find(|concern| concern.id == id)?;
        let measured = concern.judge.measure(history, end, concern.minutes, concern.wrong)?;
        Some((measured.value * 1e4).round() / 1e4)
    };
    let rate = |name: &'static str| {
        let counted = Judge::Counted(all(name)).measure(history, end, MINUTES, Wrong::Above)?;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred seconds")]
        let seconds = (end.min(30) as u64 * STEP_SECONDS) as f64;
        (seconds > 0.0).then(|| (counted.value / seconds * 100.0).round() / 100.0)
    };
    let quantile = |name: &'static str, share: f64| {
        let found = Judge::Quantile(all(name), share).measure(history, end, MINUTES, Wrong::Above)?;
        Some(found.value)
    };
    let millis = |name| {
        let at = |share| quantile(name, share).map(|seconds| (seconds * 1e5).round() / 100.0);
        json!({"p50": at(0.5), "p99": at(0.99)})
    };
    let bytes = |name| json!({"p50": quantile(name, 0.5), "p99": quantile(name, 0.99)});
    json!({
        "connections": app.connections.all(), "runs": app.engine.runs().running(),
        "operationsPerSecond": rate("threadmill_operations_total"),
        "hitRate": of("hot-hit-rate"), "fallbackShare": of("fallback-share"), "lockFailureShare": of("lock-failures"),
        "hotUptime": of("hot-uptime"), "errorShare": of("errors"),
        "firstTokenMs": millis("threadmill_first_token_seconds"),
        "deliverLagMs": millis("threadmill_deliver_lag_seconds"),
        "commitSyncMs": millis("threadmill_commit_seconds"),
        "threadBytes": bytes("threadmill_client_thread_bytes"),
        "residentBytes": resident, "unsentBytes": app.engine.delivery().unsent().all(),
    })
}

/// `GET /ops/api/concerns`.
pub(super) async fn concerns() -> Json<Value> {
    let all = all_concerns().map(|concern| {
        let steps = concern.steps.iter().map(|step| json!({"at": step.at, "severity": step.severity.word()}));
        json!({
            "id": concern.id, "title": concern.title, "severity": concern.steps[0].severity.word(),
            "metrics": concern.judge.metrics(), "threshold": concern.steps[0].at, "steps": steps.collect::<Vec<_>>(),
            "unit": concern.unit.word(), "least": concern.least, "source": concern.source, "act": concern.act,
            "command": concern.command, "runbook": runbook(concern.id),
        })
    });
    Json(json!({"concerns": all.collect::<Vec<_>>()}))
}

/// `GET /ops/api/series`.
pub(super) async fn series(
    State(app): State<App>,
    Extension(ops): Extension<Arc<Ops>>,
    query: Query,
) -> Result<Json<Value>, ApiProblem> {
    let history = ops.history();
    let Some(names) = query.text("names").filter(|names| !names.is_empty()) else {
        return Ok(Json(json!({"names": history.names(), "leftOut": history.left_out()})));
    };
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    if names.len() > NAMES {
        return Err(ApiProblem::new(ErrorCode::InvalidParameter, format!("`names` are {NAMES} at most.")));
    }
    let most = TICKS as u64 * STEP_SECONDS / 60;
    let minutes = query.number("minutes", most, most)?;
    let ticks = history.ticks().min(usize::try_from(minutes * 60 / STEP_SECONDS).unwrap_or(TICKS));
    let from = history.ticks() - ticks;
    let mut found: Vec<&Series> = names.iter().flat_map(|name| history.of(name)).collect();
    let more = found.len() > MOST_SERIES;
    found.truncate(MOST_SERIES);
    let series: Vec<_> = found.into_iter().map(|series| points(series, from..history.ticks())).collect();
    let now = app.engine.node().now();
    let begun = now.saturating_sub((ticks as u64).saturating_sub(1) * STEP_SECONDS * 1_000);
    Ok(Json(json!({
        "stepSeconds": STEP_SECONDS, "from": shape::iso(begun), "to": shape::iso(now), "series": series, "more": more,
    })))
}

fn points(series: &Series, ticks: std::ops::Range<usize>) -> Value {
    let labels: serde_json::Map<String, Value> =
        series.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let unit = if series.stat == Stat::Rate { "a second" } else { "" };
    json!({
        "name": series.name, "kind": series.kind.word(), "labels": labels, "stat": series.stat.word(), "unit": unit,
        "points": ticks.map(|tick| series.at(tick)).collect::<Vec<_>>(),
    })
}
