//! Ports: where sessions, known devices and signing keys are kept.
//!
//! One session is one transaction: its row, its refresh tokens and the events of the change are
//! stored together or not at all. To add an adapter, implement the traits in a sibling module and
//! run the suite in `contract` against it.

mod audit;
#[cfg(test)]
mod contract;
mod envelope;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod mysql;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

#[cfg(any(test, feature = "testing"))]
pub use memory::{Fault, MemoryDeviceRepository, MemoryKeyRepository, MemorySessionRepository};
pub use mysql::{
    MIGRATOR, MySqlDeviceRepository, MySqlKeyRepository, MySqlRevocationRepository,
    MySqlSessionRepository,
};

use crate::model::{
    AccountRule, Device, EndOfUser, EndReason, Exchange, Lifetimes, Opened, Presented,
    RevocationPage, Session, SessionError, SessionId, StoredKey, TokenDigest, UserId,
};

/// Decides what presenting a token does. It may be asked more than once, so it has no effect.
pub type Decide<'a> = dyn Fn(&Presented) -> Exchange + Send + Sync + 'a;

/// Keeps sessions with their refresh tokens.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// Stores a new session.
    async fn insert(&self, opened: &Opened) -> Result<(), SessionError>;

    /// Finds what is known about a presented token, and tells when by the clock of the storage.
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

    /// Finds a session, ended or not.
    async fn find(&self, session: SessionId) -> Result<Option<Session>, SessionError>;

    /// Lists at most `limit` sessions of a user that are live at `now`, the most recently used first.
    async fn list_live(
        &self,
        user: UserId,
        lifetimes: &Lifetimes,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Session>, SessionError>;

    /// Ends every session that `end` concerns. Returns how many ended by this.
    async fn end_of_user(&self, end: &EndOfUser, now: DateTime<Utc>) -> Result<u32, SessionError>;

    /// Ends a session, which revokes its access tokens. Nothing happens to one that has ended already
    /// or is gone.
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

/// Keeps what makes access tokens worthless before their time. Sessions enter by their end.
#[async_trait]
pub trait RevocationRepository: Send + Sync {
    /// Stores the rule of an account, unless one of the same or a higher version is there. Returns
    /// whether it was stored.
    async fn record(&self, rule: &AccountRule) -> Result<bool, SessionError>;

    /// Lists at most `limit` entries from `cursor` on, all of the last `keep_s` seconds when it is
    /// empty. An entry matters for `keep_s` seconds. A cursor that is none is
    /// [`SessionError::CursorInvalid`].
    async fn list(
        &self,
        cursor: &str,
        keep_s: u32,
        limit: u32,
    ) -> Result<RevocationPage, SessionError>;

    /// Deletes at most `limit` entries that are older than `keep_s` seconds. Returns how many.
    async fn sweep(&self, keep_s: u32, limit: u32) -> Result<u64, SessionError>;
}

/// Keeps signing keys.
#[async_trait]
pub trait KeyRepository: Send + Sync {
    /// Lists all keys, oldest first.
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError>;

    /// Stores a key that is to sign. Returns whether it does: when another key signs already,
    /// also one that was stored at the same moment, nothing is stored.
    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError>;

    /// Stores a key that is to sign later. Returns whether it was: when another one waits already,
    /// also one that was stored at the same moment, nothing is stored.
    async fn insert_pending(&self, key: &StoredKey) -> Result<bool, SessionError>;

    /// Lets the pending key `kid` sign. The one that signed so far is published until `until`, and its
    /// private part is destroyed. Returns whether this call did it: another one may have.
    async fn promote(&self, kid: &str, until: DateTime<Utc>) -> Result<bool, SessionError>;

    /// Stores a key that signs from now on, and withdraws every other one at once. When another one is
    /// stored at the same moment, nothing happens and it is [`SessionError::KeysChanged`].
    async fn replace_all(&self, key: &StoredKey, now: DateTime<Utc>) -> Result<(), SessionError>;

    /// Stores the private part of `key` as `sealed`, if it is still stored as `key` says. Returns
    /// whether it was: another one may have done so, or destroyed it.
    async fn reseal(&self, key: &StoredKey, sealed: &[u8]) -> Result<bool, SessionError>;

    /// Deletes the keys that have not been published since `before`. Returns how many.
    async fn forget(&self, before: DateTime<Utc>) -> Result<u64, SessionError>;
}

/// Keeps the devices that accounts logged in from.
#[async_trait]
pub trait DeviceRepository: Send + Sync {
    /// Whether the account logged in from this device at or after `since`.
    async fn is_known(&self, device: Device, since: DateTime<Utc>) -> Result<bool, SessionError>;

    /// Notes that the account logged in from this device. Of each account the `keep` devices that
    /// were seen last stay known. A replica whose clock is behind makes no device older.
    async fn remember(
        &self,
        device: Device,
        keep: u32,
        now: DateTime<Utc>,
    ) -> Result<(), SessionError>;

    /// Forgets at most `limit` devices that were last seen before `before`. Returns how many.
    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, SessionError>;
}
