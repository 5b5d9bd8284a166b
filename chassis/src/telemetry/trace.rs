//! Traces: W3C context in, OTLP out.

use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, global};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use super::queries::Queries;
use crate::config::{ConfigError, TelemetryConfig};

/// Whose spans these are; the services' own code makes no others.
pub(crate) const TRACER: &str = "chassis";

/// The trace that the current work belongs to, as problem documents and log lines show it.
pub fn current_trace_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().to_string())
}

/// Makes W3C trace context the form in which traces cross process borders, and `provider` the source
/// of spans that belong to no piece of code: those of what has waited.
pub(super) fn install(provider: &SdkTracerProvider) {
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(provider.clone());
}

/// The source of spans of the service `name`. Without an endpoint, spans get their identities,
/// which log lines and downstream services need, and are otherwise not recorded.
pub(super) fn provider(
    name: &'static str,
    config: &TelemetryConfig,
) -> Result<SdkTracerProvider, ConfigError> {
    check(config)?;
    let builder = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(name).build());
    if config.otlp_endpoint.is_empty() {
        return Ok(builder.with_sampler(Sampler::AlwaysOff).build());
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(config.otlp_endpoint.as_str())
        .with_timeout(config.export_timeout())
        .build()
        .map_err(|error| ConfigError::value("telemetry.otlp_endpoint", error.to_string()))?;
    // The parent's decision counts, so that a trace is recorded in all services or in none.
    let sampler = Sampler::TraceIdRatioBased(config.sample_ratio);
    let sampler = Sampler::ParentBased(Box::new(sampler));
    // A thread of its own exports; whoever ends a span only puts it down, or drops it when the queue
    // is full.
    let bounds = BatchConfigBuilder::default()
        .with_max_queue_size(config.span_queue_max)
        .with_max_export_batch_size(config.span_batch_max)
        .with_scheduled_delay(config.export_every())
        .build();
    let exported = BatchSpanProcessor::builder(exporter).with_batch_config(bounds).build();
    Ok(builder.with_sampler(sampler).with_span_processor(Queries(exported)).build())
}

/// Refuses values that cannot be used.
pub(super) fn check(config: &TelemetryConfig) -> Result<(), ConfigError> {
    config.validate()?;
    let endpoint = config.otlp_endpoint.parse::<http::Uri>();
    if !config.otlp_endpoint.is_empty() && !endpoint.is_ok_and(|uri| uri.scheme().is_some()) {
        let message = "must be an address such as http://127.0.0.1:4317";
        return Err(ConfigError::value("telemetry.otlp_endpoint", message));
    }
    Ok(())
}

/// The layer that turns the code's spans into those of a trace.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(TRACER))
        // Source positions and threads are noise in every span.
        .with_location(false)
        .with_threads(false)
}

#[cfg(test)]
mod tests {
    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry::trace::{Span as _, Tracer as _};
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
        TraceService, TraceServiceServer,
    };
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, Status};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// A collector that hands on what it is sent.
    struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

    #[tonic::async_trait]
    impl TraceService for Collector {
        async fn export(
            &self,
            request: Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            self.0.send(request.into_inner()).map_err(|_| Status::internal("test ended"))?;
            Ok(Response::new(ExportTraceServiceResponse::default()))
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn spans_reach_the_collector_at_the_latest_when_telemetry_shuts_down() {
        let (sender, mut exports) = mpsc::unbounded_channel();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = TelemetryConfig {
            otlp_endpoint: format!("http://{}", listener.local_addr().unwrap()),
            ..TelemetryConfig::default()
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(Collector(sender)))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        let tracer = provider("order-service", &config).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(&tracer));
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("order.place", order.id = 7).entered();
            assert_eq!(current_trace_id().map(|id| id.len()), Some(32));
        });
        crate::telemetry::Telemetry { tracer }.shutdown().await;
        let export = exports.try_recv().unwrap();
        let spans = &export.resource_spans[0].scope_spans[0].spans;
        assert_eq!(spans[0].name, "order.place");
        let service = &export.resource_spans[0].resource.as_ref().unwrap().attributes;
        assert!(service.iter().any(|attribute| attribute.key == "service.name"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_collector_that_is_silent_holds_nobody_up() {
        // It accepts connections and says nothing.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = TelemetryConfig {
            otlp_endpoint: format!("http://{}", listener.local_addr().unwrap()),
            span_queue_max: 8,
            span_batch_max: 4,
            export_timeout_ms: 200,
            ..TelemetryConfig::default()
        };
        let tracer = provider("order-service", &config).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(&tracer));
        tracing::subscriber::with_default(subscriber, || {
            // Far more than there is room for: it only ends if nobody waits.
            for id in 0..10_000 {
                let _span = tracing::info_span!("order.place", order.id = id).entered();
            }
        });
        crate::telemetry::Telemetry { tracer }.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_caller_does_not_record_nobody_does_and_ratio_zero_records_nothing_new() {
        let caller = |flags: &str| {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            let headers = std::collections::HashMap::from([("traceparent".to_owned(), text)]);
            TraceContextPropagator::new().extract(&headers)
        };
        for (ratio, parent, is_recorded) in [
            (1.0, Some("00"), false),
            (1.0, Some("01"), true),
            (1.0, None, true),
            (0.0, None, false),
            (0.0, Some("01"), true),
        ] {
            let config = TelemetryConfig {
                otlp_endpoint: "http://127.0.0.1:9".to_owned(),
                sample_ratio: ratio,
                ..TelemetryConfig::default()
            };
            let tracer = provider("order-service", &config).unwrap();
            let context = parent.map_or_else(Context::new, caller);
            let span = tracer.tracer(TRACER).start_with_context("order.place", &context);
            assert_eq!(span.span_context().is_sampled(), is_recorded, "{ratio} {parent:?}");
        }
    }

    #[test]
    fn without_an_endpoint_traces_still_have_identities() {
        let tracer = provider("order-service", &TelemetryConfig::default()).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(&tracer));
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(current_trace_id(), None);
            let _span = tracing::info_span!("order.place").entered();
            assert!(current_trace_id().is_some());
        });
    }

    #[test]
    fn a_ratio_out_of_range_is_a_configuration_error() {
        let config = TelemetryConfig { sample_ratio: 1.5, ..TelemetryConfig::default() };
        let text = provider("order-service", &config).unwrap_err().to_string();
        assert!(text.contains("telemetry.sample_ratio"), "{text}");
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_a_configuration_error() {
        let config = TelemetryConfig {
            otlp_endpoint: "collector:4317".to_owned(),
            ..TelemetryConfig::default()
        };
        assert!(check(&config).is_err());
    }
}
