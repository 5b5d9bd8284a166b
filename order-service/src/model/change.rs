//! Changes: what a decision does to an order and to what belongs to it.
//!
//! A decision is made on what was read, without a lock, and stored in one transaction that holds
//! only if nothing moved since ([`Guard`]). When something did, it is read again and decided anew.

use chassis::mutant;
use chrono::{DateTime, Utc};

use super::{
    Actor, Attempt, Order, OrderStatus, Outcome, PaymentId, Refund, RefundId, RefundReason, Trigger,
};

/// What the order must still look like for a change to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Where it stood.
    pub status: OrderStatus,
    /// Its version.
    pub version: u64,
    /// Its payment: another attempt takes its place and leaves the version as it is.
    pub payment_id: Option<PaymentId>,
}

impl Guard {
    /// What a decision on an order as it is now holds by.
    pub fn of(order: &Order) -> Self {
        Self { status: order.status, version: order.version, payment_id: order.payment_id }
    }
}

/// A step of an order through its state machine: becomes a history row and an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// State before; `None` when the order is placed.
    pub from: Option<OrderStatus>,
    /// State after.
    pub to: OrderStatus,
    /// What caused it, as the timeline shows it.
    pub cause: &'static str,
    /// Who caused it.
    pub actor: Actor,
}

/// One thing that a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The order moved to another state.
    Transition(Transition),
    /// The pieces that the order reserved go back on the shelf.
    ReleaseStock,
    /// A payment is attempted. At most one attempt per order is open.
    StartAttempt(Attempt),
    /// An open attempt came to its end.
    SettleAttempt {
        /// Which attempt.
        payment_id: PaymentId,
        /// How it ended.
        outcome: Outcome,
        /// Who learned of it.
        actor: Actor,
    },
    /// Money is to go back. At most one request per payment.
    RequestRefund {
        /// The request.
        refund: Refund,
        /// Who asked for it, or learned that it is needed.
        actor: Actor,
    },
    /// Money went back.
    SettleRefund {
        /// Which refund.
        id: RefundId,
        /// Who learned of it.
        actor: Actor,
    },
}

/// A decision, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was decided on.
    pub guard: Guard,
    /// The order afterwards.
    pub order: Order,
    /// What it does, in order.
    pub effects: Vec<Effect>,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

impl Change {
    /// A change that does nothing yet.
    pub(super) fn of(order: &Order, at: DateTime<Utc>) -> Self {
        Self { guard: Guard::of(order), order: order.clone(), effects: Vec::new(), at }
    }

    /// Whether nothing needs to be stored.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Whether the row of the order itself changes.
    pub fn touches_order(&self) -> bool {
        self.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Transition(_) | Effect::StartAttempt(_)))
    }

    /// Whether the order moves to this state.
    pub fn moves_to(&self, status: OrderStatus) -> bool {
        self.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Transition(step) if step.to == status))
    }

    /// Whether an attempt comes to its end.
    pub fn settles_attempt(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::SettleAttempt { .. }))
    }

    /// Whether money is to go back.
    pub fn requests_refund(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::RequestRefund { .. }))
    }
}

/// A payment with all that a decision about it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentCase {
    /// The order that is paid.
    pub order: Order,
    /// The attempt.
    pub attempt: Attempt,
    /// The request to give the money back, if there is one.
    pub refund: Option<Refund>,
}

impl PaymentCase {
    /// The decision that nothing follows for now.
    pub fn unchanged(&self, now: DateTime<Utc>) -> Change {
        Change::of(&self.order, now)
    }

    /// What follows from the outcome of the payment. Nothing, when it is known already.
    ///
    /// Money that comes too late (the order was cancelled or expired) or twice (another payment
    /// was faster) goes back by itself: the request is part of the same change.
    pub fn settle(&self, outcome: &Outcome, actor: &Actor, now: DateTime<Utc>) -> Change {
        if self.attempt.outcome.is_some() {
            return self.unchanged(now);
        }
        let decided = match outcome {
            Outcome::Captured => self.order.capture(self.attempt.id, actor, now),
            Outcome::Declined { .. } if self.order.payment_id != Some(self.attempt.id) => {
                Ok(self.unchanged(now))
            }
            Outcome::Declined { reason } => self.order.decline(reason, actor, now),
        };
        let mut change = decided.unwrap_or_else(|_| self.unwanted(outcome, actor, now));
        change.effects.push(Effect::SettleAttempt {
            payment_id: self.attempt.id,
            outcome: outcome.clone(),
            actor: actor.clone(),
        });
        change
    }

    /// Whether another outcome was settled before. Payments do not change their mind: if one does,
    /// a person has to look.
    pub fn contradicts(&self, outcome: &Outcome) -> bool {
        self.attempt.outcome.as_ref().is_some_and(|known| known.name() != outcome.name())
    }

    /// What follows when the money went back. Nothing, when it is known already or was never
    /// asked for.
    pub fn refunded(&self, actor: &Actor, now: DateTime<Utc>) -> Change {
        let Some(refund) = self.refund.as_ref().filter(|refund| !refund.done) else {
            return self.unchanged(now);
        };
        // Only the refund that the customer asked for moves the order; money that was never wanted
        // goes back without it.
        let mut change = match refund.reason {
            RefundReason::CustomerRequest => self.order.apply(Trigger::Refund, actor, now),
            RefundReason::LateCapture | RefundReason::SurplusCapture => Ok(self.unchanged(now)),
        }
        .unwrap_or_else(|_| self.unchanged(now));
        change.effects.push(Effect::SettleRefund { id: refund.id, actor: actor.clone() });
        change
    }

    /// The order's state has no use for the outcome: captured money goes back.
    fn unwanted(&self, outcome: &Outcome, actor: &Actor, now: DateTime<Utc>) -> Change {
        let mut change = self.unchanged(now);
        if *outcome == Outcome::Captured && !mutant!("late_capture_not_refunded") {
            let reason = match self.order.status {
                OrderStatus::Cancelled | OrderStatus::Expired => RefundReason::LateCapture,
                _ => RefundReason::SurplusCapture,
            };
            let refund = Refund::requested(self.order.id, self.attempt.id, reason);
            change.effects.push(Effect::RequestRefund { refund, actor: actor.clone() });
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{OrderError, fixtures};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn robot() -> Actor {
        Actor::system("test")
    }

    fn declined() -> Outcome {
        Outcome::declined("card_declined")
    }

    /// The effects of a change by name, so that a test reads as a list.
    fn effects(change: &Change) -> Vec<&'static str> {
        let name = |effect: &Effect| match effect {
            Effect::Transition(transition) => transition.to.as_str(),
            Effect::ReleaseStock => "release stock",
            Effect::StartAttempt(_) => "start attempt",
            Effect::SettleAttempt { outcome, .. } => outcome.name(),
            Effect::RequestRefund { refund, .. } => refund.reason.as_str(),
            Effect::SettleRefund { .. } => "settle refund",
        };
        change.effects.iter().map(name).collect()
    }

    #[test]
    fn every_transition_is_guarded_and_raises_the_version_by_one() {
        for (from, trigger, to) in crate::model::TRANSITIONS {
            let order = fixtures::order_in(*from);
            let change = order.apply(*trigger, &robot(), NOW).unwrap();
            assert_eq!(change.guard, Guard::of(&order));
            assert_eq!((change.guard.status, change.guard.version), (*from, order.version));
            assert_eq!((change.order.status, change.order.version), (*to, order.version + 1));
            assert_eq!(change.effects.contains(&Effect::ReleaseStock), trigger.releases_stock());
        }
    }

    #[test]
    fn every_other_pair_is_a_conflict() {
        for from in OrderStatus::ALL {
            for trigger in Trigger::ALL.into_iter().filter(|t| from.after(*t).is_none()) {
                let refused = fixtures::order_in(from).apply(trigger, &robot(), NOW);
                assert!(
                    matches!(refused, Err(OrderError::StateConflict { status, .. }) if status == from)
                );
            }
        }
    }

    #[test]
    fn a_captured_payment_pays_an_order_that_waits() {
        for status in [OrderStatus::Created, OrderStatus::PaymentFailed] {
            let case = fixtures::case_in(status);
            let change = case.settle(&Outcome::Captured, &robot(), NOW);
            assert_eq!(effects(&change), ["PAID", "SUCCEEDED"]);
            assert_eq!(change.order.payment_id, Some(case.attempt.id));
            assert_eq!(change.order.failure_reason, None);
        }
    }

    #[test]
    fn a_declined_payment_is_told_with_its_reason() {
        let change = fixtures::case_in(OrderStatus::Created).settle(&declined(), &robot(), NOW);
        assert_eq!(effects(&change), ["PAYMENT_FAILED", "FAILED"]);
        assert_eq!(change.order.failure_reason.as_deref(), Some("card_declined"));
    }

    #[test]
    fn a_late_capture_is_given_back() {
        for status in [OrderStatus::Cancelled, OrderStatus::Expired] {
            let change = fixtures::case_in(status).settle(&Outcome::Captured, &robot(), NOW);
            assert_eq!(effects(&change), ["late_capture", "SUCCEEDED"]);
            assert!(!change.touches_order());
        }
    }

    #[test]
    fn a_surplus_capture_is_given_back() {
        for status in [
            OrderStatus::Paid,
            OrderStatus::Shipped,
            OrderStatus::Completed,
            OrderStatus::Refunding,
            OrderStatus::Refunded,
        ] {
            let mut case = fixtures::case_in(status);
            case.attempt.id = PaymentId::generate();
            let change = case.settle(&Outcome::Captured, &robot(), NOW);
            assert_eq!(effects(&change), ["surplus_capture", "SUCCEEDED"]);
        }
    }

    #[test]
    fn a_decline_that_comes_late_only_settles_the_attempt() {
        for status in OrderStatus::ALL.into_iter().filter(|status| !status.awaits_payment()) {
            let change = fixtures::case_in(status).settle(&declined(), &robot(), NOW);
            assert_eq!(effects(&change), ["FAILED"], "{status}");
        }
        let mut older = fixtures::case_in(OrderStatus::PaymentFailed);
        older.attempt.id = PaymentId::generate();
        assert_eq!(effects(&older.settle(&declined(), &robot(), NOW)), ["FAILED"]);
    }

    #[test]
    fn an_outcome_is_settled_once() {
        let mut case = fixtures::case_in(OrderStatus::Created);
        case.attempt.outcome = Some(Outcome::Captured);
        assert!(case.settle(&Outcome::Captured, &robot(), NOW).is_empty());
        assert!(case.settle(&declined(), &robot(), NOW).is_empty());
        assert!(case.contradicts(&declined()) && !case.contradicts(&Outcome::Captured));
    }

    #[test]
    fn a_refund_that_was_asked_for_ends_the_order() {
        let order = fixtures::order_in(OrderStatus::Paid);
        let asked = order.ask_refund(&robot(), NOW).unwrap();
        assert_eq!(effects(&asked), ["REFUNDING", "customer_request"]);
        let mut case = fixtures::case_of(asked.order);
        case.refund = Some(fixtures::refund_of(&case, RefundReason::CustomerRequest));
        let change = case.refunded(&robot(), NOW);
        assert_eq!(effects(&change), ["REFUNDED", "release stock", "settle refund"]);
        case.refund = None;
        assert!(case.refunded(&robot(), NOW).is_empty());
    }

    #[test]
    fn the_refund_of_a_late_capture_leaves_the_order_as_it_is() {
        let mut case = fixtures::case_in(OrderStatus::Cancelled);
        case.refund = Some(fixtures::refund_of(&case, RefundReason::LateCapture));
        assert_eq!(effects(&case.refunded(&robot(), NOW)), ["settle refund"]);
        case.refund.as_mut().unwrap().done = true;
        assert!(case.refunded(&robot(), NOW).is_empty());
    }

    #[test]
    fn paying_again_needs_a_declined_attempt_and_time() {
        let attempt = |order: &Order, at| Attempt { created_at: at, ..fixtures::attempt_of(order) };
        let failed = fixtures::order_in(OrderStatus::PaymentFailed);
        let change = failed.start_attempt(attempt(&failed, NOW)).unwrap();
        assert_eq!(effects(&change), ["start attempt"]);
        assert_eq!(
            (change.order.version, change.order.failure_reason.clone()),
            (failed.version, None)
        );
        let late = failed.start_attempt(attempt(&failed, failed.expires_at + TimeDelta::zero()));
        assert!(matches!(late, Err(OrderError::StateConflict { .. })));
        let created = fixtures::order_in(OrderStatus::Created);
        let early = created.start_attempt(attempt(&created, NOW));
        assert!(matches!(early, Err(OrderError::PaymentInProgress)));
        let paid = fixtures::order_in(OrderStatus::Paid);
        let refused = paid.start_attempt(attempt(&paid, NOW));
        assert!(matches!(refused, Err(OrderError::StateConflict { .. })));
    }
}
