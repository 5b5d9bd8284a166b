//! Adapter for tests: no hash at all, so that tests of use cases take no time.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::{PasswordHasher, Verdict};
use crate::model::{PasswordHash, TypedPassword, UserError};

/// Keeps passwords as they are and counts the checks and the hashes.
#[derive(Debug, Default)]
pub struct PlainHasher {
    checks: AtomicUsize,
    hashes: AtomicUsize,
    cost: AtomicUsize,
}

impl PlainHasher {
    /// From now on a hash has to be costlier.
    pub fn raise_cost(&self) {
        self.cost.fetch_add(1, Ordering::SeqCst);
    }

    /// How many hashes were made.
    pub fn hashes(&self) -> usize {
        self.hashes.load(Ordering::SeqCst)
    }

    /// How many passwords were checked, with and without a hash.
    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: &TypedPassword) -> Result<PasswordHash, UserError> {
        self.hashes.fetch_add(1, Ordering::SeqCst);
        let cost = self.cost.load(Ordering::SeqCst);
        Ok(PasswordHash::new(format!("plain{cost}:{}", password.expose())))
    }

    async fn verify(
        &self,
        password: &TypedPassword,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, UserError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let parts = hash.and_then(|hash| hash.as_str().split_once(':'));
        let current = format!("plain{}", self.cost.load(Ordering::SeqCst));
        Ok(match parts {
            Some((cost, made)) if made == password.expose() && cost == current => Verdict::Right,
            Some((_, made)) if made == password.expose() => Verdict::RightButOutdated,
            _ => Verdict::Wrong,
        })
    }
}
