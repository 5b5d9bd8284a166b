//! What is due.

use std::collections::HashSet;
use std::sync::PoisonError;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{ClaimKey, MemoryRepository, StoredRefund};
use crate::model::{
    Attempt, Order, OrderError, OrderId, OrderStatus, PaymentCase, PaymentId, Refund, RefundId,
};
use crate::repository::{Lease, WorkRepository};

#[async_trait]
impl WorkRepository for MemoryRepository {
    async fn lease_attempts(&self, lease: Lease) -> Result<Vec<PaymentCase>, OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let due =
            |attempt: &&mut Attempt| attempt.outcome.is_none() && attempt.check_at <= lease.now;
        let mut ids = Vec::new();
        for attempt in tables.attempts.values_mut().filter(due).take(lease.limit as usize) {
            attempt.check_at = lease.until;
            ids.push(attempt.id);
        }
        Ok(ids.into_iter().filter_map(|id| tables.case(id)).collect())
    }

    async fn postpone_attempt(
        &self,
        id: PaymentId,
        until: DateTime<Utc>,
    ) -> Result<(), OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = tables.attempts.get_mut(&id) {
            attempt.checks += 1;
            attempt.check_at = until;
        }
        Ok(())
    }

    async fn lease_refunds(&self, lease: Lease) -> Result<Vec<Refund>, OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |stored: &&mut StoredRefund| !stored.refund.done && stored.try_at <= lease.now;
        let leased = tables.refunds.values_mut().filter(due).take(lease.limit as usize);
        Ok(leased
            .map(|stored| {
                stored.try_at = lease.until;
                stored.refund.clone()
            })
            .collect())
    }

    async fn postpone_refund(&self, id: RefundId, until: DateTime<Utc>) -> Result<(), OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refunds = tables.refunds.values_mut();
        if let Some(stored) = refunds.find(|stored| stored.refund.id == id) {
            stored.refund.checks += 1;
            stored.try_at = until;
        }
        Ok(())
    }

    async fn list_overdue(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Order>, OrderError> {
        Ok(self.read(|tables| {
            let unpaid = tables.orders.values().filter(|order| order.status.awaits_payment());
            let mut overdue: Vec<Order> =
                unpaid.filter(|order| order.expires_at <= now).cloned().collect();
            overdue.sort_by_key(|order| order.expires_at);
            overdue.truncate(limit as usize);
            overdue
        }))
    }

    async fn list_stuck(
        &self,
        since: DateTime<Utc>,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>, OrderError> {
        Ok(self.read(|tables| {
            let open =
                tables.attempts.values().filter(|a| a.outcome.is_none() && a.created_at <= since);
            let stuck: HashSet<OrderId> = open.map(|attempt| attempt.order_id).collect();
            let orders = tables.orders.values().filter(|order| stuck.contains(&order.id));
            let later = orders.filter(|order| after.is_none_or(|after| order.id > after));
            later.take(limit as usize).cloned().collect()
        }))
    }

    async fn count_open(&self, limit: u32) -> Result<Vec<(OrderStatus, u32)>, OrderError> {
        Ok(self.read(|tables| {
            let open = OrderStatus::ALL.into_iter().filter(|status| !status.is_over());
            let counted = open.map(|status| {
                let orders = tables.orders.values().filter(|order| order.status == status);
                let count = orders.take(limit as usize).count();
                (status, u32::try_from(count).unwrap_or(u32::MAX))
            });
            counted.filter(|(_, count)| *count > 0).collect()
        }))
    }

    async fn count_owed(&self, limit: u32) -> Result<u32, OrderError> {
        Ok(self.read(|tables| {
            let owed = tables.refunds.values().filter(|stored| !stored.refund.done);
            u32::try_from(owed.take(limit as usize).count()).unwrap_or(u32::MAX)
        }))
    }

    async fn sweep(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let old = tables.claims.iter().filter(|(_, (_, at))| *at < before);
        let keys: Vec<ClaimKey> = old.map(|(key, _)| key.clone()).take(limit as usize).collect();
        for key in &keys {
            tables.claims.remove(key);
        }
        Ok(keys.len() as u64)
    }
}
