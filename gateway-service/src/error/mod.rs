//! Refusals of the gateway and of the services behind it, as problem documents.
//!
//! Title and status of a code come from its page in the error catalogue, so that what a client
//! reads there is what it gets. A refusal travels as a response extension until the outermost
//! layer renders it, because only that layer knows the path and the trace.

pub mod codes;

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chassis::error::{Chain, ErrorCode, Kind, Problem, RemoteError, ServiceError, Violation};
use http::StatusCode;
use proto::errors::ErrorPage;

const INTERNAL_DETAIL: &str = "an internal error occurred";
/// Longest code, as in the API's document.
const CODE_BYTES_MAX: usize = 63;
/// What a client is told of a failure that only a later version of the gateway knows.
const UNKNOWN_FAILURE: &str = "a service behind the gateway failed";

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
            return Self::from_later(error);
        }
        Self(Box::new(with_status(Problem::from_remote(error, title(&error.reason)))))
    }

    /// A refusal of a service that is newer than this gateway, by a code that the catalogue does not
    /// have. Its kind says whose fault it is, and the code says the rest to clients that know it. There
    /// is no page here to refer to, and for that RFC 9457 has `about:blank` and the status' own name.
    fn from_later(error: &RemoteError) -> Self {
        if !is_code(&error.reason) {
            return Self::upstream_invalid("a code of another form");
        }
        tracing::warn!(error.code = error.reason.as_str(), "code of a service is not known");
        let status = error.kind.http_status();
        let title = status.canonical_reason().unwrap_or_default();
        let mut problem = Problem::from_remote(error, title);
        "about:blank".clone_into(&mut problem.type_);
        if status.is_server_error() {
            UNKNOWN_FAILURE.clone_into(&mut problem.detail);
            problem.violations.clear();
        }
        Self(Box::new(problem))
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

/// Whether it has the form of a code, which the API's document promises.
fn is_code(reason: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=CODE_BYTES_MAX).contains(&reason.len()) && reason.bytes().all(is_part)
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

    use chassis::error::codes as fleet;
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
        assert_eq!(reasons(fleet::ALL), pages("chassis"));
        for code in fleet::ALL {
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
    fn an_unknown_code_of_a_service_is_told_by_its_kind() {
        let refusal = |kind: Kind| {
            let code = ErrorCode::new("NO_SUCH_CODE", kind);
            let after = Some(Duration::from_secs(7));
            ApiError::from(chassis::error::grpc::status(code, "the text", Vec::new(), after))
        };
        for kind in Kind::ALL {
            let error = refusal(kind);
            let status = kind.http_status();
            assert_eq!(error.0.status, status.as_u16(), "{kind}");
            assert_eq!(error.0.detail == "the text", status.is_client_error(), "{kind}");
            assert_eq!(error.0.retry_after, Some(Duration::from_secs(7)));
            assert_eq!((error.code(), error.0.type_.as_str()), ("NO_SUCH_CODE", "about:blank"));
            assert_eq!(error.0.title, status.canonical_reason().unwrap());
        }
    }

    #[test]
    fn what_is_no_code_is_no_answer_of_a_service() {
        for reason in ["", "no_such_code", "NO SUCH", "<B>", &"A".repeat(64)] {
            let remote = RemoteError {
                reason: reason.to_owned(),
                kind: Kind::NotFound,
                detail: String::new(),
                violations: Vec::new(),
                retry_after: None,
            };
            assert_eq!(ApiError::from_remote(&remote).code(), "UPSTREAM_INVALID", "{reason}");
        }
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
