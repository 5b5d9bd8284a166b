//! Adapter for tests: no hash at all, so that tests of use cases take no time.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::PasswordHasher;
use crate::model::{PasswordHash, TypedPassword, UserError};

/// Keeps passwords as they are and counts the checks.
#[derive(Debug, Default)]
pub struct PlainHasher {
    checks: AtomicUsize,
}

impl PlainHasher {
    /// How many passwords were checked, with and without a hash.
    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: &TypedPassword) -> Result<PasswordHash, UserError> {
        Ok(PasswordHash::new(format!("plain:{}", password.expose())))
    }

    async fn verify(
        &self,
        password: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, UserError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let made = format!("plain:{}", password.expose());
        Ok(hash.is_some_and(|hash| hash.as_str() == made))
    }
}
