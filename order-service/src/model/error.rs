//! What can go wrong, and the codes under which callers learn of it.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use chassis::error::{ErrorCode, Invalid, Kind, ServiceError, Violation, codes};
use chassis::id::InvalidId;

use super::{OrderStatus, Trigger};

/// What an adapter ran into. Kept whole: the boundary logs it with all its sources.
pub type Cause = Box<dyn Error + Send + Sync>;

const ORDER_NOT_FOUND: ErrorCode = ErrorCode::new("ORDER_NOT_FOUND", Kind::NotFound);
const PRODUCT_NOT_FOUND: ErrorCode = ErrorCode::new("PRODUCT_NOT_FOUND", Kind::NotFound);
const PRODUCT_UNKNOWN: ErrorCode = ErrorCode::new("PRODUCT_UNKNOWN", Kind::InvalidArgument);
const OUT_OF_STOCK: ErrorCode = ErrorCode::new("OUT_OF_STOCK", Kind::FailedPrecondition);
const QUOTA_EXCEEDED: ErrorCode = ErrorCode::new("QUOTA_EXCEEDED", Kind::RateLimited);
const CURRENCY_INVALID: ErrorCode = ErrorCode::new("CURRENCY_INVALID", Kind::InvalidArgument);
const CURRENCY_MIXED: ErrorCode = ErrorCode::new("CURRENCY_MIXED", Kind::InvalidArgument);
const AMOUNT_OUT_OF_RANGE: ErrorCode = ErrorCode::new("AMOUNT_OUT_OF_RANGE", Kind::InvalidArgument);
const PAYMENT_METHOD_INVALID: ErrorCode =
    ErrorCode::new("PAYMENT_METHOD_INVALID", Kind::InvalidArgument);
const PAYMENT_IN_PROGRESS: ErrorCode =
    ErrorCode::new("PAYMENT_IN_PROGRESS", Kind::FailedPrecondition);
const ORDER_STATE_CONFLICT: ErrorCode =
    ErrorCode::new("ORDER_STATE_CONFLICT", Kind::FailedPrecondition);

/// The codes that this service owns; the fleet-wide ones are in `chassis::error::codes`.
pub const CODES: &[ErrorCode] = &[
    ORDER_NOT_FOUND,
    PRODUCT_NOT_FOUND,
    PRODUCT_UNKNOWN,
    OUT_OF_STOCK,
    QUOTA_EXCEEDED,
    CURRENCY_INVALID,
    CURRENCY_MIXED,
    AMOUNT_OUT_OF_RANGE,
    PAYMENT_METHOD_INVALID,
    PAYMENT_IN_PROGRESS,
    ORDER_STATE_CONFLICT,
];

/// How long a caller waits before it asks again for the answer of a call that still runs.
const IN_PROGRESS_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a user waits with as many unpaid orders as one may have: one is over at some time, and can be
/// paid or cancelled at once.
const QUOTA_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Everything that a use case of this service can fail with.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such order, or the caller may not know of it.
    #[error("the caller has no order with this id")]
    OrderNotFound,
    /// The price list has no such product.
    #[error("the price list has no product with this SKU")]
    ProductNotFound,
    /// Lines of an order name products that the price list does not have.
    #[error("the order names {} unknown product(s)", lines.len())]
    ProductUnknown {
        /// Positions of the lines.
        lines: Vec<usize>,
    },
    /// Fewer pieces are left than the order asks for.
    #[error("not enough pieces of a product are left")]
    OutOfStock {
        /// Position of the line.
        line: usize,
    },
    /// The user has as many unpaid orders as one may have.
    #[error(
        "the caller has {max} unpaid orders or more: pay or cancel one, or wait until one is over"
    )]
    QuotaExceeded {
        /// How many one may have.
        max: u32,
    },
    /// Not an ISO 4217 code in circulation.
    #[error("the currency is not a supported ISO 4217 code in upper case")]
    CurrencyInvalid,
    /// The products of an order have prices in several currencies.
    #[error("the items of the order have prices in more than one currency")]
    CurrencyMixed,
    /// An amount is not between 1 and the largest one.
    #[error("the amount is not between 1 and 99,999,999,999 minor units")]
    AmountOutOfRange,
    /// Not the form of a provider's token.
    #[error("the payment method must be `pm_` and 1 to 60 characters of a-z, 0-9, `_`")]
    PaymentMethodInvalid,
    /// An attempt to pay the order is not settled.
    #[error("an earlier attempt to pay this order is not settled yet")]
    PaymentInProgress,
    /// The order's state refuses the operation.
    #[error("an order that is {status} cannot take this step")]
    StateConflict {
        /// Where the order stands.
        status: OrderStatus,
        /// What was tried.
        trigger: Trigger,
    },
    /// The operation needs an idempotency key.
    #[error("this operation needs an idempotency key")]
    IdempotencyKeyMissing,
    /// The key is too long or has odd characters.
    #[error("the idempotency key must be 1 to 255 visible ASCII characters")]
    IdempotencyKeyInvalid,
    /// The key came before, with another request.
    #[error("this idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The first call with this key still runs.
    #[error("the first request with this idempotency key is still running")]
    IdempotencyInProgress,
    /// Fields of the request break rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An identity is not a UUID.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The caller stopped waiting.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// Something that the service needs does not answer.
    #[error("a dependency is unavailable")]
    Unavailable {
        /// What it said.
        source: Cause,
    },
    /// A defect.
    #[error("an internal error occurred")]
    Internal {
        /// What happened.
        source: Cause,
    },
}

impl ServiceError for OrderError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OrderNotFound => ORDER_NOT_FOUND,
            Self::ProductNotFound => PRODUCT_NOT_FOUND,
            Self::ProductUnknown { .. } => PRODUCT_UNKNOWN,
            Self::OutOfStock { .. } => OUT_OF_STOCK,
            Self::QuotaExceeded { .. } => QUOTA_EXCEEDED,
            Self::CurrencyInvalid => CURRENCY_INVALID,
            Self::CurrencyMixed => CURRENCY_MIXED,
            Self::AmountOutOfRange => AMOUNT_OUT_OF_RANGE,
            Self::PaymentMethodInvalid => PAYMENT_METHOD_INVALID,
            Self::PaymentInProgress => PAYMENT_IN_PROGRESS,
            Self::StateConflict { .. } => ORDER_STATE_CONFLICT,
            Self::IdempotencyKeyMissing => codes::IDEMPOTENCY_KEY_MISSING,
            Self::IdempotencyKeyInvalid => codes::IDEMPOTENCY_KEY_INVALID,
            Self::IdempotencyKeyReused => codes::IDEMPOTENCY_KEY_REUSED,
            Self::IdempotencyInProgress => codes::IDEMPOTENCY_IN_PROGRESS,
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
            Self::ProductUnknown { lines } => lines.iter().map(|at| unknown_product(*at)).collect(),
            Self::OutOfStock { line } => vec![too_few_left(*line)],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::IdempotencyInProgress => Some(IN_PROGRESS_RETRY_AFTER),
            Self::QuotaExceeded { .. } => Some(QUOTA_RETRY_AFTER),
            _ => None,
        }
    }
}

fn unknown_product(line: usize) -> Violation {
    Violation {
        field: format!("items[{line}].sku"),
        reason: "UNKNOWN".to_owned(),
        description: "the price list has no such product".to_owned(),
    }
}

fn too_few_left(line: usize) -> Violation {
    Violation {
        field: format!("items[{line}].quantity"),
        reason: "OUT_OF_STOCK".to_owned(),
        description: "fewer pieces are left".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_pages_of_this_service() {
        let mut table: Vec<(&str, u16)> =
            CODES.iter().map(|code| (code.reason, code.kind.http_status().as_u16())).collect();
        table.sort_unstable();
        assert_eq!(table, proto::errors::owned_by("order-service"));
    }

    #[test]
    fn faulty_lines_are_named() {
        let fields = |error: &OrderError| {
            let violations = error.violations();
            violations.into_iter().map(|found| found.field).collect::<Vec<_>>()
        };
        let unknown = OrderError::ProductUnknown { lines: vec![0, 4] };
        assert_eq!(fields(&unknown), ["items[0].sku", "items[4].sku"]);
        assert_eq!(fields(&OrderError::OutOfStock { line: 2 }), ["items[2].quantity"]);
    }

    #[test]
    fn causes_stay_out_of_the_public_detail() {
        let source = || Cause::from("secret host db-7");
        for error in [
            OrderError::Unavailable { source: source() },
            OrderError::Internal { source: source() },
        ] {
            assert!(!error.detail().contains("db-7"));
            assert!(error.source().is_some());
        }
    }

    #[test]
    fn a_running_call_is_asked_again_after_a_second() {
        assert_eq!(OrderError::IdempotencyInProgress.retry_after(), Some(IN_PROGRESS_RETRY_AFTER));
        assert_eq!(OrderError::PaymentInProgress.retry_after(), None);
    }
}
