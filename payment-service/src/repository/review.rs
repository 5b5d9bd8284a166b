//! The port to what is kept of payments for those who look back: callbacks, and the books as they
//! are compared with the provider's.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::{Booked, CallbackReceipt, OrderId, PaymentError, PaymentId, UserId};

/// Whose callbacks are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackFilter {
    /// About the payments of which order.
    pub order_id: OrderId,
    /// Only about payments of this user, if given.
    pub user_id: Option<UserId>,
}

/// A stretch of the provider's ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Behind this provider reference; none: from the beginning.
    pub after: Option<String>,
    /// Up to this provider reference, itself included; none: to the end.
    pub upto: Option<String>,
}

/// Reads what is kept of payments.
#[async_trait]
pub trait ReviewRepository: Send + Sync {
    /// Lists the latest callbacks, up to `limit`, oldest first.
    async fn list_callbacks(
        &self,
        filter: CallbackFilter,
        limit: u32,
    ) -> Result<Vec<CallbackReceipt>, PaymentError>;

    /// Finds those of the payments that exist, with what the ledger says of them, in no order.
    async fn find_booked(&self, ids: &[PaymentId]) -> Result<Vec<Booked>, PaymentError>;

    /// Lists up to `limit` payments whose money counts as taken and whose provider reference lies
    /// in the stretch, in the order of these references.
    async fn list_referenced(
        &self,
        stretch: &Stretch,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError>;

    /// Lists up to `limit` payments behind `after` whose money counts as taken and whose provider
    /// reference is not known, in the order of their ids; only those made from `since` on, if it is
    /// given.
    async fn list_unreferenced(
        &self,
        after: Option<PaymentId>,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError>;
}
