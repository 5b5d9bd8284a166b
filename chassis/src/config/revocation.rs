//! `[revocations]`: which access tokens are refused before their time, and what a start without
//! the issuer goes on with.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// Longest time for which what an earlier process was told is believed, in seconds: an hour in which
/// a withdrawn key may come back is as much as anybody should have to explain.
const MAX_AGE_MAX_S: u64 = 3_600;

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
    /// Longest read of one page, in milliseconds; 1 to 2000.
    pub timeout_ms: u64,
    /// Pause after which everything is read anew and saved, in seconds; 1 to 300.
    pub full_resync_s: u64,
    /// Folder for the last good keys and revocations, of this process alone; empty means none.
    pub folder: String,
    /// How long they are believed after the issuer has told them, in seconds; longer than two of
    /// `full_resync_s`, and 3600 at most. It should be what the issuer keeps a revocation for: the
    /// life of an access token, the tolerated difference of clocks, and a margin. With less, a start
    /// without the issuer locks out who holds a good token; with more, keys that were withdrawn and
    /// sessions that ended come back, and for nothing, because no token is alive any more.
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

    /// Longest read of one page.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Pause after which everything is read anew.
    pub fn full_resync(&self) -> Duration {
        Duration::from_secs(self.full_resync_s)
    }

    /// Folder for the last good keys and revocations, if there is to be one.
    pub fn folder(&self) -> Option<&Path> {
        (!self.folder.is_empty()).then(|| Path::new(&self.folder))
    }

    /// Refuses what would break the bound of five seconds, or let what ended come back.
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
        if !(1..=300).contains(&self.full_resync_s) {
            return Err(ConfigError::value("revocations.full_resync_s", "must be 1 to 300"));
        }
        if !(2 * self.full_resync_s + 1..=MAX_AGE_MAX_S).contains(&u64::from(self.max_age_s)) {
            let reason = "must be more than twice `revocations.full_resync_s`, and at most 3600";
            return Err(ConfigError::value("revocations.max_age_s", reason));
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
            max_age_s: 1_260,
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
            RevocationConfig { full_resync_s: 0, ..RevocationConfig::default() },
            RevocationConfig { full_resync_s: 301, ..RevocationConfig::default() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_saved_is_believed_for_as_long_as_it_can_matter() {
        let validate = |full_resync_s, max_age_s| {
            RevocationConfig { full_resync_s, max_age_s, ..RevocationConfig::default() }.validate()
        };
        assert!(validate(60, 121).is_ok() && validate(300, 3_600).is_ok());
        for (full_resync_s, max_age_s) in [(60, 120), (60, 3_601), (60, 86_400), (300, 600)] {
            let error = validate(full_resync_s, max_age_s).unwrap_err().to_string();
            assert!(error.contains("max_age_s"), "{error}");
        }
    }
}
