//! The identity of a request in logs, traces and metrics.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chassis::grpc::propagation;
use chassis::telemetry::edge::Recording;
use chassis::telemetry::trace::current_trace_id;
use http::{HeaderName, HeaderValue, Method};
use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::Instant;
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::client_address::{Network, is_trusted, peer};
use crate::config::Config;

/// The header that names a request; made here unless a well-formed one came in.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is accepted.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Label of everything that is not a known route: paths that clients invent must not become
/// series.
const UNMATCHED: &str = "unmatched";

/// The trace of a request.
#[derive(Clone)]
pub(crate) struct TraceId(pub(crate) Arc<str>);

/// How requests are traced and measured.
pub(crate) struct Tracing {
    routes: RouteMetrics,
    recording: Recording,
    /// Peers that decide themselves what is recorded.
    samplers: Vec<Network>,
}

impl Tracing {
    pub(crate) fn new(config: &Config, routes: RouteMetrics) -> Self {
        let recording = Recording::new(&config.telemetry);
        Self { routes, recording, samplers: config.trusted_samplers.clone() }
    }

    /// Makes the span a part of the trace that the request brings along and returns the trace's id.
    /// Whether it is recorded is decided here, unless the peer is one that decides. A problem
    /// document always shows an id, also where spans are filtered out.
    fn join(&self, span: &Span, request: &Request) -> Arc<str> {
        let named = propagation::extract(request.headers());
        let decides = peer(request.extensions()).is_some_and(|at| is_trusted(&self.samplers, at));
        let parent = if decides { named } else { self.recording.decide(&named) };
        let is_outside_any_trace = span.set_parent(parent).is_err();
        if is_outside_any_trace {
            return chassis::id::new_id().simple().to_string().into();
        }
        let id = span.in_scope(current_trace_id);
        id.unwrap_or_else(|| chassis::id::new_id().simple().to_string()).into()
    }
}

/// Names the request, opens its span and measures it.
pub(crate) async fn trace(
    State(tracing): State<Arc<Tracing>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let metrics = tracing.routes.find(route, request.method());
    let span = span(&request, route, &id);
    let trace_id = TraceId(tracing.join(&span, &request));
    request.extensions_mut().insert(trace_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
    metrics.record(response.status().as_u16(), started);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn span(request: &Request, route: &str, id: &HeaderValue) -> Span {
    let method = known_method(request.method());
    tracing::info_span!(
        "http.request",
        otel.name = format!("{} {route}", method.unwrap_or("HTTP")),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method.unwrap_or("_OTHER"),
        http.route = route,
        url.scheme = request.uri().scheme_str().unwrap_or("http"),
        url.path = request.uri().path(),
        http.response.status_code = field::Empty,
        error.type = field::Empty,
        request.id = id.to_str().unwrap_or_default(),
    )
}

/// The name of a method that clients have not invented: names of spans are few.
fn known_method(method: &Method) -> Option<&str> {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    known.contains(method).then(|| method.as_str())
}

/// Keeps a request id of visible characters and sane length; anything else could forge log lines.
fn request_id(request: &Request) -> HeaderValue {
    let mut given = request.headers().get_all(REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_well_formed(id.as_bytes()) => id.clone(),
        _ => new_request_id(),
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn new_request_id() -> HeaderValue {
    let mut text = uuid::Uuid::encode_buffer();
    let text = chassis::id::new_id().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

/// Rate, errors and duration of every route; the handles are resolved once, at the start.
pub(crate) struct RouteMetrics {
    routes: HashMap<String, Vec<(Method, Handles)>>,
    unmatched: Handles,
}

impl RouteMetrics {
    pub(crate) fn new(routes: impl IntoIterator<Item = (String, Method)>) -> Self {
        let mut known: HashMap<String, Vec<(Method, Handles)>> = HashMap::new();
        for (path, method) in routes {
            let handles = Handles::resolve(method.as_str(), &path);
            known.entry(path).or_default().push((method, handles));
        }
        Self { routes: known, unmatched: Handles::resolve("other", UNMATCHED) }
    }

    fn find(&self, route: &str, method: &Method) -> &Handles {
        let methods = self.routes.get(route).map(Vec::as_slice).unwrap_or_default();
        let found = methods.iter().find(|(known, _)| known == method);
        found.map_or(&self.unmatched, |(_, handles)| handles)
    }
}

struct Handles {
    duration: Histogram,
    /// Responses by class of status, `1xx` to `5xx`.
    responses: [Counter; 5],
}

impl Handles {
    fn resolve(method: &str, route: &str) -> Self {
        let labels = [("method", method.to_owned()), ("route", route.to_owned())];
        let responses = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
            counter!(
                "http_server_requests_total",
                "method" => method.to_owned(), "route" => route.to_owned(), "status" => status,
            )
        });
        Self { duration: histogram!("http_server_request_duration_seconds", &labels), responses }
    }

    fn record(&self, status: u16, started: Instant) {
        self.duration.record(started.elapsed().as_secs_f64());
        let class = usize::from(status / 100).clamp(1, 5);
        if let Some(counter) = self.responses.get(class - 1) {
            counter.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_visible_and_short() {
        assert!(is_well_formed(b"a-b_c:1"));
        assert!(is_well_formed(&[b'a'; 128]));
        for id in [&b""[..], b"a b", b"a\tb", "é".as_bytes(), &[b'a'; 129]] {
            assert!(!is_well_formed(id));
        }
    }

    #[test]
    fn invented_methods_name_no_span() {
        assert_eq!(known_method(&Method::PATCH), Some("PATCH"));
        for invented in ["get", "PROPFIND", "X-1"] {
            assert_eq!(known_method(&Method::from_bytes(invented.as_bytes()).unwrap()), None);
        }
    }

    #[test]
    fn invented_paths_share_one_label() {
        let routes = RouteMetrics::new([("/livez".to_owned(), Method::GET)]);
        let unmatched: *const Handles = &raw const routes.unmatched;
        assert!(std::ptr::eq(routes.find("/x", &Method::GET), unmatched));
        assert!(std::ptr::eq(routes.find("/livez", &Method::DELETE), unmatched));
        assert!(!std::ptr::eq(routes.find("/livez", &Method::GET), unmatched));
    }
}
