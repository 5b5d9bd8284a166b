//! The declared state graphs of orders and payments, as the auditor knows them.
//!
//! The auditor must not depend on the services it audits, so it keeps its own copy; a test proves
//! that the copy equals what the services declare.

use std::fmt::Write;

/// A step of a history: from, cause, to. `None` where a history begins.
pub type Step = (Option<&'static str>, &'static str, &'static str);

/// Every step that the history of an order may have.
pub const ORDER: &[Step] = &[
    (None, "order_placed", "CREATED"),
    (Some("CREATED"), "payment.succeeded", "PAID"),
    (Some("CREATED"), "payment.failed", "PAYMENT_FAILED"),
    (Some("CREATED"), "cancel_requested", "CANCELLED"),
    (Some("CREATED"), "payment_overdue", "EXPIRED"),
    (Some("PAYMENT_FAILED"), "payment.succeeded", "PAID"),
    (Some("PAYMENT_FAILED"), "payment.failed", "PAYMENT_FAILED"),
    (Some("PAYMENT_FAILED"), "cancel_requested", "CANCELLED"),
    (Some("PAYMENT_FAILED"), "payment_overdue", "EXPIRED"),
    (Some("PAID"), "shipped", "SHIPPED"),
    (Some("PAID"), "refund_requested", "REFUNDING"),
    (Some("SHIPPED"), "received", "COMPLETED"),
    (Some("REFUNDING"), "payment.refunded", "REFUNDED"),
];

/// Where a payment's history may begin.
pub const PAYMENT_BEGINNINGS: &[&str] = &["INITIATED", "FAILED"];

/// Every move of a payment: from, to. What causes it is not a matter of its state.
pub const PAYMENT: &[(&str, &str)] = &[
    ("INITIATED", "PENDING"),
    ("INITIATED", "SUCCEEDED"),
    ("INITIATED", "FAILED"),
    ("PENDING", "SUCCEEDED"),
    ("PENDING", "FAILED"),
    ("SUCCEEDED", "REFUNDING"),
    ("REFUNDING", "REFUNDED"),
];

/// The steps of an order as a SQL list of `(from, cause, to)`; a beginning has `-` for from.
pub(super) fn order_steps() -> String {
    let steps = ORDER.iter().map(|(from, cause, to)| vec![from.unwrap_or("-"), *cause, *to]);
    tuples(steps)
}

/// The moves of a payment as a SQL list of `(from, to)`; a beginning has `-` for from.
pub(super) fn payment_moves() -> String {
    let beginnings = PAYMENT_BEGINNINGS.iter().map(|to| vec!["-", *to]);
    tuples(beginnings.chain(PAYMENT.iter().map(|(from, to)| vec![*from, *to])))
}

fn tuples<'a>(rows: impl Iterator<Item = Vec<&'a str>>) -> String {
    let mut text = String::new();
    for row in rows {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}('{}')", row.join("', '"));
    }
    text
}
