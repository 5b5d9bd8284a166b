//! Orders and claims.

use std::sync::PoisonError;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MemoryRepository, StoredRefund, Undo, claim_key, saved};
use crate::model::{
    Change, Claim, KeyUse, Order, OrderError, OrderId, PaymentCase, PaymentId, Placement, Product,
    StoredClaim, Timeline, TimelineEntry,
};
use crate::repository::{EventEffect, OrderQuery, OrderRepository, Placed, Saved, tally};

#[async_trait]
impl OrderRepository for MemoryRepository {
    async fn place(&self, placement: &Placement) -> Result<Placed, OrderError> {
        let outcome = self.transaction(|tables| {
            let stored = StoredClaim {
                fingerprint: placement.claim.fingerprint,
                order_id: placement.order_id,
                payment_id: Some(placement.payment_id),
                lease_until: placement.lease_until,
                answer: None,
            };
            tables.open_claim(&placement.claim, stored, placement.now)?;
            let products: Vec<Product> = tables.products.values().cloned().collect();
            let change = placement.price(&products)?;
            tables.reserve(placement)?;
            tables.store(&change)?;
            let open = tables.orders.values().filter(|order| {
                order.user_id == placement.user_id && order.status.awaits_payment()
            });
            placement.check_open(u32::try_from(open.count()).unwrap_or(u32::MAX))?;
            Ok(change)
        });
        match outcome {
            Ok(change) => {
                tally::committed([&change]);
                let (order, attempt) = (change.order, placement.attempt());
                Ok(Placed::Fresh(Box::new(PaymentCase { order, attempt, refund: None })))
            }
            Err(Undo::Stale) => Ok(Placed::Stale),
            Err(Undo::KeyTaken) => Ok(Placed::KeyTaken),
            Err(Undo::Failed(error)) => Err(error),
        }
    }

    async fn save(&self, change: &Change, key: KeyUse<'_>) -> Result<Saved, OrderError> {
        let outcome = self.transaction(|tables| {
            let used = tables.use_key(change, key)?;
            tables.store(change)?;
            Ok(used)
        });
        if outcome.is_ok() {
            tally::committed([change]);
        }
        saved(outcome)
    }

    async fn save_events(
        &self,
        effects: &[EventEffect],
        _now: DateTime<Utc>,
    ) -> Result<Saved, OrderError> {
        let outcome = self.transaction(|tables| {
            let mut changes = Vec::new();
            for effect in effects {
                let first = tables.inbox.insert(effect.event_id.clone());
                if let Some(change) = effect.change.as_ref().filter(|_| first) {
                    tables.store(change)?;
                    changes.push(change);
                }
            }
            Ok(changes)
        });
        if let Ok(changes) = &outcome {
            tally::committed(changes.iter().copied());
        }
        saved(outcome.map(|_| Saved::Done))
    }

    async fn find_order(&self, id: OrderId) -> Result<Option<Order>, OrderError> {
        Ok(self.read(|tables| tables.orders.get(&id).cloned()))
    }

    async fn list_orders(&self, query: &OrderQuery) -> Result<Vec<Order>, OrderError> {
        Ok(self.read(|tables| {
            let matching = tables.orders.values().rev().filter(|order| {
                order.user_id == query.user_id
                    && query.status.is_none_or(|status| order.status == status)
                    && query.before.is_none_or(|before| order.id < before)
            });
            matching.take(query.limit as usize).cloned().collect()
        }))
    }

    async fn find_timeline(&self, id: OrderId, limit: u32) -> Result<Timeline, OrderError> {
        Ok(self.read(|tables| {
            let history = tables.history.iter().filter(|(order_id, _)| *order_id == id);
            let mut entries: Vec<_> = history.map(|(_, entry)| entry.clone()).collect();
            for attempt in tables.attempts.values().filter(|attempt| attempt.order_id == id) {
                entries.push(TimelineEntry::attempt_started(attempt, String::new()));
                let end = attempt.outcome.as_ref().zip(tables.settled.get(&attempt.id));
                entries.extend(end.map(|(outcome, mark)| {
                    TimelineEntry::attempt_settled(attempt.id, outcome, mark.clone())
                }));
            }
            for stored in tables.refunds.values().filter(|stored| stored.refund.order_id == id) {
                let StoredRefund { refund, asked, done, .. } = stored;
                entries.push(TimelineEntry::refund_asked(refund, asked.clone()));
                entries.extend(done.clone().map(|mark| TimelineEntry::refund_done(refund, mark)));
            }
            Timeline::latest(entries, limit)
        }))
    }

    async fn find_cases(&self, ids: &[PaymentId]) -> Result<Vec<PaymentCase>, OrderError> {
        Ok(self.read(|tables| ids.iter().filter_map(|id| tables.case(*id)).collect()))
    }

    async fn find_claim(&self, claim: &Claim) -> Result<Option<StoredClaim>, OrderError> {
        Ok(self
            .read(|tables| tables.claims.get(&claim_key(claim)).map(|(stored, _)| stored.clone())))
    }

    async fn take_over(
        &self,
        claim: &Claim,
        expired: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<bool, OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = tables.claims.get_mut(&claim_key(claim)).map(|(stored, _)| stored);
        let held = stored.filter(|stored| stored.lease_until == expired && stored.answer.is_none());
        Ok(held.map(|stored| stored.lease_until = lease_until).is_some())
    }
}
