//! The verified caller and the reasons why there is none.

use std::borrow::Cow;

use uuid::Uuid;

use crate::error::{ErrorCode, Kind, ServiceError, codes};

/// The role that may act on other users' objects.
pub const ROLE_ADMIN: &str = "admin";

/// The code of user-service under which its disabled accounts are refused, wherever that happens.
pub const ACCOUNT_DISABLED: ErrorCode = ErrorCode::new("ACCOUNT_DISABLED", Kind::Unauthenticated);

/// A caller whose token was verified for this very request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's id, the token's `sub`.
    pub user_id: Uuid,
    /// The session the token belongs to, its `sid`.
    pub session_id: Uuid,
    /// The roles granted when the token was issued.
    pub roles: Vec<String>,
}

impl Caller {
    /// Returns the caller of a gRPC request, refusing one that brought no token.
    pub fn from_request<T>(request: &tonic::Request<T>) -> Result<Self, AuthError> {
        let caller = request.extensions().get::<Self>();
        caller.cloned().ok_or(AuthError::Missing)
    }

    /// Tells whether the caller holds the administrator's role.
    pub fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == ROLE_ADMIN)
    }

    /// Refuses a caller who is not an administrator.
    pub fn require_admin(&self) -> Result<(), AuthError> {
        if self.is_admin() {
            return Ok(());
        }
        Err(AuthError::PermissionDenied)
    }
}

/// Why a caller was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No token came with the request.
    #[error("no access token was given")]
    Missing,
    /// The token is malformed, forged, of another kind, or meant for someone else. The reason is
    /// for the log only: telling it to the caller would help whoever forges tokens.
    #[error("the access token is not acceptable: {0}")]
    Invalid(&'static str),
    /// The token was good once.
    #[error("the access token has expired")]
    Expired,
    /// The token's validity begins in the future.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// The token's session has ended.
    #[error("the session of the access token has ended")]
    Revoked,
    /// The token says what is not so any more; a refreshed one would be accepted.
    #[error("the access token is out of date")]
    Outdated,
    /// The account was disabled after the token was issued.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The caller is known and may not do this.
    #[error("the caller lacks the required role")]
    PermissionDenied,
    /// No signing key, or no set of revocations, has been obtained yet, so nothing can be said about
    /// any token.
    #[error("access tokens cannot be verified yet")]
    Unavailable,
}

impl ServiceError for AuthError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing => codes::TOKEN_MISSING,
            Self::Invalid(_) => codes::TOKEN_INVALID,
            Self::Expired | Self::Outdated => codes::TOKEN_EXPIRED,
            Self::Revoked => codes::TOKEN_REVOKED,
            Self::AccountDisabled => ACCOUNT_DISABLED,
            Self::NotYetValid => codes::TOKEN_NOT_YET_VALID,
            Self::PermissionDenied => codes::PERMISSION_DENIED,
            Self::Unavailable => codes::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Missing => "This operation needs an access token.",
            Self::Invalid(_) => "The access token is not acceptable.",
            Self::Expired => "The access token has expired.",
            Self::Outdated => "The access token is out of date; refresh it.",
            Self::Revoked => "The session of the access token has ended.",
            Self::AccountDisabled => "The account is disabled.",
            Self::NotYetValid => "The access token is not valid yet.",
            Self::PermissionDenied => "The caller may not perform this operation.",
            Self::Unavailable => "The service cannot verify access tokens at the moment.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(roles: &[&str]) -> Caller {
        Caller {
            user_id: crate::id::new_id(),
            session_id: crate::id::new_id(),
            roles: roles.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_request_without_a_verified_token_has_no_caller() {
        let request = tonic::Request::new(());
        assert_eq!(Caller::from_request(&request), Err(AuthError::Missing));
    }

    #[test]
    fn a_verified_caller_is_found_in_the_request() {
        let mut request = tonic::Request::new(());
        let alice = caller(&["customer"]);
        request.extensions_mut().insert(alice.clone());
        assert_eq!(Caller::from_request(&request), Ok(alice));
    }

    #[test]
    fn only_an_administrator_passes_the_role_check() {
        assert_eq!(caller(&["customer", ROLE_ADMIN]).require_admin(), Ok(()));
        let refused = caller(&["customer", "admins", "Admin"]).require_admin();
        assert_eq!(refused, Err(AuthError::PermissionDenied));
    }

    #[test]
    fn the_reason_for_refusing_a_token_stays_out_of_the_public_detail() {
        let error = AuthError::Invalid("signature");
        assert!(!error.detail().contains("signature"));
    }
}
