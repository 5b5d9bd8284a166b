//! The history of orders: each row sealed together with the row before it.

use chassis::telemetry::trace::current_trace_id;
use sqlx::mysql::MySqlConnection;

use super::write::Interrupt;
use crate::model::{Change, HistoryRow, OrderError, OrderId, OrderStatus, RowHash, Transition};

/// Appends the row of a transition. The order is locked by then, so nobody else appends to its
/// chain.
pub(super) async fn insert(
    connection: &mut MySqlConnection,
    change: &Change,
    transition: &Transition,
) -> Result<(), Interrupt> {
    let order = &change.order;
    let trace_id = current_trace_id().unwrap_or_default();
    let previous = last_hash(connection, order.id, order.version).await?;
    let row = HistoryRow {
        order_id: order.id,
        version: order.version,
        transition,
        payment_id: order.payment_id,
        trace_id: &trace_id,
        occurred_at: change.at,
    };
    sqlx::query(
        "INSERT INTO order_history (order_id, version, from_status, to_status, cause, actor, \
         payment_id, trace_id, occurred_at, prev_hash, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(order.id.as_uuid())
    .bind(order.version)
    .bind(transition.from.map(OrderStatus::as_str))
    .bind(transition.to.as_str())
    .bind(transition.cause)
    .bind(transition.actor.to_string())
    .bind(order.payment_id.map(|id| id.as_uuid()))
    .bind(&trace_id)
    .bind(change.at.naive_utc())
    .bind(previous.as_ref().map(RowHash::as_slice))
    .bind(row.hash(previous.as_ref()).as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// The hash of the row before `version`; none for the first row, and where that row carries none.
async fn last_hash(
    connection: &mut MySqlConnection,
    order_id: OrderId,
    version: u64,
) -> Result<Option<RowHash>, OrderError> {
    if version == 1 {
        return Ok(None);
    }
    let found: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT hash FROM order_history WHERE order_id = ? AND version = ?")
            .bind(order_id.as_uuid())
            .bind(version - 1)
            .fetch_optional(connection)
            .await?;
    let hash = found.flatten().map(RowHash::try_from).transpose();
    hash.map_err(|_| OrderError::Internal { source: "a stored hash has another length".into() })
}
