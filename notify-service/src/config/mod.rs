//! The configuration of this service; `config/default.toml` documents every key.

mod mail;

use std::time::Duration;

use chassis::config::{
    AmqpConfig, AuditConfig, BaseConfig, ConfigError, DatabaseConfig, DiscoveryConfig, EventRole,
    EventsConfig, PagingConfig, Profile, RuntimeConfig, ServerConfig, TelemetryConfig, TlsConfig,
    TokenConfig, UpstreamConfig,
};
use chrono::TimeDelta;
use serde::Deserialize;

pub use self::mail::{MailConfig, MailMode, SmtpConfig, SmtpSecurity};

/// Every section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Ports and their limits.
    pub server: ServerConfig,
    /// Threads.
    pub runtime: RuntimeConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How services find each other.
    pub discovery: DiscoveryConfig,
    /// Who it is to the other services.
    pub tls: TlsConfig,
    /// The schema `hub_notify`.
    pub database: DatabaseConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// By which keys events are signed, and whose are believed.
    pub events: EventsConfig,
    /// What an access token must look like.
    pub token: TokenConfig,
    /// Calls to other services (the key set of auth-service).
    pub upstream: UpstreamConfig,
    /// Page tokens.
    pub paging: PagingConfig,
    /// What arrived.
    pub receipts: ReceiptsConfig,
    /// What could not be processed.
    pub dead_letters: DeadLettersConfig,
    /// How its audit log is sealed.
    pub audit: AuditConfig,
    /// Messages by e-mail.
    pub mail: MailConfig,
}

/// `[receipts]`: how long it is remembered which events arrived.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsConfig {
    /// Days for which the arrival of an event is remembered, at least 1.
    pub keep_d: u32,
    /// Pause between two sweeps of older ones, in seconds.
    pub sweep_every_s: u64,
    /// Most of them that one statement of a sweep forgets, at least 1.
    pub sweep_batch: u32,
    /// Most events that are listed of one subject, at least 1.
    pub list_max: u32,
}

impl ReceiptsConfig {
    /// How long an arrival is remembered.
    pub fn keep(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.keep_d))
    }

    /// Pause between two sweeps.
    pub fn sweep_every(&self) -> Duration {
        Duration::from_secs(self.sweep_every_s)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.keep_d == 0 {
            return Err(ConfigError::value("receipts.keep_d", "must be at least 1"));
        }
        if self.sweep_every_s == 0 {
            return Err(ConfigError::value("receipts.sweep_every_s", "must be at least 1"));
        }
        if self.sweep_batch == 0 {
            return Err(ConfigError::value("receipts.sweep_batch", "must be at least 1"));
        }
        if self.list_max == 0 {
            return Err(ConfigError::value("receipts.list_max", "must be at least 1"));
        }
        Ok(())
    }
}

/// `[dead_letters]`: how those that wait for a decision are counted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersConfig {
    /// Pause between two counts, in seconds, at least 1.
    pub count_every_s: u64,
    /// How many are counted at most, at least 1.
    pub count_max: u32,
}

impl DeadLettersConfig {
    /// Pause between two counts.
    pub fn count_every(&self) -> Duration {
        Duration::from_secs(self.count_every_s)
    }

    fn validate(self) -> Result<(), ConfigError> {
        if self.count_every_s == 0 {
            return Err(ConfigError::value("dead_letters.count_every_s", "must be at least 1"));
        }
        if self.count_max == 0 {
            return Err(ConfigError::value("dead_letters.count_max", "must be at least 1"));
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
        self.events.validate("notify-service", EventRole::Consumer, profile)?;
        self.upstream.validate()?;
        self.database.validate()?;
        self.amqp.validate()?;
        self.token.validate()?;
        self.receipts.validate()?;
        self.dead_letters.validate()?;
        self.audit.validate(profile)?;
        self.mail.validate(profile)?;
        self.paging.validate(profile)
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
    fn dead_letters_that_are_never_counted_are_refused_by_name() {
        for key in ["dead_letters.count_every_s", "dead_letters.count_max"] {
            let variable = key.replace('.', "__").to_uppercase();
            let refused = chassis::testing::config::refusal::<App>([(variable.as_str(), "0")]);
            assert!(refused.contains(key), "{refused}");
        }
    }

    #[test]
    fn a_retry_budget_that_pays_for_nothing_is_refused() {
        let nothing = [("UPSTREAM__RETRY_BUDGET_MAX", "0")];
        let refused = chassis::testing::config::refusal::<App>(nothing);
        assert!(refused.contains("upstream.retry_budget_max"), "{refused}");
    }
}
