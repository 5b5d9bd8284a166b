//! Adapter: sessions and signing keys in MySQL or MariaDB.

mod devices;
mod keys;
mod revocations;
mod rows;
mod tokens;
mod user;

use async_trait::async_trait;
use chassis::audit::AuditLog;
use chassis::db::{self, Pool, Tx};
use chassis::doorbell::Doorbell;
use chassis::outbox::Outbox;
use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::mysql::MySqlConnection;
use tracing::instrument;

use super::audit::of_end;
use super::envelope::envelopes;
use super::{Decide, SessionRepository};
pub use devices::MySqlDeviceRepository;
pub use keys::MySqlKeyRepository;
pub use revocations::MySqlRevocationRepository;
use rows::{PresentedRow, SessionRow};
use tokens::{find_token, insert_token, update_token};

use crate::model::{
    EndOfUser, EndReason, Exchange, Lifetimes, Opened, Presented, Session, SessionError, SessionId,
    StoredSession, TokenDigest, TokenState, UserId,
};

/// The schema of this service.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Reads whole sessions, with `$more` columns of what `$tail` joins.
macro_rules! select_session {
    ($more:literal, $tail:literal) => {
        concat!(
            "SELECT s.id, s.user_id, s.session_epoch, s.status, s.user_agent, s.client_address, ",
            "s.version, s.created_at, s.last_used_at, s.expires_at",
            $more,
            " FROM sessions s ",
            $tail
        )
    };
}

/// Keeps sessions in the schema of this service.
#[derive(Clone, Debug)]
pub struct MySqlSessionRepository {
    pool: Pool,
    outbox: Outbox,
    bell: Doorbell,
    audit: AuditLog,
}

impl MySqlSessionRepository {
    /// Keeps sessions in `pool`, tells of them in `outbox` and `audit`, and of ends by `bell`.
    pub fn new(pool: Pool, outbox: Outbox, bell: Doorbell, audit: AuditLog) -> Self {
        Self { pool, outbox, bell, audit }
    }

    /// Tells, after the commit, that there is something to publish.
    fn wake(&self, has_ended: bool) {
        self.outbox.wake();
        if has_ended {
            self.bell.ring();
        }
    }

    async fn store(&self, tx: &mut Tx<'_>, exchange: &Exchange) -> Result<(), SessionError> {
        if exchange.tokens.is_empty() && exchange.ended.is_none() {
            return Ok(());
        }
        update_session(tx, exchange).await?;
        if let Some(reason) = exchange.ended {
            revocations::insert_session(tx, exchange.session.id()).await?;
            self.audit.append(tx, &of_end(&exchange.session, reason)).await?;
        }
        for token in &exchange.tokens {
            match token.state {
                TokenState::Live => insert_token(tx, exchange.session.id(), token).await?,
                TokenState::Spent | TokenState::Replaced => update_token(tx, token).await?,
            }
        }
        let events = envelopes(&exchange.session, &exchange.events)?;
        self.outbox.append(tx, &events).await?;
        Ok(())
    }
}

#[async_trait]
impl SessionRepository for MySqlSessionRepository {
    #[instrument(name = "db.session.insert", skip_all, fields(session.id = %opened.session.id()))]
    async fn insert(&self, opened: &Opened) -> Result<(), SessionError> {
        let events = &envelopes(&opened.session, &opened.events)?;
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                insert_session(tx, opened.session.stored()).await?;
                insert_token(tx, opened.session.id(), &opened.token).await?;
                self.outbox.append(tx, events).await?;
                Ok::<_, SessionError>(())
            })
        })
        .await?;
        self.outbox.wake();
        Ok(())
    }

    /// One statement, because it sees one moment: read one after the other, a token and its
    /// successor could be of different exchanges, and look as if the token had been used twice.
    #[instrument(name = "db.session.find_presented", skip_all)]
    async fn find_presented(&self, token: TokenDigest) -> Result<Option<Presented>, SessionError> {
        let row = sqlx::query_as::<_, PresentedRow>(select_session!(
            ", t.digest, t.state, t.issued_at, t.spent_at, t.successor, \
             n.state AS next_state, n.issued_at AS next_issued_at, \
             n.spent_at AS next_spent_at, n.successor AS next_successor, \
             UTC_TIMESTAMP(6) AS seen_at",
            "JOIN refresh_tokens t ON t.session_id = s.id \
             LEFT JOIN refresh_tokens n ON n.digest = t.successor WHERE t.digest = ?"
        ))
        .bind(token.as_bytes().as_slice())
        .fetch_optional(&self.pool)
        .await?;
        row.map(Presented::try_from).transpose()
    }

    /// The session's row is locked before its tokens are read, always: one order, no deadlock, and
    /// nobody decides on tokens that another presentation is about to change.
    #[instrument(name = "db.session.exchange", skip_all, fields(session.id = %session))]
    async fn exchange(
        &self,
        session: SessionId,
        token: TokenDigest,
        decide: &Decide<'_>,
    ) -> Result<Exchange, SessionError> {
        let exchange = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let locked = lock(tx, session).await?.ok_or(SessionError::RefreshInvalid)?;
                let presented = presented(tx, locked, token).await?;
                let exchange = decide(&presented.ok_or(SessionError::RefreshInvalid)?);
                self.store(tx, &exchange).await?;
                Ok::<_, SessionError>(exchange)
            })
        })
        .await?;
        self.wake(exchange.ended.is_some());
        Ok(exchange)
    }

    #[instrument(name = "db.session.end", skip_all, fields(session.id = %session))]
    async fn end(
        &self,
        session: SessionId,
        reason: EndReason,
        now: DateTime<Utc>,
    ) -> Result<(), SessionError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let locked = lock(tx, session).await?;
                match locked.and_then(|session| session.end(reason, now)) {
                    Some(ended) => self.store(tx, &ended).await,
                    None => Ok(()),
                }
            })
        })
        .await?;
        self.wake(true);
        Ok(())
    }

    #[instrument(name = "db.session.find", skip_all, fields(session.id = %session))]
    async fn find(&self, session: SessionId) -> Result<Option<Session>, SessionError> {
        let row = sqlx::query_as::<_, SessionRow>(select_session!("", "WHERE s.id = ?"))
            .bind(session.as_uuid())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(Session::from))
    }

    #[instrument(name = "db.session.list_live", skip_all, fields(user.id = %user))]
    async fn list_live(
        &self,
        user: UserId,
        lifetimes: &Lifetimes,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Session>, SessionError> {
        let rows = sqlx::query_as::<_, SessionRow>(select_session!(
            "",
            "WHERE s.user_id = ? AND s.status = 'ACTIVE' AND s.last_used_at > ? \
             AND s.expires_at > ? ORDER BY s.last_used_at DESC, s.id DESC LIMIT ?"
        ))
        .bind(user.as_uuid())
        .bind((now - lifetimes.idle).naive_utc())
        .bind(now.naive_utc())
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    #[instrument(name = "db.session.end_of_user", skip_all, fields(user.id = %end.user_id))]
    async fn end_of_user(&self, end: &EndOfUser, now: DateTime<Utc>) -> Result<u32, SessionError> {
        self.end_all(end, now).await
    }

    #[instrument(name = "db.session.purge", skip_all)]
    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, SessionError> {
        let done =
            sqlx::query("DELETE FROM sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?")
                .bind(before.naive_utc())
                .bind(limit)
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected())
    }
}

async fn insert_session(
    conn: &mut MySqlConnection,
    session: &StoredSession,
) -> Result<(), SessionError> {
    sqlx::query(
        "INSERT INTO sessions (id, user_id, session_epoch, status, user_agent, client_address, \
         version, created_at, last_used_at, expires_at) VALUES (?, ?, ?, 'ACTIVE', ?, ?, ?, ?, ?, ?)",
    )
    .bind(session.id.as_uuid())
    .bind(session.user_id.as_uuid())
    .bind(session.session_epoch)
    .bind(&session.client.user_agent)
    .bind(&session.client.address)
    .bind(session.version)
    .bind(session.created_at.naive_utc())
    .bind(session.last_used_at.naive_utc())
    .bind(session.expires_at.naive_utc())
    .execute(conn)
    .await?;
    Ok(())
}

async fn update_session(
    conn: &mut MySqlConnection,
    exchange: &Exchange,
) -> Result<(), SessionError> {
    let session = exchange.session.stored();
    let ended_at = exchange.ended.map(|_| session.last_used_at.naive_utc());
    let done = sqlx::query(
        "UPDATE sessions SET status = ?, end_reason = ?, ended_at = ?, version = ?, \
         last_used_at = ? WHERE id = ? AND version = ? AND status = 'ACTIVE'",
    )
    .bind(if session.has_ended { "ENDED" } else { "ACTIVE" })
    .bind(exchange.ended.map(EndReason::as_str))
    .bind(ended_at)
    .bind(session.version)
    .bind(session.last_used_at.naive_utc())
    .bind(session.id.as_uuid())
    .bind(exchange.expected_version())
    .execute(conn)
    .await?;
    require_one(done.rows_affected())
}

/// The rows were read under the session's lock, so anything but one row is a defect.
fn require_one(rows: u64) -> Result<(), SessionError> {
    if rows == 1 {
        return Ok(());
    }
    Err(SessionError::internal("a locked row is no longer as it was read"))
}

async fn lock(
    conn: &mut MySqlConnection,
    session: SessionId,
) -> Result<Option<Session>, SessionError> {
    let row = sqlx::query_as::<_, SessionRow>(select_session!("", "WHERE s.id = ? FOR UPDATE"))
        .bind(session.as_uuid())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(Session::from))
}

async fn presented(
    conn: &mut MySqlConnection,
    session: Session,
    digest: TokenDigest,
) -> Result<Option<Presented>, SessionError> {
    let Some((token, seen_at)) = find_token(conn, digest).await? else { return Ok(None) };
    let successor = match token.successor {
        Some(next) => find_token(conn, next).await?.map(|(next, _)| next),
        None => None,
    };
    Ok(Some(Presented { session, token, successor, seen_at }))
}
