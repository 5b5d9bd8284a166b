//! `[database]`: the schema that the service owns.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use sqlx::mysql::MySqlConnectOptions;

use super::bounds::at_least_one;
use super::{ConfigError, Secret};

/// The MySQL or MariaDB schema that the service owns.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `mysql://account:password@host:port/schema`.
    #[serde(deserialize_with = "mysql_url")]
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

    /// Refuses a pool that no statement would ever come out of.
    pub fn validate(&self) -> Result<(), ConfigError> {
        at_least_one([
            ("database.max_connections", self.max_connections == 0),
            ("database.acquire_timeout_ms", self.acquire_timeout_ms == 0),
            ("database.statement_timeout_ms", self.statement_timeout_ms == 0),
        ])
    }
}

/// The message repeats nothing of what was given: it may hold a password.
fn mysql_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let url = Secret::deserialize(deserializer)?;
    let text = url.expose();
    let has_scheme = text.starts_with("mysql://") || text.starts_with("mariadb://");
    if has_scheme && text.parse::<MySqlConnectOptions>().is_ok() {
        return Ok(url);
    }
    let message = "must have the form mysql://account:password@host:port/schema";
    Err(serde::de::Error::custom(message))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(url: &str) -> Result<DatabaseConfig, String> {
        serde_json::from_value(json!({"url": url})).map_err(|error| error.to_string())
    }

    #[test]
    fn only_addresses_of_mysql_are_accepted_and_none_is_repeated() {
        assert!(read("mysql://hub:s3cret@127.0.0.1:3306/hub").is_ok());
        assert!(read("mariadb://hub:s3cret@db/hub").is_ok());
        for url in ["postgres://hub:s3cret@db/hub", "mysql:/hub:s3cret@db", "s3cret", ""] {
            let refused = read(url).unwrap_err();
            assert!(refused.contains("mysql://") && !refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn a_pool_that_gives_nothing_is_refused_by_name() {
        let good = DatabaseConfig::default();
        good.validate().unwrap();
        for (key, bad) in [
            ("max_connections", DatabaseConfig { max_connections: 0, ..good.clone() }),
            ("acquire_timeout_ms", DatabaseConfig { acquire_timeout_ms: 0, ..good.clone() }),
            ("statement_timeout_ms", DatabaseConfig { statement_timeout_ms: 0, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("database.{key}")), "{error}");
        }
    }
}
