//! Traces of runs, sent by OpenTelemetry's protocol (OTLP): protobuf over HTTP, with the official message types.
//!
//! [`endpoint`] is where they go and under which headers, [`encode`] what a span looks like there, [`client`] one request,
//! [`exporter`] the task that sends what the engine leaves in its queue. The engine never waits for any of it. The official
//! exporter is not used: its batches are dropped without a count, and what its receiver rejects is said to nobody.

mod client;
mod encode;
mod endpoint;
mod exporter;

pub use encode::Resource;
pub use endpoint::{Endpoint, EndpointError, header_lines, header_list, pairs};
pub use exporter::Exporter;
