//! Stock: taken at the price that was read, and given back.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use sqlx::mysql::{MySql, MySqlConnection};

use super::rows::ProductRow;
use super::write::Interrupt;
use crate::model::{Cart, Change, Effect, Line, OrderError, Placement, Product, Sku};

/// Reserves the pieces of a cart, in SKU order, at the prices of `products`.
///
/// Only an administrator's change moves the version, so a product that still has it has the price
/// that was read; orders beside this one may take of its stock meanwhile. Of a product that everybody
/// orders, one order after the other holds the lock: what comes behind this in a transaction is what
/// bounds how many orders there can be in a second, so it comes last, but for what needs the lock.
pub(super) async fn reserve(
    connection: &mut MySqlConnection,
    placement: &Placement,
    products: &[Product],
) -> Result<(), Interrupt> {
    for line in placement.cart.lines_by_sku() {
        let version = products.iter().find(|product| product.sku == line.sku).map(|p| p.version);
        let done = sqlx::query(
            "UPDATE products SET stock = stock - ? WHERE sku = ? AND version = ? AND stock >= ?",
        )
        .bind(line.quantity)
        .bind(line.sku.as_str())
        .bind(version)
        .bind(line.quantity)
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 0 {
            return Err(missed(connection, placement, line, version).await?);
        }
    }
    Ok(())
}

/// Puts back what the orders of all changes reserved that release their stock, in SKU order: whoever
/// stores several changes at once locks no product before the last of their orders.
pub(super) async fn release(
    connection: &mut MySqlConnection,
    changes: &[&Change],
) -> Result<(), Interrupt> {
    let mut pieces: BTreeMap<&Sku, u64> = BTreeMap::new();
    let releasing = changes.iter().filter(|change| change.effects.contains(&Effect::ReleaseStock));
    for item in releasing.flat_map(|change| &change.order.items) {
        *pieces.entry(&item.sku).or_default() += u64::from(item.quantity);
    }
    for (sku, pieces) in pieces {
        sqlx::query("UPDATE products SET stock = stock + ? WHERE sku = ?")
            .bind(pieces)
            .bind(sku.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Why a line could not be reserved: there is too little of it, or it is not what it was.
async fn missed(
    connection: &mut MySqlConnection,
    placement: &Placement,
    line: &Line,
    version: Option<u64>,
) -> Result<Interrupt, OrderError> {
    let now: Option<u64> = sqlx::query_scalar("SELECT version FROM products WHERE sku = ?")
        .bind(line.sku.as_str())
        .fetch_optional(connection)
        .await?;
    if now != version {
        return Ok(Interrupt::Stale);
    }
    let line = placement.cart.position(&line.sku).unwrap_or_default();
    Ok(OrderError::OutOfStock { line }.into())
}

/// Reads the products of a cart; locks none.
pub(super) async fn read_products(
    connection: &mut MySqlConnection,
    cart: &Cart,
) -> Result<Vec<Product>, OrderError> {
    let mut query = QueryBuilder::<MySql>::new(
        "SELECT sku, name, unit_price, currency, stock, version, updated_at FROM products \
         WHERE sku IN (",
    );
    let mut list = query.separated(", ");
    for line in cart.lines_by_sku() {
        list.push_bind(line.sku.as_str());
    }
    list.push_unseparated(")");
    let rows: Vec<ProductRow> = query.build_query_as().fetch_all(connection).await?;
    rows.into_iter().map(Product::try_from).collect()
}
