//! Adapter: known devices in MySQL or MariaDB.

use async_trait::async_trait;
use chassis::db::Pool;
use chrono::{DateTime, NaiveDateTime, Utc};
use tracing::instrument;

use crate::model::{Device, SessionError, Tag};
use crate::repository::DeviceRepository;

/// Keeps known devices in the schema of this service.
#[derive(Clone, Debug)]
pub struct MySqlDeviceRepository {
    pool: Pool,
}

impl MySqlDeviceRepository {
    /// Keeps devices in `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Forgets the devices of an account beyond the newest `keep`.
    async fn forget_old(&self, account: Tag, keep: u32) -> Result<(), SessionError> {
        let oldest_kept: Option<NaiveDateTime> = sqlx::query_scalar(
            "SELECT seen_at FROM known_devices WHERE account = ? \
             ORDER BY seen_at DESC LIMIT 1 OFFSET ?",
        )
        .bind(account.as_bytes().as_slice())
        .bind(keep.saturating_sub(1))
        .fetch_optional(&self.pool)
        .await?;
        if let Some(oldest_kept) = oldest_kept {
            sqlx::query("DELETE FROM known_devices WHERE account = ? AND seen_at < ?")
                .bind(account.as_bytes().as_slice())
                .bind(oldest_kept)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl DeviceRepository for MySqlDeviceRepository {
    #[instrument(name = "db.device.is_known", skip_all)]
    async fn is_known(&self, device: Device, since: DateTime<Utc>) -> Result<bool, SessionError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM known_devices WHERE account = ? AND device = ? AND seen_at >= ?",
        )
        .bind(device.account.as_bytes().as_slice())
        .bind(device.device.as_bytes().as_slice())
        .bind(since.naive_utc())
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }

    #[instrument(name = "db.device.remember", skip_all)]
    async fn remember(
        &self,
        device: Device,
        keep: u32,
        now: DateTime<Utc>,
    ) -> Result<(), SessionError> {
        let done = sqlx::query(
            "INSERT INTO known_devices (account, device, seen_at) VALUES (?, ?, ?) \
             ON DUPLICATE KEY UPDATE seen_at = GREATEST(seen_at, VALUES(seen_at))",
        )
        .bind(device.account.as_bytes().as_slice())
        .bind(device.device.as_bytes().as_slice())
        .bind(now.naive_utc())
        .execute(&self.pool)
        .await?;
        // Two rows: it was seen again, so that no other one has to go. One row: it is new, or was seen at
        // this very moment; to look once too often does no harm.
        match done.rows_affected() {
            2 => Ok(()),
            _ => self.forget_old(device.account, keep).await,
        }
    }

    #[instrument(name = "db.device.purge", skip_all)]
    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, SessionError> {
        let done =
            sqlx::query("DELETE FROM known_devices WHERE seen_at < ? ORDER BY seen_at LIMIT ?")
                .bind(before.naive_utc())
                .bind(limit)
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected())
    }
}
