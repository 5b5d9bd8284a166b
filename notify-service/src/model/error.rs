//! Everything that can go wrong in this service, and the code of each.

use std::borrow::Cow;
use std::error::Error;

use chassis::error::{ErrorCode, Invalid, Kind, ServiceError, Violation, codes};
use chassis::id::InvalidId;

/// A boxed cause, kept for the log and never shown to a caller.
type Source = Box<dyn Error + Send + Sync>;

/// An error of notify-service.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The caller has no such notification.
    #[error("the notification does not exist")]
    NotificationNotFound,
    /// There is no such dead letter.
    #[error("the dead letter does not exist")]
    DeadLetterNotFound,
    /// Somebody decided before.
    #[error("the dead letter was decided on before")]
    DeadLetterDecided,
    /// No message that was given up has this id.
    #[error("the mail is not there, or not dead")]
    DeadMailNotFound,
    /// The message would tell of a link that is good for nothing.
    #[error("the link of the mail is over or was not kept; its owner can ask for another one")]
    LinkOver,
    /// The event can still not be processed.
    #[error("the event can still not be processed: {reason}")]
    ReplayFailed {
        /// Why, in words for an administrator.
        reason: String,
    },
    /// Members of the request break rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An identifier is not one.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The caller's time is over; nothing was written.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// Storage does not answer.
    #[error("storage is unavailable")]
    Unavailable {
        /// What the adapter met.
        #[source]
        source: Source,
    },
    /// A defect.
    #[error("internal error")]
    Internal {
        /// What the adapter met.
        #[source]
        source: Source,
    },
}

impl NotifyError {
    /// The codes that only this service answers with.
    pub const CODES: [ErrorCode; 5] = [
        NOTIFICATION_NOT_FOUND,
        DEAD_LETTER_NOT_FOUND,
        DEAD_LETTER_DECIDED,
        DEAD_MAIL_NOT_FOUND,
        REPLAY_FAILED,
    ];
}

const NOTIFICATION_NOT_FOUND: ErrorCode = ErrorCode::new("NOTIFICATION_NOT_FOUND", Kind::NotFound);
const DEAD_LETTER_NOT_FOUND: ErrorCode = ErrorCode::new("DEAD_LETTER_NOT_FOUND", Kind::NotFound);
const DEAD_LETTER_DECIDED: ErrorCode =
    ErrorCode::new("DEAD_LETTER_DECIDED", Kind::FailedPrecondition);
const DEAD_MAIL_NOT_FOUND: ErrorCode = ErrorCode::new("DEAD_MAIL_NOT_FOUND", Kind::NotFound);
const REPLAY_FAILED: ErrorCode = ErrorCode::new("REPLAY_FAILED", Kind::FailedPrecondition);

impl ServiceError for NotifyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotificationNotFound => NOTIFICATION_NOT_FOUND,
            Self::DeadLetterNotFound => DEAD_LETTER_NOT_FOUND,
            Self::DeadLetterDecided => DEAD_LETTER_DECIDED,
            Self::DeadMailNotFound => DEAD_MAIL_NOT_FOUND,
            Self::LinkOver | Self::ReplayFailed { .. } => REPLAY_FAILED,
            Self::Invalid(invalid) => invalid.code(),
            Self::InvalidId(invalid) => invalid.code(),
            Self::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
            Self::Unavailable { .. } => codes::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => codes::INTERNAL,
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(invalid) => invalid.violations(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        let mut codes: Vec<_> =
            NotifyError::CODES.map(|code| (code.reason, code.kind.http_status().as_u16())).to_vec();
        codes.sort_unstable();
        assert_eq!(codes, proto::errors::owned_by("notify-service"));
    }

    #[test]
    fn what_went_wrong_inside_is_not_told_outside() {
        let source = || Source::from("secret host name");
        for error in [
            NotifyError::Unavailable { source: source() },
            NotifyError::Internal { source: source() },
        ] {
            assert!(!error.detail().contains("secret"), "{error:?}");
        }
    }
}
