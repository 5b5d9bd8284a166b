//! The statements that store a payment and what belongs to it, to be run inside a transaction.

use chassis::db::{self, DbError, Pool};
use chassis::messaging::Envelope;
use chassis::{inbox, mutant};
use chrono::{DateTime, Utc};
use sqlx::MySqlConnection;
use sqlx::mysql::MySql;

use crate::model::{
    CallbackRecord, Change, Payment, PaymentError, PaymentEvent, PaymentStatus, Posting, Refund,
    RefundStatus,
};
use crate::repository::{Cause, Save, Saved};

/// The name under which events are told.
const SOURCE: &str = "payment-service";
/// The consumer under which the inbox keeps callbacks.
const CONSUMER: &str = "provider-callbacks";

/// Why a move is rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undo {
    /// It turned out to be no move; this is the answer.
    #[error("nothing to store")]
    Because(Saved),
    /// It failed.
    #[error(transparent)]
    Failed(#[from] PaymentError),
}

impl From<DbError> for Undo {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

/// The event of a payment, if it has one, ready for the outbox.
pub(super) fn envelopes(event: Option<&PaymentEvent>) -> Result<Vec<Envelope>, PaymentError> {
    event.into_iter().map(envelope).collect()
}

fn envelope(event: &PaymentEvent) -> Result<Envelope, PaymentError> {
    let (name, subject) = (event.kind().as_str(), event.payment_id().as_uuid());
    Envelope::new(SOURCE, name, subject, event.version(), event.at(), event)
        .map_err(PaymentError::internal)
}

/// Inserts a payment. Returns whether there was none under its id.
pub(super) async fn insert_payment(
    connection: &mut MySqlConnection,
    payment: &Payment,
    check_at: Option<DateTime<Utc>>,
) -> Result<bool, PaymentError> {
    let (snapshot, terms) = (payment.snapshot(), payment.terms());
    let done = sqlx::query(
        "INSERT INTO payments (id, order_id, user_id, amount, currency, method, status, \
         failure_reason, version, created_at, updated_at, next_check_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(snapshot.id.as_uuid())
    .bind(terms.order_id.as_uuid())
    .bind(terms.user_id.as_uuid())
    .bind(terms.amount.amount())
    .bind(terms.amount.currency().as_str().to_owned())
    .bind(terms.method.as_str())
    .bind(snapshot.status.as_str())
    .bind(snapshot.failure_reason.as_ref().map(|reason| reason.as_str().to_owned()))
    .bind(snapshot.version)
    .bind(snapshot.created_at.naive_utc())
    .bind(snapshot.updated_at.naive_utc())
    .bind(check_at.map(|at| at.naive_utc()))
    .execute(connection)
    .await;
    match done {
        Ok(_) => Ok(true),
        Err(error) if db::violated_key(&error) == Some("PRIMARY") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes the first line of a payment's history.
pub(super) async fn insert_first_history(
    connection: &mut MySqlConnection,
    payment: &Payment,
) -> Result<(), PaymentError> {
    insert_history(connection, payment, None, Cause::Request).await
}

/// Stores a move and all that belongs to it, except its event.
pub(super) async fn move_payment(
    connection: &mut MySqlConnection,
    save: &Save<'_>,
) -> Result<(), Undo> {
    let (change, payment) = (save.change, &save.change.payment);
    if !update_payment(connection, save).await? {
        return Err(Undo::Because(Saved::Stale));
    }
    if let Some(record) = save.callback {
        let ids = [record.id.as_str()];
        let firsts = inbox::record(connection, CONSUMER, &ids, record.received_at).await?;
        if firsts != [true] {
            return Err(Undo::Because(Saved::Replayed));
        }
        record_callback(connection, record).await?;
    }
    insert_history(connection, payment, Some(change.before), save.cause).await?;
    let apart = mutant!("ledger_entry_outside_transaction");
    if let Some(posting) = change.posting.as_ref().filter(|_| !apart) {
        insert_posting(connection, posting).await?;
    }
    if let Some(refund) = payment.refund() {
        store_refund(connection, payment, refund).await?;
    }
    Ok(())
}

/// Moves the row if it still stands where it stood.
async fn update_payment(
    connection: &mut MySqlConnection,
    save: &Save<'_>,
) -> Result<bool, PaymentError> {
    let snapshot = save.change.payment.snapshot();
    let done = sqlx::query(
        "UPDATE payments SET status = ?, version = ?, provider_reference = ?, failure_reason = ?, \
         updated_at = ?, next_check_at = ?, checks = 0 \
         WHERE id = ? AND status = ? AND version = ?",
    )
    .bind(snapshot.status.as_str())
    .bind(snapshot.version)
    .bind(snapshot.provider_reference.as_deref())
    .bind(snapshot.failure_reason.as_ref().map(|reason| reason.as_str().to_owned()))
    .bind(snapshot.updated_at.naive_utc())
    .bind(save.check_at.map(|at| at.naive_utc()))
    .bind(snapshot.id.as_uuid())
    .bind(save.change.before.as_str())
    .bind(snapshot.version - 1)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn insert_history(
    connection: &mut MySqlConnection,
    payment: &Payment,
    from: Option<PaymentStatus>,
    cause: Cause,
) -> Result<(), PaymentError> {
    sqlx::query(
        "INSERT INTO payment_history (payment_id, version, from_status, to_status, cause, at) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(payment.id().as_uuid())
    .bind(payment.version())
    .bind(from.map(PaymentStatus::as_str))
    .bind(payment.status().as_str())
    .bind(cause.as_str())
    .bind(payment.updated_at().naive_utc())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_posting(
    connection: &mut MySqlConnection,
    posting: &Posting,
) -> Result<(), PaymentError> {
    let mut insert = sqlx::QueryBuilder::<MySql>::new(
        "INSERT INTO ledger_entries \
         (posting_id, line, payment_id, account, amount, currency, created_at) ",
    );
    let lines = (1_u8..).zip(posting.entries());
    insert.push_values(lines, |mut row, (line, entry)| {
        row.push_bind(posting.id())
            .push_bind(line)
            .push_bind(posting.payment_id().as_uuid())
            .push_bind(entry.account.as_str())
            .push_bind(entry.amount)
            .push_bind(entry.currency.to_string())
            .push_bind(posting.at().naive_utc());
    });
    insert.build().execute(connection).await?;
    Ok(())
}

/// Writes what a move books without the move: a bug that a test plants.
pub(super) async fn insert_posting_apart(pool: &Pool, change: &Change) -> Result<(), PaymentError> {
    let Some(posting) = &change.posting else { return Ok(()) };
    db::transaction(pool, |tx| {
        Box::pin(async move { insert_posting(tx, posting).await.map_err(Undo::from) })
    })
    .await
    .or_else(|undo| match undo {
        Undo::Because(_) => Ok(()),
        Undo::Failed(error) => Err(error),
    })
}

async fn store_refund(
    connection: &mut MySqlConnection,
    payment: &Payment,
    refund: &Refund,
) -> Result<(), PaymentError> {
    if refund.status == RefundStatus::Pending {
        return insert_refund(connection, payment, refund).await;
    }
    sqlx::query("UPDATE refunds SET status = ?, updated_at = ? WHERE id = ? AND payment_id = ?")
        .bind(refund.status.as_str())
        .bind(payment.updated_at().naive_utc())
        .bind(refund.id.as_uuid())
        .bind(payment.id().as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn insert_refund(
    connection: &mut MySqlConnection,
    payment: &Payment,
    refund: &Refund,
) -> Result<(), PaymentError> {
    let done = sqlx::query(
        "INSERT INTO refunds \
         (id, payment_id, amount, currency, status, reason, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(refund.id.as_uuid())
    .bind(payment.id().as_uuid())
    .bind(refund.amount.amount())
    .bind(refund.amount.currency().as_str().to_owned())
    .bind(refund.status.as_str())
    .bind(&refund.reason)
    .bind(refund.created_at.naive_utc())
    .bind(payment.updated_at().naive_utc())
    .execute(connection)
    .await;
    match done {
        Ok(_) => Ok(()),
        Err(error) if db::violated_key(&error) == Some("PRIMARY") => {
            Err(PaymentError::RefundIdTaken)
        }
        Err(error) => Err(error.into()),
    }
}

/// Keeps a callback, or counts one more delivery of it.
pub(super) async fn record_callback(
    connection: &mut MySqlConnection,
    record: &CallbackRecord,
) -> Result<(), PaymentError> {
    sqlx::query(
        "INSERT INTO callbacks \
         (callback_id, ruling, payment_id, body, received_at, last_received_at) \
         VALUES (?, ?, ?, ?, ?, ?) \
         ON DUPLICATE KEY UPDATE deliveries = deliveries + 1, last_received_at = ?",
    )
    .bind(&record.id)
    .bind(record.ruling.as_str())
    .bind(record.payment_id.map(|id| id.as_uuid()))
    .bind(&record.body)
    .bind(record.received_at.naive_utc())
    .bind(record.received_at.naive_utc())
    .bind(record.received_at.naive_utc())
    .execute(connection)
    .await?;
    Ok(())
}
