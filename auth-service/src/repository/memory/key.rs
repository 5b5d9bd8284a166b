//! Adapter for tests: signing keys in a list.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chassis::audit::Entry;
use chrono::{DateTime, Utc};

use crate::model::{KeyState, SessionError, StoredKey};
use crate::repository::KeyRepository;
use crate::repository::audit::{KeyDeed, of_new_key, of_promotion, of_resealing};

/// Keeps signing keys in memory.
#[derive(Debug, Default)]
pub struct MemoryKeyRepository {
    keys: Mutex<Vec<StoredKey>>,
    audit: Mutex<Vec<Entry>>,
}

impl MemoryKeyRepository {
    /// What an audit log would say of keys, in order.
    pub fn audit(&self) -> Vec<&'static str> {
        let told = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().map(Entry::action).collect()
    }

    fn tell(&self, entry: Entry) {
        self.audit.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<StoredKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyRepository for MemoryKeyRepository {
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError> {
        Ok(self.lock().clone())
    }

    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError> {
        let mut keys = self.lock();
        if keys.iter().any(|known| known.signs) {
            return Ok(false);
        }
        keys.push(key.clone());
        self.tell(of_new_key(key, KeyDeed::First));
        Ok(true)
    }

    async fn insert_pending(&self, key: &StoredKey) -> Result<bool, SessionError> {
        let mut keys = self.lock();
        if keys.iter().any(|known| known.state() == KeyState::Pending) {
            return Ok(false);
        }
        keys.push(key.clone());
        self.tell(of_new_key(key, KeyDeed::Published));
        Ok(true)
    }

    async fn promote(&self, kid: &str, until: DateTime<Utc>) -> Result<bool, SessionError> {
        let mut keys = self.lock();
        let is_it = |key: &&StoredKey| key.kid == kid && key.state() == KeyState::Pending;
        if !keys.iter().any(|key| is_it(&key)) {
            return Ok(false);
        }
        for key in keys.iter_mut() {
            if key.signs {
                retire(key, until);
            }
            key.signs = key.kid == kid;
        }
        self.tell(of_promotion(kid));
        Ok(true)
    }

    async fn replace_all(&self, key: &StoredKey, now: DateTime<Utc>) -> Result<(), SessionError> {
        let mut keys = self.lock();
        for known in keys.iter_mut().filter(|known| known.is_published(now)) {
            retire(known, now);
        }
        keys.push(key.clone());
        self.tell(of_new_key(key, KeyDeed::ReplacedAll));
        Ok(())
    }

    async fn reseal(&self, key: &StoredKey, sealed: &[u8]) -> Result<bool, SessionError> {
        let mut keys = self.lock();
        let mut stored = keys.iter_mut();
        let found = stored.find(|it| it.kid == key.kid && it.sealed_key == key.sealed_key);
        let Some(found) = found else { return Ok(false) };
        found.sealed_key = sealed.to_vec();
        self.tell(of_resealing(&key.kid));
        Ok(true)
    }

    async fn forget(&self, before: DateTime<Utc>) -> Result<u64, SessionError> {
        let mut keys = self.lock();
        let count = keys.len();
        keys.retain(|key| key.published_until.is_none_or(|until| until >= before));
        Ok((count - keys.len()) as u64)
    }
}

fn retire(key: &mut StoredKey, until: DateTime<Utc>) {
    key.signs = false;
    key.published_until = Some(until);
    key.sealed_key = Vec::new();
}
