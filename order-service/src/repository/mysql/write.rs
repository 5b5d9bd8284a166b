//! Storing decisions: each effect of a change is one guarded statement.

use chassis::db::{self, DbError};
use chassis::mutant;
use chassis::telemetry::trace::current_trace_id;
use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use sqlx::mysql::{MySql, MySqlConnection};

use super::history;
use crate::model::{
    Actor, Attempt, Change, Effect, Item, Order, OrderError, Outcome, PaymentId, Refund, RefundId,
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
    let guarded = "UPDATE orders SET status = ?, version = ?, payment_id = ?, failure_reason = ?, \
         updated_at = ? WHERE id = ? AND status = ? AND version = ? AND payment_id <=> ?";
    let unguarded = "UPDATE orders SET status = ?, version = ?, payment_id = ?, \
         failure_reason = ?, updated_at = ? \
         WHERE id = ? OR (FALSE AND status = ? AND version = ? AND payment_id <=> ?)";
    let update = if mutant!("order_guard_without_old_state") { unguarded } else { guarded };
    let done = sqlx::query(update)
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
        Effect::Transition(transition) => history::insert(connection, change, transition).await,
        // Products are locked last: see `stock::release`.
        Effect::ReleaseStock => Ok(()),
        Effect::StartAttempt(attempt) => insert_attempt(connection, attempt).await,
        Effect::SettleAttempt { payment_id, outcome, actor } => {
            settle_attempt(connection, (*payment_id, outcome), (actor, change.at)).await
        }
        Effect::RequestRefund { refund, actor } => {
            insert_refund(connection, refund, (actor, change.at)).await
        }
        Effect::SettleRefund { id, actor } => {
            settle_refund(connection, *id, (actor, change.at)).await
        }
    }
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
    (id, outcome): (PaymentId, &Outcome),
    (actor, at): (&Actor, DateTime<Utc>),
) -> Result<(), Interrupt> {
    let done = sqlx::query(
        "UPDATE payment_attempts SET outcome = ?, failure_reason = ?, settled_at = ?, \
         settled_by = ?, settle_trace_id = ?, open_order_id = NULL, check_at = NULL \
         WHERE id = ? AND outcome IS NULL",
    )
    .bind(outcome.name())
    .bind(outcome.reason())
    .bind(at.naive_utc())
    .bind(actor.to_string())
    .bind(current_trace_id().unwrap_or_default())
    .bind(id.as_uuid())
    .execute(connection)
    .await?;
    held(done.rows_affected())
}

async fn insert_refund(
    connection: &mut MySqlConnection,
    refund: &Refund,
    (actor, at): (&Actor, DateTime<Utc>),
) -> Result<(), Interrupt> {
    let inserted = sqlx::query(
        "INSERT INTO refunds (id, order_id, payment_id, reason, asked_by, checks, try_at, \
         trace_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(refund.id.as_uuid())
    .bind(refund.order_id.as_uuid())
    .bind(refund.payment_id.as_uuid())
    .bind(refund.reason.as_str())
    .bind(actor.to_string())
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
    (actor, at): (&Actor, DateTime<Utc>),
) -> Result<(), Interrupt> {
    let done = sqlx::query(
        "UPDATE refunds SET done_at = ?, done_by = ?, done_trace_id = ?, try_at = NULL \
         WHERE id = ? AND done_at IS NULL",
    )
    .bind(at.naive_utc())
    .bind(actor.to_string())
    .bind(current_trace_id().unwrap_or_default())
    .bind(id.as_uuid())
    .execute(connection)
    .await?;
    held(done.rows_affected())
}

fn held(rows: u64) -> Result<(), Interrupt> {
    if rows == 1 { Ok(()) } else { Err(Interrupt::Stale) }
}
