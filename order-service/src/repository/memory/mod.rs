//! The ports in memory, for tests: a transaction is a copy of everything that replaces the original
//! when it succeeds.

mod order;
mod product;
mod work;
mod write;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use chassis::audit::Entry;
use chassis::messaging::Envelope;
use chrono::{DateTime, Utc};

use super::Saved;
use crate::model::{
    Attempt, Change, Claim, KeyUse, Mark, Operation, Order, OrderError, OrderId, PaymentCase,
    PaymentId, Product, Refund, Sku, StoredClaim, TimelineEntry, UserId,
};

/// Everything that a database would hold.
#[derive(Debug, Default)]
pub struct MemoryRepository {
    tables: Mutex<Tables>,
}

type ClaimKey = (UserId, Operation, String);

#[derive(Clone, Debug, Default)]
struct Tables {
    products: BTreeMap<Sku, Product>,
    orders: BTreeMap<OrderId, Order>,
    history: Vec<(OrderId, TimelineEntry)>,
    attempts: BTreeMap<PaymentId, Attempt>,
    settled: HashMap<PaymentId, Mark>,
    refunds: BTreeMap<PaymentId, StoredRefund>,
    claims: HashMap<ClaimKey, (StoredClaim, DateTime<Utc>)>,
    inbox: HashSet<String>,
    events: Vec<Envelope>,
    audit: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct StoredRefund {
    refund: Refund,
    asked: Mark,
    done: Option<Mark>,
    try_at: DateTime<Utc>,
}

/// Why a transaction is undone.
enum Undo {
    Stale,
    KeyTaken,
    Failed(OrderError),
}

impl From<OrderError> for Undo {
    fn from(error: OrderError) -> Self {
        Self::Failed(error)
    }
}

impl MemoryRepository {
    /// Every event stored so far.
    pub fn events(&self) -> Vec<Envelope> {
        self.read(|tables| tables.events.clone())
    }

    /// How often an audit log would hold each action.
    pub fn audit(&self) -> BTreeMap<String, i64> {
        self.read(|tables| {
            let mut counts = BTreeMap::new();
            for entry in &tables.audit {
                *counts.entry(entry.action().to_owned()).or_default() += 1;
            }
            counts
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn transaction<T>(&self, work: impl FnOnce(&mut Tables) -> Result<T, Undo>) -> Result<T, Undo> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut copy = tables.clone();
        let done = work(&mut copy)?;
        *tables = copy;
        Ok(done)
    }
}

fn saved(outcome: Result<Saved, Undo>) -> Result<Saved, OrderError> {
    match outcome {
        Ok(saved) => Ok(saved),
        Err(Undo::Stale) => Ok(Saved::Stale),
        Err(Undo::KeyTaken) => Ok(Saved::KeyTaken),
        Err(Undo::Failed(error)) => Err(error),
    }
}

fn claim_key(claim: &Claim) -> ClaimKey {
    (claim.user_id, claim.operation, claim.key.as_str().to_owned())
}

impl Tables {
    fn open_claim(
        &mut self,
        claim: &Claim,
        stored: StoredClaim,
        at: DateTime<Utc>,
    ) -> Result<(), Undo> {
        let key = claim_key(claim);
        if self.claims.contains_key(&key) {
            return Err(Undo::KeyTaken);
        }
        self.claims.insert(key, (stored, at));
        Ok(())
    }

    fn use_key(&mut self, change: &Change, key: KeyUse<'_>) -> Result<Saved, Undo> {
        let stored = |claim: &Claim, lease_until, answer| StoredClaim {
            fingerprint: claim.fingerprint,
            order_id: change.order.id,
            payment_id: change.order.payment_id,
            lease_until,
            answer,
        };
        match key {
            KeyUse::None => {}
            KeyUse::Open { claim, lease_until } => {
                self.open_claim(claim, stored(claim, lease_until, None), change.at)?;
            }
            KeyUse::Answer(claim) => {
                let answer = Some(change.order.clone());
                self.open_claim(claim, stored(claim, change.at, answer), change.at)?;
            }
            KeyUse::Complete(claim) => match self.claims.get_mut(&claim_key(claim)) {
                Some((stored, _)) if stored.answer.is_none() => {
                    stored.answer = Some(change.order.clone());
                }
                _ => return Ok(Saved::KeyTaken),
            },
        }
        Ok(Saved::Done)
    }

    fn case(&self, id: PaymentId) -> Option<PaymentCase> {
        let attempt = self.attempts.get(&id)?.clone();
        let order = self.orders.get(&attempt.order_id)?.clone();
        let refund = self.refunds.get(&id).map(|stored| stored.refund.clone());
        Some(PaymentCase { order, attempt, refund })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::contract;

    #[tokio::test]
    async fn the_ports_hold_in_memory() {
        let store = MemoryRepository::default();
        contract::holds(&store).await;
        let steps = store.read(|tables| tables.history.len());
        let told = store.audit();
        let is_step =
            |action: &str| action.starts_with("order.") && !action.starts_with("order.refund_");
        let of_steps = told.iter().filter(|(action, _)| is_step(action)).map(|(_, count)| *count);
        assert_eq!(of_steps.sum::<i64>(), i64::try_from(steps).unwrap(), "a step has one row");
        assert_eq!((told["order.refund_requested"], told["order.refund_settled"]), (2, 2));
    }
}
