//! Attempts to pay an order.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Actor, OrderError, OrderId};

/// Longest reason that is kept of a declined payment, in characters.
const REASON_MAX: usize = 255;

chassis::id_type!(
    /// Identity of an attempt, and of the payment that payment-service makes of it.
    PaymentId,
    "payment id"
);

/// The payment provider's token for a way to pay, never a card number.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Accepts `pm_` followed by 1 to 60 of `a-z`, `0-9`, `_`. Whether the provider knows the token
    /// is the provider's business.
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        match text.strip_prefix("pm_") {
            Some(rest) if (1..=60).contains(&rest.len()) && rest.bytes().all(allowed) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(OrderError::PaymentMethodInvalid),
        }
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The token stays out of logs: whoever holds it may charge the customer.
impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(***)")
    }
}

/// How an attempt ended. There is no "unknown": an attempt without an outcome is asked about until
/// payment-service tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money was captured.
    Captured,
    /// The provider declined.
    Declined {
        /// The provider's reason, such as `card_declined`.
        reason: String,
    },
}

impl Outcome {
    /// A declined payment; an overlong reason is cut.
    pub fn declined(reason: &str) -> Self {
        Self::Declined { reason: reason.chars().take(REASON_MAX).collect() }
    }

    /// The name under which the outcome is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Captured => "SUCCEEDED",
            Self::Declined { .. } => "FAILED",
        }
    }

    /// Why the payment failed, if it did.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Captured => None,
            Self::Declined { reason } => Some(reason),
        }
    }
}

/// One attempt to pay an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which attempt.
    pub id: PaymentId,
    /// Which order.
    pub order_id: OrderId,
    /// How it is paid.
    pub method: PaymentMethod,
    /// Who started it.
    pub actor: Actor,
    /// How it ended; `None` as long as it is unsettled.
    pub outcome: Option<Outcome>,
    /// How often recovery got the answer "not settled yet".
    pub checks: u32,
    /// When recovery asks about it next, as long as it is unsettled.
    pub check_at: DateTime<Utc>,
    /// When it was started.
    pub created_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_provider_tokens_are_methods() {
        let longest = format!("pm_{}", "a".repeat(60));
        for good in ["pm_ok", "pm_pending_then_ok", "pm_slow_2s", longest.as_str()] {
            assert_eq!(PaymentMethod::parse(good).unwrap().as_str(), good);
        }
        let long = format!("pm_{}", "a".repeat(61));
        for bad in ["", "pm_", "ok", "pm_OK", "pm_a b", "4111111111111111", "pm_é", long.as_str()]
        {
            let refused = PaymentMethod::parse(bad);
            assert!(matches!(refused, Err(OrderError::PaymentMethodInvalid)), "{bad:?}");
        }
    }

    #[test]
    fn methods_do_not_print() {
        let method = PaymentMethod::parse("pm_secret").unwrap();
        assert!(!format!("{method:?}").contains("secret"));
    }

    #[test]
    fn reasons_are_bounded() {
        let outcome = Outcome::declined(&"长".repeat(1000));
        assert_eq!(outcome.reason().unwrap().chars().count(), REASON_MAX);
        assert_eq!((outcome.name(), Outcome::Captured.name()), ("FAILED", "SUCCEEDED"));
    }
}
