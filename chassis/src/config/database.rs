//! `[database]`: the schema that the service owns.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;

/// The MySQL or MariaDB schema that the service owns.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `mysql://account:password@host:port/schema`.
    pub url: Secret,
    /// Connections held at most.
    pub max_connections: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout_ms: u64,
    /// Longest run of one statement.
    pub statement_timeout_ms: u64,
    /// Idle time after which a connection is tested before it is used.
    pub idle_ping_ms: u64,
}

impl DatabaseConfig {
    /// Longest wait for a free connection.
    pub fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }

    /// Longest run of one statement.
    pub fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    /// Idle time after which a connection is tested before it is used.
    pub fn idle_ping(&self) -> Duration {
        Duration::from_millis(self.idle_ping_ms)
    }
}

impl Default for DatabaseConfig {
    /// Everything but the address, which every service states itself.
    fn default() -> Self {
        Self {
            url: Secret::default(),
            max_connections: 10,
            acquire_timeout_ms: 500,
            statement_timeout_ms: 2_000,
            idle_ping_ms: 5_000,
        }
    }
}
