//! `[http]`: limits of one request.

use std::time::Duration;

use chassis::config::ConfigError;
use serde::Deserialize;

/// Limits of one request.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Hosts that requests may be for, such as `api.shop.example` or `api.shop.example:8443`;
    /// empty means any.
    #[serde(deserialize_with = "chassis::config::list::texts")]
    pub allowed_hosts: Vec<String>,
    /// Largest body accepted.
    pub max_body_bytes: usize,
    /// Bodies that may be on their way from one address at once, at least 1.
    pub max_bodies_per_address: usize,
    /// Bytes that all bodies on their way may hold.
    pub max_body_memory_bytes: usize,
    /// Connections of one address at once (IPv6: of one /64), at least 1; more are closed.
    pub max_connections_per_address: usize,
    /// Time in which a client must have taken an answer.
    pub answer_timeout_ms: u64,
    /// Time in which the whole body must have arrived.
    pub body_read_timeout_ms: u64,
    /// Longest wait for what other services add to an order's timeline.
    pub timeline_wait_ms: u64,
}

impl HttpConfig {
    /// Time in which the whole body must have arrived.
    pub fn body_read_timeout(&self) -> Duration {
        Duration::from_millis(self.body_read_timeout_ms)
    }

    /// Time in which a client must have taken an answer.
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    /// Longest wait for what other services add to an order's timeline.
    pub fn timeline_wait(&self) -> Duration {
        Duration::from_millis(self.timeline_wait_ms)
    }

    /// Refuses limits under which no request is ever read or answered.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let limits = [
            ("http.max_body_bytes", self.max_body_bytes == 0),
            ("http.max_bodies_per_address", self.max_bodies_per_address == 0),
            ("http.max_connections_per_address", self.max_connections_per_address == 0),
            ("http.answer_timeout_ms", self.answer_timeout_ms == 0),
            ("http.body_read_timeout_ms", self.body_read_timeout_ms == 0),
            ("http.timeline_wait_ms", self.timeline_wait_ms == 0),
        ];
        if let Some((key, _)) = limits.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::value(key, "must be at least 1"));
        }
        if self.max_body_memory_bytes < self.max_body_bytes {
            let reason = "must be at least `http.max_body_bytes`";
            return Err(ConfigError::value("http.max_body_memory_bytes", reason));
        }
        Ok(())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            max_body_bytes: 1_048_576,
            max_bodies_per_address: 64,
            max_body_memory_bytes: 67_108_864,
            max_connections_per_address: 1_024,
            answer_timeout_ms: 30_000,
            body_read_timeout_ms: 8_000,
            timeline_wait_ms: 2_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::App;

    #[test]
    fn limits_under_which_nothing_is_read_or_answered_are_refused_by_name() {
        for (setting, key) in [
            (("HTTP__MAX_BODY_BYTES", "0"), "http.max_body_bytes"),
            (("HTTP__MAX_BODIES_PER_ADDRESS", "0"), "http.max_bodies_per_address"),
            (("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "0"), "http.max_connections_per_address"),
            (("HTTP__ANSWER_TIMEOUT_MS", "0"), "http.answer_timeout_ms"),
            (("HTTP__BODY_READ_TIMEOUT_MS", "0"), "http.body_read_timeout_ms"),
            (("HTTP__TIMELINE_WAIT_MS", "0"), "http.timeline_wait_ms"),
            (("HTTP__MAX_BODY_MEMORY_BYTES", "1048575"), "http.max_body_memory_bytes"),
        ] {
            let refused = chassis::testing::config::refusal::<App>([setting]);
            assert!(refused.contains(key), "{key}: {refused}");
        }
    }
}
