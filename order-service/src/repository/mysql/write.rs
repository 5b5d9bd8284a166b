//! Storing decisions: each effect of a change is one guarded statement.

use chassis::db::{self, DbError};
use chassis::telemetry::trace::current_trace_id;
use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use sqlx::mysql::{MySql, MySqlConnection};

use crate::model::{
    Attempt, Change, Effect, Item, Order, OrderError, OrderStatus, Outcome, PaymentId, Refund,
    RefundId, Transition,
};
use crate::repository::Saved;

/// Why a transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupt {
    /// What the change was decided on is no longer true.
    #[error("the order changed meanwhile")]
    Stale,
    /// Another call holds the key.
    #[error("the key is taken")]
    KeyTaken,
    /// Refused or failed.
    #[error(transparent)]
    Failed(#[from] OrderError),
}

impl From<DbError> for Interrupt {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<sqlx::Error> for Interrupt {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Tells an interruption that the port knows apart from a failure.
pub(super) fn saved(outcome: Result<Saved, Interrupt>) -> Result<Saved, OrderError> {
    match outcome {
        Ok(saved) => Ok(saved),
        Err(Interrupt::Stale) => Ok(Saved::Stale),
        Err(Interrupt::KeyTaken) => Ok(Saved::KeyTaken),
        Err(Interrupt::Failed(error)) => Err(error),
    }
}

/// Inserts a new order with its items.
pub(super) async fn insert_order(
    connection: &mut MySqlConnection,
    order: &Order,
) -> Result<(), OrderError> {
    sqlx::query(
        "INSERT INTO orders (id, user_id, status, total, currency, version, payment_id, \
         created_at, updated_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(order.id.as_uuid())
    .bind(order.user_id.as_uuid())
    .bind(order.status.as_str())
    .bind(order.total.amount())
    .bind(order.total.currency().code())
    .bind(order.version)
    .bind(order.payment_id.map(|id| id.as_uuid()))
    .bind(order.created_at.naive_utc())
    .bind(order.updated_at.naive_utc())
    .bind(order.expires_at.naive_utc())
    .execute(&mut *connection)
    .await?;
    let items: Vec<(u16, &Item)> = (0..).zip(&order.items).collect();
    for chunk in db::chunks(&items) {
        let mut insert = QueryBuilder::<MySql>::new(
            "INSERT INTO order_items (order_id, position, sku, name, unit_price, quantity) ",
        );
        insert.push_values(chunk, |mut row, (position, item)| {
            row.push_bind(order.id.as_uuid())
                .push_bind(*position)
                .push_bind(item.sku.as_str())
                .push_bind(&item.name)
                .push_bind(item.unit_price.amount())
                .push_bind(item.quantity);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Moves the row of an order, if it still is what the change was decided on.
pub(super) async fn update_order(
    connection: &mut MySqlConnection,
    change: &Change,
) -> Result<(), Interrupt> {
    let order = &change.order;
    let done = sqlx::query(
        "UPDATE orders SET status = ?, version = ?, payment_id = ?, failure_reason = ?, \
         updated_at = ? WHERE id = ? AND status = ? AND version = ? AND payment_id <=> ?",
    )
    .bind(order.status.as_str())
    .bind(order.version)
    .bind(order.payment_id.map(|id| id.as_uuid()))
    .bind(order.failure_reason.as_deref())
    .bind(order.updated_at.naive_utc())
    .bind(order.id.as_uuid())
    .bind(change.guard.status.as_str())
    .bind(change.guard.version)
    .bind(change.guard.payment_id.map(|id| id.as_uuid()))
    .execute(connection)
    .await?;
    held(done.rows_affected())
}

/// Stores one effect of a change.
pub(super) async fn apply(
    connection: &mut MySqlConnection,
    change: &Change,
    effect: &Effect,
) -> Result<(), Interrupt> {
    match effect {
        Effect::Transition(transition) => insert_history(connection, change, transition).await,
        // Products are locked last: see `stock::release`.
        Effect::ReleaseStock => Ok(()),
        Effect::StartAttempt(attempt) => insert_attempt(connection, attempt).await,
        Effect::SettleAttempt { payment_id, outcome } => {
            settle_attempt(connection, *payment_id, outcome, change.at).await
        }
        Effect::RequestRefund(refund) => insert_refund(connection, refund, change.at).await,
        Effect::SettleRefund(id) => settle_refund(connection, *id, change.at).await,
    }
}

async fn insert_history(
    connection: &mut MySqlConnection,
    change: &Change,
    transition: &Transition,
) -> Result<(), Interrupt> {
    let order = &change.order;
    sqlx::query(
        "INSERT INTO order_history (order_id, version, from_status, to_status, cause, actor, \
         payment_id, trace_id, occurred_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(order.id.as_uuid())
    .bind(order.version)
    .bind(transition.from.map(OrderStatus::as_str))
    .bind(transition.to.as_str())
    .bind(transition.cause)
    .bind(transition.actor.to_string())
    .bind(order.payment_id.map(|id| id.as_uuid()))
    .bind(current_trace_id().unwrap_or_default())
    .bind(change.at.naive_utc())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_attempt(
    connection: &mut MySqlConnection,
    attempt: &Attempt,
) -> Result<(), Interrupt> {
    let inserted = sqlx::query(
        "INSERT INTO payment_attempts (id, order_id, open_order_id, method, actor, checks, \
         check_at, trace_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(attempt.id.as_uuid())
    .bind(attempt.order_id.as_uuid())
    .bind(attempt.order_id.as_uuid())
    .bind(attempt.method.as_str())
    .bind(attempt.actor.to_string())
    .bind(attempt.checks)
    .bind(attempt.check_at.naive_utc())
    .bind(current_trace_id().unwrap_or_default())
    .bind(attempt.created_at.naive_utc())
    .execute(connection)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) => Err(match db::violated_key(&error) {
            Some("payment_attempts_open") => OrderError::PaymentInProgress.into(),
            _ => error.into(),
        }),
    }
}

async fn settle_attempt(
    connection: &mut MySqlConnection,
    id: PaymentId,
    outcome: &Outcome,
    at: DateTime<Utc>,
) -> Result<(), Interrupt> {
    let done = sqlx::query(
        "UPDATE payment_attempts SET outcome = ?, failure_reason = ?, settled_at = ?, \
         open_order_id = NULL, check_at = NULL WHERE id = ? AND outcome IS NULL",
    )
    .bind(outcome.name())
    .bind(outcome.reason())
    .bind(at.naive_utc())
    .bind(id.as_uuid())
    .execute(connection)
    .await?;
    held(done.rows_affected())
}

async fn insert_refund(
    connection: &mut MySqlConnection,
    refund: &Refund,
    at: DateTime<Utc>,
) -> Result<(), Interrupt> {
    let inserted = sqlx::query(
        "INSERT INTO refunds (id, order_id, payment_id, reason, checks, try_at, trace_id, \
         created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(refund.id.as_uuid())
    .bind(refund.order_id.as_uuid())
    .bind(refund.payment_id.as_uuid())
    .bind(refund.reason.as_str())
    .bind(refund.checks)
    .bind(at.naive_utc())
    .bind(current_trace_id().unwrap_or_default())
    .bind(at.naive_utc())
    .execute(connection)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) => Err(match db::violated_key(&error) {
            Some("refunds_payment") => Interrupt::Stale,
            _ => error.into(),
        }),
    }
}

async fn settle_refund(
    connection: &mut MySqlConnection,
    id: RefundId,
    at: DateTime<Utc>,
) -> Result<(), Interrupt> {
    let done = sqlx::query(
        "UPDATE refunds SET done_at = ?, try_at = NULL WHERE id = ? AND done_at IS NULL",
    )
    .bind(at.naive_utc())
    .bind(id.as_uuid())
    .execute(connection)
    .await?;
    held(done.rows_affected())
}

fn held(rows: u64) -> Result<(), Interrupt> {
    if rows == 1 { Ok(()) } else { Err(Interrupt::Stale) }
}
