//! The codes that every service of the fleet may answer with.

use super::{ErrorCode, Kind};

/// Fields of the input break rules; the violations name them.
pub const VALIDATION_FAILED: ErrorCode = ErrorCode::new("VALIDATION_FAILED", Kind::InvalidArgument);
/// An identity is not a UUID.
pub const ID_INVALID: ErrorCode = ErrorCode::new("ID_INVALID", Kind::Malformed);
/// A page token is forged, damaged or meant for another list.
pub const CURSOR_INVALID: ErrorCode = ErrorCode::new("CURSOR_INVALID", Kind::Malformed);
/// There is no access token.
pub const TOKEN_MISSING: ErrorCode = ErrorCode::new("TOKEN_MISSING", Kind::Unauthenticated);
/// The access token is not one of ours.
pub const TOKEN_INVALID: ErrorCode = ErrorCode::new("TOKEN_INVALID", Kind::Unauthenticated);
/// The access token's time is over.
pub const TOKEN_EXPIRED: ErrorCode = ErrorCode::new("TOKEN_EXPIRED", Kind::Unauthenticated);
/// The access token's time has not begun.
pub const TOKEN_NOT_YET_VALID: ErrorCode =
    ErrorCode::new("TOKEN_NOT_YET_VALID", Kind::Unauthenticated);
/// The access token's session has ended.
pub const TOKEN_REVOKED: ErrorCode = ErrorCode::new("TOKEN_REVOKED", Kind::Unauthenticated);
/// The caller's roles do not allow this.
pub const PERMISSION_DENIED: ErrorCode =
    ErrorCode::new("PERMISSION_DENIED", Kind::PermissionDenied);
/// The method is not for the service that calls it.
pub const CALLER_NOT_ALLOWED: ErrorCode =
    ErrorCode::new("CALLER_NOT_ALLOWED", Kind::PermissionDenied);
/// The thing changed since the caller read it.
pub const VERSION_MISMATCH: ErrorCode =
    ErrorCode::new("VERSION_MISMATCH", Kind::PreconditionFailed);
/// The operation needs an idempotency key.
pub const IDEMPOTENCY_KEY_MISSING: ErrorCode =
    ErrorCode::new("IDEMPOTENCY_KEY_MISSING", Kind::Malformed);
/// The idempotency key is empty, too long or has odd characters.
pub const IDEMPOTENCY_KEY_INVALID: ErrorCode =
    ErrorCode::new("IDEMPOTENCY_KEY_INVALID", Kind::Malformed);
/// The idempotency key came before, with another request.
pub const IDEMPOTENCY_KEY_REUSED: ErrorCode =
    ErrorCode::new("IDEMPOTENCY_KEY_REUSED", Kind::InvalidArgument);
/// The first request with this idempotency key still runs.
pub const IDEMPOTENCY_IN_PROGRESS: ErrorCode =
    ErrorCode::new("IDEMPOTENCY_IN_PROGRESS", Kind::Aborted);
/// Something that the service needs does not answer.
pub const SERVICE_UNAVAILABLE: ErrorCode = ErrorCode::new("SERVICE_UNAVAILABLE", Kind::Unavailable);
/// The time that the caller gave is over.
pub const DEADLINE_EXCEEDED: ErrorCode =
    ErrorCode::new("DEADLINE_EXCEEDED", Kind::DeadlineExceeded);
/// A defect in the service.
pub const INTERNAL: ErrorCode = ErrorCode::new("INTERNAL", Kind::Internal);

/// Every code of this module.
pub const ALL: &[ErrorCode] = &[
    VALIDATION_FAILED,
    ID_INVALID,
    CURSOR_INVALID,
    TOKEN_MISSING,
    TOKEN_INVALID,
    TOKEN_EXPIRED,
    TOKEN_NOT_YET_VALID,
    TOKEN_REVOKED,
    PERMISSION_DENIED,
    CALLER_NOT_ALLOWED,
    VERSION_MISMATCH,
    IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_INVALID,
    IDEMPOTENCY_KEY_REUSED,
    IDEMPOTENCY_IN_PROGRESS,
    SERVICE_UNAVAILABLE,
    DEADLINE_EXCEEDED,
    INTERNAL,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for code in ALL {
            assert!(seen.insert(code.reason), "{} twice", code.reason);
            assert!(code.reason.len() <= 63);
            assert!(code.reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
        }
    }
}
