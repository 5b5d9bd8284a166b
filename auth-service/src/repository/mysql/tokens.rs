//! Refresh tokens, as parts of a session's transaction.

use chrono::{DateTime, Utc};
use sqlx::mysql::MySqlConnection;

use super::require_one;
use super::rows::SeenTokenRow;
use crate::model::{RefreshToken, SessionError, SessionId, TokenDigest};

pub(super) async fn insert_token(
    conn: &mut MySqlConnection,
    session: SessionId,
    token: &RefreshToken,
) -> Result<(), SessionError> {
    sqlx::query(
        "INSERT INTO refresh_tokens (digest, session_id, state, issued_at) VALUES (?, ?, ?, ?)",
    )
    .bind(token.digest.as_bytes().as_slice())
    .bind(session.as_uuid())
    .bind(token.state.as_str())
    .bind(token.issued_at.naive_utc())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn update_token(
    conn: &mut MySqlConnection,
    token: &RefreshToken,
) -> Result<(), SessionError> {
    let done = sqlx::query(
        "UPDATE refresh_tokens SET state = ?, spent_at = ?, successor = ? \
         WHERE digest = ? AND state <> 'REPLACED'",
    )
    .bind(token.state.as_str())
    .bind(token.spent_at.map(|at| at.naive_utc()))
    .bind(token.successor.as_ref().map(|next| next.as_bytes().as_slice()))
    .bind(token.digest.as_bytes().as_slice())
    .execute(conn)
    .await?;
    require_one(done.rows_affected())
}

/// A token, and when it was read by the clock of the database.
pub(super) async fn find_token(
    conn: &mut MySqlConnection,
    digest: TokenDigest,
) -> Result<Option<(RefreshToken, DateTime<Utc>)>, SessionError> {
    let row = sqlx::query_as::<_, SeenTokenRow>(
        "SELECT digest, state, issued_at, spent_at, successor, UTC_TIMESTAMP(6) AS seen_at \
         FROM refresh_tokens WHERE digest = ?",
    )
    .bind(digest.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(SeenTokenRow::read).transpose()
}
