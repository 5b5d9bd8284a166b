//! Payments in memory, for tests.

mod review;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chassis::audit::Entry;
use chrono::{DateTime, Utc};

use crate::model::{
    CallbackRecord, OrderId, Payment, PaymentError, PaymentEvent, PaymentId, PaymentStatus,
    Posting, RefundStatus, Ruling, SurplusChange,
};
use crate::repository::{Cause, Pauses, PaymentRepository, Save, Saved, audit};

/// One line of a payment's history.
pub type HistoryLine = (u64, Option<PaymentStatus>, PaymentStatus, Cause);

#[derive(Default)]
struct State {
    payments: BTreeMap<PaymentId, Payment>,
    due: HashMap<PaymentId, (DateTime<Utc>, u32)>,
    history: Vec<(PaymentId, HistoryLine)>,
    postings: Vec<Posting>,
    events: Vec<PaymentEvent>,
    audit: Vec<Entry>,
    applied: HashMap<String, DateTime<Utc>>,
    callbacks: BTreeMap<(String, &'static str), Deliveries>,
}

/// A callback, how often it came, and when.
#[derive(Clone)]
struct Deliveries {
    payment_id: Option<PaymentId>,
    body: Vec<u8>,
    count: u64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

/// A [`PaymentRepository`] that forgets.
#[derive(Default)]
pub struct MemoryPaymentRepository {
    state: Mutex<State>,
}

impl MemoryPaymentRepository {
    /// Creates an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything booked for a payment, oldest first.
    pub fn postings(&self, id: PaymentId) -> Vec<Posting> {
        let state = self.state();
        state.postings.iter().filter(|posting| posting.payment_id() == id).cloned().collect()
    }

    /// Everything told about a payment, oldest first.
    pub fn events(&self, id: PaymentId) -> Vec<PaymentEvent> {
        self.state().events.iter().filter(|event| event.payment_id() == id).cloned().collect()
    }

    /// What an audit log would say of a payment, oldest first.
    pub fn audit(&self, id: PaymentId) -> Vec<&'static str> {
        let object = format!("payment:{id}");
        let state = self.state();
        let entries = state.audit.iter().filter(|entry| entry.object() == object);
        entries.map(Entry::action).collect()
    }

    /// A payment's history, oldest first.
    pub fn history(&self, id: PaymentId) -> Vec<HistoryLine> {
        let state = self.state();
        state.history.iter().filter(|(of, _)| *of == id).map(|(_, line)| *line).collect()
    }

    /// How often a callback came and was ruled so.
    pub fn deliveries(&self, id: &str, ruling: Ruling) -> u64 {
        let key = (id.to_owned(), ruling.as_str());
        self.state().callbacks.get(&key).map_or(0, |deliveries| deliveries.count)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, record: &CallbackRecord) {
        let key = (record.id.clone(), record.ruling.as_str());
        let deliveries = self.callbacks.entry(key).or_insert_with(|| Deliveries {
            payment_id: record.payment_id,
            body: record.body.clone(),
            count: 0,
            first_at: record.received_at,
            last_at: record.received_at,
        });
        deliveries.count += 1;
        deliveries.last_at = record.received_at;
    }

    fn schedule(&mut self, id: PaymentId, at: Option<DateTime<Utc>>) {
        match at {
            Some(at) => self.due.insert(id, (at, 0)),
            None => self.due.remove(&id),
        };
    }

    fn takes_refund_of_another(&self, payment: &Payment) -> bool {
        let Some(refund) = payment.refund() else { return false };
        self.payments.values().any(|other| {
            other.id() != payment.id() && other.refund().is_some_and(|taken| taken.id == refund.id)
        })
    }
}

#[async_trait]
impl PaymentRepository for MemoryPaymentRepository {
    async fn insert(
        &self,
        payment: &Payment,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Option<Payment>, PaymentError> {
        let mut state = self.state();
        if let Some(existing) = state.payments.get(&payment.id()) {
            return Ok(Some(existing.clone()));
        }
        let line = (payment.version(), None, payment.status(), Cause::Request);
        state.payments.insert(payment.id(), payment.clone());
        state.history.push((payment.id(), line));
        state.schedule(payment.id(), check_at);
        state.events.extend(payment.event());
        state.audit.push(audit::of_attempt(payment));
        Ok(None)
    }

    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, PaymentError> {
        Ok(self.state().payments.get(&id).cloned())
    }

    async fn list_attempts(&self, order: OrderId) -> Result<Vec<Payment>, PaymentError> {
        let state = self.state();
        let of_order = state.payments.values().filter(|found| found.terms().order_id == order);
        let mut attempts: Vec<_> = of_order.cloned().collect();
        attempts.sort_by_key(|payment| (payment.snapshot().created_at, payment.id()));
        Ok(attempts)
    }

    async fn save(&self, save: Save<'_>) -> Result<Saved, PaymentError> {
        let mut state = self.state();
        let after = &save.change.payment;
        let stands = state.payments.get(&after.id()).is_some_and(|stored| {
            stored.status() == save.change.before && stored.version() + 1 == after.version()
        });
        if !stands {
            return Ok(Saved::Stale);
        }
        if state.takes_refund_of_another(after) {
            return Err(PaymentError::RefundIdTaken);
        }
        if let Some(record) = save.callback {
            if state.applied.contains_key(&record.id) {
                return Ok(Saved::Replayed);
            }
            state.applied.insert(record.id.clone(), record.received_at);
            state.count(record);
        }
        let line = (after.version(), Some(save.change.before), after.status(), save.cause);
        state.history.push((after.id(), line));
        state.payments.insert(after.id(), after.clone());
        state.schedule(after.id(), save.check_at);
        state.postings.extend(save.change.posting.clone());
        state.events.extend(save.change.event.clone());
        state.audit.push(audit::of_move(&save));
        Ok(Saved::Stored)
    }

    async fn save_surplus(
        &self,
        change: &SurplusChange,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Saved, PaymentError> {
        let mut state = self.state();
        let after = &change.payment;
        let expected = match change.refund().map(|refund| refund.status) {
            Some(RefundStatus::Succeeded) => Some(RefundStatus::Pending),
            Some(RefundStatus::Pending) | None => None,
        };
        let stands = state.payments.get(&after.id()).is_some_and(|stored| {
            (stored.status(), stored.version()) == (after.status(), after.version())
                && stored.refund().map(|refund| refund.status) == expected
        });
        if !stands {
            return Ok(Saved::Stale);
        }
        if state.takes_refund_of_another(after) {
            return Err(PaymentError::RefundIdTaken);
        }
        state.payments.insert(after.id(), after.clone());
        state.schedule(after.id(), check_at);
        state.postings.push(change.posting.clone());
        state.audit.push(audit::of_surplus(change));
        Ok(Saved::Stored)
    }

    async fn record_callback(&self, record: &CallbackRecord) -> Result<(), PaymentError> {
        self.state().count(record);
        Ok(())
    }

    async fn claim_due(
        &self,
        now: DateTime<Utc>,
        pauses: Pauses,
        limit: u32,
    ) -> Result<Vec<Payment>, PaymentError> {
        let mut state = self.state();
        let mut due: Vec<_> = state
            .due
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(id, (at, _))| (*at, *id))
            .collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        for (_, id) in &due {
            if let Some((at, checks)) = state.due.get_mut(id) {
                *at = now + pauses.after(*checks);
                *checks += 1;
            }
        }
        Ok(due.iter().filter_map(|(_, id)| state.payments.get(id).cloned()).collect())
    }

    async fn count_open(&self, limit: u32) -> Result<Vec<(PaymentStatus, u32)>, PaymentError> {
        let state = self.state();
        let mut due: Vec<_> = state.due.iter().map(|(id, (at, _))| (*at, *id)).collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        let open: Vec<PaymentStatus> =
            due.iter().filter_map(|(_, id)| state.payments.get(id)).map(Payment::status).collect();
        let counts = PaymentStatus::ALL.into_iter().map(|status| {
            let count = open.iter().filter(|counted| **counted == status).count();
            (status, u32::try_from(count).unwrap_or(u32::MAX))
        });
        Ok(counts.filter(|(_, count)| *count > 0).collect())
    }

    async fn forget_callbacks(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, PaymentError> {
        let mut state = self.state();
        let limit = limit as usize;
        let old = state.callbacks.iter().filter(|(_, deliveries)| deliveries.last_at < before);
        let callbacks: Vec<_> = old.map(|(key, _)| key.clone()).take(limit).collect();
        let old = state.applied.iter().filter(|(_, at)| **at < before);
        let applied: Vec<_> = old.map(|(id, _)| id.clone()).take(limit).collect();
        state.callbacks.retain(|key, _| !callbacks.contains(key));
        state.applied.retain(|id, _| !applied.contains(id));
        Ok((callbacks.len() + applied.len()) as u64)
    }
}
