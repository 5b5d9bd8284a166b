//! What makes access tokens worthless before their time: one row per account, read as a feed.

use chassis::db::{self, Pool};
use chassis::feed::{self, Cursor, Position};
use chrono::NaiveDateTime;
use sqlx::mysql::MySqlConnection;
use uuid::Uuid;

use super::unreadable;
use crate::model::{AccessChange, AccessChanges, Change, Status, UserError, UserId};

/// Records what a change does to access tokens, in its transaction. What the change leaves alone stays
/// as it was.
pub(super) async fn record(conn: &mut MySqlConnection, change: &Change) -> Result<(), UserError> {
    let Some(effect) = &change.access else { return Ok(()) };
    let version = change.user.version();
    sqlx::query(
        "INSERT INTO access_changes \
         (user_id, version, sessions_from, kept_session, roles_from, changed_at) \
         VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE \
         kept_session = IF(VALUES(sessions_from) > 0, VALUES(kept_session), kept_session), \
         sessions_from = GREATEST(sessions_from, VALUES(sessions_from)), \
         roles_from = GREATEST(roles_from, VALUES(roles_from)), \
         version = VALUES(version), changed_at = VALUES(changed_at)",
    )
    .bind(change.user.id().as_uuid())
    .bind(version)
    .bind(if effect.ends_sessions { version } else { 0 })
    .bind(effect.kept_session)
    .bind(if effect.changes_roles { version } else { 0 })
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn find_kept_session(pool: &Pool, id: UserId) -> Result<Option<Uuid>, UserError> {
    let row: Option<Option<Uuid>> =
        sqlx::query_scalar("SELECT kept_session FROM access_changes WHERE user_id = ?")
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await?;
    Ok(row.flatten())
}

pub(super) async fn list(
    pool: &Pool,
    cursor: &str,
    lookback_s: u32,
    limit: u32,
) -> Result<AccessChanges, UserError> {
    let given = match cursor {
        "" => None,
        text => Some(Cursor::parse(text).map_err(|_| UserError::CursorInvalid)?),
    };
    db::session(pool, |tx| {
        Box::pin(async move {
            // Before the rows: what is written from here on is read the next time.
            let now: NaiveDateTime =
                sqlx::query_scalar("SELECT UTC_TIMESTAMP(6)").fetch_one(&mut **tx).await?;
            let now_us = now.and_utc().timestamp_micros();
            let oldest = Cursor::since(now_us - i64::from(lookback_s) * 1_000_000);
            let start = given.unwrap_or(oldest);
            let rows = rows(tx, start.position(), limit).await?;
            let full = feed::end_of_full(&rows, limit, AccessRow::position);
            let (cursor, more) = start.after(full, now_us);
            let changes = rows.into_iter().map(AccessChange::try_from).collect::<Result<_, _>>()?;
            Ok::<_, UserError>(AccessChanges { changes, cursor: cursor.to_string(), more })
        })
    })
    .await
}

async fn rows(
    conn: &mut MySqlConnection,
    start: Position,
    limit: u32,
) -> Result<Vec<AccessRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT c.user_id, c.version, u.status, u.session_epoch, c.sessions_from, c.kept_session, \
         c.roles_from, c.changed_at FROM access_changes c JOIN users u ON u.id = c.user_id \
         WHERE c.changed_at >= ? AND (c.changed_at > ? OR c.user_id > ?) \
         ORDER BY c.changed_at, c.user_id LIMIT ?",
    )
    .bind(start.at())
    .bind(start.at())
    .bind(start.id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

#[derive(sqlx::FromRow)]
struct AccessRow {
    user_id: Uuid,
    version: u64,
    status: String,
    session_epoch: u64,
    sessions_from: u64,
    kept_session: Option<Uuid>,
    roles_from: u64,
    changed_at: NaiveDateTime,
}

impl AccessRow {
    fn position(&self) -> Position {
        Position { at_us: self.changed_at.and_utc().timestamp_micros(), id: self.user_id }
    }
}

impl TryFrom<AccessRow> for AccessChange {
    type Error = UserError;

    fn try_from(row: AccessRow) -> Result<Self, UserError> {
        Ok(Self {
            user_id: UserId::from_uuid(row.user_id),
            version: row.version,
            status: Status::parse(&row.status).ok_or_else(|| unreadable("status"))?,
            session_epoch: row.session_epoch,
            sessions_from: row.sessions_from,
            kept_session: row.kept_session,
            roles_from: row.roles_from,
        })
    }
}
