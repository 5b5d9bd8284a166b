//! The price list.

use std::sync::PoisonError;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::MemoryRepository;
use crate::model::{OrderError, Product, ProductDraft, Sku};
use crate::repository::{ProductRepository, StoredProduct, audit};

#[async_trait]
impl ProductRepository for MemoryRepository {
    async fn list_products(
        &self,
        after: Option<&Sku>,
        limit: u32,
    ) -> Result<Vec<Product>, OrderError> {
        Ok(self.read(|tables| {
            let later = tables.products.values().filter(|p| after.is_none_or(|sku| p.sku > *sku));
            later.take(limit as usize).cloned().collect()
        }))
    }

    async fn find_product(&self, sku: &Sku) -> Result<Option<Product>, OrderError> {
        Ok(self.read(|tables| tables.products.get(sku).cloned()))
    }

    async fn put_product(
        &self,
        draft: &ProductDraft,
        now: DateTime<Utc>,
    ) -> Result<StoredProduct, OrderError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tables.products.get(draft.sku()).cloned();
        let after =
            before.as_ref().map_or_else(|| draft.create(now), |p| p.replaced_by(draft, now));
        tables.products.insert(draft.sku().clone(), after.clone());
        tables.audit.push(audit::of_product(before.as_ref(), &after));
        Ok(match before {
            Some(_) => StoredProduct::Replaced(after),
            None => StoredProduct::Created(after),
        })
    }
}
