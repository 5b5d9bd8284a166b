//! `[shedding]`: who is refused under overload, and what counts as overload.

use std::time::Duration;

use chassis::config::ConfigError;
use serde::Deserialize;

/// Least share of any class of customers. The limit is adjusted while at least half of it is in use:
/// were the share of reads no larger, nothing would ever be learnt from too many of them.
pub(super) const PERCENT_MIN: u8 = 60;

/// Who is refused under overload, and what counts as overload.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SheddingConfig {
    /// The limit never falls below this, nor does it rise above `server.max_concurrency`.
    pub min_limit: usize,
    /// How many times its usual time a route may take before that counts as slow.
    pub tolerance: f64,
    /// Answers within this time are never slow.
    pub calm_ms: u64,
    /// How often the limit is adjusted,
    pub window_ms: u64,
    /// and upon how many answers at least.
    pub window_samples: usize,
    /// For how long the least that a route took is remembered; up to twice as long.
    pub baseline_s: u64,
    /// Percentage of the limit that may be in when somebody comes to read; 60 at least.
    pub read_percent: u8,
    /// The same for orders, logins and all other changes.
    pub order_percent: u8,
    /// The same for payments, cancellations and refunds.
    pub pay_percent: u8,
    /// Percentage of `server.max_concurrency` that callbacks of the payment provider may fill, and nobody
    /// else, however low the limit is; with `pay_percent` 100 at most.
    pub callback_percent: u8,
}

impl SheddingConfig {
    /// How often the limit is adjusted.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }

    /// Answers within this time are never slow.
    pub(crate) fn calm(&self) -> Duration {
        Duration::from_millis(self.calm_ms)
    }

    /// For how long the least that a route took is remembered.
    pub(crate) fn baseline(&self) -> Duration {
        Duration::from_secs(self.baseline_s)
    }

    /// Refuses what would let nobody in, or turn the order of the classes upside down.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let within = |key, value: u64, (least, most): (u64, u64)| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ConfigError::value(key, format!("must be from {least} to {most}")))
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        within("shedding.min_limit", count(self.min_limit), (1, 10_000))?;
        within("shedding.calm_ms", self.calm_ms, (0, 10_000))?;
        within("shedding.window_ms", self.window_ms, (10, 10_000))?;
        within("shedding.window_samples", count(self.window_samples), (1, 500))?;
        within("shedding.baseline_s", self.baseline_s, (1, 3_600))?;
        if !(1.0..=10.0).contains(&self.tolerance) {
            return Err(ConfigError::value("shedding.tolerance", "must be from 1 to 10"));
        }
        let least = u64::from(PERCENT_MIN);
        let order = u64::from(self.order_percent);
        let (pay, callback) = (u64::from(self.pay_percent), u64::from(self.callback_percent));
        within("shedding.callback_percent", callback, (1, 100 - least))?;
        // Whoever sets this one may never have heard of the other.
        let most = 100 - callback;
        if !(least..=most).contains(&pay) {
            let reason =
                format!("must leave room for `callback_percent`, so be from {least} to {most}");
            return Err(ConfigError::value("shedding.pay_percent", reason));
        }
        within("shedding.order_percent", order, (least, pay))?;
        within("shedding.read_percent", u64::from(self.read_percent), (least, order))
    }
}

impl Default for SheddingConfig {
    fn default() -> Self {
        Self {
            min_limit: 16,
            tolerance: 2.0,
            calm_ms: 50,
            window_ms: 200,
            window_samples: 10,
            baseline_s: 30,
            read_percent: 70,
            order_percent: 85,
            pay_percent: 95,
            callback_percent: 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_keep_their_order_and_numbers_their_bounds() {
        let good = SheddingConfig::default();
        assert!(good.validate().is_ok());
        for (key, bad) in [
            ("min_limit", SheddingConfig { min_limit: 0, ..good.clone() }),
            ("tolerance", SheddingConfig { tolerance: 0.5, ..good.clone() }),
            ("tolerance", SheddingConfig { tolerance: f64::NAN, ..good.clone() }),
            ("window_ms", SheddingConfig { window_ms: 0, ..good.clone() }),
            ("baseline_s", SheddingConfig { baseline_s: 0, ..good.clone() }),
            ("read_percent", SheddingConfig { read_percent: 90, ..good.clone() }),
            ("read_percent", SheddingConfig { read_percent: 59, ..good.clone() }),
            ("order_percent", SheddingConfig { order_percent: 59, ..good.clone() }),
            ("order_percent", SheddingConfig { order_percent: 96, ..good.clone() }),
            ("callback_percent", SheddingConfig { callback_percent: 0, ..good.clone() }),
            ("callback_percent", SheddingConfig { callback_percent: 41, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn payments_leave_room_for_callbacks() {
        let good = SheddingConfig::default();
        assert!(
            SheddingConfig { pay_percent: 98, callback_percent: 2, ..good.clone() }
                .validate()
                .is_ok()
        );
        for bad in [
            SheddingConfig { pay_percent: 100, ..good.clone() },
            SheddingConfig { pay_percent: 96, ..good.clone() },
            SheddingConfig { callback_percent: 6, ..good.clone() },
        ] {
            let error = bad.validate().unwrap_err().to_string();
            let told = ["shedding.pay_percent", "must leave room for `callback_percent`"];
            assert!(told.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
