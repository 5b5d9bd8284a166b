//! `[token]`: which access tokens are believed.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// Longest difference between clocks that may be tolerated, in seconds: for as long a token is good
/// after its end.
const LEEWAY_MAX_S: u64 = 300;
/// Longest time for which a verified token may be remembered, in seconds.
const CACHE_TTL_MAX_S: u64 = 3_600;
/// Longest pause between two looks at the key set, in seconds: for as long a withdrawn key may be
/// believed.
const REFRESH_MAX_S: u64 = 86_400;

/// Which access tokens are believed, and where the keys to check them come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// Expected `iss`.
    pub issuer: String,
    /// Expected `aud`.
    pub audience: String,
    /// Difference between clocks that is tolerated.
    pub leeway_s: u64,
    /// Verified tokens remembered at most.
    pub cache_capacity: u64,
    /// How long a verified token is remembered at most.
    pub cache_ttl_s: u64,
    /// Service that publishes the keys.
    pub issuer_service: String,
    /// Method that answers with the key set.
    pub jwks_method: String,
    /// How often the key set is fetched.
    pub jwks_refresh_s: u64,
    /// Shortest time between two fetches that unknown keys cause.
    pub jwks_min_interval_s: u64,
}

impl TokenConfig {
    /// How long a verified token is remembered at most.
    pub fn cache_ttl(&self) -> Duration {
        Duration::from_secs(self.cache_ttl_s)
    }

    /// How often the key set is fetched.
    pub fn jwks_refresh(&self) -> Duration {
        Duration::from_secs(self.jwks_refresh_s)
    }

    /// Shortest time between two fetches that unknown keys cause.
    pub fn jwks_min_interval(&self) -> Duration {
        Duration::from_secs(self.jwks_min_interval_s)
    }

    /// Refuses tokens of anybody, for anybody, and bounds under which those that are over stay good.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, text) in [("token.issuer", &self.issuer), ("token.audience", &self.audience)] {
            if text.is_empty() {
                return Err(ConfigError::value(key, "must not be empty"));
            }
        }
        for (key, value, range) in [
            ("token.leeway_s", self.leeway_s, 0..=LEEWAY_MAX_S),
            ("token.cache_ttl_s", self.cache_ttl_s, 0..=CACHE_TTL_MAX_S),
            ("token.jwks_refresh_s", self.jwks_refresh_s, 1..=REFRESH_MAX_S),
        ] {
            if !range.contains(&value) {
                let reason = format!("must be {} to {}", range.start(), range.end());
                return Err(ConfigError::value(key, reason));
            }
        }
        Ok(())
    }
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            issuer: "https://enterprisehub.local".to_owned(),
            audience: "enterprisehub".to_owned(),
            leeway_s: 60,
            cache_capacity: 10_000,
            cache_ttl_s: 60,
            issuer_service: "auth-service".to_owned(),
            jwks_method: "/enterprisehub.auth.v1.AuthService/GetJwks".to_owned(),
            jwks_refresh_s: 300,
            jwks_min_interval_s: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_under_which_what_is_over_stays_good_are_refused_by_name() {
        let good = TokenConfig::default();
        good.validate().unwrap();
        for (key, bad) in [
            ("issuer", TokenConfig { issuer: String::new(), ..good.clone() }),
            ("audience", TokenConfig { audience: String::new(), ..good.clone() }),
            ("leeway_s", TokenConfig { leeway_s: 301, ..good.clone() }),
            ("cache_ttl_s", TokenConfig { cache_ttl_s: u64::MAX, ..good.clone() }),
            ("jwks_refresh_s", TokenConfig { jwks_refresh_s: 0, ..good.clone() }),
            ("jwks_refresh_s", TokenConfig { jwks_refresh_s: 86_401, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("token.{key}")), "{error}");
        }
    }
}
