//! An OTLP collector inside the test, as the services know one in production.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use fleet::services::Service;
use fleet::{FleetOptions, wait};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Spans that are kept; a test that makes more asks for too much.
const SPANS_MAX: usize = 50_000;
/// How long spans may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A span that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The traces of what it is linked to.
    pub(crate) links: Vec<String>,
    pub(crate) nanos: (u64, u64),
    pub(crate) is_error: bool,
}

impl Seen {
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// Runs until it is dropped.
pub(crate) struct Collector {
    endpoint: String,
    spans: Spans,
    _server: JoinSet<Result<(), tonic::transport::Error>>,
}

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let came = request.into_inner().resource_spans.into_iter().flat_map(seen);
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(came);
        if spans.len() > SPANS_MAX {
            return Err(Status::resource_exhausted("more spans than a test should make"));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (spans, mut server) = (Spans::default(), JoinSet::new());
        server.spawn(
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(spans.clone()))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Ok(Self { endpoint, spans, _server: server })
    }

    /// A fleet whose services send their spans here, and soon.
    pub(crate) fn options(&self) -> FleetOptions {
        sending_to(&self.endpoint)
    }

    /// Everything that came so far.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.spans.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the spans of a trace are as they should be. While they are not, `judge` tells
    /// what is missing.
    pub(crate) async fn until(
        &self,
        trace: &str,
        judge: impl Fn(&[Seen]) -> Result<(), String>,
    ) -> Result<Vec<Seen>> {
        let mut missing = String::new();
        let found = wait::until("the spans of a trace", PATIENCE, || {
            let spans = self.spans().into_iter().filter(|span| span.trace == trace);
            let spans: Vec<_> = spans.collect();
            let found = match judge(&spans) {
                Ok(()) => Some(spans),
                Err(reason) => {
                    missing = reason;
                    None
                }
            };
            async move { Ok(found) }
        })
        .await;
        found.map_err(|error| error.context(missing))
    }
}

/// A fleet whose services send their spans to `endpoint`.
pub(crate) fn sending_to(endpoint: &str) -> FleetOptions {
    Service::ALL.iter().fold(FleetOptions::default(), |options, service| {
        let variable = |end: &str| format!("{}__TELEMETRY__{end}", service.variable);
        options
            .setting(&variable("OTLP_ENDPOINT"), endpoint)
            .setting(&variable("EXPORT_EVERY_MS"), "100")
    })
}

fn seen(sent: ResourceSpans) -> Vec<Seen> {
    let resource = sent.resource.map(|resource| attributes(resource.attributes));
    let service = resource.and_then(|mut about| about.remove("service.name")).unwrap_or_default();
    let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| read(&service, span)).collect()
}

fn read(service: &str, span: Span) -> Seen {
    let is_error = span.status.as_ref().is_some_and(|it| it.code() == StatusCode::Error);
    Seen {
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind(),
        links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        nanos: (span.start_time_unix_nano, span.end_time_unix_nano),
        is_error,
        name: span.name,
        attributes: attributes(span.attributes),
    }
}

fn attributes(sent: Vec<KeyValue>) -> BTreeMap<String, String> {
    sent.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
