//! Reading orders whole: with their items, and payments with their orders, in a fixed number of
//! statements however many there are.

use std::collections::HashMap;

use chassis::db;
use sqlx::QueryBuilder;
use sqlx::mysql::MySqlConnection;
use uuid::Uuid;

use super::past::{AttemptRow, HistoryRow, RefundRow};
use super::rows::{ItemRow, OrderRow};
use crate::model::{
    Attempt, Order, OrderError, OrderId, OrderStatus, PaymentCase, Refund, Timeline, TimelineEntry,
    UserId,
};
use crate::repository::OrderQuery;

/// The columns of an order, for the queries that end differently.
macro_rules! select_orders {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.user_id, o.status, o.total, o.currency, o.version, o.payment_id, \
             o.failure_reason, o.created_at, o.updated_at, o.expires_at FROM orders o ",
            $rest
        )
    };
}
pub(super) use select_orders;

/// The columns of an attempt.
macro_rules! select_attempts {
    ($rest:literal) => {
        concat!(
            "SELECT id, order_id, method, actor, outcome, failure_reason, checks, check_at, \
             trace_id, created_at, settled_at, settled_by, settle_trace_id \
             FROM payment_attempts ",
            $rest
        )
    };
}

/// The columns of a refund.
macro_rules! select_refunds {
    ($rest:literal) => {
        concat!(
            "SELECT id, order_id, payment_id, reason, checks, trace_id, created_at, asked_by, \
             done_at, done_by, done_trace_id FROM refunds ",
            $rest
        )
    };
}
pub(super) use select_refunds;

/// Finds an order with its items.
pub(super) async fn order(
    connection: &mut MySqlConnection,
    id: OrderId,
) -> Result<Option<Order>, OrderError> {
    let row: Option<OrderRow> = sqlx::query_as(select_orders!("WHERE o.id = ?"))
        .bind(id.as_uuid())
        .fetch_optional(&mut *connection)
        .await?;
    Ok(with_items(connection, row.into_iter().collect()).await?.pop())
}

/// Lists orders of a user, newest first.
pub(super) async fn list(
    connection: &mut MySqlConnection,
    query: &OrderQuery,
) -> Result<Vec<Order>, OrderError> {
    // Without a cursor the list begins above the largest identity there can be.
    let before = query.before.map_or_else(Uuid::max, |before| before.as_uuid());
    let all = select_orders!("WHERE o.user_id = ? AND o.id < ? ORDER BY o.id DESC LIMIT ?");
    let in_status = select_orders!(
        "WHERE o.user_id = ? AND o.status = ? AND o.id < ? ORDER BY o.id DESC LIMIT ?"
    );
    let select = match query.status {
        None => sqlx::query_as(all).bind(query.user_id.as_uuid()),
        Some(status) => sqlx::query_as(in_status)
            .bind(query.user_id.as_uuid())
            .bind(OrderStatus::as_str(status)),
    };
    let rows = select.bind(before).bind(query.limit).fetch_all(&mut *connection).await?;
    with_items(connection, rows).await
}

/// Counts the orders of a user that may still be paid, `limit` at most, by the key by user and state.
/// Locks none, so that orders of one user do not wait for each other.
pub(super) async fn count_open(
    connection: &mut MySqlConnection,
    user_id: UserId,
    limit: u32,
) -> Result<u32, OrderError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT 1 AS found FROM orders \
         WHERE user_id = ? AND status IN (?, ?) LIMIT ?) AS counted",
    )
    .bind(user_id.as_uuid())
    .bind(OrderStatus::Created.as_str())
    .bind(OrderStatus::PaymentFailed.as_str())
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Completes orders with their items, by one statement for all of them.
pub(super) async fn with_items(
    connection: &mut MySqlConnection,
    rows: Vec<OrderRow>,
) -> Result<Vec<Order>, OrderError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new(
        "SELECT order_id, sku, name, unit_price, quantity FROM order_items WHERE order_id IN (",
    );
    db::push_list(&mut query, &ids);
    query.push(" ORDER BY order_id, position");
    let items: Vec<ItemRow> = query.build_query_as().fetch_all(connection).await?;
    let mut by_order: HashMap<Uuid, Vec<ItemRow>> = HashMap::new();
    for item in items {
        by_order.entry(item.order_id).or_default().push(item);
    }
    rows.into_iter()
        .map(|row| {
            let items = by_order.remove(&row.id).unwrap_or_default();
            row.with(items)
        })
        .collect()
}

/// Finds payments with their orders and refunds.
pub(super) async fn cases(
    connection: &mut MySqlConnection,
    ids: &[Uuid],
) -> Result<Vec<PaymentCase>, OrderError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new(select_attempts!("WHERE id IN ("));
    db::push_list(&mut query, ids);
    let attempts: Vec<AttemptRow> = query.build_query_as().fetch_all(&mut *connection).await?;
    let order_ids: Vec<Uuid> = attempts.iter().map(|row| row.order_id).collect();
    if order_ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new(select_orders!("WHERE o.id IN ("));
    db::push_list(&mut query, &order_ids);
    let rows = query.build_query_as().fetch_all(&mut *connection).await?;
    let orders = with_items(connection, rows).await?;
    let orders: HashMap<OrderId, Order> = orders.into_iter().map(|o| (o.id, o)).collect();
    let mut refunds = refunds(connection, ids).await?;
    attempts
        .into_iter()
        .map(|row| {
            let attempt = Attempt::try_from(row)?;
            let order = orders.get(&attempt.order_id).cloned().ok_or(OrderError::OrderNotFound)?;
            let refund = refunds.remove(&attempt.id.as_uuid());
            Ok(PaymentCase { order, attempt, refund })
        })
        .collect()
}

async fn refunds(
    connection: &mut MySqlConnection,
    payment_ids: &[Uuid],
) -> Result<HashMap<Uuid, Refund>, OrderError> {
    let mut query = QueryBuilder::new(select_refunds!("WHERE payment_id IN ("));
    db::push_list(&mut query, payment_ids);
    let rows: Vec<RefundRow> = query.build_query_as().fetch_all(connection).await?;
    rows.into_iter().map(|row| Ok((row.payment_id, Refund::try_from(row)?))).collect()
}

/// Tells what happened to an order lately: no more than `limit` things.
pub(super) async fn timeline(
    connection: &mut MySqlConnection,
    id: OrderId,
    limit: u32,
) -> Result<Timeline, OrderError> {
    // One more than is shown, so that it is known when something is left out.
    let rows = limit.saturating_add(1);
    let history: Vec<HistoryRow> = sqlx::query_as(
        "SELECT from_status, to_status, cause, actor, payment_id, trace_id, occurred_at \
         FROM order_history WHERE order_id = ? ORDER BY version DESC LIMIT ?",
    )
    .bind(id.as_uuid())
    .bind(rows)
    .fetch_all(&mut *connection)
    .await?;
    let attempts: Vec<AttemptRow> =
        sqlx::query_as(select_attempts!("WHERE order_id = ? ORDER BY id DESC LIMIT ?"))
            .bind(id.as_uuid())
            .bind(rows)
            .fetch_all(&mut *connection)
            .await?;
    let refunds: Vec<RefundRow> =
        sqlx::query_as(select_refunds!("WHERE order_id = ? ORDER BY id DESC LIMIT ?"))
            .bind(id.as_uuid())
            .bind(rows)
            .fetch_all(connection)
            .await?;
    let mut entries: Vec<TimelineEntry> =
        history.into_iter().rev().map(TimelineEntry::from).collect();
    for row in attempts.into_iter().rev() {
        entries.extend(row.into_entries()?);
    }
    for row in refunds.into_iter().rev() {
        entries.extend(row.into_entries()?);
    }
    Ok(Timeline::latest(entries, limit))
}
