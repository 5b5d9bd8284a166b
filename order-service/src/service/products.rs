//! The price list.

use tracing::instrument;

use super::{Listing, OrderService};
use crate::model::{OrderError, Product, ProductDraft, Sku};
use crate::repository::StoredProduct;

impl OrderService {
    /// Lists products in SKU order, after `after`.
    #[instrument(name = "product.list", skip_all)]
    pub async fn list_products(
        &self,
        after: Option<&Sku>,
        size: u32,
    ) -> Result<Listing<Product>, OrderError> {
        let products = self.ports.products.list_products(after, size + 1).await?;
        Ok(Listing::cut(products, size))
    }

    /// Gets a product.
    #[instrument(name = "product.get", skip_all, fields(product.sku = %sku))]
    pub async fn get_product(&self, sku: &Sku) -> Result<Product, OrderError> {
        self.ports.products.find_product(sku).await?.ok_or(OrderError::ProductNotFound)
    }

    /// Creates or replaces a product.
    #[instrument(name = "product.put", skip_all, fields(product.sku = %draft.sku()))]
    pub async fn put_product(&self, draft: &ProductDraft) -> Result<StoredProduct, OrderError> {
        self.ports.products.put_product(draft, self.now()).await
    }
}
