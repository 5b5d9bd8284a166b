//! The price list.

use async_trait::async_trait;
use chassis::db::{self, Tx};
use chrono::{DateTime, Utc};
use sqlx::mysql::MySqlConnection;
use tracing::instrument;

use super::MySqlRepository;
use super::rows::ProductRow;
use crate::model::{OrderError, Product, ProductDraft, Sku};
use crate::repository::{ProductRepository, StoredProduct, audit};

#[async_trait]
impl ProductRepository for MySqlRepository {
    #[instrument(name = "db.product.list", skip_all)]
    async fn list_products(
        &self,
        after: Option<&Sku>,
        limit: u32,
    ) -> Result<Vec<Product>, OrderError> {
        let rows: Vec<ProductRow> = sqlx::query_as(
            "SELECT sku, name, unit_price, currency, stock, version, updated_at FROM products \
             WHERE sku > ? ORDER BY sku LIMIT ?",
        )
        .bind(after.map_or("", Sku::as_str))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Product::try_from).collect()
    }

    #[instrument(name = "db.product.find", skip_all)]
    async fn find_product(&self, sku: &Sku) -> Result<Option<Product>, OrderError> {
        let row: Option<ProductRow> = sqlx::query_as(
            "SELECT sku, name, unit_price, currency, stock, version, updated_at FROM products \
             WHERE sku = ?",
        )
        .bind(sku.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.map(Product::try_from).transpose()
    }

    #[instrument(name = "db.product.put", skip_all, fields(product.sku = %draft.sku()))]
    async fn put_product(
        &self,
        draft: &ProductDraft,
        now: DateTime<Utc>,
    ) -> Result<StoredProduct, OrderError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let (before, after) = put(tx, draft, now).await?;
                self.audit.append(tx, &audit::of_product(before.as_ref(), &after)).await?;
                Ok::<_, OrderError>(match before {
                    Some(_) => StoredProduct::Replaced(after),
                    None => StoredProduct::Created(after),
                })
            })
        })
        .await
    }
}

/// Stores a product; returns the one that was there before, and the one that is there now.
async fn put(
    tx: &mut Tx<'_>,
    draft: &ProductDraft,
    now: DateTime<Utc>,
) -> Result<(Option<Product>, Product), OrderError> {
    let first = draft.create(now);
    if insert_if_absent(tx, &first).await? {
        return Ok((None, first));
    }
    let before = lock(tx, draft.sku()).await?.ok_or(OrderError::ProductNotFound)?;
    let after = before.replaced_by(draft, now);
    sqlx::query(
        "UPDATE products SET name = ?, unit_price = ?, currency = ?, stock = ?, version = ?, \
         updated_at = ? WHERE sku = ?",
    )
    .bind(&after.name)
    .bind(after.unit_price.amount())
    .bind(after.unit_price.currency().code())
    .bind(after.stock)
    .bind(after.version)
    .bind(after.updated_at.naive_utc())
    .bind(after.sku.as_str())
    .execute(&mut **tx)
    .await?;
    Ok((Some(before), after))
}

/// Two administrators may create the same product at once: the key decides who was first.
async fn insert_if_absent(
    connection: &mut MySqlConnection,
    product: &Product,
) -> Result<bool, OrderError> {
    let inserted = sqlx::query(
        "INSERT INTO products (sku, name, unit_price, currency, stock, version, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(product.sku.as_str())
    .bind(&product.name)
    .bind(product.unit_price.amount())
    .bind(product.unit_price.currency().code())
    .bind(product.stock)
    .bind(product.version)
    .bind(product.updated_at.naive_utc())
    .execute(connection)
    .await;
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if db::violated_key(&error).is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn lock(connection: &mut MySqlConnection, sku: &Sku) -> Result<Option<Product>, OrderError> {
    let row: Option<ProductRow> = sqlx::query_as(
        "SELECT sku, name, unit_price, currency, stock, version, updated_at FROM products \
         WHERE sku = ? FOR UPDATE",
    )
    .bind(sku.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(Product::try_from).transpose()
}
