//! What is kept of payments, read from memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MemoryPaymentRepository, State};
use crate::model::{
    Account, Booked, Callback, CallbackReceipt, Payment, PaymentError, PaymentId, PaymentStatus,
    Posting,
};
use crate::repository::review::{CallbackFilter, ReviewRepository, Stretch};

impl State {
    fn booked(&self, payment: &Payment) -> Booked {
        let postings = self.postings.iter().filter(|one| one.payment_id() == payment.id());
        let entries = postings.flat_map(Posting::entries);
        let clearing = entries.filter(|entry| entry.account == Account::ProviderClearing);
        Booked { payment: payment.clone(), held: clearing.map(|entry| entry.amount).sum() }
    }

    /// Payments whose money counts as taken.
    fn taken(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values().filter(|payment| {
            use PaymentStatus::{Refunded, Refunding, Succeeded};
            let captured = matches!(payment.status(), Succeeded | Refunding | Refunded);
            captured || payment.refund().is_some()
        })
    }
}

#[async_trait]
impl ReviewRepository for MemoryPaymentRepository {
    async fn list_callbacks(
        &self,
        filter: CallbackFilter,
        limit: u32,
    ) -> Result<Vec<CallbackReceipt>, PaymentError> {
        let state = self.state();
        let wanted = |payment: &Payment| {
            let terms = payment.terms();
            terms.order_id == filter.order_id
                && filter.user_id.is_none_or(|user| user == terms.user_id)
        };
        let mut receipts = Vec::new();
        for ((id, ruling), deliveries) in &state.callbacks {
            let payment = deliveries.payment_id.and_then(|id| state.payments.get(&id));
            let Some(payment) = payment.filter(|payment| wanted(payment)) else { continue };
            receipts.push(CallbackReceipt {
                id: id.clone(),
                payment_id: payment.id(),
                kind: Callback::kind_of(&deliveries.body),
                ruling: (*ruling).to_owned(),
                deliveries: u32::try_from(deliveries.count).unwrap_or(u32::MAX),
                received_at: deliveries.first_at,
                last_received_at: deliveries.last_at,
            });
        }
        receipts.sort_by(|a, b| {
            (a.received_at, &a.id, &a.ruling).cmp(&(b.received_at, &b.id, &b.ruling))
        });
        Ok(receipts.split_off(receipts.len().saturating_sub(limit as usize)))
    }

    async fn find_booked(&self, ids: &[PaymentId]) -> Result<Vec<Booked>, PaymentError> {
        let state = self.state();
        let found = ids.iter().filter_map(|id| state.payments.get(id));
        Ok(found.map(|payment| state.booked(payment)).collect())
    }

    async fn list_referenced(
        &self,
        stretch: &Stretch,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError> {
        let state = self.state();
        let within = |payment: &&Payment| {
            payment.snapshot().provider_reference.as_ref().is_some_and(|reference| {
                stretch.after.as_ref().is_none_or(|after| reference > after)
                    && stretch.upto.as_ref().is_none_or(|upto| reference <= upto)
            })
        };
        let mut found: Vec<_> = state.taken().filter(within).collect();
        found.sort_by_key(|payment| payment.snapshot().provider_reference.clone());
        found.truncate(limit as usize);
        Ok(found.into_iter().map(|payment| state.booked(payment)).collect())
    }

    async fn list_unreferenced(
        &self,
        after: Option<PaymentId>,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError> {
        let state = self.state();
        let wanted = |payment: &&Payment| {
            payment.snapshot().provider_reference.is_none()
                && after.is_none_or(|after| payment.id() > after)
                && since.is_none_or(|since| payment.snapshot().created_at >= since)
        };
        let found = state.taken().filter(wanted).take(limit as usize);
        Ok(found.map(|payment| state.booked(payment)).collect())
    }
}
