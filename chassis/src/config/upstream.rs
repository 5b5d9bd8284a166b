//! `[upstream]`: how other services are called.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use super::bounds::at_least_one;

/// Most retries that a budget may save up.
const RETRY_BUDGET_MAX: u32 = 1_000;

/// Most attempts at one call: each further one is a chance less than the one before, and work for
/// instances that have enough of it.
const RETRY_ATTEMPTS_MAX: u32 = 5;

/// Most retries that a budget may be made to owe.
const RETRY_DEBT_MAX: u32 = 10_000;

/// How other services are called.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Longest call; a caller's deadline may be shorter.
    pub timeout_ms: u64,
    /// Longest attempt to connect, and longest wait of a call for a connection: then it goes to
    /// another instance.
    pub connect_timeout_ms: u64,
    /// Consecutive failures after which an instance gets no calls for a while.
    pub eject_after_failures: u32,
    /// Length of that while.
    pub eject_for_ms: u64,
    /// Attempts at an idempotent call, the first one included; 1 to 5.
    pub retry_attempts: u32,
    /// Share of calls that may be retries, 0 to 1.
    pub retry_budget_ratio: f64,
    /// Retries of one service that are saved up, and that a process begins with; 1 to 1000.
    pub retry_budget_max: u32,
    /// Retries of callers that are paid for in advance, 0 to 10000: callers whose budgets allow the
    /// same share stay far below; others must not keep the budget empty for ever.
    pub retry_debt_max: u32,
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

    /// Refuses limits under which no call is made, and budgets that would bound nothing, or that no
    /// retry could ever be paid from.
    pub fn validate(&self) -> Result<(), ConfigError> {
        at_least_one([
            ("upstream.timeout_ms", self.timeout_ms == 0),
            ("upstream.connect_timeout_ms", self.connect_timeout_ms == 0),
            ("upstream.eject_after_failures", self.eject_after_failures == 0),
            ("upstream.max_in_flight", self.max_in_flight == 0),
        ])?;
        if !(1..=RETRY_ATTEMPTS_MAX).contains(&self.retry_attempts) {
            let reason = format!("must be 1 to {RETRY_ATTEMPTS_MAX}");
            return Err(ConfigError::value("upstream.retry_attempts", reason));
        }
        if !(0.0..=1.0).contains(&self.retry_budget_ratio) {
            return Err(ConfigError::value("upstream.retry_budget_ratio", "must be 0 to 1"));
        }
        if !(1..=RETRY_BUDGET_MAX).contains(&self.retry_budget_max) {
            let reason = format!("must be 1 to {RETRY_BUDGET_MAX}");
            return Err(ConfigError::value("upstream.retry_budget_max", reason));
        }
        if self.retry_debt_max > RETRY_DEBT_MAX {
            let reason = format!("must be at most {RETRY_DEBT_MAX}");
            return Err(ConfigError::value("upstream.retry_debt_max", reason));
        }
        Ok(())
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
            retry_budget_max: 10,
            retry_debt_max: 100,
            max_in_flight: 256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_budget_without_bounds_is_refused_by_name() {
        let good = UpstreamConfig::default();
        good.validate().unwrap();
        for (key, bad) in [
            ("ratio", UpstreamConfig { retry_budget_ratio: 1.5, ..good.clone() }),
            ("ratio", UpstreamConfig { retry_budget_ratio: -0.1, ..good.clone() }),
            ("ratio", UpstreamConfig { retry_budget_ratio: f64::NAN, ..good.clone() }),
            ("budget_max", UpstreamConfig { retry_budget_max: 0, ..good.clone() }),
            ("budget_max", UpstreamConfig { retry_budget_max: 1_001, ..good.clone() }),
            ("debt_max", UpstreamConfig { retry_debt_max: 10_001, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains("upstream.retry_") && error.contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn limits_under_which_no_call_is_made_are_refused_by_name() {
        let good = UpstreamConfig::default();
        for (key, bad) in [
            ("timeout_ms", UpstreamConfig { timeout_ms: 0, ..good.clone() }),
            ("connect_timeout_ms", UpstreamConfig { connect_timeout_ms: 0, ..good.clone() }),
            ("eject_after_failures", UpstreamConfig { eject_after_failures: 0, ..good.clone() }),
            ("max_in_flight", UpstreamConfig { max_in_flight: 0, ..good.clone() }),
            ("retry_attempts", UpstreamConfig { retry_attempts: 0, ..good.clone() }),
            ("retry_attempts", UpstreamConfig { retry_attempts: 6, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("upstream.{key}")), "{error}");
        }
    }
}
