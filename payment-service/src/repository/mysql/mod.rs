//! Payments in MySQL or MariaDB.

mod review;
mod row;
mod surplus;
mod write;

use async_trait::async_trait;
use chassis::audit::AuditLog;
use chassis::db::{self, DbError, Pool};
use chassis::error::Kind;
use chassis::outbox::Outbox;
use chassis::{failpoint, inbox, mutant};
use chrono::{DateTime, Utc};
use sqlx::mysql::MySql;
use sqlx::{FromRow, MySqlConnection, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use self::row::PaymentRow;
use self::write::Undo;
use crate::model::{
    CallbackRecord, OrderId, Payment, PaymentError, PaymentId, PaymentStatus, SurplusChange,
};
use crate::repository::{Pauses, PaymentRepository, Save, Saved, audit};

/// Every column of a payment and of its refund, if there is one.
const COLUMNS: &str = "SELECT p.id, p.order_id, p.user_id, p.amount, p.currency, p.method, p.status, \
    p.provider_reference, p.failure_reason, p.version, p.created_at, p.updated_at, \
    r.id AS refund_id, r.status AS refund_status, r.reason AS refund_reason, \
    r.created_at AS refund_created_at";

/// Where they come from.
const TABLES: &str = " FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id ";

/// A [`PaymentRepository`] over the schema of this service.
#[derive(Clone)]
pub struct MySqlPaymentRepository {
    pool: Pool,
    outbox: Outbox,
    audit: AuditLog,
}

impl MySqlPaymentRepository {
    /// Creates an adapter that leaves events in `outbox` and tells changes to `audit`.
    pub fn new(pool: Pool, outbox: Outbox, audit: AuditLog) -> Self {
        Self { pool, outbox, audit }
    }
}

impl From<DbError> for PaymentError {
    fn from(error: DbError) -> Self {
        match error.kind() {
            Kind::DeadlineExceeded => Self::DeadlineExceeded,
            Kind::Unavailable => Self::Unavailable { source: Box::new(error) },
            _ => Self::Internal { source: Box::new(error) },
        }
    }
}

impl From<sqlx::Error> for PaymentError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

#[async_trait]
impl PaymentRepository for MySqlPaymentRepository {
    #[instrument(name = "db.payment.insert", skip_all)]
    async fn insert(
        &self,
        payment: &Payment,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Option<Payment>, PaymentError> {
        let events = write::envelopes(payment.event().as_ref())?;
        let (events, outbox) = (events.as_slice(), &self.outbox);
        let inserted = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                if !write::insert_payment(tx, payment, check_at).await? {
                    return Ok(false);
                }
                write::insert_first_history(tx, payment).await?;
                self.audit.append(tx, &audit::of_attempt(payment)).await?;
                outbox.append(tx, events).await?;
                Ok::<_, PaymentError>(true)
            })
        });
        if !inserted.await? {
            return self.find(payment.id()).await;
        }
        if !events.is_empty() {
            self.outbox.wake();
        }
        Ok(None)
    }

    #[instrument(name = "db.payment.find", skip_all)]
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, PaymentError> {
        let mut query = select("WHERE p.id = ");
        query.push_bind(id.as_uuid());
        let row: Option<PaymentRow> = query.build_query_as().fetch_optional(&self.pool).await?;
        row.map(PaymentRow::into_payment).transpose()
    }

    #[instrument(name = "db.payment.list_attempts", skip_all)]
    async fn list_attempts(&self, order: OrderId) -> Result<Vec<Payment>, PaymentError> {
        let mut query = select("WHERE p.order_id = ");
        query.push_bind(order.as_uuid());
        query.push(" ORDER BY p.created_at, p.id");
        let rows: Vec<PaymentRow> = query.build_query_as().fetch_all(&self.pool).await?;
        rows.into_iter().map(PaymentRow::into_payment).collect()
    }

    #[instrument(name = "db.payment.save", skip_all)]
    async fn save(&self, save: Save<'_>) -> Result<Saved, PaymentError> {
        let events = write::envelopes(save.change.event.as_ref())?;
        let (save, events, outbox) = (&save, events.as_slice(), &self.outbox);
        if mutant!("ledger_entry_outside_transaction") {
            write::insert_posting_apart(&self.pool, save.change).await?;
        }
        let stored = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                write::move_payment(tx, save).await?;
                self.audit.append(tx, &audit::of_move(save)).await?;
                outbox.append(tx, events).await?;
                if save.callback.is_some() {
                    failpoint!("payment.callback.before_commit");
                }
                Ok::<_, Undo>(())
            })
        });
        let saved = saved(stored.await)?;
        if saved == Saved::Stored {
            self.outbox.wake();
        }
        Ok(saved)
    }

    #[instrument(name = "db.payment.save_surplus", skip_all)]
    async fn save_surplus(
        &self,
        change: &SurplusChange,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Saved, PaymentError> {
        let stored = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                surplus::store(tx, change, check_at).await?;
                self.audit.append(tx, &audit::of_surplus(change)).await?;
                Ok::<_, Undo>(())
            })
        });
        saved(stored.await)
    }

    #[instrument(name = "db.callback.record", skip_all)]
    async fn record_callback(&self, record: &CallbackRecord) -> Result<(), PaymentError> {
        db::transaction(&self.pool, |tx| Box::pin(write::record_callback(tx, record))).await
    }

    #[instrument(name = "db.payment.claim_due", skip_all)]
    async fn claim_due(
        &self,
        now: DateTime<Utc>,
        pauses: Pauses,
        limit: u32,
    ) -> Result<Vec<Payment>, PaymentError> {
        let rows: Vec<PaymentRow> = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let due = lock_due(tx, now, limit).await?;
                for row in &due {
                    row.put_off(tx, now, pauses).await?;
                }
                read_claimed(tx, &due).await
            })
        })
        .await?;
        rows.into_iter().map(PaymentRow::into_payment).collect()
    }

    /// By the time of the next look, which has a key and is gone once a payment is settled.
    #[instrument(name = "db.payment.count_open", skip_all)]
    async fn count_open(&self, limit: u32) -> Result<Vec<(PaymentStatus, u32)>, PaymentError> {
        let counts: Vec<(String, i64)> = sqlx::query_as(
            "SELECT status, COUNT(*) FROM \
             (SELECT status FROM payments WHERE next_check_at IS NOT NULL \
             ORDER BY next_check_at LIMIT ?) AS counted GROUP BY status",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        counts.into_iter().map(count_of_status).collect()
    }

    #[instrument(name = "db.callback.forget", skip_all)]
    async fn forget_callbacks(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, PaymentError> {
        let callbacks = sqlx::query(
            "DELETE FROM callbacks WHERE last_received_at < ? ORDER BY last_received_at LIMIT ?",
        )
        .bind(before.naive_utc())
        .bind(limit)
        .execute(&self.pool)
        .await?;
        let marks = inbox::purge(&self.pool, before, limit).await?;
        Ok(callbacks.rows_affected() + marks)
    }
}

fn saved(stored: Result<(), Undo>) -> Result<Saved, PaymentError> {
    match stored {
        Ok(()) => Ok(Saved::Stored),
        Err(Undo::Because(saved)) => Ok(saved),
        Err(Undo::Failed(error)) => Err(error),
    }
}

fn count_of_status((status, count): (String, i64)) -> Result<(PaymentStatus, u32), PaymentError> {
    let known = PaymentStatus::parse(&status)
        .ok_or_else(|| PaymentError::internal(format!("unknown status {status}")))?;
    Ok((known, u32::try_from(count).unwrap_or(u32::MAX)))
}

fn select(condition: &'static str) -> QueryBuilder<MySql> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(TABLES).push(condition);
    query
}

/// A payment whose look is due.
#[derive(FromRow)]
struct DueRow {
    id: Uuid,
    checks: u32,
}

impl DueRow {
    /// Puts the next look off, so that other workers leave the payment alone.
    async fn put_off(
        &self,
        connection: &mut MySqlConnection,
        now: DateTime<Utc>,
        pauses: Pauses,
    ) -> Result<(), PaymentError> {
        sqlx::query("UPDATE payments SET next_check_at = ?, checks = checks + 1 WHERE id = ?")
            .bind((now + pauses.after(self.checks)).naive_utc())
            .bind(self.id)
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn lock_due(
    connection: &mut MySqlConnection,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<DueRow>, PaymentError> {
    let due = sqlx::query_as(
        "SELECT id, checks FROM payments WHERE next_check_at <= ? \
         ORDER BY next_check_at LIMIT ? FOR UPDATE SKIP LOCKED",
    )
    .bind(now.naive_utc())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(due)
}

async fn read_claimed(
    connection: &mut MySqlConnection,
    due: &[DueRow],
) -> Result<Vec<PaymentRow>, PaymentError> {
    let mut rows = Vec::with_capacity(due.len());
    // One statement for a whole round would order the rows anew and be prepared for every length.
    for row in due {
        let mut query = select("WHERE p.id = ");
        query.push_bind(row.id);
        rows.extend(query.build_query_as().fetch_optional(&mut *connection).await?);
    }
    Ok(rows)
}
