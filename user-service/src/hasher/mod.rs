//! Port: hashing passwords and checking them against a hash.
//!
//! An adapter bounds how much of the machine it takes: a flood of logins must not starve what
//! else the process does. What does not fit is refused as [`UserError::Overloaded`].

mod argon2;
#[cfg(any(test, feature = "testing"))]
mod plain;

use async_trait::async_trait;

pub use self::argon2::{Argon2Hasher, HashingLimits};
#[cfg(any(test, feature = "testing"))]
pub use self::plain::PlainHasher;
use crate::model::{PasswordHash, TypedPassword, UserError};

/// Hashes passwords.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a chosen password under a fresh salt.
    async fn hash(&self, password: &TypedPassword) -> Result<PasswordHash, UserError>;

    /// Tells whether `password` is the one that `hash` was made of. Without a hash the answer is
    /// no, after as much work as with one: the time must not tell whether an account exists.
    async fn verify(
        &self,
        password: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, UserError>;
}
