//! Messages by e-mail that were given up.

use async_trait::async_trait;
use chassis::db;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use super::MySqlRepository;
use crate::model::{DeadMail, Death, MailId, NotifyError, Replay, UserId};
use crate::repository::audit::of_replay;
use crate::repository::{DeadMailQuery, DeadMailRepository};

#[derive(sqlx::FromRow)]
struct DeadMailRow {
    id: Uuid,
    event_id: String,
    event: String,
    user_id: Uuid,
    attempts: u32,
    failure: Option<String>,
    died_at: Option<NaiveDateTime>,
    created_at: NaiveDateTime,
    expires_at: NaiveDateTime,
    is_sealed: i64,
}

impl From<DeadMailRow> for DeadMail {
    fn from(row: DeadMailRow) -> Self {
        let death = row.died_at.zip(row.failure);
        Self {
            id: MailId::from_uuid(row.id),
            event_id: row.event_id,
            event: row.event,
            user_id: UserId::from_uuid(row.user_id),
            attempts: row.attempts,
            death: death.map(|(at, reason)| Death { at: at.and_utc(), reason }),
            created_at: row.created_at.and_utc(),
            expires_at: row.expires_at.and_utc(),
            is_sealed: row.is_sealed != 0,
        }
    }
}

/// Reads messages that were given up: every one, unless more is said.
fn dead() -> QueryBuilder<MySql> {
    QueryBuilder::new(
        "SELECT id, event_id, event, user_id, attempts, failure, died_at, created_at, expires_at, \
         CAST(sealed <> '' AS SIGNED) AS is_sealed FROM mails WHERE status = 'DEAD'",
    )
}

#[async_trait]
impl DeadMailRepository for MySqlRepository {
    #[instrument(name = "db.mails.list_dead", skip_all)]
    async fn list_dead(&self, query: DeadMailQuery) -> Result<Vec<DeadMail>, NotifyError> {
        let mut sql = dead();
        if let Some(before) = query.before {
            sql.push(" AND id < ").push_bind(before.as_uuid());
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit);
        let rows: Vec<DeadMailRow> = sql.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(DeadMail::from).collect())
    }

    #[instrument(name = "db.mails.find_dead", skip_all)]
    async fn find_dead(&self, id: MailId) -> Result<Option<DeadMail>, NotifyError> {
        let mut sql = dead();
        sql.push(" AND id = ").push_bind(id.as_uuid());
        let row: Option<DeadMailRow> = sql.build_query_as().fetch_optional(&self.pool).await?;
        Ok(row.map(DeadMail::from))
    }

    #[instrument(name = "db.mails.replay", skip_all)]
    async fn replay(&self, mail: &DeadMail, replay: Replay) -> Result<bool, NotifyError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let done = put_back(tx, mail.id, replay.at).await?;
                if done {
                    self.audit.append(tx, &of_replay(mail, replay.by)).await?;
                }
                Ok::<_, NotifyError>(done)
            })
        })
        .await
    }
}

/// Only one that is dead: of two administrators one puts it back.
async fn put_back(
    connection: &mut MySqlConnection,
    id: MailId,
    at: DateTime<Utc>,
) -> Result<bool, NotifyError> {
    let done = sqlx::query(
        "UPDATE mails SET status = 'WAITING', next_attempt_at = ?, earlier_attempts = attempts, \
         died_at = NULL, failure = NULL \
         WHERE id = ? AND status = 'DEAD' AND sealed <> '' AND expires_at > ?",
    )
    .bind(at.naive_utc())
    .bind(id.as_uuid())
    .bind(at.naive_utc())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
