//! The payment: one attempt to pay one order.
//!
//! A payment is never changed in place. Each move yields a [`Change`]: the payment after it together
//! with everything that must be stored in the same transaction.

use chrono::{DateTime, Utc};

use super::{
    Charge, EventKind, Money, OrderId, Outcome, PaymentError, PaymentEvent, PaymentId,
    PaymentMethod, PaymentStatus, Posting, Reason, Refund, RefundId, RefundStatus, Trigger, UserId,
};

/// What an attempt is about; fixed when it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which order.
    pub order_id: OrderId,
    /// Whose order.
    pub user_id: UserId,
    /// What is charged.
    pub amount: Money,
    /// By which method.
    pub method: PaymentMethod,
}

/// Every member of a payment, as storage keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Identity; equal to the attempt id.
    pub id: PaymentId,
    /// What the attempt is about.
    pub terms: Terms,
    /// Where it stands.
    pub status: PaymentStatus,
    /// The provider's own reference, once there is one.
    pub provider_reference: Option<String>,
    /// Why it failed, if it did.
    pub failure_reason: Option<Reason>,
    /// Its refund, if one was asked for.
    pub refund: Option<Refund>,
    /// Rises by one with every move.
    pub version: u64,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}

/// One attempt to pay an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment(Snapshot);

/// A move, with what has to be stored together with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the payment stood; its version was one less than now.
    pub before: PaymentStatus,
    /// The payment after the move.
    pub payment: Payment,
    /// What the move books.
    pub posting: Option<Posting>,
    /// What the move tells the fleet.
    pub event: Option<PaymentEvent>,
}

/// What news about a charge means for a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The payment moves.
    Moves(Box<Change>),
    /// The payment knows already, or is past it.
    Known,
    /// The news says the opposite of what is settled. The settled state stays; people must look.
    Contradicts,
}

impl Payment {
    /// Records the intent to charge.
    pub fn initiate(id: PaymentId, terms: Terms, now: DateTime<Utc>) -> Self {
        Self(Snapshot {
            id,
            terms,
            status: PaymentStatus::Initiated,
            provider_reference: None,
            failure_reason: None,
            refund: None,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// Records that the attempt is over before it began, because its order is closed.
    pub fn close(id: PaymentId, terms: Terms, now: DateTime<Utc>) -> Self {
        let mut closed = Self::initiate(id, terms, now);
        closed.0.status = PaymentStatus::Failed;
        closed.0.failure_reason = Some(Reason::order_closed());
        closed
    }

    /// What the fleet is told of where the payment stands, if it acts upon it.
    pub fn event(&self) -> Option<PaymentEvent> {
        let kind = match self.0.status {
            PaymentStatus::Succeeded => EventKind::Succeeded,
            PaymentStatus::Failed => EventKind::Failed,
            PaymentStatus::Refunded => EventKind::Refunded,
            PaymentStatus::Initiated | PaymentStatus::Pending | PaymentStatus::Refunding => {
                return None;
            }
        };
        Some(PaymentEvent::of(kind, self))
    }

    /// Rebuilds a payment that was stored.
    pub const fn restore(snapshot: Snapshot) -> Self {
        Self(snapshot)
    }

    /// Refuses another attempt's terms under this payment's id.
    pub fn require_terms(&self, terms: &Terms) -> Result<(), PaymentError> {
        let ours = &self.0.terms;
        let differs = [
            ("order", ours.order_id != terms.order_id),
            ("user", ours.user_id != terms.user_id),
            ("amount", ours.amount != terms.amount),
            ("payment method", ours.method != terms.method),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            Some((what, _)) => Err(PaymentError::AmountMismatch { what }),
            None => Ok(()),
        }
    }

    /// Weighs what the provider says about the charge.
    pub fn hear(&self, charge: &Charge, now: DateTime<Utc>) -> Verdict {
        let trigger = charge.outcome.trigger();
        if self.0.status.is_contradicted_by(trigger) {
            return Verdict::Contradicts;
        }
        let Some(status) = self.0.status.after(trigger) else { return Verdict::Known };
        let mut after = self.moved(status, now);
        if !charge.provider_reference.is_empty() {
            after.0.provider_reference = Some(charge.provider_reference.clone());
        }
        if let Outcome::Declined(reason) = &charge.outcome {
            after.0.failure_reason = Some(reason.clone());
        }
        Verdict::Moves(Box::new(self.change(after)))
    }

    /// Starts the refund of a captured payment.
    pub fn request_refund(
        &self,
        id: RefundId,
        reason: String,
        now: DateTime<Utc>,
    ) -> Result<Change, PaymentError> {
        let mut after = self.moved(self.next(Trigger::RefundRequested)?, now);
        after.0.refund = Some(Refund {
            id,
            amount: self.0.terms.amount,
            status: RefundStatus::Pending,
            reason,
            created_at: now,
        });
        Ok(self.change(after))
    }

    /// Ends the refund that the provider has confirmed.
    pub fn complete_refund(&self, now: DateTime<Utc>) -> Result<Change, PaymentError> {
        let mut after = self.moved(self.next(Trigger::RefundCompleted)?, now);
        if let Some(refund) = &mut after.0.refund {
            refund.status = RefundStatus::Succeeded;
        }
        Ok(self.change(after))
    }

    /// Every member, for storage.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.0
    }

    /// Identity; equal to the attempt id.
    pub const fn id(&self) -> PaymentId {
        self.0.id
    }

    /// What the attempt is about.
    pub const fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Where it stands.
    pub const fn status(&self) -> PaymentStatus {
        self.0.status
    }

    /// Whether the next step is the provider's, so that somebody has to ask it in the end.
    pub fn awaits_provider(&self) -> bool {
        let refund = self.0.refund.as_ref();
        self.0.status.awaits_provider()
            || refund.is_some_and(|refund| refund.status == RefundStatus::Pending)
    }

    /// Why it failed, if it did.
    pub const fn failure_reason(&self) -> Option<&Reason> {
        self.0.failure_reason.as_ref()
    }

    /// Its refund, if one was asked for.
    pub const fn refund(&self) -> Option<&Refund> {
        self.0.refund.as_ref()
    }

    /// Rises by one with every move.
    pub const fn version(&self) -> u64 {
        self.0.version
    }

    /// When it last moved.
    pub const fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    fn next(&self, trigger: Trigger) -> Result<PaymentStatus, PaymentError> {
        let status = self.0.status;
        status.after(trigger).ok_or(PaymentError::StateConflict { status })
    }

    fn moved(&self, status: PaymentStatus, now: DateTime<Utc>) -> Self {
        let mut after = self.clone();
        after.0.status = status;
        after.0.version += 1;
        // A clock that was set back must not make a payment older than its last move.
        after.0.updated_at = now.max(self.0.updated_at);
        after
    }

    fn change(&self, after: Self) -> Change {
        let (id, money, at) = (after.id(), after.0.terms.amount, after.updated_at());
        let refund = after.refund().map(|refund| refund.id);
        let posting = match after.status() {
            PaymentStatus::Succeeded => Some(Posting::capture(id, money, at)),
            PaymentStatus::Refunded => {
                refund.map(|refund_id| Posting::refund(id, refund_id, money, at))
            }
            PaymentStatus::Failed
            | PaymentStatus::Initiated
            | PaymentStatus::Pending
            | PaymentStatus::Refunding => None,
        };
        let event = after.event();
        Change { before: self.0.status, payment: after, posting, event }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::BEGINNINGS;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
    }

    fn terms() -> Terms {
        Terms {
            order_id: OrderId::generate(),
            user_id: UserId::generate(),
            amount: Money::parse("amount", 19_900, "CNY").unwrap(),
            method: PaymentMethod::parse("payment_method", "pm_ok").unwrap(),
        }
    }

    fn initiated() -> Payment {
        Payment::initiate(PaymentId::generate(), terms(), now())
    }

    fn charge(outcome: Outcome) -> Charge {
        Charge { provider_reference: "ch_1".to_owned(), outcome }
    }

    fn moves(verdict: Verdict) -> Change {
        match verdict {
            Verdict::Moves(change) => *change,
            other => panic!("{other:?}"),
        }
    }

    fn captured() -> Payment {
        moves(initiated().hear(&charge(Outcome::Captured), now())).payment
    }

    #[test]
    fn a_capture_is_booked_and_told() {
        let payment = initiated();
        let later = now() + TimeDelta::seconds(1);
        let change = moves(payment.hear(&charge(Outcome::Captured), later));
        assert_eq!(change.before, PaymentStatus::Initiated);
        assert_eq!(change.payment.status(), PaymentStatus::Succeeded);
        assert_eq!(change.payment.version(), 2);
        assert_eq!(change.payment.updated_at(), later);
        assert_eq!(change.payment.snapshot().provider_reference.as_deref(), Some("ch_1"));
        assert_eq!(change.posting.unwrap().entries().len(), 2);
        let event = change.event.unwrap();
        assert_eq!((event.kind().as_str(), event.version()), ("payment.succeeded", 2));
    }

    #[test]
    fn a_decline_books_nothing_and_says_why() {
        let declined = Outcome::Declined(Reason::from_provider("card_declined"));
        let change = moves(initiated().hear(&charge(declined), now()));
        assert_eq!(change.payment.failure_reason().unwrap().as_str(), "card_declined");
        assert_eq!(change.posting, None);
        let data = serde_json::to_value(change.event.unwrap()).unwrap();
        assert_eq!(data["failure_reason"], "card_declined");
        assert_eq!(data["amount"], json!({"amount": 19_900, "currency": "CNY"}));
        assert_eq!(data["refund_id"], Value::Null);
    }

    #[test]
    fn a_payment_begins_as_declared() {
        let closed = Payment::close(PaymentId::generate(), terms(), now());
        assert_eq!([initiated().status(), closed.status()], BEGINNINGS);
        assert_eq!(initiated().event(), None);
        let event = closed.event().unwrap();
        assert_eq!((event.kind().as_str(), event.version()), ("payment.failed", 1));
        let data = serde_json::to_value(event).unwrap();
        assert_eq!(data["failure_reason"], "order_closed");
        assert_eq!(closed.hear(&charge(Outcome::Captured), now()), Verdict::Contradicts);
    }

    #[test]
    fn an_accepted_charge_tells_nobody() {
        let change = moves(initiated().hear(&charge(Outcome::Pending), now()));
        assert_eq!(change.payment.status(), PaymentStatus::Pending);
        assert_eq!((change.posting, change.event), (None, None));
    }

    #[test]
    fn the_settled_state_wins_over_later_news() {
        let payment = captured();
        let declined = charge(Outcome::Declined(Reason::from_provider("late")));
        assert_eq!(payment.hear(&charge(Outcome::Captured), now()), Verdict::Known);
        assert_eq!(payment.hear(&charge(Outcome::Pending), now()), Verdict::Known);
        assert_eq!(payment.hear(&declined, now()), Verdict::Contradicts);
        let failed = moves(initiated().hear(&declined, now())).payment;
        assert_eq!(failed.hear(&charge(Outcome::Captured), now()), Verdict::Contradicts);
    }

    #[test]
    fn a_refund_goes_through_two_moves_and_is_booked_once() {
        let id = RefundId::generate();
        let asked = captured().request_refund(id, "customer_request".to_owned(), now()).unwrap();
        assert_eq!(asked.payment.status(), PaymentStatus::Refunding);
        assert_eq!((&asked.posting, &asked.event), (&None, &None));
        assert_eq!(asked.payment.refund().unwrap().status, RefundStatus::Pending);

        let done = asked.payment.complete_refund(now()).unwrap();
        assert_eq!(done.payment.refund().unwrap().status, RefundStatus::Succeeded);
        assert_eq!(done.posting.unwrap().id(), format!("refund:{id}"));
        let data = serde_json::to_value(done.event.unwrap()).unwrap();
        assert_eq!(data["refund_id"], id.to_string());
        assert_eq!(data["version"], 4);
    }

    #[test]
    fn only_a_captured_payment_is_refunded() {
        let refused = |payment: &Payment| {
            payment.request_refund(RefundId::generate(), String::new(), now()).unwrap_err()
        };
        let error = refused(&initiated());
        assert!(matches!(error, PaymentError::StateConflict { status: PaymentStatus::Initiated }));
        assert!(captured().complete_refund(now()).is_err());
    }

    #[test]
    fn other_terms_under_the_same_id_are_refused() {
        let payment = initiated();
        let same = payment.terms().clone();
        payment.require_terms(&same).unwrap();
        let others = [
            Terms { order_id: OrderId::generate(), ..same.clone() },
            Terms { user_id: UserId::generate(), ..same.clone() },
            Terms { amount: Money::parse("a", 1, "CNY").unwrap(), ..same.clone() },
            Terms { amount: Money::parse("a", 19_900, "USD").unwrap(), ..same.clone() },
            Terms { method: PaymentMethod::parse("m", "pm_never").unwrap(), ..same },
        ];
        for other in others {
            let error = payment.require_terms(&other).unwrap_err();
            assert!(matches!(error, PaymentError::AmountMismatch { .. }), "{other:?}");
        }
    }

    #[test]
    fn a_clock_set_back_does_not_make_a_payment_younger() {
        let change = moves(initiated().hear(&charge(Outcome::Captured), DateTime::UNIX_EPOCH));
        assert_eq!(change.payment.updated_at(), now());
    }
}
