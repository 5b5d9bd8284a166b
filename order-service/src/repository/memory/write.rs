//! Storing decisions in memory: the effects of a change on the tables.

use super::{StoredRefund, Tables, Undo};
use crate::model::{
    Actor, Attempt, Change, Effect, Guard, Mark, OrderError, Placement, TimelineEntry,
    TimelineKind, Transition,
};
use crate::repository::{audit, envelope};

impl Tables {
    pub(super) fn store(&mut self, change: &Change) -> Result<(), Undo> {
        let order = &change.order;
        if change.touches_order() {
            let before = self.orders.get(&order.id);
            let is_new = change.guard.version == 0;
            if !before.map_or(is_new, |before| Guard::of(before) == change.guard) {
                return Err(Undo::Stale);
            }
            self.orders.insert(order.id, order.clone());
        }
        for effect in &change.effects {
            self.apply(change, effect)?;
        }
        self.events.extend(envelope::envelopes(change)?);
        self.audit.extend(audit::of_order(change));
        Ok(())
    }

    fn apply(&mut self, change: &Change, effect: &Effect) -> Result<(), Undo> {
        match effect {
            Effect::Transition(transition) => {
                self.history.push((change.order.id, entry(change, transition)));
            }
            Effect::ReleaseStock => {
                for item in &change.order.items {
                    if let Some(product) = self.products.get_mut(&item.sku) {
                        product.stock += item.quantity;
                    }
                }
            }
            Effect::StartAttempt(attempt) => {
                let open =
                    |other: &Attempt| other.order_id == attempt.order_id && other.outcome.is_none();
                if self.attempts.values().any(open) {
                    return Err(OrderError::PaymentInProgress.into());
                }
                self.attempts.insert(attempt.id, attempt.clone());
            }
            Effect::SettleAttempt { payment_id, outcome, actor } => {
                let attempt = self.attempts.get_mut(payment_id);
                let open = attempt.filter(|attempt| attempt.outcome.is_none());
                open.ok_or(Undo::Stale)?.outcome = Some(outcome.clone());
                self.settled.insert(*payment_id, mark(change, actor));
            }
            Effect::RequestRefund { refund, actor } => {
                if self.refunds.contains_key(&refund.payment_id) {
                    return Err(Undo::Stale);
                }
                let (refund, asked) = (refund.clone(), mark(change, actor));
                let stored = StoredRefund { refund, asked, done: None, try_at: change.at };
                self.refunds.insert(stored.refund.payment_id, stored);
            }
            Effect::SettleRefund { id, actor } => {
                let mut refunds = self.refunds.values_mut();
                let stored = refunds.find(|stored| stored.refund.id == *id && !stored.refund.done);
                let stored = stored.ok_or(Undo::Stale)?;
                stored.refund.done = true;
                stored.done = Some(mark(change, actor));
            }
        }
        Ok(())
    }

    pub(super) fn reserve(&mut self, placement: &Placement) -> Result<(), OrderError> {
        for line in placement.cart.lines_by_sku() {
            let product = self.products.get_mut(&line.sku);
            let left = product.filter(|product| product.stock >= line.quantity);
            let position = placement.cart.position(&line.sku).unwrap_or_default();
            left.ok_or(OrderError::OutOfStock { line: position })?.stock -= line.quantity;
        }
        Ok(())
    }
}

fn mark(change: &Change, actor: &Actor) -> Mark {
    Mark { at: change.at, actor: actor.clone(), trace_id: String::new() }
}

fn entry(change: &Change, transition: &Transition) -> TimelineEntry {
    TimelineEntry {
        time: change.at,
        kind: TimelineKind::Transition,
        actor: transition.actor.to_string(),
        from: transition.from.map(|status| status.as_str().to_owned()),
        to: transition.to.as_str().to_owned(),
        cause: transition.cause.to_owned(),
        payment_id: change.order.payment_id,
        trace_id: String::new(),
    }
}
