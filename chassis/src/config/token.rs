//! `[token]`: which access tokens are believed.

use std::time::Duration;

use serde::Deserialize;

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
