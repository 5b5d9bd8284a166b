//! The port to the payment provider, who takes the money and gives it back.
//!
//! Calls are keyed by our references and idempotent by them: a call that was not answered is made
//! again, or asked about, but never guessed at. How long an answer is waited for is the caller's
//! business; an adapter may hang.

#[cfg(test)]
mod contract;
pub mod http;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
pub mod simulated;

use std::error::Error;

use async_trait::async_trait;

use crate::model::{Charge, ChargePage, Money, Payment, PaymentId, PaymentMethod, RefundId};

/// A charge to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Our reference; asking twice under the same one charges once.
    pub reference: PaymentId,
    /// How much.
    pub amount: Money,
    /// The provider's token for the method.
    pub method: PaymentMethod,
}

impl ChargeRequest {
    /// What is to be charged for `payment`.
    pub fn of(payment: &Payment) -> Self {
        let terms = payment.terms();
        Self { reference: payment.id(), amount: terms.amount, method: terms.method.clone() }
    }
}

/// A refund to be made, of the whole charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// Our reference of the charge.
    pub reference: PaymentId,
    /// Our reference of the refund; asking twice under the same one refunds once.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
}

/// Why the provider did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It is not known whether the provider did it. It need not have been asked this time.
    #[error("the provider did not answer")]
    Unknown {
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The provider will not do it, and did not.
    #[error("the provider refused: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
}

impl ProviderError {
    /// An outcome that is not known, with the cause.
    pub fn unknown(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unknown { source: source.into() }
    }
}

/// Takes money and gives it back.
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// Takes the money, or tells how the charge under this reference stands if there is one. What
    /// one that is about other money says of ours is not known.
    async fn capture(&self, request: &ChargeRequest) -> Result<Charge, ProviderError>;

    /// Tells how a charge stands; none when the provider never heard of it.
    async fn query(&self, request: &ChargeRequest) -> Result<Option<Charge>, ProviderError>;

    /// Gives the money back, unless it did so under this refund id before.
    async fn refund(&self, request: &RefundRequest) -> Result<(), ProviderError>;

    /// Lists up to `limit` charges of the provider's ledger behind the provider reference `after`,
    /// in the order of these references; from the beginning without one.
    ///
    /// References are ordered byte by byte, and in the order of creation: a later charge never
    /// appears before one that was listed, since what lies behind is not read again.
    async fn list_charges(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ChargePage, ProviderError>;
}
