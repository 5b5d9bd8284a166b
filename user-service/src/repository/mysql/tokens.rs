//! One-time tokens and requests for another password.

use async_trait::async_trait;
use chassis::db;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySqlConnection;
use tracing::instrument;
use uuid::Uuid;

use super::MySqlUserRepository;
use crate::model::{
    Change, Email, IssuedToken, LiveToken, Purpose, RecoveryRequest, RecoveryRequestId, SpentToken,
    TokenDigest, TokenId, UserError, UserId,
};
use crate::repository::envelope::token_envelope;
use crate::repository::{Issue, TokenRepository};

/// Does to tokens what a change of their account does, in its transaction. The account's row is locked
/// by then, as in [`TokenRepository::issue`]: both take their locks in this order.
pub(super) async fn apply(conn: &mut MySqlConnection, change: &Change) -> Result<(), UserError> {
    let user = change.user.id();
    if let Some(spent) = &change.tokens.spends {
        spend(conn, user, spent).await?;
    }
    for purpose in change.ends_tokens_for() {
        sqlx::query("DELETE FROM one_time_tokens WHERE user_id = ? AND purpose = ?")
            .bind(user.as_uuid())
            .bind(purpose.as_str())
            .execute(&mut *conn)
            .await?;
    }
    match &change.tokens.issues {
        Some(issued) => insert(conn, issued).await,
        None => Ok(()),
    }
}

async fn spend(
    conn: &mut MySqlConnection,
    user: UserId,
    spent: &SpentToken,
) -> Result<(), UserError> {
    let done = sqlx::query(
        "DELETE FROM one_time_tokens \
         WHERE id = ? AND user_id = ? AND purpose = ? AND expires_at > ?",
    )
    .bind(spent.id.as_uuid())
    .bind(user.as_uuid())
    .bind(spent.purpose.as_str())
    .bind(spent.at.naive_utc())
    .execute(conn)
    .await?;
    if done.rows_affected() == 0 { Err(UserError::TokenInvalid) } else { Ok(()) }
}

async fn insert(conn: &mut MySqlConnection, issued: &IssuedToken) -> Result<(), UserError> {
    let token = &issued.token;
    sqlx::query(
        "INSERT INTO one_time_tokens \
         (id, user_id, purpose, digest, email_normalized, session_epoch, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(token.id.as_uuid())
    .bind(token.user_id.as_uuid())
    .bind(token.purpose.as_str())
    .bind(issued.digest.as_bytes().as_slice())
    .bind(token.email.normalized())
    .bind(token.session_epoch)
    .bind(token.expires_at.naive_utc())
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts the live tokens of the account, whose row is locked: what others issue at the same time
/// waits, or is counted.
async fn count_live(conn: &mut MySqlConnection, issued: &IssuedToken) -> Result<i64, UserError> {
    let LiveToken { user_id, purpose, .. } = issued.token;
    let locked: Option<Uuid> = sqlx::query_scalar("SELECT id FROM users WHERE id = ? FOR UPDATE")
        .bind(user_id.as_uuid())
        .fetch_optional(&mut *conn)
        .await?;
    locked.ok_or(UserError::NotFound)?;
    let count = sqlx::query_scalar(
        "SELECT COUNT(*) FROM one_time_tokens \
         WHERE user_id = ? AND purpose = ? AND expires_at > ?",
    )
    .bind(user_id.as_uuid())
    .bind(purpose.as_str())
    .bind(issued.issued_at.naive_utc())
    .fetch_one(conn)
    .await?;
    Ok(count)
}

async fn count_requests(conn: &mut MySqlConnection) -> Result<i64, UserError> {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM recovery_requests");
    Ok(count.fetch_one(conn).await?)
}

async fn insert_request(
    conn: &mut MySqlConnection,
    email: &Email,
    now: DateTime<Utc>,
) -> Result<(), UserError> {
    sqlx::query(
        "INSERT INTO recovery_requests (id, email_normalized, requested_at) VALUES (?, ?, ?) \
         ON DUPLICATE KEY UPDATE email_normalized = VALUES(email_normalized)",
    )
    .bind(RecoveryRequestId::generate().as_uuid())
    .bind(email.normalized())
    .bind(now.naive_utc())
    .execute(conn)
    .await?;
    Ok(())
}

async fn end_request(conn: &mut MySqlConnection, id: RecoveryRequestId) -> Result<bool, UserError> {
    let done = sqlx::query("DELETE FROM recovery_requests WHERE id = ?")
        .bind(id.as_uuid())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

#[async_trait]
impl TokenRepository for MySqlUserRepository {
    #[instrument(name = "db.token.issue", skip_all, fields(user.id = %issued.token.user_id))]
    async fn issue(
        &self,
        issued: &IssuedToken,
        live_max: u32,
        answers: Option<RecoveryRequestId>,
    ) -> Result<Issue, UserError> {
        let event = &[token_envelope(issued)?];
        let issue = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                if let Some(request) = answers
                    && !end_request(tx, request).await?
                {
                    return Ok(Issue::Answered);
                }
                if count_live(tx, issued).await? >= i64::from(live_max) {
                    return Ok(Issue::TooMany);
                }
                insert(tx, issued).await?;
                self.outbox.append(tx, event).await?;
                Ok::<_, UserError>(Issue::Done)
            })
        })
        .await?;
        self.outbox.wake();
        Ok(issue)
    }

    #[instrument(name = "db.token.find_live", skip_all)]
    async fn find_live(
        &self,
        digest: &TokenDigest,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<LiveToken>, UserError> {
        let row: Option<TokenRow> = sqlx::query_as(
            "SELECT id, user_id, email_normalized, session_epoch, expires_at FROM one_time_tokens \
             WHERE digest = ? AND purpose = ? AND expires_at > ?",
        )
        .bind(digest.as_bytes().as_slice())
        .bind(purpose.as_str())
        .bind(now.naive_utc())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| row.into_token(purpose)))
    }

    #[instrument(name = "db.recovery.request", skip_all)]
    async fn request_recovery(
        &self,
        email: &Email,
        now: DateTime<Utc>,
        waiting_max: u32,
    ) -> Result<(), UserError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                if count_requests(tx).await? >= i64::from(waiting_max) {
                    return Err(UserError::too_many_requests());
                }
                insert_request(tx, email, now).await
            })
        })
        .await
    }

    #[instrument(name = "db.recovery.waiting", skip_all)]
    async fn waiting_requests(&self, limit: u32) -> Result<Vec<RecoveryRequest>, UserError> {
        let rows: Vec<(Uuid, String)> = sqlx::query_as(
            "SELECT id, email_normalized FROM recovery_requests ORDER BY id LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let request = |(id, email): (Uuid, String)| RecoveryRequest {
            id: RecoveryRequestId::from_uuid(id),
            email: Email::from_stored(email.clone(), email),
        };
        Ok(rows.into_iter().map(request).collect())
    }

    #[instrument(name = "db.recovery.drop", skip_all)]
    async fn drop_request(&self, id: RecoveryRequestId) -> Result<(), UserError> {
        sqlx::query("DELETE FROM recovery_requests WHERE id = ?")
            .bind(id.as_uuid())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    #[instrument(name = "db.token.forget", skip_all)]
    async fn forget(
        &self,
        now: DateTime<Utc>,
        oldest_request: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, UserError> {
        let tokens = sqlx::query("DELETE FROM one_time_tokens WHERE expires_at <= ? LIMIT ?")
            .bind(now.naive_utc())
            .bind(limit)
            .execute(&self.pool)
            .await?;
        let requests = sqlx::query("DELETE FROM recovery_requests WHERE requested_at < ? LIMIT ?")
            .bind(oldest_request.naive_utc())
            .bind(limit)
            .execute(&self.pool)
            .await?;
        Ok(tokens.rows_affected() + requests.rows_affected())
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Uuid,
    user_id: Uuid,
    email_normalized: String,
    session_epoch: Option<u64>,
    expires_at: NaiveDateTime,
}

impl TokenRow {
    fn into_token(self, purpose: Purpose) -> LiveToken {
        LiveToken {
            id: TokenId::from_uuid(self.id),
            user_id: UserId::from_uuid(self.user_id),
            purpose,
            email: Email::from_stored(self.email_normalized.clone(), self.email_normalized),
            session_epoch: self.session_epoch,
            expires_at: self.expires_at.and_utc(),
        }
    }
}
