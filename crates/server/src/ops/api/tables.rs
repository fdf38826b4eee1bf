//! Pages that are tables: runs, connections, locks, the hot tier, nodes, errors, the audit.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use serde_json::{Value, json};
use threadmill_engine::telemetry::edge::FailedAnswer;
use threadmill_engine::telemetry::family::number;
use threadmill_engine::{HeldLock, LockOutcome, Ready};
use threadmill_proto::{Scope, json as shape};

use super::shapes::{ROWS, ms, run, share, spread};
use crate::app::App;
use crate::ops::state::{ASLEEP_MS, KnownNode, Ops};

/// `GET /ops/api/runs`.
pub(super) async fn runs(State(app): State<App>) -> Json<Value> {
    let lines = app.engine.telemetry().runs.lines();
    let live = app.engine.runs().running();
    Json(json!({"runs": lines.iter().map(run).collect::<Vec<_>>(), "live": live, "more": false}))
}

/// `GET /ops/api/connections`.
pub(super) async fn connections(State(app): State<App>) -> Json<Value> {
    let mut all = app.connections.everybody();
    all.sort_by(|(_, a), (_, b)| b.live.cmp(&a.live).then(b.opened.cmp(&a.opened)));
    let (users, more) = (all.len(), all.len() > ROWS);
    all.truncate(ROWS);
    let rows = all.iter().map(|(Scope { tenant, user }, count)| {
        json!({"tenant": tenant.as_str(), "user": user.as_str(), "live": count.live, "opened": count.opened})
    });
    Json(json!({
        "open": app.connections.all(), "sockets": app.peers.count(), "users": users,
        "unsentBytes": app.engine.delivery().unsent().all(), "bodyBytes": app.limiter.bodies.held(),
        "streams": app.limiter.streams.held(), "connections": rows.collect::<Vec<_>>(), "more": more,
    }))
}

/// `GET /ops/api/locks`.
pub(super) async fn locks(State(app): State<App>) -> Json<Value> {
    let (stats, now) = (app.engine.locks().stats(), app.engine.node().now());
    let mut held = app.engine.locks().held();
    held.sort_by(|a, b| b.waiting.cmp(&a.waiting).then(a.since.cmp(&b.since)));
    let more = held.len() > ROWS;
    held.truncate(ROWS);
    let row = |held: &HeldLock| {
        json!({
            "tenant": held.scope.tenant.as_str(), "name": held.lock.name.as_str(), "user": held.scope.user.as_str(),
            "token": held.lock.token, "since": shape::iso(held.since), "until": shape::iso(held.until),
            "heldMs": now.saturating_sub(held.since), "waiting": held.waiting,
        })
    };
    let granted = [LockOutcome::Granted, LockOutcome::Expired, LockOutcome::Again];
    Json(json!({
        "attempts": stats.attempts, "granted": granted.map(|how| stats.count(how)).iter().sum::<u64>(),
        "timedOut": stats.count(LockOutcome::TimedOut), "refused": stats.count(LockOutcome::Refused),
        "fenced": stats.count(LockOutcome::Fenced), "failureShare": stats.failure_rate, "waiting": stats.waiting,
        "waitMs": spread(&stats.waits), "holdMs": spread(&stats.holds),
        "held": held.iter().map(row).collect::<Vec<_>>(), "more": more,
    }))
}

/// `GET /ops/api/hot`.
pub(super) async fn hot(State(app): State<App>, Extension(ops): Extension<Arc<Ops>>) -> Json<Value> {
    let kept = app.engine.threads().kept_windows();
    let mode = app.engine.mode().now().name();
    let Some(tier) = app.engine.tier() else {
        return Json(json!({
            "configured": false, "mode": mode, "keptHits": kept.hits, "keptMisses": kept.misses,
            "hitRate": share(kept.hits, kept.misses),
        }));
    };
    let reading = tier.reading();
    let calls = tier.calls().ops.into_iter().filter(|calls| calls.calls > 0).map(|calls| {
        let mean = Duration::from_micros(calls.micros).div_f64(number(calls.calls));
        json!({
            "op": calls.op.name(), "calls": calls.calls, "timeouts": calls.timeouts, "outages": calls.outages,
            "meanMs": ms(mean),
        })
    });
    let (hits, whole) =
        (kept.hits + reading.page_hits + reading.hits, kept.hits + kept.misses + reading.hits + reading.fallbacks);
    let (sent, tariff) = (reading.sent, tier.tariff());
    let answers = app.engine.telemetry().runs.answers();
    let a_thousand = |count: u64| (answers > 0).then(|| number(count) * 1e3 / number(answers));
    let history = ops.history();
    let up = threadmill_engine::telemetry::concerns::concerns().find(|concern| concern.id == "hot-uptime");
    let up = up.and_then(|up| up.judge.measure(&history, history.ticks(), up.minutes, up.wrong));
    Json(json!({
        "configured": true, "mode": mode, "uptime": up.map(|up| up.value),
        "hits": reading.hits, "fallbacks": reading.fallbacks, "fallbackShare": share(reading.fallbacks, reading.hits),
        "pageHits": reading.page_hits, "pageMisses": reading.page_misses, "keptHits": kept.hits,
        "keptMisses": kept.misses, "hitRate": share(hits, whole.saturating_sub(hits)), "spread": reading.spread,
        "dropped": reading.dropped, "switches": reading.switches, "unverified": reading.unverified,
        "commands": sent.commands, "writes": sent.writes, "bytes": sent.bytes, "answers": answers,
        "commandsPer1000Answers": a_thousand(tariff.billed(sent)), "money": tariff.money(sent),
        "moneyPer1000Answers": a_thousand(tariff.money(sent)), "calls": calls.collect::<Vec<_>>(),
    }))
}

/// `GET /ops/api/nodes`.
pub(super) async fn nodes(State(app): State<App>, Extension(ops): Extension<Arc<Ops>>) -> Json<Value> {
    let (ready, now) = (app.engine.ready().await == Ready::Yes, app.engine.node().now());
    let skew = app.engine.telemetry().node.clock_skew.read();
    let own = app.engine.node().name();
    let mut this = json!({
        "name": own, "self": true, "version": env!("CARGO_PKG_VERSION"), "startedAt": shape::iso(ops.started), "seenMs": 0,
        "skewMs": skew.map(|seconds| (seconds * 1e3).round()), "ready": ready, "mode": app.engine.mode().now().name(),
        "runs": app.engine.runs().running(), "connections": app.connections.all(), "state": "awake",
    });
    if *app.engine.node().leaving().borrow() != threadmill_engine::Leaving::No {
        this["state"] = "leaving".into();
    }
    let others = ops.nodes().into_iter().filter(|known| known.seen.name != own).map(|known| other(&known, now));
    Json(json!({"nodes": std::iter::once(this).chain(others).take(ROWS).collect::<Vec<_>>()}))
}

/// A node as the database sees it.
fn other(known: &KnownNode, now: u64) -> Value {
    let KnownNode { seen, last } = known;
    let quiet = now.saturating_sub(*last);
    let state = if seen.quiet >= ASLEEP_MS {
        "asleep"
    } else if quiet >= 2 * ASLEEP_MS {
        "gone"
    } else {
        "awake"
    };
    json!({
        "name": seen.name, "self": false, "version": seen.version, "startedAt": shape::iso(seen.since), "seenMs": quiet,
        "skewMs": null, "ready": null, "mode": null, "runs": null, "connections": null, "state": state,
    })
}

/// `GET /ops/api/errors`.
pub(super) async fn errors(State(app): State<App>) -> Json<Value> {
    let row = |answer: &FailedAnswer| {
        let scope = answer.scope.as_ref();
        json!({
            "request": answer.request, "at": shape::iso(answer.at), "method": answer.method, "route": answer.route,
            "status": answer.status, "code": answer.code, "tenant": scope.map(|scope| scope.tenant.as_str()),
            "user": scope.map(|scope| scope.user.as_str()), "tookMs": ms(answer.took),
        })
    };
    Json(json!({"errors": app.engine.telemetry().edge.failures().iter().map(row).collect::<Vec<_>>()}))
}

/// `GET /ops/api/audit`.
pub(super) async fn audit(Extension(ops): Extension<Arc<Ops>>) -> Json<Value> {
    Json(json!({"audit": ops.audit.newest()}))
}
