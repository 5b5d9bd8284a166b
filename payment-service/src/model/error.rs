//! Everything that can go wrong with a payment, and the code of each.

use std::borrow::Cow;
use std::error::Error;

use chassis::error::{ErrorCode, Invalid, Kind, ServiceError, Violation, codes};
use chassis::id::InvalidId;

use super::PaymentStatus;

/// There is no such payment for this caller.
const PAYMENT_NOT_FOUND: ErrorCode = ErrorCode::new("PAYMENT_NOT_FOUND", Kind::NotFound);
/// The payment's state refuses the operation.
const PAYMENT_STATE_CONFLICT: ErrorCode =
    ErrorCode::new("PAYMENT_STATE_CONFLICT", Kind::FailedPrecondition);
/// Other terms than the recorded ones were named.
const AMOUNT_MISMATCH: ErrorCode = ErrorCode::new("AMOUNT_MISMATCH", Kind::FailedPrecondition);
/// The callback carries no usable signature.
const SIGNATURE_MISSING: ErrorCode = ErrorCode::new("SIGNATURE_MISSING", Kind::Unauthenticated);
/// The signature header holds more values than anybody needs.
const SIGNATURE_MALFORMED: ErrorCode = ErrorCode::new("SIGNATURE_MALFORMED", Kind::Malformed);
/// No signature of the callback fits.
const SIGNATURE_INVALID: ErrorCode = ErrorCode::new("SIGNATURE_INVALID", Kind::Unauthenticated);
/// The callback was signed too long ago, or in the future.
const TIMESTAMP_OUT_OF_RANGE: ErrorCode =
    ErrorCode::new("TIMESTAMP_OUT_OF_RANGE", Kind::Unauthenticated);
/// The signed body is not a callback.
const CALLBACK_INVALID: ErrorCode = ErrorCode::new("CALLBACK_INVALID", Kind::InvalidArgument);

/// Every code that this service owns.
pub const CODES: &[ErrorCode] = &[
    PAYMENT_NOT_FOUND,
    PAYMENT_STATE_CONFLICT,
    AMOUNT_MISMATCH,
    SIGNATURE_MISSING,
    SIGNATURE_MALFORMED,
    SIGNATURE_INVALID,
    TIMESTAMP_OUT_OF_RANGE,
    CALLBACK_INVALID,
];

/// Why an operation on a payment was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// No such payment, or another user's.
    #[error("payment not found")]
    NotFound,
    /// The payment's status refuses the operation.
    #[error("a payment that is {status} does not allow this")]
    StateConflict {
        /// Where the payment stands.
        status: PaymentStatus,
    },
    /// The refund id belongs to another payment.
    #[error("the refund id belongs to another payment")]
    RefundIdTaken,
    /// Other terms than the recorded ones.
    #[error("the {what} differs from the recorded payment")]
    AmountMismatch {
        /// Which term differs.
        what: &'static str,
    },
    /// The callback carries no usable signature.
    #[error("the callback is not signed")]
    SignatureMissing,
    /// The signature header holds more values than anybody needs.
    #[error("the signature header holds too many values")]
    SignatureMalformed,
    /// No signature fits the body under a known key.
    #[error("no signature of the callback is valid")]
    SignatureInvalid,
    /// The signature's time is not near now.
    #[error("the signature's timestamp is out of range")]
    TimestampOutOfRange,
    /// The signed body is not a callback.
    #[error("the callback is not valid: {why}")]
    CallbackInvalid {
        /// What is wrong with it, for the sender.
        why: String,
    },
    /// Fields of the request break rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An identity is not one.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The caller may not act for this user.
    #[error("the caller may not act for this user")]
    PermissionDenied,
    /// The caller's time is over.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// Something needed does not answer.
    #[error("a dependency is unavailable")]
    Unavailable {
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A defect.
    #[error("an operation failed that should not")]
    Internal {
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PaymentError {
    /// A defect, with its cause.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal { source: source.into() }
    }
}

impl ServiceError for PaymentError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => PAYMENT_NOT_FOUND,
            Self::StateConflict { .. } | Self::RefundIdTaken => PAYMENT_STATE_CONFLICT,
            Self::AmountMismatch { .. } => AMOUNT_MISMATCH,
            Self::SignatureMissing => SIGNATURE_MISSING,
            Self::SignatureMalformed => SIGNATURE_MALFORMED,
            Self::SignatureInvalid => SIGNATURE_INVALID,
            Self::TimestampOutOfRange => TIMESTAMP_OUT_OF_RANGE,
            Self::CallbackInvalid { .. } => CALLBACK_INVALID,
            Self::Invalid(invalid) => invalid.code(),
            Self::Id(invalid) => invalid.code(),
            Self::PermissionDenied => codes::PERMISSION_DENIED,
            Self::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
            Self::Unavailable { .. } => codes::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => codes::INTERNAL,
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        match self {
            Self::Unavailable { .. } => "the service is temporarily unavailable".into(),
            Self::Internal { .. } => "an internal error occurred".into(),
            other => other.to_string().into(),
        }
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
    fn the_codes_are_the_pages_that_this_service_owns() {
        let mut codes: Vec<_> =
            CODES.iter().map(|code| (code.reason, code.kind.http_status().as_u16())).collect();
        codes.sort_unstable();
        assert_eq!(codes, proto::errors::owned_by("payment-service"));
    }

    #[test]
    fn causes_stay_out_of_what_callers_read() {
        let cause = || "db-7 refused the password of hub_payment".into();
        for error in [
            PaymentError::Unavailable { source: cause() },
            PaymentError::Internal { source: cause() },
        ] {
            assert!(!error.detail().contains("db-7"));
            assert!(error.source().unwrap().to_string().contains("db-7"));
        }
    }
}
