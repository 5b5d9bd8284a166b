//! Port: hashing passwords and checking them against a hash.
//!
//! An adapter bounds how much of the machine it takes: a flood of logins must not starve what
//! else the process does. What does not fit is refused as [`UserError::Overloaded`].

mod argon2;
#[cfg(any(test, feature = "testing"))]
mod plain;
mod queue;
mod threads;

use async_trait::async_trait;

pub use self::argon2::{Argon2Hasher, Cost};
#[cfg(any(test, feature = "testing"))]
pub use self::plain::PlainHasher;
pub use self::queue::HashingLimits;
use crate::model::{PasswordHash, TypedPassword, UserError};

/// What checking a password showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another one.
    Wrong,
    /// It is the one, and its hash is as costly as a new one would be.
    Right,
    /// It is the one, and its hash is cheaper than a new one would be.
    RightButOutdated,
}

impl Verdict {
    /// Whether the password is the one.
    pub fn is_right(self) -> bool {
        self != Self::Wrong
    }
}

/// Hashes passwords.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a chosen password under a fresh salt.
    async fn hash(&self, password: &TypedPassword) -> Result<PasswordHash, UserError>;

    /// Tells whether `password` is the one that `hash` was made of. Without a hash the answer is
    /// no, after as much work as with one: the time must not tell whether an account exists. Nor
    /// must it tell how old the hash is: checking one that was cheaper costs as much as a new one.
    async fn verify(
        &self,
        password: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, UserError>;
}
