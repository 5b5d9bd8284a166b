//! Gives messages that are too large the code that callers expect of them.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tonic::{Code, Status};

use super::{Around, Next};
use crate::grpc::metrics::code_in;

/// The transport calls a message above the limit out of range. The gRPC specification's code for it
/// is RESOURCE_EXHAUSTED (<https://grpc.io/docs/guides/status-codes/>), and no service of ours
/// answers OUT_OF_RANGE for a reason of its own.
#[derive(Clone)]
pub(crate) struct MessageSize;

impl Around for MessageSize {
    async fn around<N: Next>(&self, request: Request, next: N) -> Response {
        let response = next.run(request).await;
        if code_in(response.headers()) != Code::OutOfRange {
            return response;
        }
        Status::resource_exhausted("the message is larger than this service accepts")
            .into_http::<Body>()
    }
}
