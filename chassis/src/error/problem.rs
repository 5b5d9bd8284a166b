//! The HTTP image of errors: RFC 9457 problem documents.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{ErrorCode, Kind, RemoteError, Violation};

impl Kind {
    /// The HTTP image of this kind.
    pub const fn http_status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::FailedPrecondition | Self::Aborted => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A problem document, answered as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Reference to the page that explains the code.
    #[serde(rename = "type")]
    pub type_: String,
    /// Short, constant text of the code.
    pub title: String,
    /// The HTTP status, repeated for readers that only have the body.
    pub status: u16,
    /// What happened this time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Path of the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The stable code.
    pub code: String,
    /// Trace under which the request is found in logs and traces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// Sent as the header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// Creates the problem of a code, with the status that belongs to its kind.
    pub fn new(code: ErrorCode, title: impl Into<String>) -> Self {
        Self::of(code.reason, code.kind, title)
    }

    /// Creates the problem that another service's answer stands for.
    pub fn from_remote(error: &RemoteError, title: impl Into<String>) -> Self {
        Self {
            violations: error.violations.clone(),
            retry_after: error.retry_after,
            ..Self::of(&error.reason, error.kind, title).detail(error.detail.as_str())
        }
    }

    fn of(reason: &str, kind: Kind, title: impl Into<String>) -> Self {
        Self {
            type_: format!("/docs/errors/{reason}"),
            title: title.into(),
            status: kind.http_status().as_u16(),
            detail: String::new(),
            instance: String::new(),
            code: reason.to_owned(),
            trace_id: String::new(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// Replaces the status, for conditions that only HTTP knows (405, 413, 415, 431 and so on).
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status.as_u16();
        self
    }

    /// Says what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Names the path of the request.
    #[must_use]
    pub fn instance(mut self, path: impl Into<String>) -> Self {
        self.instance = path.into();
        self
    }

    /// Names the trace of the request.
    #[must_use]
    pub fn trace_id(mut self, trace_id: impl Into<String>) -> Self {
        self.trace_id = trace_id.into();
        self
    }

    /// Names the fields at fault.
    #[must_use]
    pub fn violations(mut self, violations: Vec<Violation>) -> Self {
        self.violations = violations;
        self
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // An error describes one moment: it must not be stored by a cache.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(after).into());
        }
        response
    }
}

/// `Retry-After` counts in whole seconds; rounding down would invite the retry too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::codes;

    #[test]
    fn kinds_have_their_http_image() {
        let images = Kind::ALL.map(|kind| kind.http_status().as_u16());
        assert_eq!(images, [400, 422, 401, 403, 404, 409, 409, 412, 409, 429, 503, 504, 500]);
    }

    #[tokio::test]
    async fn a_problem_is_rendered_with_all_its_members() {
        let problem = Problem::new(codes::VALIDATION_FAILED, "Validation failed")
            .detail("the request has 1 invalid field(s)")
            .instance("/api/v1/orders")
            .trace_id("0af7651916cd43dd8448eb211c80319c")
            .violations(vec![Violation {
                field: "items".to_owned(),
                reason: "REQUIRED".to_owned(),
                description: "must not be empty".to_owned(),
            }]);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "type": "/docs/errors/VALIDATION_FAILED",
            "title": "Validation failed",
            "status": 422,
            "detail": "the request has 1 invalid field(s)",
            "instance": "/api/v1/orders",
            "code": "VALIDATION_FAILED",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "violations": [
                {"field": "items", "reason": "REQUIRED", "description": "must not be empty"}
            ],
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_retry_hint_is_rounded_up() {
        let response = Problem::new(codes::SERVICE_UNAVAILABLE, "Unavailable")
            .retry_after(Duration::from_millis(1_200))
            .into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn http_only_conditions_set_their_own_status() {
        let problem = Problem::new(codes::VALIDATION_FAILED, "Body too large")
            .status(StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(problem.into_response().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn a_remote_error_keeps_its_code_and_violations() {
        let remote = RemoteError {
            reason: "ORDER_NOT_FOUND".to_owned(),
            kind: Kind::NotFound,
            detail: "no such order".to_owned(),
            violations: Vec::new(),
            retry_after: Some(Duration::from_secs(1)),
        };
        let problem = Problem::from_remote(&remote, "Order not found");
        assert_eq!(problem.status, 404);
        assert_eq!(problem.code, "ORDER_NOT_FOUND");
        assert_eq!(problem.detail, "no such order");
        assert_eq!(problem.retry_after, remote.retry_after);
    }
}
