//! The configuration of auth-service; `config/default.toml` documents every key.

mod keys;

pub(crate) use keys::FORMER;
pub use keys::KeysConfig;

use std::num::NonZeroU32;
use std::time::Duration;

use chassis::config::{
    AmqpConfig, AttemptsConfig, AuditConfig, BaseConfig, ConfigError, DatabaseConfig,
    DiscoveryConfig, EventRole, EventsConfig, OutboxConfig, Profile, RedisConfig, RuntimeConfig,
    ServerConfig, TelemetryConfig, TlsConfig, TokenConfig, UpstreamConfig,
};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::model::Lifetimes;
use crate::service::Patience;
use crate::token::RotationPlan;

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
    /// Who it is to the other services.
    pub tls: TlsConfig,
    /// Its schema.
    pub database: DatabaseConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// Where edges hear that there are new revocations, and all replicas count wrong passwords together.
    pub redis: RedisConfig,
    /// By which keys events are signed, and whose are believed.
    pub events: EventsConfig,
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
    /// What access tokens are refused for before their time.
    pub revocations: RevocationsConfig,
    /// How slow guessing is.
    pub throttle: ThrottleConfig,
    /// How its audit log is sealed.
    pub audit: AuditConfig,
}

impl Config {
    /// How long an access token can be accepted after something was decided about it, in seconds: its
    /// life, the tolerated difference of clocks, and a margin for what was under way.
    pub fn longest_token_s(&self) -> u32 {
        let leeway_s = u32::try_from(self.token.leeway_s).unwrap_or(u32::MAX);
        let life_s = self.sessions.access_token_s.saturating_add(leeway_s);
        life_s.saturating_add(self.revocations.margin_s)
    }

    /// When signing keys come and go.
    pub fn rotation_plan(&self) -> RotationPlan {
        let seconds = |s: u32| TimeDelta::seconds(i64::from(s));
        RotationPlan {
            every: (self.keys.rotate_after_s > 0).then(|| seconds(self.keys.rotate_after_s)),
            publish_before: seconds(self.keys.publish_before_s),
            publish_after: seconds(self.longest_token_s()),
            pace: Duration::from_secs(u64::from(self.keys.check_interval_s)),
        }
    }
}

/// `[revocations]`: what access tokens are refused for before their time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationsConfig {
    /// How often user-service is asked whose access changed, in milliseconds; 1 to 2000.
    pub accounts_poll_ms: u32,
    /// Time by which a revocation, and a retired key, outlives the last token that it concerns, in
    /// seconds; at least 300.
    pub margin_s: u32,
}

impl RevocationsConfig {
    /// How often user-service is asked whose access changed.
    pub fn accounts_poll(&self) -> Duration {
        Duration::from_millis(u64::from(self.accounts_poll_ms))
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=2_000).contains(&self.accounts_poll_ms) {
            return Err(ConfigError::value("revocations.accounts_poll_ms", "must be 1 to 2000"));
        }
        if self.margin_s < 300 {
            return Err(ConfigError::value("revocations.margin_s", "must be at least 300"));
        }
        Ok(())
    }
}

/// `[throttle]`: how slow guessing of passwords is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Meters that a process keeps for itself at most.
    pub key_capacity: u64,
    /// How long Redis is left alone after it failed.
    pub redis_pause_ms: u64,
    /// Known devices of an account at most; 1 to 1000.
    pub devices_max: NonZeroU32,
    /// Days that a device stays known after it was seen; 1 to 3650.
    pub device_days: NonZeroU32,
    /// Patience with an account.
    pub account: AttemptsConfig,
    /// Patience with a known device of an account.
    pub device: AttemptsConfig,
    /// Patience with an address.
    pub address: AttemptsConfig,
    /// Patience with an address that tries many accounts.
    pub spraying: AttemptsConfig,
}

impl ThrottleConfig {
    /// The patience as the use cases know it.
    pub fn patience(&self) -> Patience {
        Patience {
            account: self.account.rule(),
            address: self.address.rule(),
            spraying: self.spraying.rule(),
            device: self.device.rule(),
            devices_max: self.devices_max.get(),
            device_life: TimeDelta::days(i64::from(self.device_days.get())),
        }
    }

    /// How long Redis is left alone after it failed.
    pub fn redis_pause(&self) -> Duration {
        Duration::from_millis(self.redis_pause_ms)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.devices_max.get() > 1_000 {
            return Err(ConfigError::value("throttle.devices_max", "must be 1 to 1000"));
        }
        if self.device_days.get() > 3_650 {
            return Err(ConfigError::value("throttle.device_days", "must be 1 to 3650"));
        }
        self.account.validate("throttle.account")?;
        self.device.validate("throttle.device")?;
        self.address.validate("throttle.address")?;
        self.spraying.validate("throttle.spraying")
    }
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
    /// Live sessions of one user at most.
    pub per_user_max: u32,
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
        if !(1..=100).contains(&self.per_user_max) {
            return Err(ConfigError::value("sessions.per_user_max", "must be 1 to 100"));
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

    fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        self.events.validate("auth-service", EventRole::Producer, profile)?;
        self.upstream.validate()?;
        self.database.validate()?;
        self.amqp.validate()?;
        self.outbox.validate()?;
        self.redis.validate(profile)?;
        self.token.validate()?;
        self.keys.validate(profile)?;
        self.audit.validate(profile)?;
        self.revocations.validate()?;
        self.throttle.validate()?;
        self.sessions.validate()
    }
}

#[cfg(test)]
mod tests {
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
}
