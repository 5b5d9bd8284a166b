//! The configuration of auth-service; `config/default.toml` documents every key.

use std::time::Duration;

use chassis::config::{
    AmqpConfig, BaseConfig, ConfigError, DatabaseConfig, DiscoveryConfig, OutboxConfig, Profile,
    RuntimeConfig, Secret, ServerConfig, TelemetryConfig, TokenConfig, UpstreamConfig,
    require_strong,
};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::model::Lifetimes;

/// Everything auth-service is configured with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub server: ServerConfig,
    /// Threads.
    pub runtime: RuntimeConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How it finds user-service.
    pub discovery: DiscoveryConfig,
    /// Its schema.
    pub database: DatabaseConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// How events leave.
    pub outbox: OutboxConfig,
    /// What access tokens say, and which are believed.
    pub token: TokenConfig,
    /// How user-service is called.
    pub upstream: UpstreamConfig,
    /// How signing keys are kept.
    pub keys: KeysConfig,
    /// How long sessions live.
    pub sessions: SessionsConfig,
}

/// `[keys]`: how signing keys are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// The key under which private keys are sealed.
    pub sealing_key: Secret,
}

/// `[sessions]`: how long sessions and tokens live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// Life of an access token.
    pub access_token_s: u32,
    /// Life of a session from its login on.
    pub absolute_s: u32,
    /// Life of a session from its last refresh on.
    pub idle_s: u32,
    /// How long a lost reply to a refresh may be asked for again.
    pub retry_grace_s: u32,
    /// How long an expired session is kept.
    pub retention_s: u32,
    /// How often expired sessions are looked for.
    pub purge_interval_s: u32,
}

impl SessionsConfig {
    /// The lifetimes as the model knows them.
    pub fn lifetimes(&self) -> Lifetimes {
        let seconds = |s: u32| TimeDelta::seconds(i64::from(s));
        Lifetimes {
            absolute: seconds(self.absolute_s),
            idle: seconds(self.idle_s),
            retry_grace: seconds(self.retry_grace_s),
        }
    }

    /// How long an expired session is kept.
    pub fn retention(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.retention_s))
    }

    /// How often expired sessions are looked for.
    pub fn purge_interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.purge_interval_s))
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (key, seconds) in [
            ("sessions.access_token_s", self.access_token_s),
            ("sessions.absolute_s", self.absolute_s),
            ("sessions.idle_s", self.idle_s),
            ("sessions.purge_interval_s", self.purge_interval_s),
        ] {
            if seconds == 0 {
                return Err(ConfigError::value(key, "must be at least 1"));
            }
        }
        Ok(())
    }
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

    fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        require_strong("keys.sealing_key", &self.keys.sealing_key, profile)?;
        self.sessions.validate()
    }
}
