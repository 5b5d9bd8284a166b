//! `[upstream]`: how other services are called.

use std::time::Duration;

use serde::Deserialize;

/// How other services are called.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Longest call; a caller's deadline may be shorter.
    pub timeout_ms: u64,
    /// Longest attempt to connect.
    pub connect_timeout_ms: u64,
    /// Consecutive failures after which an instance gets no calls for a while.
    pub eject_after_failures: u32,
    /// Length of that while.
    pub eject_for_ms: u64,
    /// Attempts at an idempotent call, the first one included.
    pub retry_attempts: u32,
    /// Share of calls that may be retries.
    pub retry_budget_ratio: f64,
    /// Calls of one service at once; more are refused, so that a slow service holds up no others.
    pub max_in_flight: usize,
}

impl UpstreamConfig {
    /// Longest call.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Longest attempt to connect.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// How long an instance gets no calls after it failed.
    pub fn eject_for(&self) -> Duration {
        Duration::from_millis(self.eject_for_ms)
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            timeout_ms: 2_500,
            connect_timeout_ms: 500,
            eject_after_failures: 5,
            eject_for_ms: 5_000,
            retry_attempts: 2,
            retry_budget_ratio: 0.1,
            max_in_flight: 256,
        }
    }
}
