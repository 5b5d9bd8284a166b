//! What the rest of the fleet learns of a payment.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Money, OrderId, Payment, PaymentId, RefundId, UserId};

/// Which event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Captured.
    Succeeded,
    /// Declined.
    Failed,
    /// The money went back.
    Refunded,
}

impl EventKind {
    /// The name, which is also the routing key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "payment.succeeded",
            Self::Failed => "payment.failed",
            Self::Refunded => "payment.refunded",
        }
    }
}

/// A payment reached a state that others act upon. Serialises to the event's `data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaymentEvent {
    #[serde(skip)]
    kind: EventKind,
    #[serde(skip)]
    at: DateTime<Utc>,
    payment_id: PaymentId,
    order_id: OrderId,
    user_id: UserId,
    version: u64,
    status: &'static str,
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<RefundId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Amount {
    amount: i64,
    currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.amount(), currency: money.currency().to_string() }
    }
}

impl PaymentEvent {
    /// Tells how `payment` stands after its last move.
    pub(super) fn of(kind: EventKind, payment: &Payment) -> Self {
        let terms = payment.terms();
        Self {
            kind,
            at: payment.updated_at(),
            payment_id: payment.id(),
            order_id: terms.order_id,
            user_id: terms.user_id,
            version: payment.version(),
            status: payment.status().as_str(),
            amount: terms.amount.into(),
            failure_reason: payment.failure_reason().map(ToString::to_string),
            refund_id: payment.refund().map(|refund| refund.id),
        }
    }

    /// Which event it is.
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// The payment it is about.
    pub const fn payment_id(&self) -> PaymentId {
        self.payment_id
    }

    /// The payment's version after the move.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// When it happened.
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }
}
