//! Ports: where sessions and signing keys are kept.
//!
//! One session is one transaction: its row, its refresh tokens and the events of the change are
//! stored together or not at all. To add an adapter, implement the traits in a sibling module and
//! run the suite in `contract` against it.

#[cfg(test)]
mod contract;
mod envelope;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod mysql;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

#[cfg(any(test, feature = "testing"))]
pub use memory::{MemoryKeyRepository, MemorySessionRepository};
pub use mysql::{MIGRATOR, MySqlKeyRepository, MySqlSessionRepository};

use crate::model::{
    EndReason, Exchange, Opened, Presented, SessionError, SessionId, StoredKey, TokenDigest,
};

/// Decides what presenting a token does. It may be asked more than once, so it has no effect.
pub type Decide<'a> = dyn Fn(&Presented) -> Exchange + Send + Sync + 'a;

/// Keeps sessions with their refresh tokens.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// Stores a new session.
    async fn insert(&self, opened: &Opened) -> Result<(), SessionError>;

    /// Finds what is known about a presented token.
    async fn find_presented(&self, token: TokenDigest) -> Result<Option<Presented>, SessionError>;

    /// Lets `decide` say what presenting `token` does, and stores that. Presentations of the tokens
    /// of one session come one after the other, each deciding on what the one before it left. A
    /// token that is gone is [`SessionError::RefreshInvalid`].
    async fn exchange(
        &self,
        session: SessionId,
        token: TokenDigest,
        decide: &Decide<'_>,
    ) -> Result<Exchange, SessionError>;

    /// Ends a session. Nothing happens to one that has ended already or is gone.
    async fn end(
        &self,
        session: SessionId,
        reason: EndReason,
        now: DateTime<Utc>,
    ) -> Result<(), SessionError>;

    /// Deletes at most `limit` sessions that expired before `before`, with their tokens. Returns
    /// how many.
    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, SessionError>;
}

/// Keeps signing keys.
#[async_trait]
pub trait KeyRepository: Send + Sync {
    /// Lists all keys, oldest first.
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError>;

    /// Stores a key that is to sign. Returns whether it does: when another key signs already,
    /// also one that was stored at the same moment, nothing is stored.
    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError>;
}
