//! The order state machine, declared as data.
//!
//! [`TRANSITIONS`] is the whole truth: code that changes an order asks it, and the tests walk every
//! state × trigger.

use std::fmt;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Placed; payment not settled.
    Created,
    /// Paid.
    Paid,
    /// The last attempt to pay was declined; stock is kept until expiry.
    PaymentFailed,
    /// Cancelled before it was paid; its stock is back on the shelf.
    Cancelled,
    /// Not paid in time; its stock is back on the shelf.
    Expired,
    /// On its way.
    Shipped,
    /// Received.
    Completed,
    /// A refund was asked for; stock is kept until the money is back.
    Refunding,
    /// The money went back, and the stock on the shelf.
    Refunded,
}

impl OrderStatus {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Paid,
        Self::PaymentFailed,
        Self::Cancelled,
        Self::Expired,
        Self::Shipped,
        Self::Completed,
        Self::Refunding,
        Self::Refunded,
    ];

    /// The name under which the state is stored and published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Paid => "PAID",
            Self::PaymentFailed => "PAYMENT_FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Shipped => "SHIPPED",
            Self::Completed => "COMPLETED",
            Self::Refunding => "REFUNDING",
            Self::Refunded => "REFUNDED",
        }
    }

    /// The event that tells the fleet that an order reached this state.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Created => "order.created",
            Self::Paid => "order.paid",
            Self::PaymentFailed => "order.payment_failed",
            Self::Cancelled => "order.cancelled",
            Self::Expired => "order.expired",
            Self::Shipped => "order.shipped",
            Self::Completed => "order.completed",
            Self::Refunding => "order.refunding",
            Self::Refunded => "order.refunded",
        }
    }

    /// Finds the state of a stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// The state that follows when `trigger` happens; `None` when the state refuses it.
    pub fn after(self, trigger: Trigger) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| (*from, *by) == (self, trigger))
            .map(|(_, _, to)| *to)
    }

    /// Whether nothing can happen to the order any more.
    pub fn is_over(self) -> bool {
        TRANSITIONS.iter().all(|(from, _, _)| *from != self)
    }

    /// Whether the order may still be paid.
    pub fn awaits_payment(self) -> bool {
        self.after(Trigger::Capture).is_some()
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What may happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A payment of it was captured.
    Capture,
    /// A payment of it was declined.
    Decline,
    /// Its owner does not want it any more.
    Cancel,
    /// Its time to be paid is over.
    Expire,
    /// It leaves the warehouse.
    Ship,
    /// It was received.
    Complete,
    /// Its owner wants the money back.
    AskRefund,
    /// The money went back.
    Refund,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 8] = [
        Self::Capture,
        Self::Decline,
        Self::Cancel,
        Self::Expire,
        Self::Ship,
        Self::Complete,
        Self::AskRefund,
        Self::Refund,
    ];

    /// What the timeline shows as the cause of the transition.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Capture => "payment.succeeded",
            Self::Decline => "payment.failed",
            Self::Cancel => "cancel_requested",
            Self::Expire => "payment_overdue",
            Self::Ship => "shipped",
            Self::Complete => "received",
            Self::AskRefund => "refund_requested",
            Self::Refund => "payment.refunded",
        }
    }

    /// Whether the pieces that the order reserved go back on the shelf: they never left the
    /// warehouse, since only what is not shipped is cancelled, expires or is refunded.
    pub const fn releases_stock(self) -> bool {
        matches!(self, Self::Cancel | Self::Expire | Self::Refund)
    }
}

/// Every transition that exists: from, trigger, to.
///
/// A second declined attempt is a transition of its own (`PAYMENT_FAILED` to itself): it changes
/// what the order says about its payment, so it gets a version, a history row and an event.
///
/// Stock is taken when the order is placed, and given back by whatever ends it before it is shipped:
/// see [`Trigger::releases_stock`].
pub const TRANSITIONS: &[(OrderStatus, Trigger, OrderStatus)] = &[
    (OrderStatus::Created, Trigger::Capture, OrderStatus::Paid),
    (OrderStatus::Created, Trigger::Decline, OrderStatus::PaymentFailed),
    (OrderStatus::Created, Trigger::Cancel, OrderStatus::Cancelled),
    (OrderStatus::Created, Trigger::Expire, OrderStatus::Expired),
    (OrderStatus::PaymentFailed, Trigger::Capture, OrderStatus::Paid),
    (OrderStatus::PaymentFailed, Trigger::Decline, OrderStatus::PaymentFailed),
    (OrderStatus::PaymentFailed, Trigger::Cancel, OrderStatus::Cancelled),
    (OrderStatus::PaymentFailed, Trigger::Expire, OrderStatus::Expired),
    (OrderStatus::Paid, Trigger::Ship, OrderStatus::Shipped),
    (OrderStatus::Paid, Trigger::AskRefund, OrderStatus::Refunding),
    (OrderStatus::Shipped, Trigger::Complete, OrderStatus::Completed),
    (OrderStatus::Refunding, Trigger::Refund, OrderStatus::Refunded),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as a picture, one row per state, one column per trigger of `Trigger::ALL`.
    const PICTURE: [(&str, [&str; 8]); 9] = [
        ("CREATED", ["PAID", "PAYMENT_FAILED", "CANCELLED", "EXPIRED", "-", "-", "-", "-"]),
        ("PAID", ["-", "-", "-", "-", "SHIPPED", "-", "REFUNDING", "-"]),
        ("PAYMENT_FAILED", ["PAID", "PAYMENT_FAILED", "CANCELLED", "EXPIRED", "-", "-", "-", "-"]),
        ("CANCELLED", ["-"; 8]),
        ("EXPIRED", ["-"; 8]),
        ("SHIPPED", ["-", "-", "-", "-", "-", "COMPLETED", "-", "-"]),
        ("COMPLETED", ["-"; 8]),
        ("REFUNDING", ["-", "-", "-", "-", "-", "-", "-", "REFUNDED"]),
        ("REFUNDED", ["-"; 8]),
    ];

    #[test]
    fn every_state_answers_every_trigger_as_pictured() {
        for (status, (name, row)) in OrderStatus::ALL.into_iter().zip(PICTURE) {
            assert_eq!(status.as_str(), name);
            for (trigger, expected) in Trigger::ALL.into_iter().zip(row) {
                let next = status.after(trigger).map_or("-", OrderStatus::as_str);
                assert_eq!(next, expected, "{status} on {trigger:?}");
            }
        }
    }

    #[test]
    fn no_pair_is_declared_twice() {
        for (at, (from, trigger, _)) in TRANSITIONS.iter().enumerate() {
            let later = &TRANSITIONS[at + 1..];
            assert!(!later.iter().any(|(f, t, _)| (f, t) == (from, trigger)), "{from} {trigger:?}");
        }
    }

    #[test]
    fn names_read_back_and_every_state_has_its_event() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::from_name(status.as_str()), Some(status));
            let event = format!("order.{}", status.as_str().to_lowercase());
            assert_eq!(status.event(), event);
            assert!(proto::events::schema(status.event()).is_some());
        }
        assert_eq!(OrderStatus::from_name("LOST"), None);
    }

    #[test]
    fn what_ends_an_order_that_was_not_shipped_releases_its_stock() {
        let ended =
            |status: OrderStatus| Trigger::ALL.into_iter().all(|t| status.after(t).is_none());
        for (from, trigger, to) in TRANSITIONS {
            let unshipped = ended(*to) && *from != OrderStatus::Shipped;
            assert_eq!(trigger.releases_stock(), unshipped, "{from} on {trigger:?}");
        }
    }

    #[test]
    fn an_order_is_over_when_nothing_leads_on() {
        let over: Vec<_> = OrderStatus::ALL.into_iter().filter(|s| s.is_over()).collect();
        let ends = [
            OrderStatus::Cancelled,
            OrderStatus::Expired,
            OrderStatus::Completed,
            OrderStatus::Refunded,
        ];
        assert_eq!(over, ends);
    }

    #[test]
    fn only_unpaid_orders_await_payment() {
        let waiting: Vec<_> = OrderStatus::ALL.into_iter().filter(|s| s.awaits_payment()).collect();
        assert_eq!(waiting, [OrderStatus::Created, OrderStatus::PaymentFailed]);
    }
}
