//! Rows of the schema, and what they are in the model.

use chassis::db::DbError;
use chassis::error::Kind;
use chrono::{DateTime, NaiveDateTime, Utc};
use uuid::Uuid;

use crate::model::{
    Client, Presented, RefreshToken, Session, SessionError, SessionId, StoredSession, TokenDigest,
    TokenState, UserId,
};

#[derive(sqlx::FromRow)]
pub(super) struct SessionRow {
    id: Uuid,
    user_id: Uuid,
    session_epoch: u64,
    status: String,
    user_agent: String,
    client_address: String,
    version: u64,
    created_at: NaiveDateTime,
    last_used_at: NaiveDateTime,
    expires_at: NaiveDateTime,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self::restore(StoredSession {
            id: SessionId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            session_epoch: row.session_epoch,
            has_ended: row.status != "ACTIVE",
            client: Client { user_agent: row.user_agent, address: row.client_address },
            version: row.version,
            created_at: row.created_at.and_utc(),
            last_used_at: row.last_used_at.and_utc(),
            expires_at: row.expires_at.and_utc(),
        })
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    digest: Vec<u8>,
    state: String,
    issued_at: NaiveDateTime,
    spent_at: Option<NaiveDateTime>,
    successor: Option<Vec<u8>>,
}

impl TryFrom<TokenRow> for RefreshToken {
    type Error = SessionError;

    fn try_from(row: TokenRow) -> Result<Self, SessionError> {
        let state = TokenState::parse(&row.state);
        Ok(Self {
            digest: digest(&row.digest)?,
            state: state.ok_or_else(|| SessionError::internal("unknown state of a token"))?,
            issued_at: row.issued_at.and_utc(),
            spent_at: row.spent_at.map(|at| at.and_utc()),
            successor: row.successor.as_deref().map(digest).transpose()?,
        })
    }
}

/// A token, and when it was read.
#[derive(sqlx::FromRow)]
pub(super) struct SeenTokenRow {
    #[sqlx(flatten)]
    token: TokenRow,
    seen_at: NaiveDateTime,
}

impl SeenTokenRow {
    pub(super) fn read(self) -> Result<(RefreshToken, DateTime<Utc>), SessionError> {
        Ok((RefreshToken::try_from(self.token)?, self.seen_at.and_utc()))
    }
}

/// A token with its session and its successor.
#[derive(sqlx::FromRow)]
pub(super) struct PresentedRow {
    #[sqlx(flatten)]
    session: SessionRow,
    #[sqlx(flatten)]
    token: TokenRow,
    next_state: Option<String>,
    next_issued_at: Option<NaiveDateTime>,
    next_spent_at: Option<NaiveDateTime>,
    next_successor: Option<Vec<u8>>,
    seen_at: NaiveDateTime,
}

impl PresentedRow {
    /// The successor's row. None when there is no such row, whatever the token says.
    fn next(&self) -> Option<TokenRow> {
        Some(TokenRow {
            digest: self.token.successor.clone()?,
            state: self.next_state.clone()?,
            issued_at: self.next_issued_at?,
            spent_at: self.next_spent_at,
            successor: self.next_successor.clone(),
        })
    }
}

impl TryFrom<PresentedRow> for Presented {
    type Error = SessionError;

    fn try_from(row: PresentedRow) -> Result<Self, SessionError> {
        let successor = row.next().map(RefreshToken::try_from).transpose()?;
        let token = RefreshToken::try_from(row.token)?;
        let seen_at = row.seen_at.and_utc();
        Ok(Self { session: row.session.into(), token, successor, seen_at })
    }
}

fn digest(bytes: &[u8]) -> Result<TokenDigest, SessionError> {
    bytes.try_into().map(TokenDigest::new).map_err(SessionError::internal)
}

impl From<DbError> for SessionError {
    fn from(error: DbError) -> Self {
        match error.kind() {
            Kind::DeadlineExceeded => Self::DeadlineExceeded,
            Kind::Unavailable | Kind::Aborted => {
                Self::Unavailable { retry_after: None, source: Box::new(error) }
            }
            _ => Self::Internal { source: Box::new(error) },
        }
    }
}

impl From<sqlx::Error> for SessionError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}
