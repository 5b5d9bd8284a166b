//! What is due. Leasing locks rows that nobody else holds (`SKIP LOCKED`) and moves their due time,
//! so replicas share the work without waiting for each other.

use async_trait::async_trait;
use chassis::db::{self, Tx};
use chassis::inbox;
use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use tracing::instrument;
use uuid::Uuid;

use super::MySqlRepository;
use super::past::RefundRow;
use super::read::{self, select_orders, select_refunds};
use crate::model::{
    Order, OrderError, OrderId, OrderStatus, PaymentCase, PaymentId, Refund, RefundId,
};
use crate::repository::{Lease, WorkRepository};

#[async_trait]
impl WorkRepository for MySqlRepository {
    #[instrument(name = "db.work.lease_attempts", skip_all)]
    async fn lease_attempts(&self, lease: Lease) -> Result<Vec<PaymentCase>, OrderError> {
        db::transaction(&self.pool, |tx| Box::pin(lease_attempts(tx, lease))).await
    }

    #[instrument(name = "db.work.postpone_attempt", skip_all, fields(payment.id = %id))]
    async fn postpone_attempt(
        &self,
        id: PaymentId,
        until: DateTime<Utc>,
    ) -> Result<(), OrderError> {
        sqlx::query(
            "UPDATE payment_attempts SET checks = checks + 1, check_at = ? \
             WHERE id = ? AND outcome IS NULL",
        )
        .bind(until.naive_utc())
        .bind(id.as_uuid())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    #[instrument(name = "db.work.lease_refunds", skip_all)]
    async fn lease_refunds(&self, lease: Lease) -> Result<Vec<Refund>, OrderError> {
        db::transaction(&self.pool, |tx| Box::pin(lease_refunds(tx, lease))).await
    }

    #[instrument(name = "db.work.postpone_refund", skip_all, fields(refund.id = %id))]
    async fn postpone_refund(&self, id: RefundId, until: DateTime<Utc>) -> Result<(), OrderError> {
        sqlx::query(
            "UPDATE refunds SET checks = checks + 1, try_at = ? WHERE id = ? AND done_at IS NULL",
        )
        .bind(until.naive_utc())
        .bind(id.as_uuid())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    #[instrument(name = "db.work.list_overdue", skip_all)]
    async fn list_overdue(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Order>, OrderError> {
        db::session(&self.pool, |tx| {
            Box::pin(async move {
                let rows = sqlx::query_as(select_orders!(
                    "WHERE o.status IN ('CREATED', 'PAYMENT_FAILED') AND o.expires_at <= ? \
                     ORDER BY o.expires_at LIMIT ?"
                ))
                .bind(now.naive_utc())
                .bind(limit)
                .fetch_all(&mut **tx)
                .await?;
                read::with_items(tx, rows).await
            })
        })
        .await
    }

    #[instrument(name = "db.work.list_stuck", skip_all)]
    async fn list_stuck(
        &self,
        since: DateTime<Utc>,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>, OrderError> {
        let after = after.map_or_else(Uuid::nil, |after| after.as_uuid());
        db::session(&self.pool, |tx| {
            Box::pin(async move {
                let rows = sqlx::query_as(select_orders!(
                    "JOIN payment_attempts a ON a.open_order_id = o.id \
                     WHERE a.open_order_id > ? AND a.created_at <= ? \
                     ORDER BY a.open_order_id LIMIT ?"
                ))
                .bind(after)
                .bind(since.naive_utc())
                .bind(limit)
                .fetch_all(&mut **tx)
                .await?;
                read::with_items(tx, rows).await
            })
        })
        .await
    }

    /// State by state, so that the limit holds for each and the key by state and expiry is enough.
    #[instrument(name = "db.work.count_open", skip_all)]
    async fn count_open(&self, limit: u32) -> Result<Vec<(OrderStatus, u32)>, OrderError> {
        let open = || OrderStatus::ALL.into_iter().filter(|status| !status.is_over());
        db::session(&self.pool, |tx| {
            Box::pin(async move {
                let mut counts = Vec::new();
                for status in open() {
                    let count: i64 = sqlx::query_scalar(
                        "SELECT COUNT(*) FROM \
                         (SELECT 1 AS found FROM orders WHERE status = ? LIMIT ?) AS counted",
                    )
                    .bind(status.as_str())
                    .bind(limit)
                    .fetch_one(&mut **tx)
                    .await?;
                    counts.push((status, u32::try_from(count).unwrap_or(u32::MAX)));
                }
                counts.retain(|(_, count)| *count > 0);
                Ok::<_, OrderError>(counts)
            })
        })
        .await
    }

    /// By the due time, which has a key and is gone once the money went back.
    #[instrument(name = "db.work.count_owed", skip_all)]
    async fn count_owed(&self, limit: u32) -> Result<u32, OrderError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM \
             (SELECT 1 AS found FROM refunds WHERE try_at IS NOT NULL LIMIT ?) AS counted",
        )
        .bind(limit)
        .fetch_one(&self.pool)
        .await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    #[instrument(name = "db.work.sweep", skip_all)]
    async fn sweep(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, OrderError> {
        let claims = sqlx::query(
            "DELETE FROM idempotency_claims WHERE created_at < ? ORDER BY created_at LIMIT ?",
        )
        .bind(before.naive_utc())
        .bind(limit)
        .execute(&self.pool)
        .await?;
        let events = inbox::purge(&self.pool, before, limit).await?;
        Ok(claims.rows_affected() + events)
    }
}

async fn lease_attempts(tx: &mut Tx<'_>, lease: Lease) -> Result<Vec<PaymentCase>, OrderError> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM payment_attempts WHERE check_at <= ? ORDER BY check_at LIMIT ? \
         FOR UPDATE SKIP LOCKED",
    )
    .bind(lease.now.naive_utc())
    .bind(lease.limit)
    .fetch_all(&mut **tx)
    .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut update = QueryBuilder::new("UPDATE payment_attempts SET check_at = ");
    update.push_bind(lease.until.naive_utc()).push(" WHERE id IN (");
    db::push_list(&mut update, &ids);
    update.build().execute(&mut **tx).await?;
    read::cases(tx, &ids).await
}

async fn lease_refunds(tx: &mut Tx<'_>, lease: Lease) -> Result<Vec<Refund>, OrderError> {
    let rows: Vec<RefundRow> = sqlx::query_as(select_refunds!(
        "WHERE try_at <= ? ORDER BY try_at LIMIT ? FOR UPDATE SKIP LOCKED"
    ))
    .bind(lease.now.naive_utc())
    .bind(lease.limit)
    .fetch_all(&mut **tx)
    .await?;
    let refunds: Vec<Refund> = rows.into_iter().map(Refund::try_from).collect::<Result<_, _>>()?;
    if refunds.is_empty() {
        return Ok(refunds);
    }
    let ids: Vec<Uuid> = refunds.iter().map(|refund| refund.id.as_uuid()).collect();
    let mut update = QueryBuilder::new("UPDATE refunds SET try_at = ");
    update.push_bind(lease.until.naive_utc()).push(" WHERE id IN (");
    db::push_list(&mut update, &ids);
    update.build().execute(&mut **tx).await?;
    Ok(refunds)
}
