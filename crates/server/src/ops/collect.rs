//! All that this node exports: what the engine counted, and what is read of its services at the moment.

use std::time::Duration;

use threadmill_engine::telemetry::family::{Families, Kind, number};
use threadmill_engine::{Engine, Ready, Tier, TierReading};
use threadmill_proto::frame::Mode;
use threadmill_store::hot::MeterReading;

use crate::app::App;
use crate::process;
use crate::serve::refusals::Refusal;

const MODES: [Mode; 3] = [Mode::Full, Mode::Degraded, Mode::ReadOnly];
/// A call of the hot tier that takes longer is slow: so long a reader waits for it before the durable tier is asked.
const SLOW_MICROS: u64 = 50_000;

/// A reading of everything.
pub(crate) async fn collect(app: &App) -> Families {
    let ready = app.engine.ready().await == Ready::Yes;
    let mut out = Families::default();
    node(&mut out, app, ready);
    edge(&mut out, app);
    operations(&mut out, &app.engine);
    hot(&mut out, app.engine.tier().map(|tier| &**tier));
    app.engine.telemetry().export(&mut out);
    let waiting = app.engine.locks().waiting() as u64;
    out.gauge("threadmill_lock_waiting", "Who waits for a lock now.", number(waiting));
    process::export(&mut out, &app.process).await;
    out
}

fn node(out: &mut Families, app: &App, ready: bool) {
    let engine = &app.engine;
    let help = "1, with the version and the node's name.";
    let labels = vec![("version", env!("CARGO_PKG_VERSION").into()), ("node", engine.node().name().to_owned().into())];
    out.begin("threadmill_info", Kind::Gauge, help).add(labels, 1.0);
    out.gauge("threadmill_ready", "1 if requests may come, as /readyz has it.", f64::from(ready));
    let now = engine.mode().now();
    let help = "1 for what the node can rely on now: full, degraded or read-only.";
    let modes = out.begin("threadmill_mode", Kind::Gauge, help);
    for mode in MODES {
        modes.add(vec![("mode", mode.name().into())], f64::from(mode == now));
    }
    out.gauge("threadmill_connections", "Sync connections that are open.", number(app.connections.all()));
    out.gauge("threadmill_runs", "Runs that this node writes.", number(engine.runs().running() as u64));
    let windows = engine.threads().kept_windows();
    let help = "Windows that were asked for: hit if the node had them in memory.";
    out.counts("threadmill_kept_windows_total", help, "outcome", [("hit", windows.hits), ("miss", windows.misses)]);
    let panics = engine.task_panics();
    // Without a label, so that it is there before the first one: Prometheus sees no increase in what began at 1.
    let help = "Panics of the node's tasks, all of them.";
    let all = panics.iter().map(|(_, count)| count).sum();
    out.begin("threadmill_panics_total", Kind::Counter, help).add(Vec::new(), number(all));
    let help = "How often a task of the node panicked and was begun again.";
    out.counts("threadmill_task_panics_total", help, "task", panics);
}

fn edge(out: &mut Families, app: &App) {
    let unsent = app.engine.delivery().unsent().all();
    out.gauge("threadmill_peers", "Sockets that are open.", number(app.peers.count() as u64));
    out.gauge("threadmill_unsent_bytes", "Bytes of answers that peers have not taken yet.", number(unsent));
    out.gauge("threadmill_body_bytes", "Bytes of request bodies that are held.", number(app.limiter.bodies.held()));
    let help = "Live connections: WebSockets, event streams and answers to POST /v1/sync.";
    out.gauge("threadmill_streams", help, number(app.limiter.streams.held()));
    let help = "What was refused or cut, by why: the log says the same.";
    let all = Refusal::ALL.iter().map(|refusal| (refusal.word(), app.limiter.refusals.count(*refusal)));
    out.counts("threadmill_refused_total", help, "why", all);
}

/// Operations of the tiers; of the hot one the same counts as `threadmill_hot_calls_total`.
fn operations(out: &mut Families, engine: &Engine) {
    let help = "Operations of the tiers, by kind: durable, hot, and windows that were in memory.";
    let family = out.begin("threadmill_operations_total", Kind::Counter, help);
    let mut add = |tier: &'static str, kind: &'static str, count| {
        family.add(vec![("tier", tier.into()), ("kind", kind.into())], number(count));
    };
    engine.telemetry().durable_operations().for_each(|(kind, count)| add("durable", kind, count));
    for calls in engine.tier().map(|tier| tier.calls().ops).unwrap_or_default() {
        add("hot", calls.op.name(), calls.calls);
    }
    add("memory", "window", engine.threads().kept_windows().hits);
}

/// The hot tier. Without one everything is 0, so that rules have something to compare.
fn hot(out: &mut Families, tier: Option<&Tier>) {
    let reading = tier.map_or_else(TierReading::default, Tier::reading);
    let calls = tier.map_or_else(|| MeterReading { ops: Vec::new() }, Tier::calls);
    out.count("threadmill_mode_changes_total", "How often the hot tier was lost or came back.", reading.switches);
    let mut counts = |name, help, all: [(&'static str, u64); 2]| out.counts(name, help, "outcome", all);
    let help = "Readings of streams: hit, or fallback on the durable tier.";
    counts("threadmill_hot_reads_total", help, [("hit", reading.hits), ("fallback", reading.fallbacks)]);
    let help = "Windows that were looked for: hit or miss.";
    counts("threadmill_hot_windows_total", help, [("hit", reading.page_hits), ("miss", reading.page_misses)]);
    let help = "Things left for other nodes: sent or dropped.";
    counts("threadmill_hot_spread_total", help, [("sent", reading.spread), ("dropped", reading.dropped)]);
    let help = "Values and hints in the hot tier that this deployment did not seal, and did not use. Normal: 0.";
    out.count("threadmill_hot_unverified_total", help, reading.unverified);
    let help = "Commands that were sent to the hot tier, each of a pipeline by itself.";
    out.count("threadmill_hot_commands_total", help, reading.sent.commands);
    let help = "Bytes of them.";
    out.count("threadmill_hot_sent_bytes_total", help, reading.sent.bytes);
    let help = "Of those readings, the share that fell back. Normal: under 0.01.";
    out.gauge("threadmill_hot_fallback_ratio", help, reading.fallback_ratio().unwrap_or_default());
    let all = calls.ops.iter().map(|calls| (calls.op.name(), calls.calls));
    out.counts("threadmill_hot_calls_total", "Calls of the hot tier.", "op", all);
    let failures = out.begin(
        "threadmill_hot_call_failures_total",
        Kind::Counter,
        "Calls that timed out, or failed in another way.",
    );
    for calls in &calls.ops {
        for (why, count) in [("timeout", calls.timeouts), ("unavailable", calls.outages)] {
            failures.add(vec![("op", calls.op.name().into()), ("why", why.into())], number(count));
        }
    }
    let is_slow = |bound: Option<u64>| bound.is_none_or(|bound| bound > SLOW_MICROS);
    let slow = calls.ops.iter().flat_map(|calls| &calls.latencies).filter(|(bound, _)| is_slow(*bound));
    let help = "Calls of the hot tier that took longer than 50 ms.";
    out.count("threadmill_hot_slow_calls_total", help, slow.map(|(_, count)| count).sum());
    let help = "Time spent in calls so far; it only grows.";
    let spent = out.begin("threadmill_hot_call_spent_seconds", Kind::Gauge, help);
    for calls in &calls.ops {
        spent.add(vec![("op", calls.op.name().into())], Duration::from_micros(calls.micros).as_secs_f64());
    }
}
