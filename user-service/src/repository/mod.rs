//! Port: where accounts are kept.
//!
//! One account is one transaction: its row, its roles and the events of the change are stored
//! together or not at all. To add an adapter, implement [`UserRepository`] in a sibling module and
//! run the suite in `contract` against it.

mod audit;
#[cfg(test)]
mod contract;
mod envelope;
#[cfg(any(test, feature = "testing"))]
mod memory;
mod mysql;
#[cfg(test)]
mod token_contract;
mod tokens;

use async_trait::async_trait;
use uuid::Uuid;

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryUserRepository;
pub use mysql::{MIGRATOR, MySqlUserRepository};
pub use tokens::{Issue, TokenRepository};

use crate::model::{AccessChanges, Change, Email, PasswordHash, User, UserError, UserId};

/// Keeps accounts.
#[async_trait]
pub trait UserRepository: Send + Sync {
    /// Stores a new account. Refuses a second one with the same normalised e-mail address as
    /// [`UserError::AccountExists`], also when both arrive at once.
    async fn insert(&self, registration: &Change) -> Result<(), UserError>;

    /// Stores a change if the account is still at the version that it starts from, else refuses it
    /// as [`UserError::VersionMismatch`]. A change that takes an administrator away is refused as
    /// [`UserError::LastAdmin`] when no other active one remains, also when several administrators
    /// are taken away at once. A change that a one-time token allows is refused as
    /// [`UserError::TokenInvalid`] unless the token is good, and uses it up.
    async fn save(&self, change: &Change) -> Result<(), UserError>;

    /// Puts another hash of the same password in the place of `outdated`, if that is still in force.
    /// Returns whether it was. Nothing else changes: no version, no event.
    async fn replace_hash(
        &self,
        id: UserId,
        outdated: &PasswordHash,
        renewed: &PasswordHash,
    ) -> Result<bool, UserError>;

    /// Finds an account.
    async fn find(&self, id: UserId) -> Result<Option<User>, UserError>;

    /// Finds the account with this e-mail address, compared in normalised form.
    async fn find_by_email(&self, email: &Email) -> Result<Option<User>, UserError>;

    /// Lists at most `limit` accounts, newest first, that are older than `before`.
    async fn list(&self, before: Option<UserId>, limit: u32) -> Result<Vec<User>, UserError>;

    /// Finds the session that outlived the last end of all sessions of an account, if one did.
    async fn find_kept_session(&self, id: UserId) -> Result<Option<Uuid>, UserError>;

    /// Lists at most `limit` accounts whose access changed since `cursor`, or within the last
    /// `lookback_s` seconds when it is empty, each with its latest state. A cursor that is none is
    /// [`UserError::CursorInvalid`].
    async fn list_access_changes(
        &self,
        cursor: &str,
        lookback_s: u32,
        limit: u32,
    ) -> Result<AccessChanges, UserError>;
}
