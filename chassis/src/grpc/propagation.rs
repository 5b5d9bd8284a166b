//! W3C trace context in HTTP headers, both directions.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, Injector};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry::traceparent::{TRACEPARENT, is_well_formed};

/// Writes the context of the current span into `headers`.
pub fn inject(headers: &mut HeaderMap) {
    let context = tracing::Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut HeaderCarrier(headers));
    });
}

/// Reads the remote parent of a request; an empty context when there is none that is well-formed.
pub fn extract(headers: &HeaderMap) -> opentelemetry::Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&HeaderView(headers)))
}

struct HeaderCarrier<'h>(&'h mut HeaderMap);

impl Injector for HeaderCarrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator always sets `tracestate`, also an empty one, which says nothing.
        if value.is_empty() {
            return;
        }
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

struct HeaderView<'h>(&'h HeaderMap);

impl Extractor for HeaderView<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (key != TRACEPARENT || is_well_formed(value)).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry::trace::TraceContextExt as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    #[test]
    fn a_parent_whose_ids_are_too_short_is_none() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([
                (HeaderName::from_static(TRACEPARENT), HeaderValue::from_static(value)),
                (HeaderName::from_static("tracestate"), HeaderValue::from_static("shop=1")),
            ]);
            let context = TraceContextPropagator::new().extract(&HeaderView(&headers));
            let span = context.span();
            let parent = span.span_context();
            parent
                .is_valid()
                .then(|| (parent.trace_id().to_string(), parent.trace_state().header()))
        };
        let found = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let expected = ("0af7651916cd43dd8448eb211c80319c".to_owned(), "shop=1".to_owned());
        assert_eq!(found, Some(expected));
        assert_eq!(read("00-0af7651916cd43dd-b7ad6b7169203331-01"), None);
        assert_eq!(read("00-0af7651916cd43dd8448eb211c80319c-b7ad-01"), None);
    }
}
