//! The port to the storage of payments.
//!
//! A payment, its history, its ledger entries and the events about it are stored together or not at
//! all. To add an adapter: implement [`PaymentRepository`] and run the suite in `contract` on it.

mod audit;
#[cfg(test)]
mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod mysql;
pub mod review;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use self::review::ReviewRepository;
use crate::model::{
    CallbackRecord, Change, OrderId, Payment, PaymentError, PaymentId, PaymentStatus, SurplusChange,
};

/// What caused a move, for the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Request,
    /// The provider's answer.
    Answer,
    /// The provider's callback.
    Callback,
    /// The reconciliation with the provider.
    Reconciliation,
}

impl Cause {
    /// The name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Callback => "callback",
            Self::Reconciliation => "reconciliation",
        }
    }
}

/// A move to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Save<'a> {
    /// The move.
    pub change: &'a Change,
    /// What caused it.
    pub cause: Cause,
    /// When the reconciliation looks at the payment next; none once it is settled.
    pub check_at: Option<DateTime<Utc>>,
    /// The callback that caused it, whose id must not have moved anything before.
    pub callback: Option<&'a CallbackRecord>,
}

/// What became of a [`Save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Stored.
    Stored,
    /// Somebody else moved the payment first; nothing was stored.
    Stale,
    /// The callback has moved a payment before; nothing was stored.
    Replayed,
}

/// How often a payment that is not settled is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// Pause after the first look; doubles with each further one.
    pub first: Duration,
    /// Longest pause.
    pub max: Duration,
}

impl Pauses {
    /// The pause after `checks` looks that came to nothing.
    pub fn after(&self, checks: u32) -> TimeDelta {
        let factor = 1_u32.checked_shl(checks).unwrap_or(u32::MAX);
        let pause = self.first.saturating_mul(factor).min(self.max);
        TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)
    }
}

/// Stores payments.
#[async_trait]
pub trait PaymentRepository: ReviewRepository {
    /// Stores a new payment with its history and event, to be looked at `check_at`, unless one with
    /// this id exists, which is then returned.
    async fn insert(
        &self,
        payment: &Payment,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Option<Payment>, PaymentError>;

    /// Finds a payment.
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, PaymentError>;

    /// Lists the attempts to pay an order, oldest first.
    async fn list_attempts(&self, order: OrderId) -> Result<Vec<Payment>, PaymentError>;

    /// Stores a move with its history, postings and event, if the payment still stands where it
    /// stood. A refund id that belongs to another payment is refused.
    async fn save(&self, save: Save<'_>) -> Result<Saved, PaymentError>;

    /// Stores a step of a surplus capture with its posting, if the payment and its refund still
    /// stand where they stood; the reconciliation looks at the payment `check_at`.
    async fn save_surplus(
        &self,
        change: &SurplusChange,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Saved, PaymentError>;

    /// Keeps a callback that moved nothing. Deliveries of the same one are counted.
    async fn record_callback(&self, record: &CallbackRecord) -> Result<(), PaymentError>;

    /// Takes up to `limit` payments whose look is due, the longest due first, and puts their next
    /// look off by `pauses`: until then no other worker takes them.
    async fn claim_due(
        &self,
        now: DateTime<Utc>,
        pauses: Pauses,
        limit: u32,
    ) -> Result<Vec<Payment>, PaymentError>;

    /// Counts the payments that the reconciliation looks at, by status and no more than `limit` in all,
    /// of which the longest due count first. A status without any is missing.
    async fn count_open(&self, limit: u32) -> Result<Vec<(PaymentStatus, u32)>, PaymentError>;

    /// Forgets up to `limit` callbacks, and up to `limit` marks of those that moved a payment, that
    /// came last before `before`; returns how many.
    async fn forget_callbacks(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, PaymentError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let pauses = Pauses { first: Duration::from_secs(5), max: Duration::from_mins(1) };
        let seconds: Vec<_> = [0, 1, 2, 3, 4, 31, 32, u32::MAX]
            .map(|checks| pauses.after(checks).num_seconds())
            .into();
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60, 60, 60]);
    }
}
