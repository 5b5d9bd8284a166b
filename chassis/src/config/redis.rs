//! `[redis]`: rate limits and caches.

use std::time::Duration;

use serde::Deserialize;

use super::bounds::at_least_one;
use super::{ConfigError, Secret};

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

    /// Refuses a wait in which nothing is ever answered.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.namespace.is_empty() {
            return Err(ConfigError::value("redis.namespace", "must not be empty"));
        }
        at_least_one([("redis.timeout_ms", self.timeout_ms == 0)])
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: Secret::default(), timeout_ms: 50, namespace: "enterprisehub".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_nothing_and_a_name_of_nobody_are_refused_by_name() {
        let good = RedisConfig::default();
        good.validate().unwrap();
        let hasty = RedisConfig { timeout_ms: 0, ..good.clone() }.validate().unwrap_err();
        assert!(hasty.to_string().contains("redis.timeout_ms"), "{hasty}");
        let nameless = RedisConfig { namespace: String::new(), ..good }.validate().unwrap_err();
        assert!(nameless.to_string().contains("redis.namespace"), "{nameless}");
    }
}
