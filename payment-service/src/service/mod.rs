//! The use cases: one file each, told as a story over the ports.
//!
//! No use case holds a database transaction while it waits for the provider. Between the intent and
//! the outcome a process may die at any point; the reconciliation picks the payment up from there.

mod create_payment;
mod forget_callbacks;
mod get_payment;
mod handle_callback;
mod list_callbacks;
mod reconcile;
mod refund_payment;
mod review;
mod settle;
mod surplus;
mod take_census;
#[cfg(test)]
mod torture;

use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};

pub use create_payment::{CreatePayment, UnlessKnown};
pub use get_payment::{GetPayment, PaymentView};
pub use handle_callback::HandleCallback;
pub use list_callbacks::ListCallbacks;
pub use reconcile::Round;
pub use refund_payment::RefundPayment;
pub use review::{ClassReport, Cursor, GetReconciliation, Reconciliation, Walk, WalkSummary};
pub use take_census::Census;

use crate::client::{PaymentProvider, ProviderError};
use crate::model::{CallbackKeys, Payment, PaymentError, UserId};
use crate::repository::{Pauses, PaymentRepository};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Another service on its own behalf.
    Service,
    /// A user, through the edge.
    User(UserId),
    /// An administrator, through the edge.
    Admin,
}

impl Actor {
    /// Whether this actor may see and move payments of `user`.
    pub fn may_act_for(self, user: UserId) -> bool {
        match self {
            Self::Service | Self::Admin => true,
            Self::User(id) => id == user,
        }
    }
}

/// How long is waited for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Longest wait for an answer of the provider; afterwards the outcome is unknown.
    pub provider_timeout: Duration,
    /// Largest age, and largest lead, of a callback's signature.
    pub callback_tolerance: Duration,
    /// How long callbacks are kept.
    pub callback_keep: TimeDelta,
    /// When payments that are not settled are looked at. The first pause is also the lease of the
    /// worker that looks, so it is longer than two waits for the provider.
    pub pauses: Pauses,
    /// Payments that one worker looks at in one go.
    pub batch: u32,
    /// Callbacks of an order that are listed at most.
    pub callbacks_max: u32,
    /// Payments that are not at rest and counted at most.
    pub census_max: u32,
    /// How the books are compared with the provider's.
    pub review: ReviewPolicy,
}

/// How the books are compared with the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReviewPolicy {
    /// Charges or payments of one step.
    pub page: u32,
    /// Charges and payments after which a report ends; the caller goes on with the next stretch.
    pub report_max: u64,
    /// A report, or a walk, ends when its caller waits no longer than this.
    pub reserve: Duration,
    /// Differences of one class that a report shows.
    pub examples: usize,
    /// What changed within this time is in flight.
    pub grace: TimeDelta,
    /// For how long the worker goes on comparing a charge.
    pub window: TimeDelta,
}

/// The use cases of payments.
pub struct PaymentService {
    repository: Arc<dyn PaymentRepository>,
    provider: Arc<dyn PaymentProvider>,
    clock: Arc<dyn Clock>,
    keys: CallbackKeys,
    policy: Policy,
}

impl PaymentService {
    /// Connects the use cases to their ports.
    pub fn new(
        repository: Arc<dyn PaymentRepository>,
        provider: Arc<dyn PaymentProvider>,
        clock: Arc<dyn Clock>,
        (keys, policy): (CallbackKeys, Policy),
    ) -> Self {
        Self { repository, provider, clock, keys, policy }
    }

    /// Waits for the provider's answer as long as the policy allows.
    async fn patiently<T>(
        &self,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let answer = tokio::time::timeout(self.policy.provider_timeout, answer).await;
        answer.unwrap_or_else(|elapsed| Err(ProviderError::unknown(elapsed)))
    }

    /// When a payment that just moved is looked at first; never, if it is settled.
    fn first_check(&self, payment: &Payment, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let pause = || TimeDelta::from_std(self.policy.pauses.first).unwrap_or(TimeDelta::MAX);
        payment.awaits_provider().then(|| now + pause())
    }
}

/// Others moved the payment each time this one was about to. It is worth trying again.
fn contended() -> PaymentError {
    PaymentError::Unavailable { source: "the payment kept moving".into() }
}
