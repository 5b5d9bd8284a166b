//! The simulated provider's charges in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{ChargeBook, ChargeRow, Verdict};
use crate::client::ProviderError;
use crate::model::{PaymentId, RefundId};

/// A [`ChargeBook`] that forgets.
#[derive(Default)]
pub struct MemoryChargeBook {
    rows: Mutex<BTreeMap<PaymentId, ChargeRow>>,
}

impl MemoryChargeBook {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<PaymentId, ChargeRow>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ChargeBook for MemoryChargeBook {
    async fn open(&self, row: &ChargeRow) -> Result<Option<ChargeRow>, ProviderError> {
        let mut rows = self.rows();
        if let Some(existing) = rows.get(&row.reference) {
            return Ok(Some(existing.clone()));
        }
        rows.insert(row.reference, row.clone());
        Ok(None)
    }

    async fn find(&self, reference: PaymentId) -> Result<Option<ChargeRow>, ProviderError> {
        Ok(self.rows().get(&reference).cloned())
    }

    async fn refund(&self, reference: PaymentId, id: RefundId) -> Result<bool, ProviderError> {
        let mut rows = self.rows();
        let Some(row) = rows.get_mut(&reference) else { return Ok(false) };
        let refundable =
            row.verdict == Some(Verdict::Captured) && row.refund_id.is_none_or(|first| first == id);
        if refundable {
            row.refund_id = Some(id);
        }
        Ok(refundable)
    }

    async fn list(
        &self,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<ChargeRow>, ProviderError> {
        let rows = self.rows();
        let behind = rows.values().filter(|row| after.is_none_or(|after| row.reference > after));
        Ok(behind.take(limit as usize).cloned().collect())
    }
}
