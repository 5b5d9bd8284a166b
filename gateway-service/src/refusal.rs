//! Answers to what never becomes a request: heads that cannot be parsed, are too long, or do not
//! arrive. They have the form of every other refusal.

use bytes::Bytes;
use chassis::error::ErrorCode;
use chassis::http::Refusal;
use http::{HeaderValue, Response, StatusCode, header};

use crate::error::{ApiError, codes};
use crate::middleware::security::mark_safe;
use crate::middleware::trace::REQUEST_ID;

/// Makes the problem document of a refusal.
pub(crate) fn document(refusal: &Refusal<'_>) -> Response<Bytes> {
    let (code, text) = reason(refusal.status);
    let problem = ApiError::new(code, text).into_problem();
    let problem = problem.instance(refusal.path).trace_id(refusal.trace_id);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = Response::new(serde_json::to_vec(&problem).unwrap_or_default().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(id) = HeaderValue::from_str(refusal.trace_id) {
        headers.insert(REQUEST_ID, id);
    }
    mark_safe(headers);
    response
}

fn reason(status: StatusCode) -> (ErrorCode, &'static str) {
    match status {
        StatusCode::REQUEST_TIMEOUT => {
            (codes::REQUEST_TIMEOUT, "the head of the request did not arrive in time")
        }
        StatusCode::URI_TOO_LONG => (codes::URI_TOO_LONG, "the URI is longer than the limit"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            (codes::HEADERS_TOO_LARGE, "the headers are more, or longer, than the limit")
        }
        _ => (codes::REQUEST_MALFORMED, "the request is not well-formed HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_form_of_every_other() {
        for (status, code) in [
            (408, "REQUEST_TIMEOUT"),
            (414, "URI_TOO_LONG"),
            (431, "HEADERS_TOO_LARGE"),
            (400, "REQUEST_MALFORMED"),
        ] {
            let trace_id = "0af7651916cd43dd8448eb211c80319c";
            let status = StatusCode::from_u16(status).unwrap();
            let response = document(&Refusal { status, path: "/a", trace_id });
            assert_eq!(response.status(), status);
            let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(problem["code"], code);
            assert_eq!(problem["instance"], "/a");
            assert_eq!(problem["trace_id"], trace_id);
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
    }
}
