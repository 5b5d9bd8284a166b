//! W3C trace context in events: out of the current span, and into the span of a consumer.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The name of the header, and of the extension attribute of an envelope.
pub(super) const TRACEPARENT: &str = "traceparent";

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
        self.0.as_deref().filter(|_| key == TRACEPARENT)
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

/// Joins `span` to the traces that caused a batch: it becomes the child of the first and is linked
/// to the others.
pub(super) fn join<'t>(span: &Span, traceparents: impl Iterator<Item = &'t str>) {
    let mut contexts = traceparents.map(remote).filter(Context::has_active_span);
    if let Some(parent) = contexts.next() {
        // Refused only for a span that has already begun to be exported; then it stays a root.
        let _ = span.set_parent(parent);
    }
    for context in contexts {
        span.add_link(context.span().span_context().clone());
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
        assert!(!remote("nonsense").has_active_span());
    }

    #[test]
    fn there_is_no_trace_without_a_tracer() {
        assert_eq!(current(), None);
    }
}
