//! `[redis]`: rate limits and caches.

use std::time::Duration;

use serde::Deserialize;

use super::bounds::at_least_one;
use super::{ConfigError, Profile, Secret};

/// The Redis server. Without one, limits and caches are those of the process, which is for development:
/// each further process would allow as many guesses and requests again.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://:password@host:port/db`; empty means none, in development only.
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

    /// Refuses a wait in which nothing is ever answered, and to count alone in production. That a server
    /// is named says nothing of whether it is there: without an answer the process goes on alone.
    pub fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        if profile == Profile::Production && self.url.is_empty() {
            let reason = "must name the server that all processes count with";
            return Err(ConfigError::value("redis.url", reason));
        }
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
        let refused =
            |config: RedisConfig| config.validate(Profile::Development).unwrap_err().to_string();
        good.validate(Profile::Development).unwrap();
        let hasty = refused(RedisConfig { timeout_ms: 0, ..good.clone() });
        assert!(hasty.contains("redis.timeout_ms"), "{hasty}");
        let nameless = refused(RedisConfig { namespace: String::new(), ..good });
        assert!(nameless.contains("redis.namespace"), "{nameless}");
    }

    #[test]
    fn nobody_counts_alone_in_production() {
        let alone = RedisConfig::default();
        let refused = alone.validate(Profile::Production).unwrap_err().to_string();
        assert!(refused.contains("redis.url"), "{refused}");
        let url = Secret::new("rediss://:Vb4uPqf0sYx1mCe8@cache:6379/0");
        RedisConfig { url, ..alone }.validate(Profile::Production).unwrap();
    }
}
