//! Port: the accounts, which user-service owns.

#[cfg(any(test, feature = "testing"))]
mod memory;
mod user;

use async_trait::async_trait;

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryAccounts;
pub use user::GrpcCredentialChecker;

use crate::model::{AccountAccess, AccountChanges, Credentials, Identity, SessionError, UserId};

/// Knows whom credentials belong to and what accounts may do.
#[async_trait]
pub trait CredentialChecker: Send + Sync {
    /// Returns whom the credentials belong to, else [`SessionError::CredentialsInvalid`] or
    /// [`SessionError::AccountDisabled`].
    async fn check(&self, credentials: &Credentials) -> Result<Identity, SessionError>;

    /// Finds what an account may do at the moment.
    async fn find_access(&self, user_id: UserId) -> Result<Option<AccountAccess>, SessionError>;

    /// Lists whose access changed since the part that returned `cursor`, or within the last
    /// `lookback_s` seconds when it is empty. A cursor that is refused is
    /// [`SessionError::CursorInvalid`].
    async fn list_changes(
        &self,
        cursor: &str,
        lookback_s: u32,
    ) -> Result<AccountChanges, SessionError>;
}
