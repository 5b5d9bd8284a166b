//! What arrived.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chassis::db;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use super::MySqlRepository;
use crate::model::{
    Arrival, Channel, Memory, Notice, NotificationId, NotifyError, Receipt, UserId,
};
use crate::repository::ReceiptRepository;

/// An event with one of the notifications that were made of it, or none.
#[derive(sqlx::FromRow)]
struct ReceiptRow {
    event_id: String,
    event: String,
    subject: Uuid,
    user_id: Uuid,
    version: u64,
    trace_id: String,
    deliveries: u32,
    received_at: NaiveDateTime,
    last_received_at: NaiveDateTime,
    notification_id: Option<Uuid>,
    created_at: Option<NaiveDateTime>,
    read_at: Option<NaiveDateTime>,
}

impl From<ReceiptRow> for Receipt {
    fn from(row: ReceiptRow) -> Self {
        let notice = row.notification_id.zip(row.created_at).map(|(id, created_at)| Notice {
            id: NotificationId::from_uuid(id),
            channel: Channel::InApp,
            created_at: created_at.and_utc(),
            read_at: row.read_at.map(|at| at.and_utc()),
        });
        Self {
            arrival: Arrival {
                event_id: row.event_id,
                event: row.event,
                subject: row.subject,
                version: row.version,
                user_id: UserId::from_uuid(row.user_id),
                trace_id: row.trace_id,
                at: row.received_at.and_utc(),
            },
            last_received_at: row.last_received_at.and_utc(),
            deliveries: row.deliveries,
            notices: notice.into_iter().collect(),
        }
    }
}

/// Counts deliveries, in the order of their events: two consumers that lock the same rows lock them
/// in the same order.
pub(super) async fn count(
    conn: &mut MySqlConnection,
    arrivals: &[Arrival],
) -> Result<(), NotifyError> {
    let mut sorted: Vec<&Arrival> = arrivals.iter().collect();
    sorted.sort_by(|a, b| a.event_id.cmp(&b.event_id));
    for chunk in db::chunks(&sorted) {
        let mut sql = QueryBuilder::<MySql>::new(
            "INSERT INTO event_receipts (event_id, event, subject, user_id, version, trace_id, \
             deliveries, received_at, last_received_at) ",
        );
        sql.push_values(chunk, |mut row, arrival| {
            row.push_bind(&arrival.event_id)
                .push_bind(&arrival.event)
                .push_bind(arrival.subject)
                .push_bind(arrival.user_id.as_uuid())
                .push_bind(arrival.version)
                .push_bind(&arrival.trace_id)
                .push_bind(1)
                .push_bind(arrival.at.naive_utc())
                .push_bind(arrival.at.naive_utc());
        });
        sql.push(
            " ON DUPLICATE KEY UPDATE deliveries = deliveries + 1, \
             last_received_at = VALUES(last_received_at)",
        );
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}

#[async_trait]
impl ReceiptRepository for MySqlRepository {
    #[instrument(name = "db.receipts.list", skip_all)]
    async fn receipts(
        &self,
        subject: Uuid,
        only_of: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, NotifyError> {
        // One notification per event: `notifications.event_id` is unique.
        let mut sql = QueryBuilder::<MySql>::new(
            "SELECT r.event_id, r.event, r.subject, r.user_id, r.version, r.trace_id, r.deliveries, \
             r.received_at, r.last_received_at, n.id AS notification_id, n.created_at, n.read_at \
             FROM event_receipts r LEFT JOIN notifications n ON n.event_id = r.event_id \
             WHERE r.subject = ",
        );
        sql.push_bind(subject);
        if let Some(user) = only_of {
            sql.push(" AND r.user_id = ").push_bind(user.as_uuid());
        }
        sql.push(" ORDER BY r.version DESC LIMIT ").push_bind(limit);
        let rows: Vec<ReceiptRow> = sql.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().rev().map(Receipt::from).collect())
    }

    #[instrument(name = "db.receipts.memory", skip_all)]
    async fn memory(&self, subjects: &[Uuid]) -> Result<Memory, NotifyError> {
        let mut deliveries = BTreeMap::<Uuid, BTreeMap<u64, u32>>::new();
        if !subjects.is_empty() {
            let mut sql = QueryBuilder::<MySql>::new(
                "SELECT subject, version, deliveries FROM event_receipts WHERE subject IN (",
            );
            db::push_list(&mut sql, subjects);
            let rows: Vec<(Uuid, u64, u32)> = sql.build_query_as().fetch_all(&self.pool).await?;
            for (subject, version, count) in rows {
                deliveries.entry(subject).or_default().insert(version, count);
            }
        }
        // Last of all: what was forgotten meanwhile must not be missed.
        let since: NaiveDateTime =
            sqlx::query_scalar("SELECT since FROM receipt_memory").fetch_one(&self.pool).await?;
        Ok(Memory { since: since.and_utc(), deliveries })
    }

    #[instrument(name = "db.receipts.forget", skip_all)]
    async fn forget_receipts(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError> {
        // First of all: what is about to be forgotten must not be missed.
        sqlx::query("UPDATE receipt_memory SET since = GREATEST(since, ?)")
            .bind(before.naive_utc())
            .execute(&self.pool)
            .await?;
        let done = sqlx::query(
            "DELETE FROM event_receipts WHERE last_received_at < ? \
             ORDER BY last_received_at LIMIT ?",
        )
        .bind(before.naive_utc())
        .bind(limit)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
