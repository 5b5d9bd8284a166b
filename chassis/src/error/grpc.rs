//! The gRPC image of errors: `google.rpc.Status` with `ErrorInfo`, there and back.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{Chain, ErrorCode, Kind, ServiceError, Violation, codes};

/// The domain under which every service of the fleet issues its codes.
pub const DOMAIN: &str = "enterprisehub";

/// Key under which the kind travels beside the code.
const KIND: &str = "kind";

/// What a caller learns of a defect. The cause is in the log, under the same trace id.
const INTERNAL_DETAIL: &str = "an internal error occurred";

/// Violations that an answer carries at most, the first ones found; its detail still tells how many
/// there are.
///
/// A status travels in trailers, and a peer gives up on those beyond 16 KiB, which is HTTP/2's usual
/// limit, or on the whole connection. What is bounded here stays below that in any case.
const VIOLATIONS_MAX: usize = 20;

/// Bounds of the texts of an answer in bytes; those that services write are far shorter.
mod bytes_max {
    pub(super) const DETAIL: usize = 512;
    pub(super) const FIELD: usize = 128;
    pub(super) const REASON: usize = 64;
    pub(super) const DESCRIPTION: usize = 256;
}

impl Kind {
    /// The gRPC image of this kind.
    pub const fn grpc_code(self) -> Code {
        match self {
            Self::Malformed | Self::InvalidArgument => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::FailedPrecondition | Self::PreconditionFailed => Code::FailedPrecondition,
            Self::Aborted => Code::Aborted,
            Self::RateLimited => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Internal => Code::Internal,
        }
    }
}

/// Turns an error into the answer to an rpc, and logs it: this is the boundary, the one place
/// where an error is written to the log.
pub fn to_status<E: ServiceError + ?Sized>(error: &E) -> Status {
    let code = error.code();
    log(error, code);
    let detail = match code.kind {
        Kind::Internal => INTERNAL_DETAIL.into(),
        _ => error.detail(),
    };
    status(code, &detail, error.violations(), error.retry_after())
}

/// Builds the answer without logging, for refusals that no error type stands behind.
pub fn status(
    code: ErrorCode,
    detail: &str,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
) -> Status {
    let metadata = HashMap::from([(KIND.to_owned(), code.kind.as_str().to_owned())]);
    let mut details = ErrorDetails::with_error_info(code.reason, DOMAIN, metadata);
    if !violations.is_empty() {
        let first = violations.into_iter().take(VIOLATIONS_MAX);
        details.set_bad_request(first.map(field_violation).collect::<Vec<_>>());
    }
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    let detail = &detail[..detail.floor_char_boundary(bytes_max::DETAIL)];
    Status::with_error_details(code.kind.grpc_code(), detail, details)
}

fn field_violation(violation: Violation) -> FieldViolation {
    FieldViolation {
        field: bounded(violation.field, bytes_max::FIELD),
        description: bounded(violation.description, bytes_max::DESCRIPTION),
        reason: bounded(violation.reason, bytes_max::REASON),
        localized_message: None,
    }
}

fn bounded(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

fn log<E: ServiceError + ?Sized>(error: &E, code: ErrorCode) {
    let reason = code.reason;
    match code.kind {
        Kind::Internal => {
            tracing::error!(error.code = reason, error = %Chain(error), "request failed");
        }
        Kind::Unavailable | Kind::DeadlineExceeded => {
            tracing::warn!(error.code = reason, error = %Chain(error), "request not served");
        }
        _ => tracing::debug!(error.code = reason, error = %Chain(error), "request refused"),
    }
}

/// An error that another service answered with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct RemoteError {
    /// The code, such as `ORDER_NOT_FOUND`.
    pub reason: String,
    /// The kind of the code.
    pub kind: Kind,
    /// The sentence meant for the caller.
    pub detail: String,
    /// The fields at fault, when the input is.
    pub violations: Vec<Violation>,
    /// When trying again makes sense, if the other side said so.
    pub retry_after: Option<Duration>,
}

impl RemoteError {
    /// Reads the answer of another service.
    ///
    /// An answer without our `ErrorInfo` comes from the transport or from something in between;
    /// its message may name hosts, so a constant replaces it.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let Some(info) = info else {
            return Self::without_info(status.code());
        };
        let kind = info.metadata.get(KIND).and_then(|name| Kind::parse(name));
        Self {
            reason: info.reason.clone(),
            kind: kind.unwrap_or_else(|| foreign_code(status.code()).kind),
            detail: status.message().to_owned(),
            violations: details.bad_request().map(violations).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }

    /// Whether this is the code `code`.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.reason == code.reason
    }

    fn without_info(code: Code) -> Self {
        let code = foreign_code(code);
        let detail = match code.kind {
            Kind::Unavailable => "the service is temporarily unavailable",
            Kind::DeadlineExceeded => "the service did not answer in time",
            Kind::Unauthenticated => "the access token was not accepted",
            Kind::PermissionDenied => "the operation is not allowed",
            _ => INTERNAL_DETAIL,
        };
        Self {
            reason: code.reason.to_owned(),
            kind: code.kind,
            detail: detail.to_owned(),
            violations: Vec::new(),
            retry_after: None,
        }
    }
}

impl From<&Status> for RemoteError {
    fn from(status: &Status) -> Self {
        Self::from_status(status)
    }
}

impl From<Status> for RemoteError {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

/// What a bare gRPC code means to us.
fn foreign_code(code: Code) -> ErrorCode {
    match code {
        Code::Unavailable | Code::ResourceExhausted => codes::SERVICE_UNAVAILABLE,
        // tonic answers Cancelled when its own timeout fires.
        Code::DeadlineExceeded | Code::Cancelled => codes::DEADLINE_EXCEEDED,
        Code::Unauthenticated => codes::TOKEN_INVALID,
        Code::PermissionDenied => codes::PERMISSION_DENIED,
        _ => codes::INTERNAL,
    }
}

fn violations(request: &tonic_types::BadRequest) -> Vec<Violation> {
    let violation = |field: &FieldViolation| Violation {
        field: field.field.clone(),
        reason: field.reason.clone(),
        description: field.description.clone(),
    };
    request.field_violations.iter().map(violation).collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::error::Invalid;

    #[derive(Debug, thiserror::Error)]
    #[error("secret host db-7 is down")]
    struct Fails(ErrorCode);

    impl ServiceError for Fails {
        fn code(&self) -> ErrorCode {
            self.0
        }

        fn detail(&self) -> Cow<'_, str> {
            "public text".into()
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(7))
        }
    }

    #[test]
    fn kinds_have_their_grpc_image() {
        let images = Kind::ALL.map(Kind::grpc_code);
        let expected = [
            Code::InvalidArgument,
            Code::InvalidArgument,
            Code::Unauthenticated,
            Code::PermissionDenied,
            Code::NotFound,
            Code::AlreadyExists,
            Code::FailedPrecondition,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::ResourceExhausted,
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Internal,
        ];
        assert_eq!(images, expected);
    }

    #[test]
    fn errors_survive_the_wire() {
        for kind in Kind::ALL {
            let remote = RemoteError::from(to_status(&Fails(ErrorCode::new("SOME_CODE", kind))));
            assert_eq!(remote.kind, kind);
            assert_eq!(remote.reason, "SOME_CODE");
            assert_eq!(remote.retry_after, Some(Duration::from_secs(7)));
            let detail = if kind == Kind::Internal { INTERNAL_DETAIL } else { "public text" };
            assert_eq!(remote.detail, detail);
        }
    }

    #[test]
    fn violations_survive_the_wire() {
        let invalid = Invalid::single("items[0].quantity", "OUT_OF_RANGE", "must be 1..=1000");
        let remote = RemoteError::from(&to_status(&invalid));
        assert_eq!(remote.violations, invalid.violations);
        assert!(remote.is(codes::VALIDATION_FAILED));
    }

    #[test]
    fn no_number_and_length_of_violations_makes_an_answer_too_large_for_its_trailers() {
        let long = "\u{e4}".repeat(5_000);
        let violation =
            Violation { field: long.clone(), reason: long.clone(), description: long.clone() };
        let status = status(codes::VALIDATION_FAILED, &long, vec![violation; 100], None);
        // As the transport writes them: base64, and a message that is all percent signs.
        let bytes = status.details().len().div_ceil(3) * 4 + status.message().len() * 3;
        assert!(bytes < 15 * 1024, "{bytes}");
        assert_eq!(RemoteError::from(status).violations.len(), VIOLATIONS_MAX);
    }

    #[test]
    fn answers_of_strangers_keep_their_message_to_themselves() {
        for (code, expected) in [
            (Code::Unavailable, codes::SERVICE_UNAVAILABLE),
            (Code::Cancelled, codes::DEADLINE_EXCEEDED),
            (Code::Unauthenticated, codes::TOKEN_INVALID),
            (Code::PermissionDenied, codes::PERMISSION_DENIED),
            (Code::Unknown, codes::INTERNAL),
        ] {
            let remote = RemoteError::from(Status::new(code, "tcp connect to 10.0.0.7 failed"));
            assert!(remote.is(expected));
            assert_eq!(remote.kind, expected.kind);
            assert!(!remote.detail.contains("10.0.0.7"));
        }
    }

    #[test]
    fn an_unknown_kind_falls_back_to_the_grpc_code() {
        let metadata = HashMap::from([(KIND.to_owned(), "Teapot".to_owned())]);
        let details = ErrorDetails::with_error_info("NEW_CODE", DOMAIN, metadata);
        let status = Status::with_error_details(Code::Unavailable, "later", details);
        let remote = RemoteError::from(status);
        assert_eq!((remote.reason.as_str(), remote.kind), ("NEW_CODE", Kind::Unavailable));
    }
}
