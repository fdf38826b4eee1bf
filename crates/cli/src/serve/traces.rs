//! Traces of runs, sent to whoever the configuration names.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use threadmill_engine::Engine;
use threadmill_engine::providers::openai::install_tls;
use threadmill_otlp::Exporter;

use crate::config::{Telemetry, resource};

/// How long a stop waits for the last traces.
const LAST: Duration = Duration::from_secs(2);

/// What sends traces, if something does.
#[derive(Debug)]
pub(crate) struct Sending(Option<Exporter>);

/// Begins to send traces, if somebody gets them.
pub(crate) fn send(engine: &Arc<Engine>, config: &Telemetry) -> anyhow::Result<Sending> {
    let telemetry = engine.telemetry();
    telemetry.traces.follow(config.policy()?);
    let Some(endpoint) = config.endpoint()? else { return Ok(Sending(None)) };
    install_tls();
    tracing::info!(endpoint = endpoint.shown(), sample = config.sample, "runs are traced");
    let exporter = Exporter::start(endpoint, resource(engine.node().name())?, Arc::clone(telemetry));
    Ok(Sending(exporter.map_err(|error| anyhow!("traces cannot be sent: {error}"))?))
}

impl Sending {
    /// Sends the last ones, within two seconds.
    pub(crate) async fn end(self) {
        if let Some(exporter) = self.0 {
            exporter.shut_down(LAST).await;
        }
    }
}
