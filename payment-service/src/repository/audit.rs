//! What the audit log says of payments: one row per version, and one per step of a surplus capture.

use chassis::audit::{Actor, Entry, Value};

use crate::model::{Payment, PaymentStatus, Posting, RefundStatus, SurplusChange};
use crate::repository::{Cause, Save};

/// Whoever asks for a payment or a refund without anybody's token: nobody else may.
const ASKING: Actor = Actor::system("order-service");

/// The entry of a new payment.
pub(super) fn of_attempt(payment: &Payment) -> Entry {
    let entry = about("payment.attempted", payment).first();
    entry.by(actor(Cause::Request)).after(&state(payment, None))
}

/// The entry of a move.
pub(super) fn of_move(save: &Save<'_>) -> Entry {
    let (payment, before) = (&save.change.payment, save.change.before);
    let action = match payment.status() {
        PaymentStatus::Initiated => "payment.attempted",
        PaymentStatus::Pending => "payment.pending",
        PaymentStatus::Succeeded => "payment.captured",
        PaymentStatus::Failed => "payment.failed",
        PaymentStatus::Refunding => "payment.refund_requested",
        PaymentStatus::Refunded => "payment.refunded",
    };
    about(action, payment)
        .by(actor(save.cause))
        .before(&[
            ("status", before.as_str().into()),
            ("version", payment.version().saturating_sub(1).into()),
        ])
        .after(&state(payment, save.change.posting.as_ref()))
}

/// The entry of a step of a surplus capture; the payment itself stays failed.
pub(super) fn of_surplus(change: &SurplusChange) -> Entry {
    let payment = &change.payment;
    let returned = change.refund().is_some_and(|refund| refund.status == RefundStatus::Succeeded);
    let action = if returned { "payment.surplus_refunded" } else { "payment.surplus_captured" };
    about(action, payment)
        .by(actor(Cause::Reconciliation))
        .after(&state(payment, Some(&change.posting)))
}

/// Whoever asked for a payment asked for what its answer brings.
fn actor(cause: Cause) -> Actor {
    match cause {
        Cause::Request | Cause::Answer => Actor::current().unwrap_or(ASKING),
        Cause::Callback | Cause::Reconciliation => Actor::system(cause.as_str()),
    }
}

fn about(action: &'static str, payment: &Payment) -> Entry {
    Entry::new(action, "payment", payment.id()).about(payment.terms().user_id.as_uuid())
}

fn state(payment: &Payment, posting: Option<&Posting>) -> Vec<(&'static str, Value)> {
    let (terms, refund) = (payment.terms(), payment.refund());
    let mut state = vec![
        ("status", payment.status().as_str().into()),
        ("version", payment.version().into()),
        ("order_id", terms.order_id.to_string().into()),
        ("amount", terms.amount.amount().into()),
        ("currency", terms.amount.currency().as_str().into()),
        ("refund_id", refund.map(|refund| refund.id.to_string()).into()),
        ("refund_status", refund.map(|refund| refund.status.as_str()).into()),
    ];
    if let Some(posting) = posting {
        state.push(("posting", posting.id().into()));
    }
    state
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{Charge, Outcome, PaymentId, Verdict};
    use crate::testing::terms;

    #[test]
    fn a_capture_names_what_it_booked_and_who_brought_it() {
        let now = DateTime::UNIX_EPOCH;
        let payment = Payment::initiate(PaymentId::generate(), terms("pm_ok"), now);
        assert_eq!(of_attempt(&payment).action(), "payment.attempted");
        let charge = Charge { provider_reference: "ch_1".to_owned(), outcome: Outcome::Captured };
        let Verdict::Moves(change) = payment.hear(&charge, now) else { panic!("it moves") };
        let save = |cause| Save { change: &change, cause, check_at: None, callback: None };
        let entry = of_move(&save(Cause::Callback));
        assert_eq!(entry.action(), "payment.captured");
        let text = format!("{entry:?}");
        assert!(text.contains(&format!("capture:{}", payment.id())), "{text}");
        assert!(text.contains("callback") && !text.contains("pm_ok"), "{text}");
        let asked = format!("{:?}", of_move(&save(Cause::Answer)));
        assert!(asked.contains("order-service"), "{asked}");
    }
}
