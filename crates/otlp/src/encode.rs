//! Spans as OTLP has them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind as KindMessage};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as SpanMessage, Status};
use threadmill_engine::telemetry::trace::span::{Attribute, Span, SpanKind};

/// The trace flag of a span that is kept, and that it is known whether the parent is another process's.
const SAMPLED: u32 = 0x1;
const HAS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// What sends the spans.
#[derive(Debug, Clone)]
pub struct Resource {
    /// What the service is called.
    pub service: String,
    /// Its version.
    pub version: String,
    /// This node of it.
    pub instance: String,
    /// What the operator says of it besides.
    pub more: Vec<(String, String)>,
}

/// One request's message.
pub(crate) fn request(resource: &Resource, spans: &[Span]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "threadmill".into(),
        version: resource.version.clone(),
        ..InstrumentationScope::default()
    };
    let scope_spans =
        ScopeSpans { scope: Some(scope), spans: spans.iter().map(span).collect(), schema_url: String::new() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(of(resource)),
            scope_spans: vec![scope_spans],
            schema_url: String::new(),
        }],
    }
}

fn of(resource: &Resource) -> ResourceMessage {
    let own = [
        ("service.name", &resource.service),
        ("service.version", &resource.version),
        ("service.instance.id", &resource.instance),
    ];
    let more = resource.more.iter().filter(|(name, _)| own.iter().all(|(known, _)| known != name));
    let all = own.into_iter().chain(more.map(|(name, value)| (name.as_str(), value)));
    let attributes = all.map(|(name, value)| pair(name, Value::StringValue(value.clone()))).collect();
    ResourceMessage { attributes, ..ResourceMessage::default() }
}

fn span(span: &Span) -> SpanMessage {
    let remote = if span.is_parent_remote { IS_REMOTE } else { 0 };
    let kind = match span.kind {
        SpanKind::Client => KindMessage::Client,
        SpanKind::Internal => KindMessage::Internal,
    };
    let event =
        |(name, at): &(&'static str, u64)| Event { time_unix_nano: *at, name: (*name).into(), ..Event::default() };
    SpanMessage {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        parent_span_id: span.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        flags: SAMPLED | HAS_REMOTE | remote,
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: span.from,
        end_time_unix_nano: span.to,
        attributes: span.attributes.iter().map(|(name, attribute)| pair(name, value(attribute))).collect(),
        events: span.events.iter().map(event).collect(),
        status: span.failed.map(|word| Status { message: word.into(), code: StatusCode::Error.into() }),
        ..SpanMessage::default()
    }
}

fn pair(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn value(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Text(text) => Value::StringValue(text.clone()),
        Attribute::Number(number) => Value::IntValue(i64::try_from(*number).unwrap_or(i64::MAX)),
        Attribute::Seconds(seconds) => Value::DoubleValue(*seconds),
        Attribute::Flag(flag) => Value::BoolValue(*flag),
        Attribute::Texts(texts) => {
            let values = texts.iter().map(|text| AnyValue { value: Some(Value::StringValue(text.clone())) });
            Value::ArrayValue(ArrayValue { values: values.collect() })
        }
    }
}
