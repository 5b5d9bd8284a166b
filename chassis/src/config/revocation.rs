//! `[revocations]`: which access tokens are refused before their time, and what a start without
//! the issuer goes on with.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// How a verifier at the edge learns of revocations, and where it keeps what it learned.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevocationConfig {
    /// Method of the token issuer that answers with revocations.
    pub method: String,
    /// How often they are read when nobody rings, in milliseconds; 1 to 3000.
    pub resync_ms: u64,
    /// Shortest time between two reads, however often somebody rings, in milliseconds.
    pub min_interval_ms: u64,
    /// Longest read, in milliseconds.
    pub timeout_ms: u64,
    /// How often everything is read anew, in seconds.
    pub full_resync_s: u64,
    /// Folder for the last good keys and revocations; empty means none.
    pub folder: String,
    /// How long they are believed, in seconds.
    pub max_age_s: u32,
}

impl RevocationConfig {
    /// How often revocations are read when nobody rings.
    pub fn resync(&self) -> Duration {
        Duration::from_millis(self.resync_ms)
    }

    /// Shortest time between two reads.
    pub fn min_interval(&self) -> Duration {
        Duration::from_millis(self.min_interval_ms)
    }

    /// Longest read.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How often everything is read anew.
    pub fn full_resync(&self) -> Duration {
        Duration::from_secs(self.full_resync_s)
    }

    /// Folder for the last good keys and revocations, if there is to be one.
    pub fn folder(&self) -> Option<&Path> {
        (!self.folder.is_empty()).then(|| Path::new(&self.folder))
    }

    /// Refuses what would break the bound of five seconds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=3_000).contains(&self.resync_ms) {
            return Err(ConfigError::value("revocations.resync_ms", "must be 1 to 3000"));
        }
        if !(1..=2_000).contains(&self.timeout_ms) {
            return Err(ConfigError::value("revocations.timeout_ms", "must be 1 to 2000"));
        }
        if self.min_interval_ms > self.resync_ms {
            let reason = "must be at most `revocations.resync_ms`";
            return Err(ConfigError::value("revocations.min_interval_ms", reason));
        }
        Ok(())
    }
}

impl Default for RevocationConfig {
    fn default() -> Self {
        Self {
            method: "/enterprisehub.auth.v1.AuthService/ListRevocations".to_owned(),
            resync_ms: 2_000,
            min_interval_ms: 100,
            timeout_ms: 1_000,
            full_resync_s: 60,
            folder: String::new(),
            max_age_s: 86_400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_that_break_the_bound_are_refused() {
        assert!(RevocationConfig::default().validate().is_ok());
        for bad in [
            RevocationConfig { resync_ms: 0, ..RevocationConfig::default() },
            RevocationConfig { resync_ms: 3_001, ..RevocationConfig::default() },
            RevocationConfig { timeout_ms: 2_001, ..RevocationConfig::default() },
            RevocationConfig { min_interval_ms: 2_001, ..RevocationConfig::default() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
