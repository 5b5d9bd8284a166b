//! `[ledger]`: how the books are compared with the provider's ledger.

use std::time::Duration;

use chassis::config::ConfigError;
use chrono::TimeDelta;
use serde::Deserialize;

use crate::service::ReviewPolicy;

/// `[ledger]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// Pause between two walks of the worker.
    pub every_s: u64,
    /// Days for which the worker goes on comparing a charge.
    pub window_d: u32,
    /// Charges or payments read in one go.
    pub page: u32,
    /// Charges and payments after which a report ends.
    pub report_max: u64,
    /// Time left to the caller at which a report ends.
    pub reserve_ms: u64,
    /// Differences of one class that are shown.
    pub examples: usize,
    /// What changed within this time is in flight.
    pub grace_ms: u32,
}

impl LedgerConfig {
    /// Pause between two walks.
    pub const fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }

    /// The bounds that the use cases go by.
    pub fn policy(&self) -> ReviewPolicy {
        ReviewPolicy {
            page: self.page,
            report_max: self.report_max,
            reserve: Duration::from_millis(self.reserve_ms),
            examples: self.examples,
            grace: TimeDelta::milliseconds(i64::from(self.grace_ms)),
            window: TimeDelta::days(i64::from(self.window_d)),
        }
    }

    /// Checks what the types cannot. `settles_ms` is the longest time between two looks at a
    /// payment, within which it may rightly disagree.
    pub fn validate(&self, settles_ms: u64) -> Result<(), ConfigError> {
        let refuse = |key: &str, why: &str| Err(ConfigError::value(format!("ledger.{key}"), why));
        if self.every_s == 0 || self.window_d == 0 {
            return refuse("every_s", "and window_d must be above 0");
        }
        if !(1..=1_000).contains(&self.page) {
            return refuse("page", "must be between 1 and 1000");
        }
        if !(1..=100_000).contains(&self.report_max) {
            return refuse("report_max", "must be between 1 and 100000");
        }
        if !(1..=10_000).contains(&self.reserve_ms) {
            return refuse("reserve_ms", "must be between 1 and 10000");
        }
        if self.examples > 100 {
            return refuse("examples", "must be at most 100");
        }
        if u64::from(self.grace_ms) <= settles_ms {
            return refuse("grace_ms", "must be longer than reconcile.max_ms");
        }
        Ok(())
    }
}
