//! What clients report of themselves: what their core holds, how the page felt, and how it was used. Parsed strictly,
//! clamped, added to histograms at once; nothing of a report is kept. How it was used is left aside where that is switched
//! off, and where the browser says that nobody wants to be tracked.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use threadmill_engine::analytics::Counts;
use threadmill_engine::flags;
use threadmill_engine::telemetry::clients::{ClientCounts, ClientEngine, ClientField};
use threadmill_proto::ErrorCode;

use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::Caller;
use crate::request::fields::whole;

/// Bytes of a report.
const BYTES: usize = 16 << 10;
/// Samples of a report.
const SAMPLES: usize = 64;
/// Threads of a sample.
const THREADS: usize = 64;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Core,
    Direct,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    engine: Engine,
    samples: Vec<Sample>,
    #[serde(rename = "use")]
    used: Option<Use>,
}

/// How the page was used, by measure and bucket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    /// It runs without the prefetcher, to be compared with.
    #[serde(default)]
    control: bool,
    counts: BTreeMap<String, Vec<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[derive(Default)]
struct Sample {
    core_bytes: Option<f64>,
    threads: Vec<Thread>,
    render_ms: Option<f64>,
    inp_ms: Option<f64>,
    long_tasks: u64,
    heap_bytes: Option<f64>,
    cross_tab_ms: Option<f64>,
    load_ms: Option<f64>,
    scroll_ms: Option<f64>,
    switch_ms: Option<f64>,
    renders: Option<f64>,
    reconnects: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thread {
    rows: Option<f64>,
    bytes: Option<f64>,
}

/// `POST /v1/rum`.
pub(crate) async fn report(
    State(app): State<App>,
    Caller(scope): Caller,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiProblem> {
    app.limiter.report(&scope)?;
    let untracked = wants_no_tracking(request.headers());
    let body = whole(request.into_body(), BYTES).await?;
    let invalid = |detail: String| ApiProblem::new(ErrorCode::InvalidRequest, detail);
    let report: Report =
        serde_json::from_slice(&body).map_err(|error| invalid(format!("The report cannot be read: {error}.")))?;
    if report.samples.len() > SAMPLES || report.samples.iter().any(|sample| sample.threads.len() > THREADS) {
        return Err(invalid(format!("A report has at most {SAMPLES} samples, each of at most {THREADS} threads.")));
    }
    let engine = match report.engine {
        Engine::Core => ClientEngine::Core,
        Engine::Direct => ClientEngine::Direct,
    };
    let mut counts = Counts::default();
    for (name, values) in report.used.iter().flat_map(|used| &used.counts) {
        counts.report(name, values).map_err(|why| invalid(format!("`use`: {why}.")))?;
    }
    if let Some(used) = report.used.filter(|_| !untracked) {
        app.engine.analytics().visit(&scope, used.control, &counts).await;
    }
    for sample in &report.samples {
        take(&app.engine.telemetry().clients, engine, sample);
        app.engine.rollouts().record_sample(&scope, &felt(engine, sample));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({"accepted": report.samples.len()}))))
}

/// Do Not Track, or Global Privacy Control.
fn wants_no_tracking(headers: &HeaderMap) -> bool {
    ["dnt", "sec-gpc"].into_iter().any(|name| headers.get(name).is_some_and(|value| value.as_bytes() == b"1"))
}

/// What a sample says of the side of a rollout that its user is on, as far as it is a number that may be.
fn felt(engine: ClientEngine, sample: &Sample) -> flags::Sample {
    let kept = |field: ClientField, value: Option<f64>| value.and_then(|value| field.clamped(value));
    let bytes = sample.threads.iter().filter_map(|thread| kept(ClientField::ThreadBytes, thread.bytes));
    flags::Sample {
        direct: engine == ClientEngine::Direct,
        load_ms: kept(ClientField::Load, sample.load_ms),
        inp_ms: kept(ClientField::Input, sample.inp_ms),
        heap_bytes: kept(ClientField::Heap, sample.heap_bytes),
        thread_bytes: bytes.reduce(f64::max),
        scroll_ms: kept(ClientField::Scroll, sample.scroll_ms),
        switch_ms: kept(ClientField::Switch, sample.switch_ms),
        renders: kept(ClientField::Renders, sample.renders),
    }
}

fn take(counts: &ClientCounts, engine: ClientEngine, sample: &Sample) {
    counts.sample(sample.long_tasks, sample.reconnects);
    let fields = [
        (ClientField::CoreBytes, sample.core_bytes),
        (ClientField::Render, sample.render_ms),
        (ClientField::Input, sample.inp_ms),
        (ClientField::Heap, sample.heap_bytes),
        (ClientField::CrossTab, sample.cross_tab_ms),
        (ClientField::Load, sample.load_ms),
        (ClientField::Scroll, sample.scroll_ms),
        (ClientField::Switch, sample.switch_ms),
        (ClientField::Renders, sample.renders),
    ];
    let threads = sample
        .threads
        .iter()
        .flat_map(|thread| [(ClientField::Rows, thread.rows), (ClientField::ThreadBytes, thread.bytes)]);
    for (field, value) in fields.into_iter().chain(threads) {
        value.into_iter().for_each(|value| counts.take(engine, field, value));
    }
}
