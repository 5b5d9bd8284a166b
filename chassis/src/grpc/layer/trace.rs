//! One server span per call, a child of the caller's.

use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use tonic::Code;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Around, Next};
use crate::grpc::channel::REQUEST_ID;
use crate::grpc::metrics::{code_in, code_name};
use crate::grpc::{propagation, split_path};

/// Opens a span around each call.
#[derive(Clone)]
pub(crate) struct Traced;

impl Around for Traced {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let span = server_span(request.uri().path(), request.headers());
        let response = next.run(request).instrument(span.clone()).await;
        let code = code_in(response.headers());
        span.record("rpc.grpc.status_code", code_name(code));
        if is_server_fault(code) {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", code_name(code));
        }
        response
    }
}

/// Whether the server has failed, rather than refused, as OpenTelemetry's conventions draw the line.
fn is_server_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn server_span(path: &str, headers: &HeaderMap) -> Span {
    let (service, method) = split_path(path);
    let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let span = tracing::info_span!(
        "rpc.serve",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        error.type = Empty,
        request.id = request_id,
    );
    // Fails only for a span that nobody records, which needs no parent.
    let _unrecorded = span.set_parent(propagation::extract(headers));
    span
}
