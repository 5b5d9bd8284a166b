//! Rows as the schema has them, and the way from a row to the model.
//!
//! What was stored was valid then; a row that is not valid now is a defect, never the caller's
//! fault.

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use crate::model::{
    Currency, Fingerprint, Item, Money, Order, OrderError, OrderId, OrderParts, OrderStatus,
    PaymentId, Product, Sku, StoredClaim, UserId,
};

/// A stored value that the model does not accept.
#[derive(Debug, thiserror::Error)]
#[error("stored value of {0} is not valid")]
struct Corrupt(&'static str);

pub(super) fn corrupt(column: &'static str) -> OrderError {
    OrderError::Internal { source: Box::new(Corrupt(column)) }
}

fn money(amount: i64, currency: &str) -> Result<Money, OrderError> {
    Currency::parse(currency)
        .and_then(|currency| Money::new(amount, currency))
        .map_err(|_| corrupt("money"))
}

fn sku(text: &str) -> Result<Sku, OrderError> {
    Sku::parse(text, "sku").map_err(|_| corrupt("sku"))
}

fn status(name: &str) -> Result<OrderStatus, OrderError> {
    OrderStatus::from_name(name).ok_or_else(|| corrupt("status"))
}

#[derive(FromRow)]
pub(super) struct ProductRow {
    sku: String,
    name: String,
    unit_price: i64,
    currency: String,
    stock: u32,
    version: u64,
    updated_at: NaiveDateTime,
}

impl TryFrom<ProductRow> for Product {
    type Error = OrderError;

    fn try_from(row: ProductRow) -> Result<Self, OrderError> {
        Ok(Self {
            sku: sku(&row.sku)?,
            name: row.name,
            unit_price: money(row.unit_price, &row.currency)?,
            stock: row.stock,
            version: row.version,
            updated_at: row.updated_at.and_utc(),
        })
    }
}

/// The row of an order; also the form in which an answer is kept.
#[derive(FromRow, Serialize, Deserialize)]
pub(super) struct OrderRow {
    pub(super) id: Uuid,
    user_id: Uuid,
    status: String,
    total: i64,
    currency: String,
    version: u64,
    payment_id: Option<Uuid>,
    failure_reason: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    expires_at: NaiveDateTime,
}

#[derive(FromRow, Serialize, Deserialize)]
pub(super) struct ItemRow {
    pub(super) order_id: Uuid,
    sku: String,
    name: String,
    unit_price: i64,
    quantity: u32,
}

impl OrderRow {
    /// Puts the order together with its items.
    pub(super) fn with(self, items: Vec<ItemRow>) -> Result<Order, OrderError> {
        let item = |row: ItemRow| {
            Ok(Item {
                sku: sku(&row.sku)?,
                name: row.name,
                unit_price: money(row.unit_price, &self.currency)?,
                quantity: row.quantity,
            })
        };
        Ok(Order::restore(OrderParts {
            id: OrderId::from_uuid(self.id),
            user_id: UserId::from_uuid(self.user_id),
            status: status(&self.status)?,
            items: items.into_iter().map(item).collect::<Result<_, OrderError>>()?,
            total: money(self.total, &self.currency)?,
            version: self.version,
            payment_id: self.payment_id.map(PaymentId::from_uuid),
            failure_reason: self.failure_reason,
            created_at: self.created_at.and_utc(),
            updated_at: self.updated_at.and_utc(),
            expires_at: self.expires_at.and_utc(),
        }))
    }
}

/// An answer as it is kept: the order and its items at the moment of the answer.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    order: OrderRow,
    items: Vec<ItemRow>,
}

/// Writes an answer.
pub(super) fn to_snapshot(order: &Order) -> Result<String, OrderError> {
    let item = |item: &Item| ItemRow {
        order_id: order.id.as_uuid(),
        sku: item.sku.to_string(),
        name: item.name.clone(),
        unit_price: item.unit_price.amount(),
        quantity: item.quantity,
    };
    let snapshot = Snapshot {
        items: order.items.iter().map(item).collect(),
        order: OrderRow {
            id: order.id.as_uuid(),
            user_id: order.user_id.as_uuid(),
            status: order.status.as_str().to_owned(),
            total: order.total.amount(),
            currency: order.total.currency().code().to_owned(),
            version: order.version,
            payment_id: order.payment_id.map(|id| id.as_uuid()),
            failure_reason: order.failure_reason.clone(),
            created_at: order.created_at.naive_utc(),
            updated_at: order.updated_at.naive_utc(),
            expires_at: order.expires_at.naive_utc(),
        },
    };
    serde_json::to_string(&snapshot)
        .map_err(|error| OrderError::Internal { source: Box::new(error) })
}

fn from_snapshot(text: &str) -> Result<Order, OrderError> {
    let snapshot: Snapshot = serde_json::from_str(text)
        .map_err(|error| OrderError::Internal { source: Box::new(error) })?;
    snapshot.order.with(snapshot.items)
}

#[derive(FromRow)]
pub(super) struct ClaimRow {
    fingerprint: Vec<u8>,
    order_id: Uuid,
    payment_id: Option<Uuid>,
    lease_until: NaiveDateTime,
    answer: Option<String>,
}

impl TryFrom<ClaimRow> for StoredClaim {
    type Error = OrderError;

    fn try_from(row: ClaimRow) -> Result<Self, OrderError> {
        let digest = row.fingerprint.try_into().map_err(|_| corrupt("fingerprint"))?;
        Ok(Self {
            fingerprint: Fingerprint::from_bytes(digest),
            order_id: OrderId::from_uuid(row.order_id),
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            lease_until: row.lease_until.and_utc(),
            answer: row.answer.as_deref().map(from_snapshot).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures;

    #[test]
    fn an_answer_reads_back_as_it_was_given() {
        for status in OrderStatus::ALL {
            let order = fixtures::order_in(status);
            assert_eq!(from_snapshot(&to_snapshot(&order).unwrap()).unwrap(), order);
        }
    }

    #[test]
    fn a_row_that_is_not_valid_is_a_defect() {
        for error in [money(0, "CNY"), money(1, "???")] {
            assert!(matches!(error, Err(OrderError::Internal { .. })));
        }
        assert!(matches!(from_snapshot("{}"), Err(OrderError::Internal { .. })));
    }
}
