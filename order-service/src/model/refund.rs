//! Requests to give captured money back.

use super::{OrderId, PaymentId};

chassis::id_type!(
    /// Identity of a refund; payment-service refunds once per identity.
    RefundId,
    "refund id"
);

/// Why money goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundReason {
    /// The customer asked for it.
    CustomerRequest,
    /// The capture came after the order was cancelled or had expired.
    LateCapture,
    /// Another payment had already settled the order.
    SurplusCapture,
}

impl RefundReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::CustomerRequest, Self::LateCapture, Self::SurplusCapture];

    /// The name under which the reason is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerRequest => "customer_request",
            Self::LateCapture => "late_capture",
            Self::SurplusCapture => "surplus_capture",
        }
    }

    /// Finds the reason of a stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// A request to give the money of one payment back. There is at most one per payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Which refund.
    pub id: RefundId,
    /// Which order.
    pub order_id: OrderId,
    /// Which payment.
    pub payment_id: PaymentId,
    /// Why.
    pub reason: RefundReason,
    /// Whether the money went back.
    pub done: bool,
    /// How often payment-service answered "not yet".
    pub checks: u32,
}

impl Refund {
    /// A request that nobody has answered yet.
    pub fn requested(order_id: OrderId, payment_id: PaymentId, reason: RefundReason) -> Self {
        Self { id: RefundId::generate(), order_id, payment_id, reason, done: false, checks: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_reasons_read_back() {
        for reason in RefundReason::ALL {
            assert_eq!(RefundReason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(RefundReason::from_name("whim"), None);
    }
}
