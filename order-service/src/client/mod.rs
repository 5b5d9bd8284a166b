//! Port to payment-service.
//!
//! All calls are idempotent by the identity that this service chose, so asking again is how one
//! finds out what a lost call did.

#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod payment;

use async_trait::async_trait;

use crate::model::{Cause, Outcome, PaymentCase, Refund};

/// Takes and returns money.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Starts the payment of an attempt, or tells how it stands.
    async fn pay(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown>;

    /// Tells how the payment of an attempt stands; one that was never started is declined for good.
    async fn close(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown>;

    /// Starts a refund, or tells how it stands.
    async fn refund(&self, refund: &Refund) -> Result<RefundStanding, OutcomeUnknown>;
}

/// How a payment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentStanding {
    /// The provider has not decided.
    Pending,
    /// It came to its end.
    Settled(Outcome),
}

/// How a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundStanding {
    /// The provider has not confirmed it.
    Pending,
    /// The money went back.
    Done,
}

/// There was no answer that settles anything: the call may or may not have had its effect. Never
/// to be read as a decline.
#[derive(Debug, thiserror::Error)]
#[error("the outcome of the call to payment-service is unknown")]
pub struct OutcomeUnknown {
    /// What happened instead of an answer.
    pub source: Cause,
}
