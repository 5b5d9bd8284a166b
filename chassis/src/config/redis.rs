//! `[redis]`: rate limits and caches.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;

/// The Redis server. Without one, limits and caches are those of the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://:password@host:port/db`; empty means none.
    pub url: Secret,
    /// Longest wait for an answer. Short: whoever asks has a way to go on without one.
    pub timeout_ms: u64,
    /// First part of every key.
    pub namespace: String,
}

impl RedisConfig {
    /// Longest wait for an answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: Secret::default(), timeout_ms: 50, namespace: "enterprisehub".to_owned() }
    }
}
