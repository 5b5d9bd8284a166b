//! Refusals of the gateway and of the services behind it, as problem documents.
//!
//! Title and status of a code come from its page in the error catalogue, so that what a client
//! reads there is what it gets. A refusal travels as a response extension until the outermost
//! layer renders it, because only that layer knows the path and the trace.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chassis::error::{Chain, ErrorCode, Kind, Problem, RemoteError, ServiceError, Violation};
use http::StatusCode;
use proto::errors::ErrorPage;

/// The codes that only the HTTP edge answers with.
pub mod codes {
    use chassis::error::{ErrorCode, Kind};

    /// The body is longer than the limit.
    pub const BODY_TOO_LARGE: ErrorCode = ErrorCode::new("BODY_TOO_LARGE", Kind::Malformed);
    /// The body has a member twice.
    pub const DUPLICATE_FIELD: ErrorCode = ErrorCode::new("DUPLICATE_FIELD", Kind::InvalidArgument);
    /// There is no such error code.
    pub const ERROR_PAGE_NOT_FOUND: ErrorCode =
        ErrorCode::new("ERROR_PAGE_NOT_FOUND", Kind::NotFound);
    /// The headers are more, or longer, than the limit.
    pub const HEADERS_TOO_LARGE: ErrorCode = ErrorCode::new("HEADERS_TOO_LARGE", Kind::Malformed);
    /// The request names no host, several, or one that is not served.
    pub const HOST_INVALID: ErrorCode = ErrorCode::new("HOST_INVALID", Kind::Malformed);
    /// `If-Match` holds something else than entity tags.
    pub const IF_MATCH_INVALID: ErrorCode = ErrorCode::new("IF_MATCH_INVALID", Kind::Malformed);
    /// The body is not JSON.
    pub const JSON_INVALID: ErrorCode = ErrorCode::new("JSON_INVALID", Kind::Malformed);
    /// The body is of a type or encoding that is not accepted.
    pub const MEDIA_TYPE_UNSUPPORTED: ErrorCode =
        ErrorCode::new("MEDIA_TYPE_UNSUPPORTED", Kind::Malformed);
    /// The path exists, the method does not.
    pub const METHOD_NOT_ALLOWED: ErrorCode = ErrorCode::new("METHOD_NOT_ALLOWED", Kind::Malformed);
    /// A query parameter is unknown or repeated.
    pub const QUERY_INVALID: ErrorCode = ErrorCode::new("QUERY_INVALID", Kind::Malformed);
    /// The caller's quota is used up.
    pub const RATE_LIMITED: ErrorCode = ErrorCode::new("RATE_LIMITED", Kind::RateLimited);
    /// What came is not a request of HTTP.
    pub const REQUEST_MALFORMED: ErrorCode = ErrorCode::new("REQUEST_MALFORMED", Kind::Malformed);
    /// The head or the body did not arrive in time.
    pub const REQUEST_TIMEOUT: ErrorCode = ErrorCode::new("REQUEST_TIMEOUT", Kind::Malformed);
    /// There is no such path.
    pub const ROUTE_NOT_FOUND: ErrorCode = ErrorCode::new("ROUTE_NOT_FOUND", Kind::NotFound);
    /// The body has a member that the operation does not know.
    pub const UNKNOWN_FIELD: ErrorCode = ErrorCode::new("UNKNOWN_FIELD", Kind::InvalidArgument);
    /// A service behind the gateway broke its contract.
    pub const UPSTREAM_INVALID: ErrorCode = ErrorCode::new("UPSTREAM_INVALID", Kind::Internal);

    /// The URI is longer than the limit.
    pub const URI_TOO_LONG: ErrorCode = ErrorCode::new("URI_TOO_LONG", Kind::Malformed);

    /// Every code of this module.
    pub const ALL: &[ErrorCode] = &[
        BODY_TOO_LARGE,
        DUPLICATE_FIELD,
        ERROR_PAGE_NOT_FOUND,
        HEADERS_TOO_LARGE,
        HOST_INVALID,
        IF_MATCH_INVALID,
        JSON_INVALID,
        MEDIA_TYPE_UNSUPPORTED,
        METHOD_NOT_ALLOWED,
        QUERY_INVALID,
        RATE_LIMITED,
        REQUEST_MALFORMED,
        REQUEST_TIMEOUT,
        ROUTE_NOT_FOUND,
        UNKNOWN_FIELD,
        UPSTREAM_INVALID,
        URI_TOO_LONG,
    ];
}

const INTERNAL_DETAIL: &str = "an internal error occurred";

/// Why a request is refused. Boxed, because it is the rare arm of every handler's result.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {}", .0.code, .0.detail)]
pub struct ApiError(Box<Problem>);

impl ApiError {
    /// Refuses with a code and one sentence for the caller.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Problem::new(code, title(code.reason)).detail(detail.into());
        Self(Box::new(with_status(problem)))
    }

    /// Refuses with a code that stands for one field.
    pub fn field(
        code: ErrorCode,
        field: impl Into<String>,
        reason: &str,
        description: impl Into<String>,
    ) -> Self {
        let violation = Violation {
            field: field.into(),
            reason: reason.to_owned(),
            description: description.into(),
        };
        let mut error = Self::new(code, "the request has 1 invalid field(s)");
        error.0.violations.push(violation);
        error
    }

    /// Says that a service behind the gateway broke its contract; `what` is for the log only.
    pub fn upstream_invalid(what: &str) -> Self {
        tracing::error!(error = what, "answer of a service not usable");
        Self::new(
            codes::UPSTREAM_INVALID,
            "a service answered with something that breaks its contract",
        )
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The code of this refusal.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The document, still without path and trace.
    pub(crate) fn into_problem(self) -> Problem {
        *self.0
    }

    fn from_remote(error: &RemoteError) -> Self {
        if proto::errors::find(&error.reason).is_none() {
            return Self::upstream_invalid("a code that is not in the catalogue");
        }
        Self(Box::new(with_status(Problem::from_remote(error, title(&error.reason)))))
    }
}

/// An error of the gateway's own parts. This is the boundary, so it is logged here, once.
impl<E: ServiceError> From<&E> for ApiError {
    fn from(error: &E) -> Self {
        let code = error.code();
        let reason = code.reason;
        let detail = match code.kind {
            Kind::Internal => {
                tracing::error!(error.code = reason, error = %Chain(error), "request failed");
                Cow::Borrowed(INTERNAL_DETAIL)
            }
            Kind::Unavailable => {
                tracing::warn!(error.code = reason, error = %Chain(error), "request not served");
                error.detail()
            }
            _ => error.detail(),
        };
        let mut refusal = Self::new(code, detail.into_owned());
        refusal.0.violations = error.violations();
        refusal.0.retry_after = error.retry_after();
        refusal
    }
}

/// An answer of a service, or of what stands in between.
impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        let error = RemoteError::from_status(&status);
        log(&error, status.message());
        Self::from_remote(&error)
    }
}

/// Logs what the client cannot help, as every service does at its own boundary. When no service
/// was reached, this is the only line about it.
fn log(error: &RemoteError, message: &str) {
    let reason = error.reason.as_str();
    match error.kind {
        Kind::Internal => {
            tracing::error!(error.code = reason, error = message, "request failed");
        }
        Kind::Unavailable | Kind::DeadlineExceeded => {
            tracing::warn!(error.code = reason, error = message, "request not served");
        }
        _ => {}
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let mut response = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(*self.0);
        response
    }
}

/// Replaces the status of the kind by that of the page, which also knows the conditions that only
/// HTTP has (405, 408, 413, 415, 502).
fn with_status(mut problem: Problem) -> Problem {
    if let Some(page) = proto::errors::find(&problem.code) {
        problem.status = page.status;
    }
    problem
}

fn title(code: &str) -> &'static str {
    proto::errors::find(code).map_or("Error", |page: &ErrorPage| page.title)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tonic::{Code, Status};

    use super::*;

    fn reasons(table: &[ErrorCode]) -> BTreeSet<&str> {
        table.iter().map(|code| code.reason).collect()
    }

    fn pages(owner: &str) -> BTreeSet<&'static str> {
        proto::errors::owned_by(owner).into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn the_edge_owns_exactly_its_pages() {
        assert_eq!(reasons(codes::ALL), pages("gateway-service"));
    }

    #[test]
    fn the_fleet_wide_codes_are_exactly_their_pages() {
        assert_eq!(reasons(chassis::error::codes::ALL), pages("chassis"));
        for code in chassis::error::codes::ALL {
            let page = proto::errors::find(code.reason).unwrap();
            assert_eq!(page.status, code.kind.http_status().as_u16(), "{}", code.reason);
        }
    }

    #[test]
    fn title_and_status_are_those_of_the_page() {
        for page in proto::errors::PAGES {
            let remote = RemoteError {
                reason: page.code.to_owned(),
                kind: Kind::Internal,
                detail: "why".to_owned(),
                violations: Vec::new(),
                retry_after: None,
            };
            let error = ApiError::from_remote(&remote);
            assert_eq!((error.0.status, error.0.title.as_str()), (page.status, page.title));
            assert_eq!(error.into_response().status().as_u16(), page.status);
        }
    }

    #[test]
    fn an_unknown_code_of_a_service_is_a_broken_contract() {
        let code = ErrorCode::new("NO_SUCH_CODE", Kind::NotFound);
        let status = chassis::error::grpc::status(code, "secret", Vec::new(), None);
        let error = ApiError::from(status);
        assert_eq!((error.code(), error.0.status), ("UPSTREAM_INVALID", 502));
        assert!(!error.0.detail.contains("secret"));
    }

    #[test]
    fn answers_of_the_transport_are_translated() {
        for (code, expected) in [
            (Code::Unavailable, "SERVICE_UNAVAILABLE"),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Code::Unimplemented, "INTERNAL"),
        ] {
            assert_eq!(ApiError::from(Status::new(code, "x")).code(), expected);
        }
    }
}
