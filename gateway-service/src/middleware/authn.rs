//! Who calls: the access token of a request.
//!
//! On a route that is open to anyone the token is not even looked at: logging in must work for a
//! client whose old token has expired, and nothing there depends on who asks.

use chassis::auth::{AuthError, Caller, Verifier};
use http::{HeaderMap, HeaderValue, header};

/// The scheme in front of a token, compared without regard to case (RFC 9110, section 11.1).
const SCHEME: &str = "bearer ";

/// What is known about the caller.
pub(crate) enum Identity {
    /// There is no token, or nobody asked for one.
    Anonymous,
    /// The token was verified. It travels on: each service verifies it again.
    Known {
        /// Whom the token names.
        caller: Caller,
        /// The header to pass on.
        token: HeaderValue,
    },
    /// The token was ours, and is over or revoked. Whoever has one proves less by it than that it
    /// is the user: old tokens lie about in logs and backups.
    Spent {
        /// The header to pass on.
        token: HeaderValue,
    },
    /// The token is not acceptable.
    Refused(AuthError),
}

/// How old a token may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Good now.
    InForce,
    /// Over or revoked too.
    Any,
}

/// Verifies the token of a request.
pub(crate) async fn identify(verifier: &Verifier, headers: &HeaderMap, age: Age) -> Identity {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Identity::Anonymous };
    if values.next().is_some() {
        return Identity::Refused(AuthError::Invalid("more than one credential"));
    }
    let token = match bearer_token(value) {
        Ok(token) => token,
        Err(error) => return Identity::Refused(error),
    };
    match verifier.verify(token).await {
        Ok(caller) => Identity::Known { caller, token: sensitive(value) },
        Err(error) if age == Age::Any && may_be_spent(error) => {
            match verifier.verify_spent(token).await {
                Ok(_whose) => Identity::Spent { token: sensitive(value) },
                Err(error) => Identity::Refused(error),
            }
        }
        Err(error) => Identity::Refused(error),
    }
}

/// Whether a token that is refused so can still be one of ours. It can when nobody knows yet what is
/// revoked, too.
fn may_be_spent(error: AuthError) -> bool {
    matches!(
        error,
        AuthError::Expired
            | AuthError::Revoked
            | AuthError::Outdated
            | AuthError::AccountDisabled
            | AuthError::Unavailable
    )
}

pub(crate) fn bearer_token(value: &HeaderValue) -> Result<&str, AuthError> {
    let text = value.to_str().map_err(|_| AuthError::Invalid("not ASCII"))?;
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(token),
        _ => Err(AuthError::Invalid("not a bearer token")),
    }
}

/// A header that never prints.
fn sensitive(value: &HeaderValue) -> HeaderValue {
    let mut value = value.clone();
    value.set_sensitive(true);
    value
}
