//! `GET /metrics`: what this node counted, in Prometheus' text format. No name of a tenant, a user, a thread or a lock
//! is in it, so whoever reaches the port may read it.
//!
//! The counts are kept where things happen; a reading copies them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use metrics::{counter, gauge, with_local_recorder};
use threadmill_proto::frame::Mode;

use crate::app::App;
use crate::ops::meters::Meters;
use crate::serve::refusals::Refusal;
use threadmill_engine::{Engine, LockStats, Ready, Spread, THRESHOLD, Tier};

const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const MODES: [Mode; 3] = [Mode::Full, Mode::Degraded, Mode::ReadOnly];

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<App>, meters: Arc<Meters>) -> impl IntoResponse {
    let ready = app.engine.ready().await == Ready::Yes;
    let connections = app.connections.all();
    with_local_recorder(&meters.recorder, || {
        node(&app.engine, ready, connections);
        edge(&app);
        locks(app.engine.locks().stats());
        if let Some(tier) = app.engine.tier() {
            hot(tier);
        }
    });
    ([(header::CONTENT_TYPE, TYPE)], meters.handle.render())
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating")]
fn node(engine: &Engine, ready: bool, connections: u64) {
    gauge!("threadmill_info", "version" => env!("CARGO_PKG_VERSION"), "node" => engine.node().name().to_owned()).set(1);
    gauge!("threadmill_ready").set(f64::from(ready));
    gauge!("threadmill_connections").set(connections as f64);
    gauge!("threadmill_runs").set(engine.runs().running() as f64);
    let windows = engine.threads().kept_windows();
    counter!("threadmill_kept_windows_total", "outcome" => "hit").absolute(windows.hits);
    counter!("threadmill_kept_windows_total", "outcome" => "miss").absolute(windows.misses);
    for (task, panics) in engine.task_panics() {
        counter!("threadmill_task_panics_total", "task" => task).absolute(panics);
    }
    let now = engine.mode().now();
    for mode in MODES {
        gauge!("threadmill_mode", "mode" => mode.name()).set(f64::from(mode == now));
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating")]
fn edge(app: &App) {
    gauge!("threadmill_peers").set(app.peers.count() as f64);
    gauge!("threadmill_unsent_bytes").set(app.engine.delivery().unsent().all() as f64);
    gauge!("threadmill_body_bytes").set(app.limiter.bodies.held() as f64);
    gauge!("threadmill_streams").set(app.limiter.streams.held() as f64);
    for refusal in Refusal::ALL {
        let count = app.limiter.refusals.count(*refusal);
        counter!("threadmill_refused_total", "why" => refusal.word()).absolute(count);
    }
}

fn hot(tier: &Tier) {
    let reading = tier.reading();
    let count = |name: &'static str, outcome: &'static str, value| counter!(name, "outcome" => outcome).absolute(value);
    counter!("threadmill_mode_changes_total").absolute(reading.switches);
    count("threadmill_hot_reads_total", "hit", reading.hits);
    count("threadmill_hot_reads_total", "fallback", reading.fallbacks);
    count("threadmill_hot_windows_total", "hit", reading.page_hits);
    count("threadmill_hot_windows_total", "miss", reading.page_misses);
    count("threadmill_hot_spread_total", "sent", reading.spread);
    count("threadmill_hot_spread_total", "dropped", reading.dropped);
    counter!("threadmill_hot_unverified_total").absolute(reading.unverified);
    gauge!("threadmill_hot_fallback_ratio").set(reading.fallback_ratio().unwrap_or_default());
    for calls in tier.calls().ops {
        let op = calls.op.name();
        counter!("threadmill_hot_calls_total", "op" => op).absolute(calls.calls);
        counter!("threadmill_hot_call_failures_total", "op" => op, "why" => "timeout").absolute(calls.timeouts);
        counter!("threadmill_hot_call_failures_total", "op" => op, "why" => "unavailable").absolute(calls.outages);
        gauge!("threadmill_hot_call_spent_seconds", "op" => op).set(Duration::from_micros(calls.micros).as_secs_f64());
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating")]
fn locks(stats: LockStats) {
    let outcomes = stats.outcomes;
    counter!("threadmill_lock_attempts_total").absolute(outcomes.attempts);
    for (outcome, value) in [
        ("granted", outcomes.free),
        ("expired", outcomes.expired),
        ("again", outcomes.again),
        ("timed_out", outcomes.timed_out),
        ("busy", outcomes.busy),
        ("refused", outcomes.refused),
        ("fenced", outcomes.fenced),
    ] {
        counter!("threadmill_lock_outcomes_total", "outcome" => outcome).absolute(value);
    }
    gauge!("threadmill_lock_waiting").set(stats.waiting as f64);
    gauge!("threadmill_lock_failure_ratio").set(stats.failure_rate);
    gauge!("threadmill_lock_failure_threshold").set(THRESHOLD);
    spread("threadmill_lock_wait_seconds", stats.waits);
    spread("threadmill_lock_hold_seconds", stats.holds);
}

fn spread(name: &'static str, spread: Spread) {
    for (share, millis) in [("0.5", spread.p50), ("0.9", spread.p90), ("0.99", spread.p99), ("1", spread.max)] {
        gauge!(name, "share" => share).set(millis / 1e3);
    }
}
