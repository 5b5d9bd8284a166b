//! W3C trace context in events: out of the current span, into the span of a consumer, and into spans
//! of what happens to the event in between. The parent of all of them is the span that made the event.

use std::collections::BTreeSet;

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Envelope;
use crate::telemetry::trace::TRACER;
use crate::telemetry::traceparent::{TRACEPARENT, is_well_formed};

/// Carries the one header that events keep.
#[derive(Default)]
struct Carrier(Option<String>);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|value| key == TRACEPARENT && is_well_formed(value))
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// Returns the trace context of the current span; `None` when there is no trace.
pub(super) fn current() -> Option<String> {
    let mut carrier = Carrier::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.0
}

/// Joins `span` to the traces that caused a batch: it becomes the child of the first that is recorded
/// (else its work would not be, though somebody wants to see it) and is linked to the others.
pub(super) fn join<'t>(span: &Span, traceparents: impl Iterator<Item = &'t str>) {
    let mut contexts: Vec<_> = traceparents.map(remote).filter(Context::has_active_span).collect();
    if contexts.is_empty() {
        return;
    }
    let recorded = contexts.iter().position(|context| context.span().span_context().is_sampled());
    // Refused only for a span that has already begun to be exported; then it stays a root.
    let _ = span.set_parent(contexts.remove(recorded.unwrap_or_default()));
    for context in contexts {
        span.add_link(context.span().span_context().clone());
    }
}

/// Begins a span in the trace of `traceparent`; none where that is not recorded.
pub(crate) fn begin(traceparent: Option<&str>, builder: SpanBuilder) -> Option<BoxedSpan> {
    let context = remote(traceparent?);
    let is_recorded = context.span().span_context().is_sampled();
    is_recorded.then(|| global::tracer(TRACER).build_with_context(builder, &context))
}

/// Ends a span, as failed if there is a kind of error.
pub(super) fn end(span: Option<BoxedSpan>, error: Option<&'static str>) {
    let Some(mut span) = span else { return };
    if let Some(kind) = error {
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(kind));
    }
    span.end();
}

/// Begins a span in the trace of each event of a batch whose trace is not that of `batch`, linked to
/// it: the work is done once, and each trace shows that it was.
pub(super) fn accompany(
    batch: &Span,
    events: &[Envelope],
    process: &Process<'_>,
) -> Vec<BoxedSpan> {
    let work = batch.context().span().span_context().clone();
    let mut seen = BTreeSet::from([work.trace_id().to_string()]);
    let elsewhere = events
        .iter()
        .filter(|event| event.trace_id().is_some_and(|trace| seen.insert(trace.to_owned())));
    let begun = elsewhere.map(|event| {
        let mut attributes = process.attributes();
        attributes.push(KeyValue::new("messaging.message.id", event.id.clone()));
        let builder = SpanBuilder::from_name(process.name())
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes)
            .with_links(vec![Link::with_context(work.clone())]);
        begin(event.traceparent.as_deref(), builder)
    });
    begun.flatten().collect()
}

/// Where events are processed, as the spans of it say.
pub(super) struct Process<'d> {
    /// `EXCHANGE:QUEUE`, which is how the conventions name the destination of a consumer.
    pub(super) destination: &'d str,
}

impl Process<'_> {
    pub(super) fn name(&self) -> String {
        format!("process {}", self.destination)
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.destination.name", self.destination.to_owned()),
        ]
    }
}

fn remote(traceparent: &str) -> Context {
    let carrier = Carrier(Some(traceparent.to_owned()));
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_is_read() {
        let context = remote("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let span = context.span().span_context().clone();
        assert_eq!(span.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(span.is_remote());
    }

    #[test]
    fn nonsense_is_no_trace_context() {
        for text in ["nonsense", "00-0af7651916cd43dd-b7ad6b7169203331-01"] {
            assert!(!remote(text).has_active_span(), "{text}");
        }
    }

    #[test]
    fn what_nobody_records_gets_no_span() {
        let begun = |flags: &str| {
            let context = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            begin(Some(&context), SpanBuilder::from_name("outbox.wait")).is_some()
        };
        assert!(begun("01") && !begun("00"));
        assert!(begin(None, SpanBuilder::from_name("outbox.wait")).is_none());
        assert!(begin(Some("nonsense"), SpanBuilder::from_name("outbox.wait")).is_none());
    }

    #[test]
    fn there_is_no_trace_without_a_tracer() {
        assert_eq!(current(), None);
    }
}
