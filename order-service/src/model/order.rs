//! The order: what was bought, at which price, and where it stands.

use std::ops::Deref;

use chrono::{DateTime, Utc};

use super::{
    Actor, Attempt, Change, Effect, Money, OrderError, OrderStatus, PaymentId, Refund,
    RefundReason, Sku, Transition, Trigger,
};

chassis::id_type!(
    /// Identity of an order.
    OrderId,
    "order id"
);

chassis::id_type!(
    /// Identity of a user; user-service owns the account behind it.
    UserId,
    "user id"
);

/// A line of an order, at the price of the moment it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which product.
    pub sku: Sku,
    /// Its name when the order was placed.
    pub name: String,
    /// Its price when the order was placed.
    pub unit_price: Money,
    /// Pieces.
    pub quantity: u32,
}

/// What an order consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderParts {
    /// Which order.
    pub id: OrderId,
    /// Who placed it.
    pub user_id: UserId,
    /// Where it stands.
    pub status: OrderStatus,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Sum over the items.
    pub total: Money,
    /// Rises by one with every transition.
    pub version: u64,
    /// The payment that settled it, or the latest attempt.
    pub payment_id: Option<PaymentId>,
    /// Why the latest attempt failed.
    pub failure_reason: Option<String>,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it expires unless it is paid.
    pub expires_at: DateTime<Utc>,
}

/// An order. Its parts can be read; they change only through the methods that return a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order(OrderParts);

impl Deref for Order {
    type Target = OrderParts;

    fn deref(&self) -> &OrderParts {
        &self.0
    }
}

impl Order {
    /// Puts an order together from stored parts.
    pub fn restore(parts: OrderParts) -> Self {
        Self(parts)
    }

    /// What happens to the order when `trigger` does. Refused by states that do not know it.
    pub fn apply(
        &self,
        trigger: Trigger,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Change, OrderError> {
        let Some(to) = self.status.after(trigger) else {
            return Err(OrderError::StateConflict { status: self.status, trigger });
        };
        let after =
            OrderParts { status: to, version: self.version + 1, updated_at: now, ..self.0.clone() };
        let mut change = Change::of(self, now);
        change.order = Self(after);
        change.effects.push(Effect::Transition(Transition {
            from: Some(self.status),
            to,
            cause: trigger.cause(),
            actor: actor.clone(),
        }));
        if trigger.releases_stock() {
            change.effects.push(Effect::ReleaseStock);
        }
        Ok(change)
    }

    /// Starts another attempt to pay, once the one before was declined.
    ///
    /// Not a transition: the order waits for its payment as before, only for another one. Whether
    /// an attempt is still open is for the store to know, which holds at most one per order.
    pub fn start_attempt(&self, attempt: Attempt) -> Result<Change, OrderError> {
        let now = attempt.created_at;
        match self.status {
            OrderStatus::Created => return Err(OrderError::PaymentInProgress),
            OrderStatus::PaymentFailed if now < self.expires_at => {}
            status => {
                return Err(OrderError::StateConflict { status, trigger: Trigger::Capture });
            }
        }
        let mut change = Change::of(self, now);
        change.order.0.payment_id = Some(attempt.id);
        change.order.0.failure_reason = None;
        change.order.0.updated_at = now;
        change.effects.push(Effect::StartAttempt(attempt));
        Ok(change)
    }

    /// Asks for the money back.
    pub fn ask_refund(&self, actor: &Actor, now: DateTime<Utc>) -> Result<Change, OrderError> {
        let mut change = self.apply(Trigger::AskRefund, actor, now)?;
        // A paid order always knows its payment; one that does not has nothing to give back.
        let payment_id = self.payment_id.ok_or(OrderError::StateConflict {
            status: self.status,
            trigger: Trigger::AskRefund,
        })?;
        let refund = Refund::requested(self.id, payment_id, RefundReason::CustomerRequest);
        change.effects.push(Effect::RequestRefund { refund, actor: actor.clone() });
        Ok(change)
    }

    /// A payment of the order was captured.
    pub(super) fn capture(
        &self,
        payment_id: PaymentId,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Change, OrderError> {
        let mut change = self.apply(Trigger::Capture, actor, now)?;
        change.order.0.payment_id = Some(payment_id);
        change.order.0.failure_reason = None;
        Ok(change)
    }

    /// The latest payment of the order was declined.
    pub(super) fn decline(
        &self,
        reason: &str,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Change, OrderError> {
        let mut change = self.apply(Trigger::Decline, actor, now)?;
        change.order.0.failure_reason = Some(reason.to_owned());
        Ok(change)
    }
}
