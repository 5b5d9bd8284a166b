//! The statements that store a step of a surplus capture, to be run inside a transaction.

use chrono::{DateTime, Utc};
use sqlx::MySqlConnection;

use super::write::{self, Undo};
use crate::model::{Payment, PaymentError, RefundStatus, SurplusChange};
use crate::repository::Saved;

/// Stores the step, if the payment and its refund still stand where they stood.
pub(super) async fn store(
    connection: &mut MySqlConnection,
    change: &SurplusChange,
    check_at: Option<DateTime<Utc>>,
) -> Result<(), Undo> {
    // The row of the payment is locked first: two that found the capture take turns.
    let fits = schedule(connection, &change.payment, check_at).await?
        && move_refund(connection, change).await?;
    if !fits {
        return Err(Undo::Because(Saved::Stale));
    }
    write::insert_posting(connection, &change.posting).await?;
    Ok(())
}

/// A failed payment keeps its status and version; they are asked for all the same.
async fn schedule(
    connection: &mut MySqlConnection,
    payment: &Payment,
    check_at: Option<DateTime<Utc>>,
) -> Result<bool, PaymentError> {
    let done = sqlx::query(
        "UPDATE payments SET next_check_at = ?, checks = 0, updated_at = ? \
         WHERE id = ? AND status = ? AND version = ?",
    )
    .bind(check_at.map(|at| at.naive_utc()))
    .bind(payment.updated_at().naive_utc())
    .bind(payment.id().as_uuid())
    .bind(payment.status().as_str())
    .bind(payment.version())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn move_refund(
    connection: &mut MySqlConnection,
    change: &SurplusChange,
) -> Result<bool, PaymentError> {
    let payment = &change.payment;
    let Some(refund) = change.refund() else { return Ok(false) };
    if refund.status == RefundStatus::Pending {
        let known = sqlx::query("SELECT 1 FROM refunds WHERE payment_id = ?")
            .bind(payment.id().as_uuid())
            .fetch_optional(&mut *connection)
            .await?;
        if known.is_some() {
            return Ok(false);
        }
        write::insert_refund(connection, payment, refund).await?;
        return Ok(true);
    }
    let done = sqlx::query(
        "UPDATE refunds SET status = ?, updated_at = ? \
         WHERE id = ? AND payment_id = ? AND status = ?",
    )
    .bind(refund.status.as_str())
    .bind(payment.updated_at().naive_utc())
    .bind(refund.id.as_uuid())
    .bind(payment.id().as_uuid())
    .bind(RefundStatus::Pending.as_str())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
