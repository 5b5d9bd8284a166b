//! Adapter: revocations in MySQL or MariaDB, read as a feed.

use async_trait::async_trait;
use chassis::db::{self, Pool};
use chassis::feed::{self, Cursor, Position};
use chrono::NaiveDateTime;
use sqlx::mysql::MySqlConnection;
use tracing::instrument;
use uuid::Uuid;

use crate::model::{AccountRule, Revocation, RevocationPage, SessionError, SessionId, UserId};
use crate::repository::RevocationRepository;

/// Keeps revocations in the schema of this service.
#[derive(Clone, Debug)]
pub struct MySqlRevocationRepository {
    pool: Pool,
}

impl MySqlRevocationRepository {
    /// Keeps revocations in `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

/// Revokes the access tokens of a session, in the transaction that ends it.
pub(super) async fn insert_session(
    conn: &mut MySqlConnection,
    session: SessionId,
) -> Result<(), SessionError> {
    sqlx::query(
        "INSERT INTO revocations (subject, kind, version, is_disabled, sessions_from, roles_from, \
         recorded_at) VALUES (?, 'SESSION', 0, 0, 0, 0, UTC_TIMESTAMP(6))",
    )
    .bind(session.as_uuid())
    .execute(conn)
    .await?;
    Ok(())
}

#[async_trait]
impl RevocationRepository for MySqlRevocationRepository {
    /// A guarded update of what is there, else an insert. Of two replicas that insert at once, one
    /// finds the row of the other, whose version may be a lower one: then it is there to be updated.
    #[instrument(name = "db.revocation.record", skip_all, fields(user.id = %rule.user_id))]
    async fn record(&self, rule: &AccountRule) -> Result<bool, SessionError> {
        if update_rule(&self.pool, rule).await? {
            return Ok(true);
        }
        match insert_rule(&self.pool, rule).await {
            Ok(()) => Ok(true),
            Err(error) if db::violated_key(&error) == Some("PRIMARY") => {
                Ok(update_rule(&self.pool, rule).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    #[instrument(name = "db.revocation.list", skip_all)]
    async fn list(
        &self,
        cursor: &str,
        keep_s: u32,
        limit: u32,
    ) -> Result<RevocationPage, SessionError> {
        let given = match cursor {
            "" => None,
            text => Some(Cursor::parse(text).map_err(|_| SessionError::CursorInvalid)?),
        };
        db::session(&self.pool, |tx| {
            Box::pin(async move {
                // Before the rows: what is written from here on is read the next time.
                let now_us = now_us(tx).await?;
                let oldest = Cursor::since(now_us - i64::from(keep_s) * 1_000_000);
                let start = given.unwrap_or(oldest);
                let rows = rows(tx, start.position(), limit).await?;
                let full = feed::end_of_full(&rows, limit, RevocationRow::position);
                let (cursor, more) = start.after(full, now_us);
                let entry = |row: RevocationRow| {
                    let left = i64::from(keep_s) - (now_us - row.position().at_us) / 1_000_000;
                    (Revocation::from(row), u32::try_from(left.max(1)).unwrap_or(keep_s))
                };
                let entries = rows.into_iter().map(entry).collect();
                Ok::<_, SessionError>(RevocationPage { entries, cursor: cursor.to_string(), more })
            })
        })
        .await
    }

    #[instrument(name = "db.revocation.sweep", skip_all)]
    async fn sweep(&self, keep_s: u32, limit: u32) -> Result<u64, SessionError> {
        let done = sqlx::query(
            "DELETE FROM revocations WHERE recorded_at < UTC_TIMESTAMP(6) - INTERVAL ? SECOND \
             ORDER BY recorded_at LIMIT ?",
        )
        .bind(keep_s)
        .bind(limit)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

/// Puts the rule in the place of one of a lower version. Returns whether there was one.
async fn update_rule(pool: &Pool, rule: &AccountRule) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query(
        "UPDATE revocations SET version = ?, is_disabled = ?, sessions_from = ?, \
         kept_session = ?, roles_from = ?, recorded_at = UTC_TIMESTAMP(6) \
         WHERE subject = ? AND kind = 'ACCOUNT' AND version < ?",
    )
    .bind(rule.version)
    .bind(rule.is_disabled)
    .bind(rule.sessions_from)
    .bind(rule.kept_session.map(|session| session.as_uuid()))
    .bind(rule.roles_from)
    .bind(rule.user_id.as_uuid())
    .bind(rule.version)
    .execute(pool)
    .await?;
    Ok(updated.rows_affected() > 0)
}

async fn insert_rule(pool: &Pool, rule: &AccountRule) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO revocations (subject, kind, version, is_disabled, sessions_from, \
         kept_session, roles_from, recorded_at) \
         VALUES (?, 'ACCOUNT', ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))",
    )
    .bind(rule.user_id.as_uuid())
    .bind(rule.version)
    .bind(rule.is_disabled)
    .bind(rule.sessions_from)
    .bind(rule.kept_session.map(|session| session.as_uuid()))
    .bind(rule.roles_from)
    .execute(pool)
    .await
    .map(|_| ())
}

async fn now_us(conn: &mut MySqlConnection) -> Result<i64, sqlx::Error> {
    let now: NaiveDateTime = sqlx::query_scalar("SELECT UTC_TIMESTAMP(6)").fetch_one(conn).await?;
    Ok(now.and_utc().timestamp_micros())
}

async fn rows(
    conn: &mut MySqlConnection,
    start: Position,
    limit: u32,
) -> Result<Vec<RevocationRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT subject, kind, version, is_disabled, sessions_from, kept_session, roles_from, \
         recorded_at FROM revocations WHERE recorded_at >= ? AND (recorded_at > ? OR subject > ?) \
         ORDER BY recorded_at, subject LIMIT ?",
    )
    .bind(start.at())
    .bind(start.at())
    .bind(start.id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

#[derive(sqlx::FromRow)]
struct RevocationRow {
    subject: Uuid,
    kind: String,
    version: u64,
    is_disabled: u8,
    sessions_from: u64,
    kept_session: Option<Uuid>,
    roles_from: u64,
    recorded_at: NaiveDateTime,
}

impl RevocationRow {
    fn position(&self) -> Position {
        Position { at_us: self.recorded_at.and_utc().timestamp_micros(), id: self.subject }
    }
}

impl From<RevocationRow> for Revocation {
    fn from(row: RevocationRow) -> Self {
        if row.kind == "SESSION" {
            return Self::Session(SessionId::from_uuid(row.subject));
        }
        Self::Account(AccountRule {
            user_id: UserId::from_uuid(row.subject),
            version: row.version,
            is_disabled: row.is_disabled != 0,
            sessions_from: row.sessions_from,
            kept_session: row.kept_session.map(SessionId::from_uuid),
            roles_from: row.roles_from,
        })
    }
}
