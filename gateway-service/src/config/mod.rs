//! The gateway's configuration; `config/default.toml` shows every key.

mod http;

use std::num::NonZeroU32;

use chassis::config::{
    BaseConfig, ConfigError, DiscoveryConfig, Profile, RedisConfig, RevocationConfig,
    RuntimeConfig, ServerConfig, TelemetryConfig, TlsConfig, TokenConfig, UpstreamConfig,
};
use serde::{Deserialize, Deserializer};

pub use self::http::HttpConfig;
use crate::middleware::client_address::Network;
use crate::shedding::settings::SheddingConfig;

/// Everything the gateway can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Peers whose `X-Forwarded-For` is believed, as addresses or networks.
    #[serde(default, deserialize_with = "networks")]
    pub trusted_proxies: Vec<Network>,
    /// Peers whose decision about recording a trace (the flag `sampled` of `traceparent`) is followed,
    /// as addresses or networks. One that passes on what its clients say must not be among them.
    #[serde(default, deserialize_with = "networks")]
    pub trusted_samplers: Vec<Network>,
    /// Where the process listens.
    #[serde(default)]
    pub server: ServerConfig,
    /// How it uses the machine.
    #[serde(default)]
    pub runtime: RuntimeConfig,
    /// What it tells of itself.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// How the services are found.
    #[serde(default)]
    pub discovery: DiscoveryConfig,
    /// Who it is to the other services.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Where the quotas of all gateways are counted together.
    #[serde(default)]
    pub redis: RedisConfig,
    /// Which access tokens are believed.
    #[serde(default)]
    pub token: TokenConfig,
    /// Which are refused before their time, and what a start without auth-service goes on with.
    #[serde(default)]
    pub revocations: RevocationConfig,
    /// How the services are called.
    #[serde(default)]
    pub upstream: UpstreamConfig,
    /// Limits of one request.
    #[serde(default)]
    pub http: HttpConfig,
    /// Who is refused under overload.
    #[serde(default)]
    pub shedding: SheddingConfig,
    /// Which web pages may call the API.
    #[serde(default)]
    pub cors: CorsConfig,
    /// Quotas of callers.
    #[serde(default)]
    pub rate_limits: RateLimitConfig,
}

impl BaseConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn runtime(&self) -> &RuntimeConfig {
        &self.runtime
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn discovery(&self) -> &DiscoveryConfig {
        &self.discovery
    }

    fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        self.revocations.validate()?;
        self.shedding.validate()?;
        self.upstream.validate()?;
        self.redis.validate(profile)?;
        self.token.validate()?;
        self.http.validate()?;
        // A call that had less time than connecting may take says nothing about the instance, and one
        // that hangs would be asked again and again. A little of it is gone before a call is sent.
        if self.revocations.timeout_ms <= self.upstream.connect_timeout_ms {
            let reason = "must be more than `upstream.connect_timeout_ms`";
            return Err(ConfigError::value("revocations.timeout_ms", reason));
        }
        Ok(())
    }
}

/// Which web pages may call the API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins such as `https://shop.example`; empty means none, and never `*`.
    #[serde(deserialize_with = "chassis::config::list::texts")]
    pub allowed_origins: Vec<String>,
}

/// Quotas of callers, per class of routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Callers remembered at most; those not seen for longest are forgotten first.
    pub key_capacity: u64,
    /// How long Redis is left alone after it failed to answer.
    pub redis_pause_ms: u64,
    /// Everything that has no class of its own.
    pub default: QuotaConfig,
    /// Attempts to log in, to change a password, or to use a link that was sent.
    pub login: QuotaConfig,
    /// Exchanges of refresh tokens.
    pub refresh: QuotaConfig,
    /// New accounts.
    pub register: QuotaConfig,
    /// What has an e-mail sent.
    pub mail: QuotaConfig,
    /// Orders and payments.
    pub payment: QuotaConfig,
    /// What says that it comes from the payment provider, good or forged, of one address.
    pub callback: QuotaConfig,
    /// The pages and files of the documentation.
    pub docs: QuotaConfig,
    /// Everything that comes from one address, whoever asks; on top of the others.
    pub address: QuotaConfig,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            key_capacity: 100_000,
            redis_pause_ms: 1_000,
            default: QuotaConfig::new(1_200, 60, 60),
            login: QuotaConfig::new(30, 60, 1),
            refresh: QuotaConfig::new(300, 60, 1),
            register: QuotaConfig::new(30, 60, 1),
            mail: QuotaConfig::new(30, 60, 1),
            payment: QuotaConfig::new(120, 60, 1),
            callback: QuotaConfig::new(6_000, 60, 60),
            docs: QuotaConfig::new(120, 60, 10),
            address: QuotaConfig::new(60_000, 60, 600),
        }
    }
}

/// One quota: at most so many requests in any stretch of time as long as the window.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaConfig {
    /// Requests per window.
    pub requests: NonZeroU32,
    /// Length of the window.
    pub window_s: NonZeroU32,
    /// Requests taken from Redis at once, for use within a twentieth of the window. With 1 every
    /// request is told to Redis; with more, most are answered without it, and those that one
    /// process holds are missing at the others meanwhile. The quota is exact either way.
    pub lease: NonZeroU32,
}

impl QuotaConfig {
    /// A quota whose numbers are known not to be zero.
    const fn new(requests: u32, window_s: u32, lease: u32) -> Self {
        Self {
            requests: at_least_one(requests),
            window_s: at_least_one(window_s),
            lease: at_least_one(lease),
        }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let texts = chassis::config::list::texts(deserializer)?;
    let parsed = texts.iter().map(|text| text.parse());
    parsed.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;

    #[test]
    fn no_secret_is_shown_by_debug() {
        assert_eq!(chassis::testing::config::secrets_shown::<App>(), [""; 0]);
    }

    #[test]
    fn a_retry_budget_that_pays_for_nothing_is_refused() {
        let nothing = [("UPSTREAM__RETRY_BUDGET_MAX", "0")];
        let refused = chassis::testing::config::refusal::<App>(nothing);
        assert!(refused.contains("upstream.retry_budget_max"), "{refused}");
    }

    #[test]
    fn sections_of_the_chassis_are_checked_too() {
        for (setting, key) in [
            (("TOKEN__LEEWAY_S", "301"), "token.leeway_s"),
            (("REDIS__TIMEOUT_MS", "0"), "redis.timeout_ms"),
        ] {
            let refused = chassis::testing::config::refusal::<App>([setting]);
            assert!(refused.contains(key), "{key}: {refused}");
        }
    }

    #[test]
    fn a_read_of_revocations_that_could_say_nothing_about_its_instance_is_refused() {
        let redis = [("REDIS__URL", "rediss://:Vb4uPqf0sYx1mCe8@cache:6379/0")];
        let mut config: Config = chassis::testing::config::defaults_with::<App>(redis);
        assert!(config.validate(Profile::Production).is_ok());
        config.revocations.timeout_ms = config.upstream.connect_timeout_ms + 1;
        assert!(config.validate(Profile::Production).is_ok());
        for too_short in [0, 1] {
            config.revocations.timeout_ms = config.upstream.connect_timeout_ms - too_short;
            let error = config.validate(Profile::Production).unwrap_err().to_string();
            assert!(error.contains("revocations.timeout_ms"), "{error}");
        }
    }
}
