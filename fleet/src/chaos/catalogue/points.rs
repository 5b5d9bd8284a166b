//! The failpoints that a fault draws from.

/// Of an order, in order-service.
pub(super) const ORDER: &[&str] = &[
    "order.place.before_insert",
    "order.place.before_commit",
    "order.place.committed",
    "order.pay.before_call",
    "order.pay.in_call",
    "order.pay.answered",
    "order.settled",
    "order.answer.stored",
    "order.cancel.before_commit",
    "order.cancel.committed",
    "order.expire.before_commit",
    "order.refund.committed",
    "order.refund.answered",
];
/// Of a payment, in payment-service.
pub(super) const PAYMENT: &[&str] = &[
    "payment.intent.committed",
    "payment.capture.answered",
    "payment.settled",
    "payment.callback.before_commit",
    "payment.callback.committed",
    "payment.refund.committed",
    "payment.refund.answered",
];
/// Of a notification, in notify-service.
pub(super) const NOTIFY: &[&str] =
    &["consumer.received", "notify.before_commit", "consumer.committed"];
/// Of publishing.
pub(super) const RELAY: &[&str] = &["outbox.claimed", "outbox.published", "outbox.confirmed"];
