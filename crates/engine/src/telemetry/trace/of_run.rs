//! The spans of a run that is over, made of its line: one for the whole, under the names that OpenTelemetry has for what
//! models are asked (status “development”, as of `gen_ai` in November 2026), and one for each stretch of its time.
//!
//! There is a span for the first commit and none for later ones: a run has thousands.

use std::time::Duration;

use crate::telemetry::account::Account;
use crate::telemetry::cell::Words as _;
use crate::telemetry::run_line::{Line, RunEnd, RunLine};
use crate::telemetry::trace::context::RunTrace;
use crate::telemetry::trace::span::{Attribute, Span, SpanKind};

/// What is done with a model here, in OpenTelemetry's word.
const OPERATION: &str = "chat";

/// The stretches of a run, each from its own step to the next that was noted.
const STRETCHES: [&str; 4] = ["run.prepare", "run.first_byte", "run.first_commit", "run.stream"];

/// The spans of a run: none if it is not traced.
pub(crate) fn spans(line: &Line) -> Vec<Span> {
    let Some(trace) = line.of.trace.filter(|trace| trace.is_sampled) else { return Vec::new() };
    let read = line.read();
    let begun = read.accepted_at.saturating_mul(1_000_000);
    let at = |after: Duration| begun.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
    let end = read.ended.unwrap_or_default();
    let mut all = vec![whole(line, &read, &trace, &at, end)];
    let steps = [Some(Duration::ZERO), read.asked, read.first_byte, read.first_commit];
    for (number, name) in (0_u8..).zip(STRETCHES) {
        let place = usize::from(number);
        let Some(from) = steps[place] else { continue };
        let to = steps[place + 1..].iter().find_map(|step| *step).unwrap_or(end).max(from);
        all.push(Span {
            trace: trace.id,
            id: trace.child(number),
            parent: Some(trace.root),
            is_parent_remote: false,
            name: name.into(),
            kind: SpanKind::Internal,
            from: at(from),
            to: at(to),
            attributes: Vec::new(),
            events: Vec::new(),
            failed: None,
        });
    }
    all
}

/// The span of the whole run.
fn whole(line: &Line, read: &RunLine, trace: &RunTrace, at: &impl Fn(Duration) -> u64, end: Duration) -> Span {
    let model = &line.of.model;
    let name = if model.name.is_empty() { OPERATION.into() } else { format!("{OPERATION} {}", model.name) };
    let failed = match line.end() {
        Some(RunEnd::Complete | RunEnd::Stopped) => None,
        Some(RunEnd::Failed) => Some(read.failure.unwrap_or("failed")),
        Some(RunEnd::Interrupted) => Some("interrupted"),
        None => Some("lost"),
    };
    Span {
        trace: trace.id,
        id: trace.root,
        parent: trace.parent,
        is_parent_remote: trace.parent.is_some(),
        name,
        kind: SpanKind::Client,
        from: at(Duration::ZERO),
        to: at(end),
        attributes: attributes(line, read, failed),
        events: read.first_delivery.map(|after| ("first_delivery", at(after))).into_iter().collect(),
        failed,
    }
}

fn attributes(line: &Line, read: &RunLine, failed: Option<&'static str>) -> Vec<(&'static str, Attribute)> {
    let (text, model) = (|text: &str| Attribute::Text(text.into()), &line.of.model);
    let mut all = vec![
        ("gen_ai.operation.name", text(OPERATION)),
        ("gen_ai.provider.name", text(model.system)),
        ("gen_ai.conversation.id", text(read.thread.as_str())),
        ("gen_ai.request.stream", Attribute::Flag(true)),
        ("threadmill.run.id", text(read.run.as_str())),
        ("threadmill.provider", text(&read.provider)),
        ("threadmill.outcome", text(line.end().map_or("lost", RunEnd::word))),
        ("threadmill.commits", Attribute::Number(read.commits)),
        ("threadmill.chunks", Attribute::Number(read.chunks)),
        ("threadmill.bytes", Attribute::Number(read.bytes)),
    ];
    if !model.name.is_empty() {
        all.push(("gen_ai.request.model", text(&model.name)));
    }
    if let (Some(asked), Some(first)) = (read.asked, read.first_byte) {
        let seconds = first.saturating_sub(asked).as_secs_f64();
        all.push(("gen_ai.response.time_to_first_chunk", Attribute::Seconds(seconds)));
    }
    // Of the total there is no such attribute.
    let Account { input_tokens, cached_tokens, output_tokens, reasoning_tokens, finish_reason, total_tokens: _ } =
        line.account().clone();
    let tokens = [
        ("gen_ai.usage.input_tokens", input_tokens),
        ("gen_ai.usage.cache_read.input_tokens", cached_tokens),
        ("gen_ai.usage.output_tokens", output_tokens),
        ("gen_ai.usage.reasoning.output_tokens", reasoning_tokens),
    ];
    all.extend(tokens.into_iter().filter_map(|(name, count)| Some((name, Attribute::Number(count?)))));
    // A message says nothing of an answer that simply stopped.
    let reason = finish_reason.or_else(|| (line.end() == Some(RunEnd::Complete)).then(|| "stop".into()));
    all.extend(reason.map(|reason| ("gen_ai.response.finish_reasons", Attribute::Texts(vec![reason]))));
    all.extend(failed.map(|word| ("error.type", text(word))));
    all
}
