//! What the spans of all queries have in common.

use std::time::Duration;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// How the names of queries begin.
const PREFIX: &str = "db.";

/// Completes the spans of queries by what OpenTelemetry's conventions ask of a database client, on
/// their way to the next processor: repositories name their queries and need not know more.
#[derive(Debug)]
pub(super) struct Queries<P>(pub(super) P);

impl<P: SpanProcessor> SpanProcessor for Queries<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        if span.name.starts_with(PREFIX) {
            span.span_kind = SpanKind::Client;
            // MariaDB speaks the same protocol; which of the two it is, a query does not know.
            span.attributes.push(KeyValue::new("db.system.name", "mysql"));
        }
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[test]
    fn queries_are_clients_of_a_database_and_nothing_else_is() {
        let ended = Ended::default();
        let provider =
            SdkTracerProvider::builder().with_span_processor(Queries(ended.clone())).build();
        for name in ["db.order.find", "order.get"] {
            drop(provider.tracer("test").start(name));
        }
        let spans = ended.0.lock().unwrap();
        assert_eq!((&spans[0].span_kind, spans[0].attributes.len()), (&SpanKind::Client, 1));
        assert_eq!(spans[0].attributes[0], KeyValue::new("db.system.name", "mysql"));
        assert_eq!((&spans[1].span_kind, spans[1].attributes.len()), (&SpanKind::Internal, 0));
    }
}
