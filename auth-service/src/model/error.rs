//! What can go wrong with sessions, and the code table.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use chassis::error::{ErrorCode, Kind, ServiceError, codes};

/// The refresh token stands for no live session.
const REFRESH_INVALID: ErrorCode = ErrorCode::new("REFRESH_INVALID", Kind::Unauthenticated);
/// The refresh token was exchanged before.
const REFRESH_REUSED: ErrorCode = ErrorCode::new("REFRESH_REUSED", Kind::Unauthenticated);
/// The caller has no such session.
const SESSION_NOT_FOUND: ErrorCode = ErrorCode::new("SESSION_NOT_FOUND", Kind::NotFound);
/// Too many wrong passwords were tried.
const LOGIN_THROTTLED: ErrorCode = ErrorCode::new("LOGIN_THROTTLED", Kind::RateLimited);
/// user-service's code, passed on.
const CREDENTIALS_INVALID: ErrorCode = ErrorCode::new("CREDENTIALS_INVALID", Kind::Unauthenticated);
/// user-service's code, passed on.
const ACCOUNT_DISABLED: ErrorCode = ErrorCode::new("ACCOUNT_DISABLED", Kind::Unauthenticated);

/// user-service's code, passed on.
const USER_NOT_FOUND: ErrorCode = ErrorCode::new("USER_NOT_FOUND", Kind::NotFound);

/// The codes that this service owns; each has a page in the catalogue.
pub const CODES: &[ErrorCode] =
    &[LOGIN_THROTTLED, REFRESH_INVALID, REFRESH_REUSED, SESSION_NOT_FOUND];

/// Why an operation on sessions was not done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No account has this e-mail address with this password.
    #[error("e-mail address and password do not belong together")]
    CredentialsInvalid,
    /// The account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// Too many wrong passwords were tried: on the account, or from the address.
    #[error("too many wrong passwords were tried")]
    Throttled {
        /// When the next try is allowed.
        retry_after: Duration,
    },
    /// The refresh token is unknown or expired, or its session has ended.
    #[error("the refresh token stands for no live session")]
    RefreshInvalid,
    /// The refresh token was exchanged before; its session was ended.
    #[error("the refresh token was used twice")]
    RefreshReused,
    /// The caller has no such session.
    #[error("the caller has no such session")]
    SessionNotFound,
    /// There is no such account.
    #[error("there is no such account")]
    UserNotFound,
    /// The caller's account may not do this, or not any more.
    #[error("the caller may not do this")]
    PermissionDenied,
    /// What was presented as the place in a feed is none.
    #[error("there is no such place in the feed")]
    CursorInvalid,
    /// Another key was made to sign at the same moment; nothing was done.
    #[error("the signing keys were changed at the same moment")]
    KeysChanged,
    /// The time that the caller gave is over.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// Something that the service needs does not answer.
    #[error("a dependency does not answer")]
    Unavailable {
        /// When trying again makes sense, if that is known.
        retry_after: Option<Duration>,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A defect.
    #[error("the operation failed")]
    Internal {
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SessionError {
    /// Wraps a cause that only a defect explains.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal { source: source.into() }
    }
}

impl ServiceError for SessionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::CredentialsInvalid => CREDENTIALS_INVALID,
            Self::AccountDisabled => ACCOUNT_DISABLED,
            Self::Throttled { .. } => LOGIN_THROTTLED,
            Self::RefreshInvalid => REFRESH_INVALID,
            Self::RefreshReused => REFRESH_REUSED,
            Self::SessionNotFound => SESSION_NOT_FOUND,
            Self::UserNotFound => USER_NOT_FOUND,
            Self::PermissionDenied => codes::PERMISSION_DENIED,
            Self::CursorInvalid => codes::CURSOR_INVALID,
            Self::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
            Self::KeysChanged | Self::Unavailable { .. } => codes::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => codes::INTERNAL,
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::CredentialsInvalid => "The e-mail address or the password is wrong.",
            Self::AccountDisabled => "The account is disabled.",
            Self::Throttled { .. } => "Too many logins failed; wait before the next one.",
            Self::RefreshInvalid => "The refresh token is not valid.",
            Self::RefreshReused => "The refresh token was used before; the session was ended.",
            Self::SessionNotFound => "There is no such session.",
            Self::UserNotFound => "There is no such user.",
            Self::PermissionDenied => "The caller may not perform this operation.",
            Self::CursorInvalid => "The cursor was not made by this service.",
            Self::KeysChanged => "The signing keys were changed at the same moment.",
            Self::DeadlineExceeded => "The operation did not finish before its deadline.",
            Self::Unavailable { .. } => "The service cannot do this at the moment.",
            Self::Internal { .. } => "An internal error occurred.",
        })
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::KeysChanged => Some(Duration::from_secs(1)),
            Self::Throttled { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(codes: &[ErrorCode]) -> Vec<(&'static str, u16)> {
        codes.iter().map(|code| (code.reason, code.kind.http_status().as_u16())).collect()
    }

    #[test]
    fn the_code_table_and_the_catalogue_are_the_same() {
        assert_eq!(statuses(CODES), proto::errors::owned_by("auth-service"));
    }

    #[test]
    fn codes_that_are_passed_on_are_those_of_user_service() {
        let owned = proto::errors::owned_by("user-service");
        for passed_on in statuses(&[CREDENTIALS_INVALID, ACCOUNT_DISABLED, USER_NOT_FOUND]) {
            assert!(owned.contains(&passed_on), "{passed_on:?}");
        }
    }
}
