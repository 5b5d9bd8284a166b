//! Adapter for tests: known devices in a map.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::{Device, SessionError, Tag};
use crate::repository::DeviceRepository;

/// Keeps known devices in memory.
#[derive(Debug, Default)]
pub struct MemoryDeviceRepository {
    seen: Mutex<BTreeMap<(Tag, Tag), DateTime<Utc>>>,
}

impl MemoryDeviceRepository {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Tag, Tag), DateTime<Utc>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeviceRepository for MemoryDeviceRepository {
    async fn is_known(&self, device: Device, since: DateTime<Utc>) -> Result<bool, SessionError> {
        let seen = self.lock();
        Ok(seen.get(&(device.account, device.device)).is_some_and(|seen_at| *seen_at >= since))
    }

    async fn remember(
        &self,
        device: Device,
        keep: u32,
        now: DateTime<Utc>,
    ) -> Result<(), SessionError> {
        let mut seen = self.lock();
        let seen_at = seen.entry((device.account, device.device)).or_insert(now);
        *seen_at = now.max(*seen_at);
        let own = seen.iter().filter(|((account, _), _)| *account == device.account);
        let mut times: Vec<_> = own.map(|(_, seen_at)| *seen_at).collect();
        times.sort_unstable();
        if let Some(oldest_kept) = times.iter().rev().nth(keep.saturating_sub(1) as usize).copied()
        {
            seen.retain(|(account, _), seen_at| {
                *account != device.account || *seen_at >= oldest_kept
            });
        }
        Ok(())
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, SessionError> {
        let mut seen = self.lock();
        let old = seen.iter().filter(|(_, seen_at)| **seen_at < before).map(|(key, _)| *key);
        let old: Vec<_> = old.take(limit as usize).collect();
        for key in &old {
            seen.remove(key);
        }
        Ok(old.len() as u64)
    }
}
