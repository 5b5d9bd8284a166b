//! What can go wrong with accounts, and the code table.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use chassis::error::{ErrorCode, Invalid, Kind, ServiceError, Violation, codes};

use super::Weakness;

/// The account exists already.
const ACCOUNT_EXISTS: ErrorCode = ErrorCode::new("ACCOUNT_EXISTS", Kind::AlreadyExists);
/// There is no such account, as far as the caller may know.
const USER_NOT_FOUND: ErrorCode = ErrorCode::new("USER_NOT_FOUND", Kind::NotFound);
/// E-mail address and password do not belong together.
const CREDENTIALS_INVALID: ErrorCode = ErrorCode::new("CREDENTIALS_INVALID", Kind::Unauthenticated);
/// The account may not act.
const ACCOUNT_DISABLED: ErrorCode = ErrorCode::new("ACCOUNT_DISABLED", Kind::Unauthenticated);
/// The password in force was not given.
const CURRENT_PASSWORD_WRONG: ErrorCode =
    ErrorCode::new("CURRENT_PASSWORD_WRONG", Kind::PermissionDenied);
/// The password is easily guessed.
const PASSWORD_WEAK: ErrorCode = ErrorCode::new("PASSWORD_WEAK", Kind::InvalidArgument);
/// The password in force was given wrongly too often.
const PASSWORD_THROTTLED: ErrorCode = ErrorCode::new("PASSWORD_THROTTLED", Kind::RateLimited);
/// The one-time token is good for nothing.
const USER_TOKEN_INVALID: ErrorCode = ErrorCode::new("USER_TOKEN_INVALID", Kind::InvalidArgument);
/// Mail was asked for too often.
const MAIL_THROTTLED: ErrorCode = ErrorCode::new("MAIL_THROTTLED", Kind::RateLimited);
/// Nobody could administer the fleet any more.
const LAST_ADMIN: ErrorCode = ErrorCode::new("LAST_ADMIN", Kind::FailedPrecondition);

/// Administrators cannot shut themselves out.
const OWN_ACCOUNT: ErrorCode = ErrorCode::new("OWN_ACCOUNT", Kind::FailedPrecondition);

/// The codes that this service owns; each has a page in the catalogue.
pub const CODES: &[ErrorCode] = &[
    ACCOUNT_EXISTS,
    USER_NOT_FOUND,
    CREDENTIALS_INVALID,
    ACCOUNT_DISABLED,
    CURRENT_PASSWORD_WRONG,
    PASSWORD_WEAK,
    PASSWORD_THROTTLED,
    USER_TOKEN_INVALID,
    MAIL_THROTTLED,
    LAST_ADMIN,
    OWN_ACCOUNT,
];

/// Why an operation on accounts was not done.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// An account with this e-mail address exists.
    #[error("an account with this e-mail address exists")]
    AccountExists,
    /// There is no such account, or the caller may not know of it.
    #[error("no such account")]
    NotFound,
    /// No account has this e-mail address with this password.
    #[error("e-mail address and password do not belong together")]
    CredentialsInvalid,
    /// The account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The password in force was not given.
    #[error("the current password is wrong")]
    CurrentPasswordWrong,
    /// The password is easily guessed.
    #[error("the password is easily guessed")]
    PasswordWeak {
        /// The field that holds it.
        field: &'static str,
        /// The rule that it breaks.
        weakness: Weakness,
    },
    /// The password in force was given wrongly too often.
    #[error("the current password was wrong too often")]
    PasswordThrottled {
        /// When the next try is allowed.
        retry_after: Duration,
    },
    /// The one-time token is unknown, used up, over, or good for something else.
    #[error("the one-time token is not valid")]
    TokenInvalid,
    /// Mail to an address or for an account was asked for too often.
    #[error("mail was asked for too often")]
    MailThrottled {
        /// When the next request is allowed.
        retry_after: Duration,
    },
    /// The caller is no administrator any more.
    #[error("the caller is no administrator")]
    PermissionDenied,
    /// The change would leave no active administrator.
    #[error("the change would leave no active administrator")]
    LastAdmin,
    /// An administrator would disable the account that it acts under.
    #[error("administrators do not disable their own account")]
    OwnAccount,
    /// The account changed since the caller read it.
    #[error("the account has changed meanwhile")]
    VersionMismatch,
    /// What was presented as the place in a feed is none.
    #[error("there is no such place in the feed")]
    CursorInvalid,
    /// Fields of the input break rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// More passwords wait to be checked than can be in time.
    #[error("too many passwords wait to be hashed")]
    Overloaded {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// The time that the caller gave is over.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// Something that the service needs does not answer.
    #[error("a dependency does not answer")]
    Unavailable {
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

impl UserError {
    /// More requests wait to be answered than may.
    pub fn too_many_requests() -> Self {
        Self::Unavailable { source: "too many requests for another password wait".into() }
    }

    /// Wraps a cause that only a defect explains.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal { source: source.into() }
    }
}

impl ServiceError for UserError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::AccountExists => ACCOUNT_EXISTS,
            Self::NotFound => USER_NOT_FOUND,
            Self::CredentialsInvalid => CREDENTIALS_INVALID,
            Self::AccountDisabled => ACCOUNT_DISABLED,
            Self::CurrentPasswordWrong => CURRENT_PASSWORD_WRONG,
            Self::PasswordWeak { .. } => PASSWORD_WEAK,
            Self::PasswordThrottled { .. } => PASSWORD_THROTTLED,
            Self::TokenInvalid => USER_TOKEN_INVALID,
            Self::MailThrottled { .. } => MAIL_THROTTLED,
            Self::PermissionDenied => codes::PERMISSION_DENIED,
            Self::LastAdmin => LAST_ADMIN,
            Self::OwnAccount => OWN_ACCOUNT,
            Self::VersionMismatch => codes::VERSION_MISMATCH,
            Self::CursorInvalid => codes::CURSOR_INVALID,
            Self::Invalid(invalid) => invalid.code(),
            Self::Overloaded { .. } | Self::Unavailable { .. } => codes::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
            Self::Internal { .. } => codes::INTERNAL,
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::AccountExists => "An account with this e-mail address exists.",
            Self::NotFound => "There is no such user.",
            Self::CredentialsInvalid => "The e-mail address or the password is wrong.",
            Self::AccountDisabled => "The account is disabled.",
            Self::CurrentPasswordWrong => "The current password is wrong.",
            Self::PasswordWeak { .. } => "The password is too easily guessed.",
            Self::PasswordThrottled { .. } => {
                "The current password was wrong too often; wait before the next try."
            }
            Self::TokenInvalid => "The token is not valid, or not any more.",
            Self::MailThrottled { .. } => "Too many messages were asked for; wait before the next.",
            Self::PermissionDenied => "The caller may not perform this operation.",
            Self::LastAdmin => "The change would leave no active administrator.",
            Self::OwnAccount => "Administrators cannot disable their own account.",
            Self::VersionMismatch => "The user has changed since it was read.",
            Self::CursorInvalid => "The cursor was not made by this service.",
            Self::Invalid(invalid) => return invalid.detail(),
            Self::Overloaded { .. } | Self::Unavailable { .. } => {
                "The service cannot do this at the moment."
            }
            Self::DeadlineExceeded => "The operation did not finish before its deadline.",
            Self::Internal { .. } => "An internal error occurred.",
        })
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(invalid) => invalid.violations(),
            Self::PasswordWeak { field, weakness } => vec![Violation {
                field: (*field).to_owned(),
                reason: weakness.as_str().to_owned(),
                description: weakness.rule().to_owned(),
            }],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after }
            | Self::PasswordThrottled { retry_after }
            | Self::MailThrottled { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_table_and_the_catalogue_are_the_same() {
        let mut table: Vec<_> =
            CODES.iter().map(|code| (code.reason, code.kind.http_status().as_u16())).collect();
        table.sort_unstable();
        assert_eq!(table, proto::errors::owned_by("user-service"));
    }

    #[test]
    fn an_overload_says_when_to_come_back() {
        let error = UserError::Overloaded { retry_after: Duration::from_secs(2) };
        assert_eq!(error.code(), codes::SERVICE_UNAVAILABLE);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_weak_password_names_its_field_and_the_rule() {
        let weakness = Weakness::Common;
        let violations = UserError::PasswordWeak { field: "new_password", weakness }.violations();
        assert_eq!(violations[0].field, "new_password");
        assert_eq!(violations[0].reason, "COMMON");
    }
}
