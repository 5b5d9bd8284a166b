//! Dead letters.

use async_trait::async_trait;
use chassis::db;
use chrono::NaiveDateTime;
use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use super::{MySqlRepository, unknown};
use crate::model::{DeadLetter, DeadLetterId, DeadLetterStatus, NotifyError, UserId, Verdict};
use crate::repository::audit::of_verdict;
use crate::repository::{DeadLetterQuery, DeadLetterRepository};

#[derive(sqlx::FromRow)]
struct DeadLetterRow {
    id: Uuid,
    event_id: String,
    routing_key: String,
    reason: String,
    payload: Vec<u8>,
    status: String,
    created_at: NaiveDateTime,
    decided_at: Option<NaiveDateTime>,
    decided_by: Option<Uuid>,
    decision_reason: Option<String>,
}

impl TryFrom<DeadLetterRow> for DeadLetter {
    type Error = NotifyError;

    fn try_from(row: DeadLetterRow) -> Result<Self, NotifyError> {
        Ok(Self {
            id: DeadLetterId::from_uuid(row.id),
            event_id: row.event_id,
            routing_key: row.routing_key,
            reason: row.reason,
            payload: row.payload,
            status: DeadLetterStatus::find(&row.status)
                .ok_or_else(|| unknown("status", &row.status))?,
            created_at: row.created_at.and_utc(),
            decided_at: row.decided_at.map(|at| at.and_utc()),
            decided_by: row.decided_by.map(UserId::from_uuid),
            decision_reason: row.decision_reason,
        })
    }
}

#[async_trait]
impl DeadLetterRepository for MySqlRepository {
    #[instrument(name = "db.dead_letters.bury", skip_all)]
    async fn bury(&self, letters: &[([u8; 32], DeadLetter)]) -> Result<(), NotifyError> {
        for chunk in db::chunks(letters) {
            let mut sql = QueryBuilder::<MySql>::new(
                "INSERT INTO dead_letters \
                 (id, fingerprint, event_id, routing_key, reason, payload, status, created_at) ",
            );
            sql.push_values(chunk, |mut row, (fingerprint, letter)| {
                row.push_bind(letter.id.as_uuid())
                    .push_bind(fingerprint.as_slice())
                    .push_bind(&letter.event_id)
                    .push_bind(&letter.routing_key)
                    .push_bind(&letter.reason)
                    .push_bind(&letter.payload)
                    .push_bind(letter.status.as_str())
                    .push_bind(letter.created_at.naive_utc());
            });
            sql.push(" ON DUPLICATE KEY UPDATE fingerprint = VALUES(fingerprint)");
            sql.build().execute(&self.pool).await?;
        }
        Ok(())
    }

    #[instrument(name = "db.dead_letters.list", skip_all)]
    async fn list(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>, NotifyError> {
        let mut sql = QueryBuilder::<MySql>::new(
            "SELECT id, event_id, routing_key, reason, x'' AS payload, status, created_at, decided_at, \
             decided_by, decision_reason FROM dead_letters WHERE TRUE",
        );
        if let Some(status) = query.status {
            sql.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(before) = query.before {
            sql.push(" AND id < ").push_bind(before.as_uuid());
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit);
        let rows: Vec<DeadLetterRow> = sql.build_query_as().fetch_all(&self.pool).await?;
        rows.into_iter().map(DeadLetter::try_from).collect()
    }

    #[instrument(name = "db.dead_letters.find", skip_all)]
    async fn find(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, NotifyError> {
        let row: Option<DeadLetterRow> = sqlx::query_as(
            "SELECT id, event_id, routing_key, reason, payload, status, created_at, decided_at, \
             decided_by, decision_reason FROM dead_letters WHERE id = ?",
        )
        .bind(id.as_uuid())
        .fetch_optional(&self.pool)
        .await?;
        row.map(DeadLetter::try_from).transpose()
    }

    #[instrument(name = "db.dead_letters.count_open", skip_all)]
    async fn count_open(&self, limit: u32) -> Result<u32, NotifyError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM \
             (SELECT 1 AS found FROM dead_letters WHERE status = 'OPEN' LIMIT ?) AS counted",
        )
        .bind(limit)
        .fetch_one(&self.pool)
        .await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    #[instrument(name = "db.dead_letters.decide", skip_all)]
    async fn decide(&self, id: DeadLetterId, verdict: Verdict) -> Result<bool, NotifyError> {
        let verdict = &verdict;
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let done = decide(tx, id, verdict).await?;
                if done {
                    self.audit.append(tx, &of_verdict(id, verdict)).await?;
                }
                Ok::<_, NotifyError>(done)
            })
        })
        .await
    }
}

async fn decide(
    connection: &mut MySqlConnection,
    id: DeadLetterId,
    verdict: &Verdict,
) -> Result<bool, NotifyError> {
    let done = sqlx::query(
        "UPDATE dead_letters SET status = ?, decided_at = ?, decided_by = ?, decision_reason = ? \
         WHERE id = ? AND status = 'OPEN'",
    )
    .bind(verdict.status.as_str())
    .bind(verdict.at.naive_utc())
    .bind(verdict.by.as_uuid())
    .bind(&verdict.reason)
    .bind(id.as_uuid())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
