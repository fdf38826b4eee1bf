//! `[telemetry]`: traces of runs, and who gets them. OpenTelemetry's own variables are understood where the file and ours say
//! nothing.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use threadmill_engine::telemetry::trace::TracePolicy;
use threadmill_otlp::{Endpoint, Resource, header_lines, header_list, pairs};

use crate::files;

/// Where traces of runs go, and which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// A receiver of OpenTelemetry's protocol over HTTP, such as `http://127.0.0.1:4318`; traces go to `/v1/traces` below it.
    /// Without one there are no traces.
    pub(crate) otlp_endpoint: Option<String>,
    /// A file of headers for it, `Name: value` one a line, such as its token.
    pub(crate) otlp_headers_file: Option<PathBuf>,
    /// The share of runs that are traced, from 0 to 1, by a stable hash of the run's id.
    pub(crate) sample: f64,
    /// Names of providers that are told the trace they are asked in, by `traceparent`.
    pub(crate) propagate_to: Vec<String>,
}

impl Default for Telemetry {
    fn default() -> Self {
        let TracePolicy { share, propagate_to } = TracePolicy::default();
        Self { otlp_endpoint: None, otlp_headers_file: None, sample: share, propagate_to }
    }
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

impl Telemetry {
    /// Which runs are traced.
    pub(crate) fn policy(&self) -> anyhow::Result<TracePolicy> {
        ensure!((0.0..=1.0).contains(&self.sample), "telemetry.sample is a share from 0 to 1");
        Ok(TracePolicy { share: self.sample, propagate_to: self.propagate_to.clone() })
    }

    /// Who gets the traces, if somebody does.
    pub(crate) fn endpoint(&self) -> anyhow::Result<Option<Endpoint>> {
        let exact = || variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(|url| Endpoint::exact(&url));
        let base = || variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|url| Endpoint::base(&url));
        let endpoint = match &self.otlp_endpoint {
            Some(url) => Some(Endpoint::base(url).context("telemetry.otlp_endpoint")?),
            None => exact().or_else(base).transpose().context("the endpoint that OTEL_EXPORTER_OTLP_… names")?,
        };
        let Some(endpoint) = endpoint else { return Ok(None) };
        Ok(Some(endpoint.with_headers(&self.headers()?)?))
    }

    /// The headers of its requests, which hold secrets.
    pub(crate) fn headers(&self) -> anyhow::Result<Vec<(String, String)>> {
        const OURS: &str = "THREADMILL_OTLP_HEADERS";
        let file = self.otlp_headers_file.as_deref();
        match (file, variable(OURS)) {
            (Some(_), Some(_)) => bail!("give telemetry.otlp_headers_file or {OURS}, not both"),
            (Some(file), None) => {
                header_lines(&files::text(file, files::SECRET)?).context("telemetry.otlp_headers_file")
            }
            (None, Some(list)) => header_list(&list).context(OURS),
            (None, None) => {
                let list =
                    variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"));
                list.map(|list| header_list(&list).context("OTEL_EXPORTER_OTLP_HEADERS")).unwrap_or(Ok(Vec::new()))
            }
        }
    }
}

/// What a node is called where its traces go.
pub(crate) fn resource(node: &str) -> anyhow::Result<Resource> {
    let said = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut more = pairs(&said).context("OTEL_RESOURCE_ATTRIBUTES is written `name=value,name=value`")?;
    let named = more.iter().position(|(name, _)| name == "service.name").map(|at| more.remove(at).1);
    let service = variable("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "threadmill".into());
    Ok(Resource { service, version: env!("CARGO_PKG_VERSION").into(), instance: node.into(), more })
}
